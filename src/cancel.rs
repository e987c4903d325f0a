//! How work is told to stop: a flag for those who look, a channel for those who wait.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A channel that carries nothing; that it is disconnected is the message.
#[derive(Debug, Clone, Copy)]
pub enum Never {}

/// Told once, for good.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    told: AtomicBool,
    /// Made when somebody first waits: most work never does.
    channel: Mutex<Option<(Sender<Never>, Receiver<Never>)>>,
}

impl Cancel {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// Tells it; false if it had been told.
    pub(crate) fn cancel(&self) -> bool {
        let first = !self.told.swap(true, Ordering::AcqRel);
        // Under the lock and behind the flag: who makes a channel now sees the flag.
        *self.channel.lock() = None;
        first
    }

    /// A channel that is disconnected as soon as it is told.
    pub(crate) fn channel(&self) -> Receiver<Never> {
        let mut channel = self.channel.lock();
        if self.is_cancelled() {
            return bounded(0).1;
        }
        channel.get_or_insert_with(|| bounded(0)).1.clone()
    }

    /// Sleeps; false if told before or meanwhile.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        match self.channel().recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => !self.is_cancelled(),
            Err(RecvTimeoutError::Disconnected) => false,
            Ok(never) => match never {},
        }
    }
}

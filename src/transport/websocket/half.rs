//! The stream that tungstenite reads from. Reads come from the socket; writes only enter the outbox.

use super::tracker::{Excess, FrameTracker};
use crate::engine::budget::Budget;
use crate::engine::connection::Connection;
use crate::engine::link::ReadHalf;
use crate::engine::outbox::{Flush, Frame};
use crate::engine::settle::settle;
use crate::engine::share::SMALL;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

/// What tungstenite takes for the connection.
pub(crate) struct Half {
    read: Box<dyn ReadHalf>,
    connection: Arc<Connection>,
    tracker: FrameTracker,
    config: WebSocketConfig,
    /// What takes the place of a context whose buffer has grown. Made before that buffer grows, so that it has a low
    /// place in the allocator's memory and what is above can go back to the system.
    spare: Option<WebSocketContext>,
    /// The size of a large message that has passed, until its memory is seen to.
    large: usize,
    /// What its client may have of the memory for messages under way.
    memory: Arc<Budget>,
    /// What the message under way holds of that.
    held: usize,
    /// What the peer overdid, for the code of the close frame.
    excess: Option<Excess>,
}

impl Half {
    pub(crate) fn new(
        read: Box<dyn ReadHalf>,
        connection: Arc<Connection>,
        tracker: FrameTracker,
        config: WebSocketConfig,
    ) -> Self {
        let memory = Arc::clone(&connection.lane.share().reading);
        Self { read, connection, tracker, config, spare: None, large: 0, memory, held: 0, excess: None }
    }

    pub(crate) fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// A new context, if the old one's buffer has grown for a large message that has passed: tungstenite would keep it for
    /// the life of the connection.
    pub(crate) fn renewed(&mut self) -> Option<WebSocketContext> {
        if !self.tracker.renewable() {
            return None;
        }
        self.tracker.renewed();
        self.spare.take()
    }

    /// Takes the memory of a larger message from the budget as its frames begin, and gives it back when it is whole: then it is
    /// its receiver's to account for.
    fn account(&mut self) -> io::Result<()> {
        let message = usize::try_from(self.tracker.message()).unwrap_or(usize::MAX);
        // What is beyond the limit is refused by tungstenite, before it takes any memory.
        let within = SMALL + 1..=self.config.max_message_size.unwrap_or(usize::MAX);
        let wanted = if within.contains(&message) { message } else { 0 };
        let memory = &self.memory;
        if wanted > self.held && !memory.take(wanted - self.held) {
            self.excess = Some(Excess::Memory);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        memory.give_back(self.held.saturating_sub(wanted));
        if wanted == 0 {
            self.large = self.large.max(self.held);
        }
        self.held = wanted;
        Ok(())
    }

    /// The socket, for reading what is left at the end.
    pub(crate) fn into_read(mut self) -> Box<dyn ReadHalf> {
        std::mem::replace(&mut self.read, Box::new(Ended))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.memory.give_back(self.held);
    }
}

/// What is left of a half whose socket was taken out.
struct Ended;

impl ReadHalf for Ended {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn set_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // All that was answered since the last read leaves in one write, before this can block.
        self.connection.outbox.flush();
        if self.large > 0 && self.connection.outbox.queued().1 == 0 {
            settle(std::mem::take(&mut self.large));
        }
        let most = self.tracker.allowance().min(buffer.len());
        let (buffer, _) = buffer.split_at_mut(most);
        let count = loop {
            match self.read.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Only a socket whose timeout somebody else has set says so; a read here has no deadline of its own.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                result => break result?,
            }
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        let now = self.connection.core.now();
        match self.tracker.follow(bytes, now) {
            Ok(standing) => {
                self.account()?;
                self.connection.heard(now, standing);
                if self.tracker.grown() && self.spare.is_none() {
                    self.spare = Some(WebSocketContext::new(Role::Server, Some(self.config)));
                }
            }
            Err(excess) => {
                self.excess = Some(excess);
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(count)
    }
}

impl Write for Half {
    /// A pong, or the answer to the peer's close frame: whole frames, as tungstenite's write buffer is set to nothing.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let frame = Frame::raw(bytes.to_vec());
        let is_close = bytes.first().is_some_and(|first| first & 0x0f == 0x8);
        if is_close {
            self.connection.outbox.push_last(Some(frame), false, Flush::Now);
        } else {
            // Refused means that our own close frame is queued, after which nothing may follow; or that the peer sends
            // pings and does not read.
            let _ = self.connection.send(frame, Flush::Later);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! One edit of what is registered at a time, and none within another. No lock is held meanwhile: an author's closure runs.

use parking_lot::{Condvar, Mutex};
use std::thread::{self, ThreadId};

#[derive(Default)]
pub(super) struct Editing {
    by: Mutex<Option<ThreadId>>,
    over: Condvar,
}

/// The right to edit; given back when dropped, also by a panic.
pub(super) struct Turn<'e>(&'e Editing);

impl Editing {
    /// Waits until nobody else edits.
    ///
    /// # Panics
    /// The calling thread is editing already: it would wait for itself.
    pub(super) fn turn(&self) -> Turn<'_> {
        let own = thread::current().id();
        let mut by = self.by.lock();
        while let Some(other) = *by {
            assert!(
                other != own,
                "Handle::edit was called within the closure of Handle::edit: make both changes to the registry that the closure is given"
            );
            self.over.wait(&mut by);
        }
        *by = Some(own);
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.by.lock() = None;
        self.0.over.notify_one();
    }
}

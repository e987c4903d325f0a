//! Whether the calling thread is the one that reads a connection: what waits for a peer there would wait for itself.

use std::cell::Cell;

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Marks the calling thread as a reader, for good.
pub(crate) fn begin() {
    READING.set(true);
}

/// Whether it is one.
pub(crate) fn is_reader() -> bool {
    READING.get()
}

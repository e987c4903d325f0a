//! An occasion for the allocator to give memory back.
//!
//! glibc has an arena for every few threads, and looks whether the free end of one can go back to the system only when
//! something large is freed in it. A thread that has dealt with a large message, and then waits for hours, would keep the
//! message's memory in its arena; a thousand connections that end leave theirs. Allocating and freeing a block, without touching
//! it, is that occasion, and costs microseconds. Other allocators lose nothing by it.

use std::hint::black_box;

/// To be called by the thread that allocated, when `bytes` at once are not needed any more.
pub(crate) fn settle(bytes: usize) {
    // Two: the free end has to be longer than twice the largest block so far before it is given back.
    let blocks = [Vec::<u8>::with_capacity(bytes), Vec::<u8>::with_capacity(bytes)];
    drop(black_box(blocks));
}

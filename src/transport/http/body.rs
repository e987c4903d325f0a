//! Reads the body of a request: so much of it, in so much time.

use crate::engine::budget::{Budget, Reservation};
use crate::engine::link::ReadHalf;
use crate::engine::share::SMALL;
use crate::http::chunked::{ChunkReader, Chunks};
use crate::http::framing::BodyLength;
use crate::http::refusal::Refusal;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// A body, with the memory that it takes of the process's budget.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) memory: Reservation,
}

impl Body {
    /// Makes room for `more` bytes, of `most` in all: as they come, so that nobody takes memory by announcing a body.
    fn make_room(&mut self, more: usize, most: usize) -> Result<(), Refusal> {
        let (needed, has) = (self.bytes.len() + more, self.bytes.capacity());
        if needed > has {
            let amount = (has * 2).min(most).max(needed);
            if amount > SMALL && !self.memory.grow(amount - self.memory.amount()) {
                return Err(no_memory());
            }
            self.bytes.reserve_exact(amount - self.bytes.len());
        }
        Ok(())
    }
}

fn no_memory() -> Refusal {
    Refusal::new(503, "memory", "the server has no memory for this message").header("Retry-After", "1")
}

/// Reads a body. `ahead` holds what was read behind the head, and afterwards what was read behind the body. `None` if the
/// peer left before it was complete.
///
/// # Errors
/// 413, 408, 503, or 400 for chunks that are none.
pub(crate) fn read_body(
    read: &mut dyn ReadHalf,
    ahead: &mut Vec<u8>,
    length: BodyLength,
    most: usize,
    deadline: Instant,
    memory: &Arc<Budget>,
) -> Result<Option<Body>, Refusal> {
    let too_large = || Refusal::new(413, "body-size", format!("send at most {most} bytes (limit `message_bytes`)"));
    let mut body = Body { bytes: Vec::new(), memory: memory.reserve(0).ok_or_else(no_memory)? };
    match length {
        BodyLength::None => Ok(Some(body)),
        BodyLength::Length(length) => {
            let length = usize::try_from(length).ok().filter(|length| *length <= most).ok_or_else(too_large)?;
            loop {
                let taken = ahead.len().min(length - body.bytes.len());
                body.make_room(taken, length)?;
                body.bytes.extend(ahead.drain(..taken));
                if body.bytes.len() == length {
                    return Ok(Some(body));
                }
                if !more(read, ahead, deadline)? {
                    return Ok(None);
                }
            }
        }
        BodyLength::Chunked => {
            let mut chunks = ChunkReader::new();
            loop {
                body.make_room(ahead.len(), most)?;
                let done = chunks.push(ahead, &mut body.bytes)?;
                if body.bytes.len() > most {
                    return Err(too_large());
                }
                match done {
                    Chunks::Done(used) => {
                        ahead.drain(..used);
                        return Ok(Some(body));
                    }
                    Chunks::More => ahead.clear(),
                }
                if !more(read, ahead, deadline)? {
                    return Ok(None);
                }
            }
        }
    }
}

/// Reads some more bytes; false at the end.
fn more(read: &mut dyn ReadHalf, ahead: &mut Vec<u8>, deadline: Instant) -> Result<bool, Refusal> {
    let mut buffer = [0; 8 << 10];
    loop {
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return Err(Refusal::new(408, "body-deadline", "send the request body faster"));
        }
        if read.set_timeout(Some(time)).is_err() {
            return Ok(false);
        }
        match read.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                ahead.extend_from_slice(buffer.get(..count).unwrap_or_default());
                return Ok(true);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(_) => return Ok(false),
        }
    }
}

//! Where does a chunked body end, and what is in it? (RFC 9112, 7.1)
//!
//! Stricter than the RFC lets a reader be: no extensions, no trailers, sizes of plain hexadecimal digits. Honest clients
//! send none of these, and each is a way for two readers to disagree.

use super::head::HeadError;

const SIZE: HeadError =
    HeadError::bad("send each chunk as `SIZE CR LF data CR LF`, the size in hexadecimal, without extensions");
const TRAILER: HeadError = HeadError::bad("end a chunked body with `0 CR LF CR LF`, without trailers");
/// Most digits of a size: more than any body may have.
const DIGITS: u8 = 8;

/// What became of the bytes that were pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// All bytes were taken; the body goes on.
    More,
    /// The body is complete. The bytes from here on belong to what follows it.
    Done(usize),
}

/// Takes a chunked body apart as it arrives. Each byte is looked at once.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Size { value: usize, digits: u8 },
    SizeCr { value: usize },
    Data { left: usize },
    DataCr,
    DataLf,
    EndCr,
    EndLf,
    Failed,
}

impl ChunkReader {
    pub(crate) const fn new() -> Self {
        Self { state: State::Size { value: 0, digits: 0 } }
    }

    /// Takes bytes, and appends what is in the chunks to `body`. How much that may become is for the caller to watch
    /// between two pushes: it is never more than was pushed.
    ///
    /// # Errors
    /// 400 at the first byte that breaks a rule; later calls fail, too.
    pub(crate) fn push(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<Chunks, HeadError> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let State::Data { left } = self.state {
                let rest = bytes.get(at..).unwrap_or_default();
                let taken = left.min(rest.len());
                body.extend_from_slice(rest.get(..taken).unwrap_or_default());
                at += taken;
                self.state = if taken == left { State::DataCr } else { State::Data { left: left - taken } };
                continue;
            }
            at += 1;
            let next = self.step(byte);
            self.state = match next {
                Ok(Some(state)) => state,
                Ok(None) => {
                    self.state = State::Size { value: 0, digits: 0 };
                    return Ok(Chunks::Done(at));
                }
                Err(error) => {
                    self.state = State::Failed;
                    return Err(error);
                }
            };
        }
        Ok(Chunks::More)
    }

    fn step(&self, byte: u8) -> Result<Option<State>, HeadError> {
        Ok(Some(match (self.state, byte) {
            (State::Size { value, digits }, digit) if digit.is_ascii_hexdigit() && digits < DIGITS => {
                let digit = char::from(digit).to_digit(16).ok_or(SIZE)? as usize;
                State::Size {
                    value: value.checked_mul(16).and_then(|value| value.checked_add(digit)).ok_or(SIZE)?,
                    digits: digits + 1,
                }
            }
            (State::Size { value, digits: 1.. }, b'\r') => State::SizeCr { value },
            (State::SizeCr { value: 0 }, b'\n') => State::EndCr,
            (State::SizeCr { value }, b'\n') => State::Data { left: value },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { value: 0, digits: 0 },
            (State::EndCr, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => return Ok(None),
            (State::EndCr | State::EndLf, _) => return Err(TRAILER),
            _ => return Err(SIZE),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body and what is left, however the bytes are cut.
    fn read(text: &str) -> Result<(String, usize), u16> {
        let results = [1, 2, 3, text.len().max(1)].map(|size| {
            let (mut reader, mut body, mut at) = (ChunkReader::new(), Vec::new(), 0);
            for piece in text.as_bytes().chunks(size) {
                match reader.push(piece, &mut body) {
                    Ok(Chunks::More) => at += piece.len(),
                    Ok(Chunks::Done(used)) => return Ok((String::from_utf8(body).unwrap(), text.len() - at - used)),
                    Err(error) => {
                        assert!(reader.push(b"0", &mut body).is_err());
                        return Err(error.status);
                    }
                }
            }
            Err(0)
        });
        let [first, rest @ ..] = results;
        assert!(rest.iter().all(|other| *other == first), "it depends on the cuts: {first:?} {rest:?}");
        first
    }

    #[test]
    fn bodies_are_put_together() {
        assert_eq!(read("0\r\n\r\n"), Ok((String::new(), 0)));
        assert_eq!(read("5\r\nhello\r\n0\r\n\r\n"), Ok(("hello".into(), 0)));
        assert_eq!(read("1\r\na\r\n00002\r\nbc\r\nA\r\n0123456789\r\n0\r\n\r\nGET"), Ok(("abc0123456789".into(), 3)));
        assert_eq!(read("5\r\nhel"), Err(0));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for wrong in [
            "\r\n",
            "g\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5;x=y\r\nhello\r\n",
            "5\nhello\n",
            "0x5\r\nhello\r\n",
            "-1\r\n",
            "+5\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "0\r\nX: y\r\n\r\n",
            "0\r\n\n",
            "000000005\r\nhello\r\n",
            "FFFFFFFFF\r\n",
            "5\r\nhello\r\r\n",
        ] {
            assert_eq!(read(wrong), Err(400), "{wrong:?}");
        }
    }
}

//! Where does a head end, and is every byte of it allowed?
//!
//! The reader looks at each byte once, as it arrives, and refuses at the first wrong one.
//! When the empty line has come, the collected bytes are parsed once by `httparse`. So a
//! head that drips in byte by byte costs the same as one that comes whole, and two
//! independent readers agree on what it says.

use std::fmt;

use crate::limits::Limits;

use super::head::{Head, HeadError, HeadErrorKind, is_token_byte, trim_blanks};

/// The longest method that is read; the longest registered one has 17 letters.
const METHOD_BYTES: usize = 32;
/// The longest request target: an MCP endpoint is a short path.
const TARGET_BYTES: usize = 4096;
/// The longest request line: method, target, version and the blanks between them.
const REQUEST_LINE_BYTES: usize = METHOD_BYTES + 1 + TARGET_BYTES + " HTTP/1.1".len();

const BARE_LF: HeadError = HeadError::bad("end each line of the head with CR LF");
const BARE_CR: HeadError = HeadError::bad("send CR only as part of CR LF");
const JUNK: HeadError = HeadError::bad("begin with an HTTP/1.1 request line");
const REQUEST_LINE: HeadError = HeadError::bad("send the request line as `METHOD /path HTTP/1.1` in ASCII");
const NAME: HeadError =
    HeadError::bad("send each header as `Name: value` with a plain name and no blank before the colon");
const VALUE: HeadError = HeadError::bad("send header values without control characters");
const FOLDED: HeadError = HeadError::bad("send each header on one line, without a leading blank");
const TARGET: HeadError = HeadError::bad("send the request target as `/path`, without scheme, host or fragment");
const DISAGREE: HeadError = HeadError::bad("send a plain HTTP/1.1 head");
const VERSION: HeadError =
    HeadError::new(505, HeadErrorKind::Unsupported, "speak HTTP/1.1; no other version is served here");
const METHOD: HeadError = HeadError::new(501, HeadErrorKind::Unsupported, "this method is not known here");
const TARGET_LENGTH: HeadError = HeadError::new(414, HeadErrorKind::TooLarge, "send a shorter request target");
const HEAD_LENGTH: HeadError = HeadError::new(431, HeadErrorKind::TooLarge, "send fewer or shorter headers");
const LINES: HeadError = HeadError::new(431, HeadErrorKind::TooLarge, "send fewer headers");
const TLS: HeadError = HeadError::new(
    400,
    HeadErrorKind::Tls,
    "this port speaks plain text; use ws:// or http://, or turn TLS on in the server",
);

/// How large a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadLimits {
    /// Bytes of the whole head, its final empty line included. 8 KiB is what common
    /// servers and proxies take (nginx, Apache), so no honest client relies on more.
    pub bytes: usize,
    /// Header lines, the request line not counted. Browsers send about twenty.
    pub lines: usize,
}

impl From<&Limits> for HeadLimits {
    fn from(limits: &Limits) -> Self {
        Self { bytes: limits.head_bytes, lines: limits.head_lines }
    }
}

#[cfg(any(test, feature = "_fuzz"))]
impl Default for HeadLimits {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

/// What became of the bytes that were pushed.
#[derive(Debug)]
pub(crate) enum Progress {
    /// All bytes were taken; the head goes on.
    More,
    /// The head is complete. The bytes from `used` on belong to what follows it: a body, a
    /// pipelined request, or frames that came too early.
    Done {
        /// The head.
        head: Head,
        /// How many of the bytes of this push were part of the head.
        used: usize,
    },
}

/// Collects one head after the other from a stream of bytes.
///
/// Holds at most [`HeadLimits::bytes`], and nothing between two heads. Each byte is looked
/// at once, so slow senders cost no extra work. After [`Progress::Done`] the reader is
/// ready for the next head of the connection; after an error it stays in error, since where
/// the next head would begin is unknown.
pub(crate) struct HeadReader {
    limits: HeadLimits,
    buffer: Vec<u8>,
    lines: usize,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// Before the first byte; one empty line may come (RFC 9112, 2.2).
    Start,
    StartCr,
    /// After the one empty line that is forgiven.
    SecondStart,
    RequestLine,
    RequestLineCr,
    LineStart,
    Name,
    Value,
    ValueCr,
    EndCr,
    Failed(HeadError),
}

enum Step {
    /// The byte belongs to the forgiven empty line.
    Skip(State),
    Keep(State),
    End,
}

impl HeadReader {
    /// A reader for the heads of one connection.
    #[must_use]
    pub(crate) const fn new(limits: HeadLimits) -> Self {
        Self { limits, buffer: Vec::new(), lines: 0, state: State::Start }
    }

    /// Takes bytes until the head is complete.
    ///
    /// # Errors
    ///
    /// The first byte that breaks a rule or a limit ends it; answer with
    /// [`HeadError::status`] and close. Every later call returns the same error.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Progress, HeadError> {
        let outcome = self.advance(bytes);
        if let Err(error) = &outcome {
            self.state = State::Failed(*error);
            self.buffer = Vec::new();
        }
        outcome
    }

    /// Whether no byte of a head has come yet.
    #[cfg(any(test, feature = "_fuzz"))]
    pub(crate) const fn is_idle(&self) -> bool {
        matches!(self.state, State::Start)
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Progress, HeadError> {
        for (position, &byte) in bytes.iter().enumerate() {
            let step = self.step(byte)?;
            if let Step::Skip(next) = step {
                self.state = next;
                continue;
            }
            if self.buffer.len() >= self.limits.bytes {
                return Err(if matches!(self.state, State::RequestLine) { TARGET_LENGTH } else { HEAD_LENGTH });
            }
            self.buffer.push(byte);
            match step {
                Step::Keep(next) | Step::Skip(next) => self.state = next,
                Step::End => {
                    let head = parse(&std::mem::take(&mut self.buffer), self.lines)?;
                    self.lines = 0;
                    self.state = State::Start;
                    return Ok(Progress::Done { head, used: position.saturating_add(1) });
                }
            }
        }
        Ok(Progress::More)
    }

    /// Judges one byte. RFC 9112, 2.2 would let a server accept a bare LF; that is one of
    /// the ways in which two readers come to disagree, so it is not done here.
    fn step(&mut self, byte: u8) -> Result<Step, HeadError> {
        Ok(match (self.state, byte) {
            (State::Failed(error), _) => return Err(error),
            // The content type of a TLS handshake record (RFC 8446, 5.1).
            (State::Start, 0x16) => return Err(TLS),
            (State::Start, b'\r') => Step::Skip(State::StartCr),
            (State::StartCr, b'\n') => Step::Skip(State::SecondStart),
            (State::StartCr, _) => return Err(BARE_CR),
            (State::Start | State::SecondStart, byte) if is_token_byte(byte) => Step::Keep(State::RequestLine),
            (State::Start | State::SecondStart, _) => return Err(JUNK),

            (State::RequestLine, b'\r') => Step::Keep(State::RequestLineCr),
            (State::RequestLine, b'\n') => return Err(BARE_LF),
            (State::RequestLine, b' '..=b'~') if self.buffer.len() < REQUEST_LINE_BYTES => {
                Step::Keep(State::RequestLine)
            }
            (State::RequestLine, b' '..=b'~') => return Err(TARGET_LENGTH),
            (State::RequestLine, _) => return Err(REQUEST_LINE),
            // Judged as soon as it is whole, so that a client of another version gets its answer
            // although it may never send the empty line.
            (State::RequestLineCr, b'\n') => {
                request_line(&self.buffer)?;
                Step::Keep(State::LineStart)
            }
            (State::ValueCr, b'\n') => Step::Keep(State::LineStart),
            (State::EndCr, b'\n') => Step::End,
            (State::RequestLineCr | State::ValueCr | State::EndCr, _) => return Err(BARE_CR),

            (State::LineStart, b'\r') => Step::Keep(State::EndCr),
            (State::LineStart, b'\n') => return Err(BARE_LF),
            // RFC 9112, 5.2: a server "MUST either reject the message by sending a 400 …".
            (State::LineStart, b' ' | b'\t') => return Err(FOLDED),
            (State::LineStart, byte) if is_token_byte(byte) => {
                if self.lines >= self.limits.lines {
                    return Err(LINES);
                }
                self.lines = self.lines.saturating_add(1);
                Step::Keep(State::Name)
            }
            (State::LineStart, _) => return Err(NAME),

            (State::Name, b':') => Step::Keep(State::Value),
            (State::Name, byte) if is_token_byte(byte) => Step::Keep(State::Name),
            // RFC 9112, 5.1: "A server MUST reject, with a response status code of 400, any
            // received request message that contains whitespace between a header field name
            // and colon."
            (State::Name, _) => return Err(NAME),

            (State::Value, b'\r') => Step::Keep(State::ValueCr),
            (State::Value, b'\n') => return Err(BARE_LF),
            // obs-text (0x80 and above) is allowed in values (RFC 9110, 5.5); who reads one as
            // text asks `Head::single`, which is stricter.
            (State::Value, b'\t' | b' '..=b'~' | 0x80..) => Step::Keep(State::Value),
            (State::Value, _) => return Err(VALUE),
        })
    }
}

impl fmt::Debug for HeadReader {
    /// Without the bytes: they may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadReader")
            .field("limits", &self.limits)
            .field("buffered", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

/// Splits a complete head of `lines` header lines whose bytes were all checked before.
fn parse(bytes: &[u8], lines: usize) -> Result<Head, HeadError> {
    let (method, target) = request_line(bytes)?;
    let mut fields = vec![httparse::EMPTY_HEADER; lines];
    let mut request = httparse::Request::new(&mut fields);
    // The second reader must see the same request line and the same number of fields, and
    // must end at the same byte.
    let agreed = matches!(request.parse(bytes), Ok(httparse::Status::Complete(used)) if used == bytes.len())
        && request.method == Some(method)
        && request.path == Some(target)
        && request.version == Some(1)
        && request.headers.len() == lines;
    if !agreed {
        return Err(DISAGREE);
    }
    let headers = request
        .headers
        .iter()
        .map(|field| (field.name.to_ascii_lowercase(), trim_blanks(field.value).to_vec()))
        .collect();
    let head = Head { method: method.to_owned(), target: target.to_owned(), headers };
    head.body()?;
    Ok(head)
}

/// The method and target of a checked request line: ASCII, ended by CR LF.
fn request_line(bytes: &[u8]) -> Result<(&str, &str), HeadError> {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| REQUEST_LINE)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(REQUEST_LINE);
    };
    match version.strip_prefix("HTTP/").map(str::as_bytes) {
        Some(b"1.1") => {}
        Some([b'0'..=b'9', b'.', b'0'..=b'9'] | [b'0'..=b'9']) => return Err(VERSION),
        _ => return Err(REQUEST_LINE),
    }
    if method.len() > METHOD_BYTES {
        return Err(METHOD);
    }
    if !method.bytes().all(is_token_byte) || method.is_empty() {
        return Err(REQUEST_LINE);
    }
    if target.len() > TARGET_BYTES {
        return Err(TARGET_LENGTH);
    }
    // Only origin-form, and asterisk-form for OPTIONS (RFC 9112, 3.2). Absolute-form would
    // bring a second host into the request, beside the one that is checked.
    let origin_form = target.starts_with('/') && !target.contains('#');
    if origin_form || (target == "*" && method == "OPTIONS") { Ok((method, target)) } else { Err(TARGET) }
}

#[cfg(any(test, feature = "_fuzz"))]
impl Head {
    /// Reads one head from the start of `buffer` and says how many bytes it took.
    ///
    /// `None` means that the end of the head is not in `buffer` yet. This starts from the
    /// beginning each time; for bytes that arrive in pieces use [`HeadReader`].
    ///
    /// # Errors
    ///
    /// The head breaks a rule or a limit; see [`HeadError`].
    pub(crate) fn parse(buffer: &[u8], limits: HeadLimits) -> Result<Option<(Self, usize)>, HeadError> {
        match HeadReader::new(limits).push(buffer)? {
            Progress::More => Ok(None),
            Progress::Done { head, used } => Ok(Some((head, used))),
        }
    }
}

#[cfg(test)]
mod tests;

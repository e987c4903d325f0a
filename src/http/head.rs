//! What does a request head say?
//!
//! A [`Head`] only exists after [`HeadReader`](super::reader::HeadReader) has checked every byte
//! of it, so the accessors here can be simple. What may occur once is asked for with
//! [`Head::single`], which refuses duplicates; what is a list with [`Head::list`].

use std::fmt;

/// One request head, checked and owned.
///
/// Its `Debug` form shows names but no header values and no query: both may carry
/// credentials, and a head ends up in a debug log sooner or later.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The method as sent. Methods are case-sensitive (RFC 9110, 9.1).
    pub method: String,
    /// The request target as sent: origin-form (`/path?query`), or `*` for `OPTIONS`.
    pub target: String,
    /// Field names in lower case with their values, outer blanks removed, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// The first value of a field; `name` must be in lower case.
    ///
    /// Use [`Head::single`] wherever two different values would be a way around a check.
    #[must_use]
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// All values of a field, one per line, in order; `name` must be in lower case.
    pub(crate) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_slice())
    }

    /// The value of a field that may occur at most once and is printable ASCII.
    ///
    /// # Errors
    ///
    /// 400 if the field occurs twice (even with equal values: two readers may pick
    /// different ones) or contains anything but printable ASCII, blank and tab.
    pub(crate) fn single(&self, name: &str) -> Result<Option<&str>, HeadError> {
        let mut values = self.values(name);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(HeadError::bad(
                "send each of Host, Origin, Authorization, Content-* and Sec-WebSocket-* at most once",
            ));
        }
        let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii());
        text.map(Some).ok_or(HeadError::bad("send this header as plain ASCII"))
    }

    /// The elements of a comma-separated list, over all lines of the field, without
    /// outer blanks and without empty elements (RFC 9110, 5.6.1.2).
    ///
    /// Made for lists of tokens (`Connection`, `Upgrade`, `Sec-WebSocket-Protocol`): it
    /// does not know quoted strings. An element that is not ASCII comes out as U+FFFD,
    /// which equals no token and passes no token check.
    pub(crate) fn list<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(trim_blanks)
            .filter(|element| !element.is_empty())
            .map(|element| match std::str::from_utf8(element) {
                Ok(text) if text.is_ascii() => text,
                _ => "\u{fffd}",
            })
    }

    /// Whether the list in `name` contains `token`, compared without ASCII case.
    #[must_use]
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|element| element.eq_ignore_ascii_case(token))
    }

    /// The target without its query. Nothing is percent-decoded: paths are compared as
    /// they were sent, so no second spelling of a path exists.
    #[must_use]
    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// What follows the first `?` of the target.
    #[must_use]
    pub(crate) fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Whether the client asks for a WebSocket: `Upgrade` names `websocket`.
    ///
    /// This only routes the request; [`check`](super::upgrade::check) decides.
    #[must_use]
    pub(crate) fn wants_upgrade(&self) -> bool {
        self.has_token("upgrade", "websocket")
    }

    /// Whether the client asks to close the connection after this request.
    #[must_use]
    pub(crate) fn wants_close(&self) -> bool {
        self.has_token("connection", "close")
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    ///
    /// # Errors
    ///
    /// 417 for any other expectation (RFC 9110, 10.1.1).
    pub(crate) fn expects_continue(&self) -> Result<bool, HeadError> {
        match self.single("expect")? {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("100-continue") => Ok(true),
            Some(_) => {
                Err(HeadError::new(417, HeadErrorKind::Unsupported, "the only Expect value known here is 100-continue"))
            }
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// Why a head was refused: the status to answer with and what the sender should change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadError {
    /// The HTTP status of the answer.
    pub status: u16,
    /// What to change. Fixed text without anything of the peer's, so safe to send and to log.
    pub reason: &'static str,
    /// Which family of trouble this is.
    pub kind: HeadErrorKind,
}

/// The families of head errors that are told apart in logs and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadErrorKind {
    /// The bytes are not a request head, or one that two readers could read differently.
    Malformed,
    /// A limit of [`HeadLimits`](super::reader::HeadLimits) or of the target was passed.
    TooLarge,
    /// Correct HTTP that is not served here: another version, transfer coding or method.
    Unsupported,
    /// The first byte is that of a TLS record: the client speaks `wss`/`https` to a
    /// plaintext port. Worth a clear line in the log, since an HTTP answer does not reach it.
    Tls,
}

impl HeadError {
    pub(super) const fn new(status: u16, kind: HeadErrorKind, reason: &'static str) -> Self {
        Self { status, reason, kind }
    }

    pub(super) const fn bad(reason: &'static str) -> Self {
        Self::new(400, HeadErrorKind::Malformed, reason)
    }

    /// A short word for counters and logs.
    #[must_use]
    pub(crate) const fn label(&self) -> &'static str {
        match self.kind {
            HeadErrorKind::Malformed => "head",
            HeadErrorKind::TooLarge => "head-size",
            HeadErrorKind::Unsupported => "unsupported",
            HeadErrorKind::Tls => "tls-on-plain",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for HeadError {}

/// Whether `text` is a token (RFC 9110, 5.6.2): not empty and made of `tchar`.
#[must_use]
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Whether `byte` is a `tchar` (RFC 9110, 5.6.2).
#[must_use]
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Removes outer blanks and tabs only; `trim_ascii` would also take away bytes that are
/// not optional white space in HTTP.
pub(super) fn trim_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A head from request line and header lines, for tests of other files too.
    pub(crate) fn head(lines: &[&str]) -> Head {
        let text = format!("{}\r\n\r\n", lines.join("\r\n"));
        let (head, used) = Head::parse(text.as_bytes(), super::super::reader::HeadLimits::default()).unwrap().unwrap();
        assert_eq!(used, text.len());
        head
    }

    #[test]
    fn path_and_query_are_split_at_the_first_question_mark() {
        let with = head(&["GET /mcp?a=1?b HTTP/1.1", "Host: x"]);
        assert_eq!((with.path(), with.query()), ("/mcp", Some("a=1?b")));
        let without = head(&["GET /mcp HTTP/1.1"]);
        assert_eq!((without.path(), without.query()), ("/mcp", None));
        let encoded = head(&["GET /%6dcp HTTP/1.1"]);
        assert_eq!(encoded.path(), "/%6dcp");
    }

    #[test]
    fn names_are_case_free_and_values_are_not() {
        let head = head(&["GET / HTTP/1.1", "X-ThInG: VaLue", "Empty:", "Blank: \t "]);
        assert_eq!(head.header("x-thing"), Some(b"VaLue".as_slice()));
        assert_eq!(head.header("empty"), Some(b"".as_slice()));
        assert_eq!(head.header("blank"), Some(b"".as_slice()));
        assert_eq!(head.header("nothing"), None);
    }

    #[test]
    fn single_refuses_duplicates_and_non_ascii() {
        let twice = head(&["GET / HTTP/1.1", "A: 1", "a: 1", "K: \u{212a}"]);
        assert_eq!(twice.single("a").unwrap_err().status, 400);
        assert_eq!(twice.single("k").unwrap_err().status, 400);
        assert_eq!(twice.single("b"), Ok(None));
    }

    #[test]
    fn lists_run_over_several_lines() {
        let head = head(&["GET / HTTP/1.1", "L: a, b,,c ", "M: x", "L:\td , \u{212a}"]);
        assert_eq!(head.list("l").collect::<Vec<_>>(), ["a", "b", "c", "d", "\u{fffd}"]);
    }

    #[test]
    fn letters_that_fold_to_ascii_are_not_taken_for_it() {
        // U+212A KELVIN SIGN folds to k, U+017F LONG S to s (CVE-2026-27896 in another SDK).
        let head = head(&["GET / HTTP/1.1", "Upgrade: web\u{17f}oc\u{212a}et", "Connection: clo\u{17f}e"]);
        assert!(!head.wants_upgrade());
        assert!(!head.wants_close());
    }

    #[test]
    fn debug_shows_no_values_and_no_query() {
        let head = head(&["GET /mcp?ticket=hush HTTP/1.1", "Authorization: Bearer hush"]);
        let shown = format!("{head:?}");
        assert!(!shown.contains("hush"), "{shown}");
        assert!(shown.contains("authorization"), "{shown}");
    }

    #[test]
    fn expectations_other_than_continue_are_refused() {
        assert_eq!(head(&["POST / HTTP/1.1", "Expect: 100-Continue"]).expects_continue(), Ok(true));
        assert_eq!(head(&["POST / HTTP/1.1"]).expects_continue(), Ok(false));
        assert_eq!(head(&["POST / HTTP/1.1", "Expect: tea"]).expects_continue().unwrap_err().status, 417);
    }
}

//! Why is a request turned away, and what would allow it?

use std::fmt;

use super::head::HeadError;
use super::response::Response;

/// A request that is not served, with the answer that says so.
///
/// One type for every check of the gate, so that a transport has one way to answer and the
/// log one way to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The HTTP status of the answer.
    pub status: u16,
    /// What was wrong and which setting would allow it. Peer-supplied parts are escaped and
    /// cut, so it is safe to send and to log.
    pub reason: String,
    /// Header fields that the status asks for, such as `WWW-Authenticate` with 401.
    pub headers: Vec<(&'static str, String)>,
    /// A short word for counters and logs: `host`, `origin`, `auth`, …
    pub label: &'static str,
    /// Whom it is about, if that is known: for the logs, not for the answer.
    pub about: Option<String>,
}

impl Refusal {
    /// A refusal without extra header fields.
    #[must_use]
    pub(crate) fn new(status: u16, label: &'static str, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), headers: Vec::new(), label, about: None }
    }

    /// Adds a header field to the answer.
    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds several.
    #[must_use]
    pub(crate) fn with(mut self, headers: Vec<(&'static str, String)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The answer: plain text, `Connection: close`.
    #[must_use]
    pub(crate) fn to_response(&self) -> Response {
        let response = Response::new(self.status).text(format!("{}\n", self.reason));
        self.headers.iter().fold(response, |response, (name, value)| response.header(name, value.as_str()))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.status, self.label, self.reason)
    }
}

impl std::error::Error for Refusal {}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Self::new(error.status, error.label(), error.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_becomes_an_answer_with_its_headers() {
        let refusal = Refusal::new(401, "auth", "no token").header("WWW-Authenticate", "Bearer");
        let text = String::from_utf8(refusal.to_response().to_bytes()).unwrap();
        assert!(text.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{text}");
        assert!(text.contains("\r\nWWW-Authenticate: Bearer\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nno token\n"), "{text}");
        assert_eq!(refusal.to_string(), "401 (auth): no token");
    }

    #[test]
    fn a_head_error_becomes_a_refusal() {
        let refusal = Refusal::from(HeadError::bad("why"));
        assert_eq!((refusal.status, refusal.label, refusal.reason.as_str()), (400, "head", "why"));
    }
}

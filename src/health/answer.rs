//! What does an answer to a probe look like on the wire?
//!
//! tiny_http writes it. Its accept loop and its parser are not used: neither has a limit or a deadline.

use crate::http::refusal::Refusal;
use std::io::Cursor;
use tiny_http::{HTTPVersion, Header, Response, StatusCode};

/// tiny_http writes a `Server` field of its own unless there is one, and lets nobody write `Connection`. So a field of
/// this name keeps the place in which `Connection` is written then; and strangers are not told what runs here.
const PLACE: &[u8] = b"Server: -\r\n";
const CLOSE: &[u8] = b"Connection: close\r\n";

/// An answer, known whole.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content_type: &'static str,
    body: Vec<u8>,
    without_body: bool,
}

impl Answer {
    pub(crate) fn text(status: u16, body: String) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.into_bytes())
    }

    /// `body` is JSON already.
    pub(crate) fn json(status: u16, body: Vec<u8>) -> Self {
        Self::new(status, "application/json", body)
    }

    pub(crate) fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), content_type, body, without_body: false }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// For `HEAD`: the same head, the body's length included, but no body (RFC 9110, 9.3.2).
    pub(crate) fn without_body(mut self, yes: bool) -> Self {
        self.without_body = yes;
        self
    }

    /// The whole answer.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let fixed = [
            ("Server", "-"),
            ("Content-Type", self.content_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ];
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let headers = fixed.into_iter().chain(own).filter_map(|(name, value)| field(name, value)).collect();
        let length = self.body.len();
        // Never chunked, however long: everybody understands a length.
        let response =
            Response::new(StatusCode(self.status), headers, Cursor::new(self.body.as_slice()), Some(length), None)
                .with_chunked_threshold(usize::MAX);
        let mut bytes = Vec::with_capacity(length + 256);
        // A vector takes everything.
        let _ = response.raw_print(&mut bytes, HTTPVersion(1, 1), &[], self.without_body, None);
        if let Some(at) = bytes.windows(PLACE.len()).position(|window| window == PLACE) {
            bytes.splice(at..at + PLACE.len(), CLOSE.iter().copied());
        }
        bytes
    }
}

impl From<&Refusal> for Answer {
    fn from(refusal: &Refusal) -> Self {
        let answer = Self::text(refusal.status, format!("{}\n", refusal.reason));
        refusal.headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value.as_str()))
    }
}

/// A header field; none if its value could begin a line of its own.
fn field(name: &str, value: &str) -> Option<Header> {
    let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    Header::from_bytes(name, value).ok().filter(|_| printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(answer: &Answer) -> String {
        String::from_utf8(answer.to_bytes()).unwrap()
    }

    #[test]
    fn an_answer_closes_the_connection_and_names_no_software() {
        let text = shown(&Answer::text(200, "ok\n".into()));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        assert_eq!(lines.next(), Some("HTTP/1.1 200 OK"));
        let lines: Vec<_> = lines.collect();
        assert!(lines.contains(&"Connection: close") && lines.contains(&"Content-Length: 3"), "{lines:?}");
        assert!(!text.contains("Server") && !text.contains("tiny"), "{text}");
        assert_eq!(body, "ok\n");
    }

    #[test]
    fn head_answers_have_the_length_but_no_body() {
        let text = shown(&Answer::json(200, b"{}".to_vec()).without_body(true));
        assert!(text.contains("\r\nContent-Length: 2\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[test]
    fn long_answers_have_a_length_too() {
        let text = shown(&Answer::text(200, "x".repeat(100_000)));
        assert!(text.contains("\r\nContent-Length: 100000\r\n") && !text.contains("Transfer-Encoding"));
    }

    #[test]
    fn a_refusal_keeps_its_headers_and_a_value_cannot_begin_a_line() {
        let refusal = Refusal::new(405, "method", "no").header("Allow", "GET, HEAD").header("X", "a\r\nB: c");
        let text = shown(&Answer::from(&refusal));
        assert!(text.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{text}");
        assert!(text.contains("\r\nAllow: GET, HEAD\r\n") && !text.contains("B: c"), "{text}");
        assert!(text.ends_with("\r\n\r\nno\n"), "{text}");
    }
}

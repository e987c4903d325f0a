//! What does a short answer look like on the wire?
//!
//! For refusals and other answers that are known whole. There is no `Server` header: it
//! would tell strangers which advisories to try. There is no `Date` either, since nothing
//! here reads a clock (RFC 9110, 6.6.1 excuses a server without one) and no answer may be
//! cached.

/// An answer that is known whole before it is sent.
///
/// Unless said otherwise it closes the connection: after a refusal the rest of what the
/// peer sent is of unknown shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    keep_alive: bool,
    stream: bool,
    cache: Option<&'static str>,
}

impl Response {
    /// An answer without a body.
    #[must_use]
    pub(crate) const fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type: None,
            body: Vec::new(),
            keep_alive: false,
            stream: false,
            cache: None,
        }
    }

    /// Adds a header field.
    ///
    /// Any byte of `value` outside printable ASCII, blank and tab is sent as `?`, so no value
    /// can begin a line of its own. Names are fixed text of ours; one that is no token is
    /// left away, and so are the fields that this type writes itself (`Content-Length`,
    /// `Connection`, `Transfer-Encoding`, `Content-Type`, `Cache-Control`,
    /// `X-Content-Type-Options`).
    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl AsRef<str>) -> Self {
        const OURS: [&str; 6] = [
            "content-length",
            "connection",
            "transfer-encoding",
            "content-type",
            "cache-control",
            "x-content-type-options",
        ];
        let ours = OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        if !ours && super::head::is_token(name.as_bytes()) {
            self.headers.push((name, field_value(value.as_ref())));
        }
        self
    }

    /// Sets a body of plain text.
    #[must_use]
    pub(crate) fn text(self, body: impl Into<Vec<u8>>) -> Self {
        self.with_body("text/plain; charset=utf-8", body.into())
    }

    /// Sets a body that is already JSON.
    #[must_use]
    pub(crate) fn json(self, body: impl Into<Vec<u8>>) -> Self {
        self.with_body("application/json", body.into())
    }

    /// Says how long the answer may be kept; without this it may not be.
    #[must_use]
    pub(crate) const fn cache(mut self, directives: &'static str) -> Self {
        self.cache = Some(directives);
        self
    }

    /// The head of a stream of events (WHATWG, "Server-sent events"): chunked, of no known length.
    #[must_use]
    pub(crate) fn event_stream(mut self) -> Vec<u8> {
        self.content_type = Some("text/event-stream");
        self.stream = true;
        self.to_bytes_without_body()
    }

    /// Leaves the connection open. Only for answers to requests that were read to their end.
    #[must_use]
    pub(crate) const fn keep_alive(mut self, yes: bool) -> Self {
        self.keep_alive = yes;
        self
    }

    /// The whole answer.
    #[must_use]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.to_bytes_without_body();
        if self.may_have_body() {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    /// The answer to a `HEAD` request: the same head, the body's length included, but no
    /// body (RFC 9110, 9.3.2).
    #[must_use]
    pub(crate) fn to_bytes_without_body(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {:03} {}\r\n", self.status, phrase(self.status));
        let mut field = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        for (name, value) in &self.headers {
            field(name, value);
        }
        if let Some(content_type) = self.content_type {
            field("Content-Type", content_type);
        }
        // RFC 9110, 8.6: no Content-Length in 1xx and 204.
        if self.stream {
            field("Transfer-Encoding", "chunked");
        } else if self.may_have_body() {
            field("Content-Length", &self.body.len().to_string());
        }
        // RFC 9110, 7.8: "A sender of Upgrade MUST also send an 'Upgrade' connection option".
        let upgrade = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
        match (upgrade, self.keep_alive) {
            (true, false) => field("Connection", "upgrade, close"),
            (true, true) => field("Connection", "upgrade"),
            (false, false) => field("Connection", "close"),
            (false, true) => {}
        }
        field("Cache-Control", self.cache.unwrap_or(if self.stream { "no-cache" } else { "no-store" }));
        field("X-Content-Type-Options", "nosniff");
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn with_body(mut self, content_type: &'static str, body: Vec<u8>) -> Self {
        self.content_type = Some(content_type);
        self.body = body;
        self
    }

    const fn may_have_body(&self) -> bool {
        self.status >= 200 && self.status != 204 && self.status != 304
    }
}

/// The phrase for a status code; empty for codes that nobody here sends.
#[must_use]
pub(crate) const fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// `value` with everything that could end or disguise a field replaced.
fn field_value(value: &str) -> String {
    let plain = |letter: char| if matches!(letter, ' '..='~' | '\t') { letter } else { '?' };
    value.trim_matches([' ', '\t']).chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &Response) -> String {
        String::from_utf8(response.to_bytes()).unwrap()
    }

    #[test]
    fn a_text_answer_byte_by_byte() {
        let response = Response::new(403).header("X-Why", "because").text("no\n");
        assert_eq!(
            text(&response),
            "HTTP/1.1 403 Forbidden\r\nX-Why: because\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 3\r\nConnection: close\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n\r\nno\n"
        );
    }

    #[test]
    fn head_answers_have_the_length_but_no_body() {
        let response = Response::new(200).json("{}");
        let head = String::from_utf8(response.to_bytes_without_body()).unwrap();
        assert!(head.contains("Content-Length: 2\r\n") && head.ends_with("\r\n\r\n"));
        assert_eq!(text(&response), format!("{head}{{}}"));
    }

    #[test]
    fn values_cannot_begin_a_line() {
        let response = Response::new(400).header("A", "x\r\nSet-Cookie: a=b\r\n\r\n<html>\0\u{212a}\u{1b}");
        let shown = text(&response);
        assert!(shown.contains("A: x??Set-Cookie: a=b????<html>???\r\n"), "{shown}");
        assert_eq!(shown.matches("\r\n\r\n").count(), 1);
    }

    #[test]
    fn framing_fields_are_written_once_and_by_us() {
        let response = Response::new(200)
            .header("content-length", "999")
            .header("Transfer-Encoding", "chunked")
            .header("bad name", "x")
            .header("a\r\nb", "x")
            .text("abc");
        let shown = text(&response);
        assert_eq!(shown.to_ascii_lowercase().matches("content-length").count(), 1);
        assert!(!shown.contains("chunked") && !shown.contains("bad name") && !shown.contains("a\r\nb"));
    }

    #[test]
    fn statuses_without_a_body_have_none() {
        for status in [204, 304] {
            let shown = text(&Response::new(status).text("body"));
            assert!(!shown.contains("Content-Length") && shown.ends_with("\r\n\r\n"), "{shown}");
        }
        assert!(text(&Response::new(202).keep_alive(true)).contains("Content-Length: 0\r\n"));
    }

    #[test]
    fn connection_says_close_unless_asked() {
        assert!(text(&Response::new(200)).contains("Connection: close\r\n"));
        assert!(!text(&Response::new(200).keep_alive(true)).contains("Connection"));
        assert!(text(&Response::new(426).header("Upgrade", "websocket")).contains("Connection: upgrade, close\r\n"));
        assert!(!text(&Response::new(200)).contains("Server:"));
    }

    #[test]
    fn unknown_statuses_stay_three_digits() {
        assert!(text(&Response::new(299)).starts_with("HTTP/1.1 299 \r\n"));
    }
}

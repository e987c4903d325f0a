//! What does an event of a stream look like on the wire (WHATWG, "Server-sent events"), in a chunk of its own?

use std::fmt::Write as _;
use std::time::Duration;

/// A sign of life: a comment, which a reader of events passes over.
pub(crate) const COMMENT: &[u8] = b"3\r\n:\n\n\r\n";
/// The end of the body.
pub(crate) const END: &[u8] = b"0\r\n\r\n";

/// One event.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Event<'a> {
    /// What a client that lost its connection says again, to go on behind it.
    pub id: Option<&'a str>,
    /// How long a client is to wait before it comes back.
    pub retry: Option<Duration>,
    /// One message; empty for an event that brings nothing but its id.
    pub data: Option<&'a [u8]>,
}

impl<'a> Event<'a> {
    /// An event without an id.
    pub(crate) fn of(data: &'a [u8]) -> Self {
        Self { data: Some(data), ..Self::default() }
    }

    /// The event as a chunk; with `last` the body ends behind it.
    pub(crate) fn to_chunk(self, last: bool) -> Vec<u8> {
        let mut fields = String::new();
        if let Some(id) = self.id {
            fields.push_str("id: ");
            fields.push_str(id);
            fields.push('\n');
        }
        if let Some(retry) = self.retry {
            let _ = writeln!(fields, "retry: {}", retry.as_millis());
        }
        let data = self.data.unwrap_or_default();
        fields.push_str(match self.data {
            Some([]) => "data: ",
            Some(_) => "event: message\ndata: ",
            None => "",
        });
        let end: &[u8] = if self.data.is_some() { b"\n\n" } else { b"\n" };
        let size = format!("{:x}\r\n", fields.len() + data.len() + end.len());
        let mut bytes = Vec::with_capacity(size.len() + fields.len() + data.len() + 16);
        bytes.extend_from_slice(size.as_bytes());
        bytes.extend_from_slice(fields.as_bytes());
        // A message has no line breaks: JSON escapes them in texts, and nothing here writes them elsewhere. What an author brings as
        // raw JSON may have some.
        bytes.extend(data.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        bytes.extend_from_slice(end);
        bytes.extend_from_slice(b"\r\n");
        if last {
            bytes.extend_from_slice(END);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(event: Event<'_>, last: bool) -> String {
        String::from_utf8(event.to_chunk(last)).unwrap()
    }

    #[test]
    fn events_byte_by_byte() {
        let data = Some(b"{\"a\":1}".as_slice());
        assert_eq!(text(Event::of(b"{}"), false), "19\r\nevent: message\ndata: {}\n\n\r\n");
        assert_eq!(
            text(Event { id: Some("7"), data, ..Event::default() }, true),
            "24\r\nid: 7\nevent: message\ndata: {\"a\":1}\n\n\r\n0\r\n\r\n"
        );
        let retry = Some(Duration::from_millis(1_500));
        assert_eq!(
            text(Event { id: Some("7"), retry, data: Some(b"") }, false),
            "1a\r\nid: 7\nretry: 1500\ndata: \n\n\r\n"
        );
        assert_eq!(text(Event { retry, ..Event::default() }, false), "d\r\nretry: 1500\n\n\r\n");
    }

    #[test]
    fn data_cannot_begin_a_line() {
        let shown = text(Event::of(b"{\n\"a\":\r\n1}\n\nid: 9\n"), false);
        assert!(shown.contains("data: { \"a\":  1}  id: 9 \n\n"), "{shown}");
    }
}

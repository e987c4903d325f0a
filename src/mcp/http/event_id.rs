//! The ids of events: which event of which stream of which session?

use std::fmt;

/// Most letters of an id: a tag and two numbers.
const LONGEST: usize = 8 + 1 + 20 + 1 + 20;

/// The id of an event, unique over the streams of a session (2025-11-25, basic/transports: "Event IDs SHOULD encode sufficient information to
/// identify the originating stream").
///
/// It says where to go on, and opens nothing: it is looked up in the session that the request has named and may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    /// Tells the sessions apart, so that an id of another one is not taken for one of this.
    pub(crate) tag: u32,
    /// The stream; 0 is the one of what belongs to no request.
    pub(crate) stream: u64,
    /// Counts the events of all the session's streams.
    pub(crate) number: u64,
}

impl EventId {
    /// An id as this server writes it, and in no other spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut parts = text.split('-');
        let (tag, stream, number) = (parts.next()?, parts.next()?, parts.next()?);
        let id = Self {
            tag: u32::from_str_radix(tag, 16).ok()?,
            stream: stream.parse().ok()?,
            number: number.parse().ok()?,
        };
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}-{}", self.tag, self.stream, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_in_no_other_way() {
        for (tag, stream, number) in [(0, 0, 0), (0xdead_beef, 1, 17), (u32::MAX, u64::MAX, u64::MAX)] {
            let id = EventId { tag, stream, number };
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
        for wrong in [
            "",
            "-",
            "--",
            "0",
            "00000000",
            "00000000-0",
            "00000000-0-",
            "00000000--0",
            "00000000-0-0-0",
            "00000000-0-0-",
            " 00000000-0-0",
            "00000000-0-0 ",
            "0-0-0",
            "0000000-0-0",
            "000000000-0-0",
            "0000000G-0-0",
            "ABCDEF01-0-0",
            "+0000000-0-0",
            "00000000-+1-0",
            "00000000-0-+1",
            "00000000-01-0",
            "00000000-0-00",
            "00000000-0x1-0",
            "00000000-0-18446744073709551616",
            "00000000-0-1e1",
            "00000000-\u{661}-0",
            "00000000_0_0",
            "1000000000-0-0",
        ] {
            assert_eq!(EventId::parse(wrong), None, "{wrong:?}");
        }
    }
}

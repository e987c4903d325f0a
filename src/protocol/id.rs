//! What is a request id?
//!
//! All revisions, basic/index: a string or an integer, never null, echoed with the same type and value. A progress
//! token follows the same rule.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::protocol::json;
use crate::protocol::show::shown;

/// Most characters of an id that [`RequestId`]'s `Display` shows.
const DISPLAY_CHARS: usize = 64;

/// The id of a JSON-RPC request: a string, or an integer within the range of `i64` or `u64`.
///
/// Equal only if type and value are equal: `1` and `"1"` are two ids. A clone copies no text. `Display` is meant for logs: strings
/// appear quoted, escaped and cut.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(Repr);

/// What a progress token looks like: exactly like a request id (all revisions, basic/utilities/progress).
pub(crate) type ProgressToken = RequestId;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Text(Arc<str>),
    Natural(u64),
    /// Always below zero, so that each integer has one representation.
    Negative(i64),
}

/// The JSON value is not a string and not an integer in range: null, a fraction, a boolean, an object, `2^64`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a string of at most 256 bytes and not an integer")
    }
}

impl std::error::Error for InvalidId {}

/// Bytes of an id that is a string, as it stands in the message. Clients use numbers or UUIDs.
const MAX_BYTES: usize = 256;

impl RequestId {
    /// Reads an id as it stands in a message.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] for everything but a string or an integer. `1.0` and `1e3` count as fractions: they could not be
    /// echoed as they came.
    pub(crate) fn from_raw(raw: &RawValue) -> Result<Self, InvalidId> {
        let text = raw.get();
        if text.len() > MAX_BYTES + 2 {
            // An id is kept for as long as its request is under way, and comes back in the answer and in notices.
            return Err(InvalidId);
        }
        match text.as_bytes().first() {
            Some(b'"') => json::as_str(raw).map(|text| Self(Repr::Text(text.as_ref().into()))).ok_or(InvalidId),
            Some(b'-') => text.parse::<i64>().map(Self::from).map_err(|_| InvalidId),
            Some(b'0'..=b'9') => text.parse::<u64>().map(Self::from).map_err(|_| InvalidId),
            _ => Err(InvalidId),
        }
    }

    /// Appends the id as JSON.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Repr::Text(text) => json::write_str(out, text),
            Repr::Natural(number) => json::write_u64(out, *number),
            Repr::Negative(number) => json::write_i64(out, *number),
        }
    }

    /// The text of an id that is a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Repr::Text(text) => Some(text),
            Repr::Natural(_) | Repr::Negative(_) => None,
        }
    }

    /// The number of an id that is a natural one: what this library itself gives to its requests.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Repr::Natural(number) => Some(number),
            Repr::Text(_) | Repr::Negative(_) => None,
        }
    }

    /// Bytes held beside the id itself: for the budgets that count what a peer makes us keep.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.as_str().map_or(0, str::len)
    }
}

impl From<u64> for RequestId {
    fn from(number: u64) -> Self {
        Self(Repr::Natural(number))
    }
}

impl From<i64> for RequestId {
    fn from(number: i64) -> Self {
        Self(u64::try_from(number).map_or(Repr::Negative(number), Repr::Natural))
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self(Repr::Text(text.into()))
    }
}

impl From<String> for RequestId {
    fn from(text: String) -> Self {
        Self(Repr::Text(text.into()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Text(text) => write!(f, "\"{}\"", shown(text, DISPLAY_CHARS)),
            Repr::Natural(number) => write!(f, "{number}"),
            Repr::Negative(number) => write!(f, "{number}"),
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Repr::Text(text) => serializer.serialize_str(text),
            Repr::Natural(number) => serializer.serialize_u64(*number),
            Repr::Negative(number) => serializer.serialize_i64(*number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn read(text: &str) -> Result<RequestId, InvalidId> {
        RequestId::from_raw(serde_json::from_str(text).unwrap())
    }

    fn written(id: &RequestId) -> String {
        let mut out = Vec::new();
        id.write_to(&mut out);
        assert_eq!(String::from_utf8(out.clone()).unwrap(), serde_json::to_string(id).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ids_are_echoed_with_type_and_value() {
        for text in [
            "0",
            "1",
            "-1",
            "\"\"",
            "\"1\"",
            "\"a b\"",
            "9007199254740993",
            "18446744073709551615",
            "-9223372036854775808",
        ] {
            assert_eq!(written(&read(text).unwrap()), text);
        }
        assert_eq!(written(&read(r#""\u0041\u00e9\ud83d\ude00""#).unwrap()), "\"Aé😀\"");
        assert_eq!(written(&read("-0").unwrap()), "0");
        assert_eq!(read("-0"), read("0"));
    }

    #[test]
    fn what_is_neither_string_nor_integer_is_refused() {
        for text in [
            "null",
            "true",
            "false",
            "1.5",
            "1.0",
            "1e3",
            "1E0",
            "1e400",
            "-1.5",
            "18446744073709551616",
            "-9223372036854775809",
            "{}",
            "[]",
            "[1]",
        ] {
            assert_eq!(read(text), Err(InvalidId), "{text}");
        }
    }

    #[test]
    fn type_and_value_decide_equality() {
        let ids: HashSet<_> =
            ["1", "\"1\"", "-1", "\"-1\"", "0", "\"\"", "\"0\""].map(|text| read(text).unwrap()).into();
        assert_eq!(ids.len(), 7);
        assert!(
            ids.contains(&RequestId::from(1_u64))
                && ids.contains(&RequestId::from(1_i64))
                && ids.contains(&RequestId::from("1"))
        );
    }

    #[test]
    fn round_trip_of_pseudo_random_ids() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..5_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let text: String = state.to_le_bytes().iter().map(|&byte| char::from(byte)).collect();
            for id in [RequestId::from(state), RequestId::from(state as i64), RequestId::from(text)] {
                assert_eq!(read(&written(&id)).unwrap(), id);
            }
        }
    }

    #[test]
    fn display_is_safe_for_logs() {
        assert_eq!(RequestId::from(7_u64).to_string(), "7");
        assert_eq!(RequestId::from("a\nb\u{1b}").to_string(), "\"a\\nb\\u{1b}\"");
        let long = RequestId::from("x".repeat(1_000)).to_string();
        assert_eq!(long.chars().count(), 64 + 3);
        assert_eq!(format!("{:?}", RequestId::from("x\r")), "RequestId(\"x\\r\")");
    }
}

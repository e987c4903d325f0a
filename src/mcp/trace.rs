//! Where a request stands in somebody's trace: W3C Trace Context and W3C Baggage, as 2026-07-28 has them in `_meta` (basic/index).
//!
//! Read strictly and in bounds: what is malformed counts as not there, so that nothing odd is handed on to other systems.

use crate::http::head::is_token;
use crate::protocol::percent;
use std::borrow::Cow;
use std::fmt;

/// Entries of a `tracestate` (Trace Context, 3.3.1.1).
const MOST_STATES: usize = 32;
/// Its bytes: a few times what others have to hand on.
const MOST_STATE_BYTES: usize = 2_048;
/// Members of a baggage, and its bytes: what others have to hand on (Baggage, 3.3.2).
const MOST_BAGGAGE: usize = 64;
const MOST_BAGGAGE_BYTES: usize = 8_192;

/// Where a request stands in a trace, as its client has said. Nothing vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Of version 00: 55 bytes.
    parent: Box<str>,
    state: Option<Box<str>>,
}

impl TraceContext {
    /// `None` if `traceparent` is malformed; a malformed `tracestate` is left out.
    pub(crate) fn read(parent: &str, state: Option<&str>) -> Option<Self> {
        let parent = read_parent(parent)?;
        let state = state.filter(|state| is_state(state)).map(Box::from);
        Some(Self { parent, state })
    }

    /// The trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        self.parent.get(3..35).unwrap_or_default()
    }

    /// The span of the client within which it called: 16 hexadecimal digits.
    pub fn parent_id(&self) -> &str {
        self.parent.get(36..52).unwrap_or_default()
    }

    /// Whether the client records the trace.
    pub fn is_sampled(&self) -> bool {
        self.parent.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f'])
    }

    /// The whole `traceparent`, in version 00.
    pub fn traceparent(&self) -> &str {
        &self.parent
    }

    /// The `tracestate`, to be handed on as it is.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.parent.len() + self.state.as_ref().map_or(0, |state| state.len())
    }
}

/// The text of version 00 that a `traceparent` of any version stands for (Trace Context, 3.2).
fn read_parent(text: &str) -> Option<Box<str>> {
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = text.get(..55)?.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let sizes = (version.len(), trace.len(), span.len(), flags.len()) == (2, 32, 16, 2);
    if !sizes || parts.next().is_some() || ![version, trace, span, flags].into_iter().all(hex) {
        return None;
    }
    let known = |text: &str| text.bytes().any(|byte| byte != b'0');
    // Later versions may have more behind it.
    let ended = match version {
        "ff" => false,
        "00" => text.len() == 55,
        _ => text.len() == 55 || text.get(55..56) == Some("-"),
    };
    if !(ended && known(trace) && known(span)) {
        return None;
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1;
    Some(match version {
        "00" => text.into(),
        _ => format!("00-{trace}-{span}-{sampled:02x}").into(),
    })
}

/// Whether a `tracestate` is well-formed (Trace Context, 3.3.1).
fn is_state(text: &str) -> bool {
    let mut keys: Vec<&str> = Vec::new();
    if text.len() > MOST_STATE_BYTES {
        return false;
    }
    for entry in text.split(',').map(trimmed).filter(|entry| !entry.is_empty()) {
        let Some((key, value)) = entry.split_once('=') else { return false };
        let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let key_byte = |byte: u8| first(byte) || b"_-*/@".contains(&byte);
        let good_key = key.len() <= 256 && key.bytes().next().is_some_and(first) && key.bytes().all(key_byte);
        let value_byte = |byte: u8| matches!(byte, 0x20..=0x7E) && byte != b'=';
        let good_value = (1..=256).contains(&value.len()) && value.bytes().all(value_byte);
        if !good_key || !good_value || keys.contains(&key) || keys.len() == MOST_STATES {
            return false;
        }
        keys.push(key);
    }
    !keys.is_empty()
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// What a client has packed for all who take part in a trace: names and values. Nothing vouches for them.
#[derive(Clone, PartialEq, Eq)]
pub struct Baggage {
    text: Box<str>,
}

impl Baggage {
    /// `None` if it is malformed anywhere.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let fits = text.len() <= MOST_BAGGAGE_BYTES && text.split(',').count() <= MOST_BAGGAGE;
        let well_formed = |member| Self::member(member).is_some();
        (fits && text.split(',').all(well_formed)).then(|| Self { text: text.into() })
    }

    /// The value of that name, decoded.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// All names with their values, decoded. What else is said of a member (its properties) is in [`as_str`](Self::as_str).
    pub fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.text.split(',').filter_map(Self::member)
    }

    /// The whole text, to be handed on as it is.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn member(text: &str) -> Option<(&str, Cow<'_, str>)> {
        let mut parts = text.split(';').map(trimmed);
        let (key, value) = pair(parts.next()?)?;
        // What is said of it is a word, or a word with a value.
        let is_property = |part: &str| is_token(part.as_bytes()) || pair(part).is_some();
        parts.all(is_property).then_some((key, value))
    }
}

/// `key=value`, as baggage has it.
fn pair(text: &str) -> Option<(&str, Cow<'_, str>)> {
    let (key, value) = text.split_once('=')?;
    let (key, value) = (trimmed(key), trimmed(value));
    let allowed = |byte| matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E);
    let decoded = percent::decode(value, allowed)?;
    let value = if decoded == value { Cow::Borrowed(value) } else { Cow::Owned(decoded) };
    is_token(key.as_bytes()).then_some((key, value))
}

impl fmt::Debug for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_is_read() {
        let trace = TraceContext::read(PARENT, Some("vendor=a b,broken")).expect("a trace");
        assert_eq!((trace.trace_id(), trace.parent_id()), ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"));
        assert!(trace.is_sampled() && trace.traceparent() == PARENT);
        assert_eq!(trace.tracestate(), None);
        let trace = TraceContext::read(PARENT, Some("rojo=00f067aa0ba902b7 , congo@x=t61rcWkgMzE,,")).expect("a trace");
        assert_eq!(trace.tracestate(), Some("rojo=00f067aa0ba902b7 , congo@x=t61rcWkgMzE,,"));
        // A later version is read as far as it is known.
        let later = format!("cc{}-what-may-come", PARENT.trim_start_matches("00").replace("-01", "-ff"));
        assert_eq!(TraceContext::read(&later, None).expect("a trace").traceparent(), PARENT);
        assert!(!TraceContext::read(&PARENT.replace("-01", "-02"), None).expect("a trace").is_sampled());
    }

    #[test]
    fn what_is_malformed_is_not_there() {
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47--600f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::read(wrong, None), None, "{wrong}");
        }
        let many = (0..33).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let long = format!("a={}", "x".repeat(257));
        for wrong in ["", ",", "a", "a=", "A=b", "a=b=c", "a=b,a=c", "a b=c", "a=\u{7f}", "=b", &many, &long] {
            assert_eq!(TraceContext::read(PARENT, Some(wrong)).expect("a trace").tracestate(), None, "{wrong}");
        }
    }

    #[test]
    fn baggage_is_read() {
        let baggage = Baggage::read("userId=alice , serverNode = DF%2028;prop1;p = v; q=w ,empty=").expect("baggage");
        let all: Vec<_> = baggage.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(all, ["userId=alice", "serverNode=DF 28", "empty="]);
        assert_eq!((baggage.get("serverNode").as_deref(), baggage.get("none")), (Some("DF 28"), None));
        let many = (0..65).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let long = format!("a={}", "x".repeat(8_192));
        for wrong in [
            "", "a", "=b", "a b=c", "a=b c", "a=\"b\"", "a=%", "a=%ff", "a=b;=", "a=b;p q", "a=ü", "a=b,", &many, &long,
        ] {
            assert_eq!(Baggage::read(wrong), None, "{wrong}");
        }
    }
}

//! What does an event look like as a line? JSON on one line, whatever the peers say.

use super::chain::{Chain, Mac, from_hex, hex};
use crate::guard::text::Escaped;
use crate::protocol::json::{self, Object};
use crate::protocol::time::rfc3339;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What stands between a line's body and its MAC.
pub(super) const BEFORE_MAC: &[u8] = b",\"mac\":\"";
/// How a line ends.
pub(super) const AFTER_MAC: &[u8] = b"\"}";
/// How a line begins, before its number.
pub(super) const BEFORE_SEQ: &[u8] = b"{\"seq\":";

/// One event that waits for its number.
#[derive(Debug)]
pub(super) struct Event {
    time: SystemTime,
    /// A JSON object.
    json: Vec<u8>,
}

impl Event {
    /// An event of this moment. What peers have a say in goes through [`Members::text`].
    pub(super) fn new(name: &'static str, members: impl FnOnce(&mut Members<'_>)) -> Self {
        // As much as most calls take.
        let mut json = Vec::with_capacity(320);
        let mut object = Members(Object::begin(&mut json));
        object.word("event", name);
        members(&mut object);
        object.0.end();
        Self { time: SystemTime::now(), json }
    }

    /// The memory it holds while it waits.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.json.capacity()
    }

    /// Appends the line to `out`, and thereby to the chain.
    pub(super) fn write(&self, out: &mut Vec<u8>, chain: &mut Chain) -> Mac {
        let start = out.len();
        out.extend_from_slice(BEFORE_SEQ);
        json::write_u64(out, chain.seq());
        out.extend_from_slice(b",\"time\":\"");
        write_time(out, self.time);
        out.extend_from_slice(b"\",");
        // The members without the object's braces.
        out.extend_from_slice(self.json.get(1..self.json.len().saturating_sub(1)).unwrap_or_default());
        let mac = chain.seal(out.get(start..).unwrap_or_default());
        out.extend_from_slice(BEFORE_MAC);
        out.extend_from_slice(hex(&mac).as_bytes());
        out.extend_from_slice(AFTER_MAC);
        out.push(b'\n');
        mac
    }
}

/// The members of an event.
pub(super) struct Members<'o>(Object<'o>);

impl Members<'_> {
    /// A word of ours.
    pub(super) fn word(&mut self, key: &'static str, word: &str) {
        self.0.str(key, word);
    }

    /// Who somebody is, and what was registered, which are no secrets: escaped and cut, but never taken for one, nor one for the other.
    pub(super) fn name(&mut self, key: &'static str, name: &str) {
        self.0.str(key, &Escaped::short(name).in_full().distinct().to_string());
    }

    /// Anybody's text: escaped and cut, without what looks like a secret.
    pub(super) fn text(&mut self, key: &'static str, text: &str) {
        self.0.str(key, &Escaped::short(text).to_string());
    }

    pub(super) fn number(&mut self, key: &'static str, number: u64) {
        self.0.u64(key, number);
    }

    pub(super) fn hex(&mut self, key: &'static str, bytes: &[u8]) {
        self.0.str(key, &hex(bytes));
    }
}

/// A line as it was found.
#[derive(Debug)]
pub(super) struct Line<'l> {
    pub(super) seq: u64,
    /// What its MAC covers, beside the line before.
    pub(super) body: &'l [u8],
    pub(super) mac: Mac,
}

impl<'l> Line<'l> {
    /// Takes a line, without its end, apart. `None` if it has not the shape of one.
    pub(super) fn parse(line: &'l [u8]) -> Option<Self> {
        let rest = line.strip_suffix(AFTER_MAC)?;
        let (rest, mac) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
        let body = rest.strip_suffix(BEFORE_MAC)?;
        Some(Self { seq: seq_of(body)?, body, mac: from_hex(mac)? })
    }

    /// The name of its event.
    pub(super) fn event(&self) -> Option<&'l [u8]> {
        const TIME: usize = "2026-01-01T00:00:00.000Z".len();
        let rest = self.body.get(BEFORE_SEQ.len() + digits(self.seq)..)?.strip_prefix(b",\"time\":\"")?;
        let rest = rest.get(TIME..)?.strip_prefix(b"\",\"event\":\"")?;
        rest.get(..rest.iter().position(|byte| *byte == b'"')?)
    }
}

/// The number that a line begins with.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(BEFORE_SEQ)?;
    let number = rest.get(..rest.iter().position(|byte| *byte == b',')?)?;
    let seq = std::str::from_utf8(number).ok()?.parse().ok()?;
    // Written in one way only: `+1` and `01` are no numbers of ours, nor is one that leaves no room to go on.
    (digits(seq) == number.len() && seq < u64::MAX / 2).then_some(seq)
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |power| power as usize + 1)
}

fn write_time(out: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    out.extend_from_slice(rfc3339(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::chain::{Master, NO_LINE};
    use super::*;
    use serde_json::Value;

    fn chain() -> Chain {
        Chain::begin(Master::new(&[1; 32]).run(&[2; 16], &NO_LINE, 1).lines(0).unwrap(), NO_LINE, 1)
    }

    fn time(seconds: u64, millis: u32) -> String {
        let mut out = Vec::new();
        write_time(&mut out, UNIX_EPOCH + Duration::new(seconds, millis * 1_000_000));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_709_210_096, "2024-02-29T12:34:56.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(time(seconds, 0), expected);
        }
        assert_eq!(time(1, 7), "1970-01-01T00:00:01.007Z");
        let before = UNIX_EPOCH - Duration::from_secs(9);
        let mut out = Vec::new();
        write_time(&mut out, before);
        assert!(out.starts_with(b"1970-01-01T00:00:00"));
    }

    #[test]
    fn whatever_is_said_stays_on_one_line_of_json() {
        let mut chain = chain();
        let nasty = "a\"b\\c\r\n\u{1b}[31m\u{202e}\u{2028}\u{7f}\0\",\"mac\":\"0000";
        for text in [nasty, "", &"\"\u{1b}".repeat(1 << 20), "{\"seq\":1}"] {
            let event = Event::new("call", |event| {
                event.text("tool", text);
                event.number("n", u64::MAX);
            });
            let mut out = Vec::new();
            let seq = chain.seq();
            let mac = event.write(&mut out, &mut chain);
            assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert!(out.ends_with(b"\n") && out.len() < 4_096, "{}", out.len());
            assert!(out.iter().all(|byte| *byte == b'\n' || *byte >= 0x20));
            let value: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!((&value["seq"], &value["event"]), (&seq.into(), &"call".into()));
            assert_eq!((&value["mac"], &value["n"]), (&hex(&mac).into(), &u64::MAX.into()));
            assert_eq!(value.as_object().unwrap().len(), 6);
            let line = Line::parse(out.strip_suffix(b"\n").unwrap()).unwrap();
            assert_eq!((line.seq, line.mac, line.event()), (seq, mac, Some(&b"call"[..])));
        }
    }

    #[test]
    fn names_stand_there_in_full_and_texts_without_secrets() {
        let mut chain = chain();
        let event = Event::new("call", |event| {
            event.name("principal", "token:ci\n");
            event.text("client", "token:ci");
        });
        let mut out = Vec::new();
        event.write(&mut out, &mut chain);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["principal"], &value["client"]), (&r"token:ci\n".into(), &"token:[redacted]".into()));
    }

    #[test]
    fn only_what_we_write_is_a_line() {
        let mac = "0".repeat(64);
        let whole = format!("{{\"seq\":12,\"time\":\"2026-01-01T00:00:00.000Z\",\"event\":\"x\",\"mac\":\"{mac}\"}}");
        assert_eq!(Line::parse(whole.as_bytes()).unwrap().event(), Some(&b"x"[..]));
        for length in 0..whole.len() {
            assert!(Line::parse(&whole.as_bytes()[..length]).is_none(), "{length}");
        }
        for (from, to) in [
            ("12", "012"),
            ("12", "+12"),
            ("12", ""),
            ("12", "-1"),
            ("{", " {"),
            ("}", "} "),
            (",\"mac", ", \"mac"),
            ("00000000", "0000000A"),
        ] {
            assert!(Line::parse(whole.replacen(from, to, 1).as_bytes()).is_none(), "{from} {to}");
        }
        assert_eq!(seq_of(b"{\"seq\":0,"), Some(0));
        for number in ["18446744073709551616", "18446744073709551615"] {
            assert_eq!(seq_of(format!("{{\"seq\":{number},").as_bytes()), None);
        }
    }
}

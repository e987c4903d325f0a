//! What a client carries for the server between the rounds of one request (2026-07-28, basic/patterns/mrtr), sealed against changes.
//!
//! `v1.` *state* `.` *tag*, both in base64url: the state is JSON, the tag is HMAC-SHA256 over the state and over what it belongs to (who
//! asks, for what, with which arguments). The client can read it, and cannot change it or use it for something else.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Longest state as it stands in a message, in bytes.
pub(crate) const MAX_BYTES: usize = 16 << 10;
/// Shortest key, in bytes.
pub(crate) const MIN_KEY: usize = 32;
const PREFIX: &str = "v1.";

/// What is remembered of a request between its rounds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The same through all rounds of one request.
    #[serde(rename = "f")]
    pub(crate) flow: String,
    /// Rounds so far.
    #[serde(rename = "n")]
    pub(crate) round: u32,
    /// When it ends, in seconds since 1970.
    #[serde(rename = "e")]
    pub(crate) expires: u64,
    /// Answers of earlier rounds, each with the digest of its question.
    #[serde(rename = "a", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) answers: BTreeMap<String, Recorded>,
    /// The digests of the questions that are open.
    #[serde(rename = "o", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) open: BTreeMap<String, String>,
    /// What the handler wanted to be remembered.
    #[serde(rename = "m", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) remembered: BTreeMap<String, Box<RawValue>>,
}

/// An answer with the digest of its question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Recorded {
    #[serde(rename = "q")]
    pub(crate) question: String,
    #[serde(rename = "r")]
    pub(crate) answer: Box<RawValue>,
}

/// What a state belongs to, as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Binding([u8; 32]);

impl Binding {
    /// `arguments` may be written differently in each round; what counts is what they say.
    pub(crate) fn new(principal: Option<&str>, method: &str, name: Option<&str>, arguments: &Value) -> Self {
        let mut hash = Sha256::new();
        for part in [principal, Some(method), name] {
            match part {
                Some(text) => {
                    hash.update([1]);
                    hash.update((text.len() as u64).to_be_bytes());
                    hash.update(text.as_bytes());
                }
                None => hash.update([0]),
            }
        }
        canonical(&mut hash, arguments);
        Self(hash.finalize().into())
    }
}

/// The digest of a question: its method and parameters, letter by letter.
pub(crate) fn digest(method: &str, params: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(method.as_bytes());
    hash.update([0]);
    hash.update(params.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let (short, _) = digest.split_at(12);
    BASE64URL_NOPAD.encode(short)
}

/// Feeds a value to the hash so that the order of members does not matter. Values of messages are no deeper than the parser lets in.
fn canonical(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Array(items) => {
            hash.update(b"[");
            hash.update((items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| canonical(hash, item));
        }
        Value::Object(members) => {
            hash.update(b"{");
            hash.update((members.len() as u64).to_be_bytes());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| key.as_str());
            for (key, value) in members {
                hash.update((key.len() as u64).to_be_bytes());
                hash.update(key.as_bytes());
                canonical(hash, value);
            }
        }
        scalar => {
            let text = scalar.to_string();
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
    }
}

/// The keys that states are sealed with: the first seals, all open.
#[derive(Clone, Default)]
pub(crate) struct Keys(Vec<Vec<u8>>);

impl Keys {
    #[cfg(any(test, feature = "_fuzz"))]
    pub(crate) fn new(keys: Vec<Vec<u8>>) -> Self {
        Self(keys)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, key: Vec<u8>) {
        self.0.push(key);
    }

    /// Seals a state.
    ///
    /// # Errors
    /// [`SealError::TooLarge`] beyond [`MAX_BYTES`].
    pub(crate) fn seal(&self, state: &State, binding: Binding) -> Result<String, SealError> {
        let json = serde_json::to_vec(state).map_err(|_| SealError::Damaged)?;
        let key = self.0.first().ok_or(SealError::Damaged)?;
        let tag = mac(key, binding, &json).ok_or(SealError::Damaged)?.finalize().into_bytes();
        let sealed = format!("{PREFIX}{}.{}", BASE64URL_NOPAD.encode(&json), BASE64URL_NOPAD.encode(&tag));
        if sealed.len() > MAX_BYTES { Err(SealError::TooLarge(sealed.len())) } else { Ok(sealed) }
    }

    /// Opens a state that a client has sent; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`SealError`]: it was changed, belongs to something else, or has expired.
    pub(crate) fn open(&self, sealed: &str, binding: Binding, now: u64) -> Result<Opened, SealError> {
        if sealed.len() > MAX_BYTES {
            return Err(SealError::Damaged);
        }
        let (json, tag) = sealed
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('.'))
            .and_then(|(json, tag)| {
                Some((BASE64URL_NOPAD.decode(json.as_bytes()).ok()?, BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?))
            })
            .ok_or(SealError::Damaged)?;
        // In constant time for each key.
        let fits = |key: &Vec<u8>| mac(key, binding, &json).is_some_and(|mac| mac.verify_slice(&tag).is_ok());
        if !self.0.iter().any(fits) {
            return Err(SealError::Damaged);
        }
        let state: State = serde_json::from_slice(&json).map_err(|_| SealError::Damaged)?;
        if state.expires <= now {
            return Err(SealError::Expired);
        }
        let id = tag.first_chunk().copied().ok_or(SealError::Damaged)?;
        Ok(Opened { state, id })
    }
}

/// Never shows a key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

fn mac(key: &[u8], binding: Binding, json: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(b"mcp-blocking request state v1\0");
    mac.update(&binding.0);
    mac.update(json);
    Some(mac)
}

/// A state that is as it was sealed.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) state: State,
    /// Tells this state from all others.
    pub(crate) id: [u8; 16],
}

/// Why a state was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealError {
    /// Changed, not ours, or of another request.
    Damaged,
    /// Its time is over.
    Expired,
    /// It would take this many bytes.
    TooLarge(usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys() -> Keys {
        Keys::new(vec![vec![7; 32]])
    }

    fn state() -> State {
        let answer = serde_json::value::to_raw_value(&json!({ "action": "accept" })).unwrap();
        let answers = [("name".into(), Recorded { question: digest("m", "p"), answer })].into();
        State { flow: "f".into(), round: 2, expires: 1_000, answers, ..State::default() }
    }

    fn binding() -> Binding {
        Binding::new(Some("ada"), "tools/call", Some("wipe"), &json!({ "path": "/x", "n": 1 }))
    }

    #[test]
    fn a_state_comes_back_as_it_was() {
        let sealed = keys().seal(&state(), binding()).unwrap();
        assert!(sealed.starts_with("v1.") && sealed.is_ascii());
        let opened = keys().open(&sealed, binding(), 999).unwrap();
        assert_eq!(serde_json::to_string(&opened.state).unwrap(), serde_json::to_string(&state()).unwrap());
        assert_eq!(keys().open(&sealed, binding(), 1_000).unwrap_err(), SealError::Expired);
    }

    #[test]
    fn the_order_of_arguments_does_not_matter_and_everything_else_does() {
        let sealed = keys().seal(&state(), binding()).unwrap();
        let other = |principal, method, name, arguments| Binding::new(principal, method, name, &arguments);
        let same: Value = serde_json::from_str(r#"{"n":1,"path":"/x"}"#).unwrap();
        assert!(keys().open(&sealed, other(Some("ada"), "tools/call", Some("wipe"), same), 0).is_ok());
        let args = || json!({ "path": "/x", "n": 1 });
        for wrong in [
            other(None, "tools/call", Some("wipe"), args()),
            other(Some("bob"), "tools/call", Some("wipe"), args()),
            other(Some("ada"), "prompts/get", Some("wipe"), args()),
            other(Some("ada"), "tools/call", Some("wip"), args()),
            other(Some("ada"), "tools/call", None, args()),
            other(Some("ada"), "tools/call", Some("wipe"), json!({ "path": "/y", "n": 1 })),
            other(Some("ada"), "tools/call", Some("wipe"), json!({ "path": "/x", "n": "1" })),
            other(Some("ada"), "tools/call", Some("wipe"), json!([])),
        ] {
            assert_eq!(keys().open(&sealed, wrong, 0).unwrap_err(), SealError::Damaged);
        }
    }

    #[test]
    fn any_change_is_found() {
        let sealed = keys().seal(&state(), binding()).unwrap();
        for at in 0..sealed.len() {
            for with in [b'A', b'B', b'.', b'='] {
                let mut bytes = sealed.clone().into_bytes();
                if bytes[at] == with {
                    continue;
                }
                bytes[at] = with;
                let changed = String::from_utf8(bytes).unwrap();
                assert_eq!(keys().open(&changed, binding(), 0).unwrap_err(), SealError::Damaged, "{changed}");
            }
            assert!(keys().open(&sealed[..at], binding(), 0).is_err());
        }
        for wrong in [format!("{sealed}A"), format!("{sealed}-TAMPERED"), String::new(), "v1.".into(), "v1..".into()] {
            assert_eq!(keys().open(&wrong, binding(), 0).unwrap_err(), SealError::Damaged);
        }
    }

    #[test]
    fn keys_can_be_changed_while_states_are_about() {
        let old = keys().seal(&state(), binding()).unwrap();
        let mut ring = Keys::new(vec![vec![8; 32]]);
        assert_eq!(ring.open(&old, binding(), 0).unwrap_err(), SealError::Damaged);
        ring.add(vec![7; 32]);
        assert!(ring.open(&old, binding(), 0).is_ok());
        let new = ring.seal(&state(), binding()).unwrap();
        assert!(keys().open(&new, binding(), 0).is_err() && ring.open(&new, binding(), 0).is_ok());
        assert_eq!(format!("{ring:?}"), "Keys(2)");
    }

    #[test]
    fn a_state_is_bounded() {
        let mut large = state();
        let text = serde_json::value::to_raw_value(&"x".repeat(MAX_BYTES)).unwrap();
        large.remembered.insert("k".into(), text);
        assert!(matches!(keys().seal(&large, binding()), Err(SealError::TooLarge(_))));
        assert_eq!(keys().open(&"x".repeat(MAX_BYTES + 1), binding(), 0).unwrap_err(), SealError::Damaged);
    }
}

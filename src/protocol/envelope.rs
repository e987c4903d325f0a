//! What did the peer send: a request, a notification, a response, a batch, or nothing of the kind?
//!
//! JSON-RPC 2.0 as all revisions of MCP use it (basic/index): `params` is an object, an id is a string or an
//! integer. A good message is read in one pass that borrows from the text. Whatever that pass refuses is read a
//! second time, slowly, to find out what is wrong and whom to tell.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::protocol::error::RpcError;
use crate::protocol::exact::{self, Bounds, Flaw};
use crate::protocol::id::RequestId;
use crate::protocol::json::{self, Seen, Str};
use crate::protocol::method;
use crate::protocol::params::Fill;
use crate::protocol::show::{MESSAGE_CHARS, shown};

pub(crate) use crate::protocol::params::Params;

/// Most entries of a batch. A client can hardly have more requests under way anyhow.
pub(crate) const MAX_BATCH: usize = 1_024;

/// What a message may cost to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParseLimits {
    /// How deep arrays and objects may be nested, the message itself included. Recursive code further on (typed
    /// arguments, schema validation) relies on it; 64 is far beyond any sane tool and far below any stack.
    pub max_depth: usize,
    /// How many values and names of members there may be: a tree of them takes many times the memory of their text.
    pub max_nodes: usize,
    /// How many bytes one string may have, as it stands in the text.
    pub max_string: usize,
}

#[cfg(test)]
impl Default for ParseLimits {
    fn default() -> Self {
        Self::from(&crate::Limits::default())
    }
}

/// One message of the peer, borrowed from its text.
#[derive(Debug, Clone)]
pub(crate) enum Incoming<'a> {
    /// Wants exactly one answer.
    Request(Request<'a>),
    /// Wants none.
    Notification(Notification<'a>),
    /// Answers a request of ours (legacy era only).
    Response(Response<'a>),
    /// Several messages, 1 to [`MAX_BATCH`] (2025-03-26 only). Read each with [`parse_single`].
    Batch(Vec<&'a RawValue>),
}

/// A request of the peer.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    /// To be echoed.
    pub id: RequestId,
    /// Case-sensitive.
    pub method: Cow<'a, str>,
    /// Empty if there were none.
    pub params: Params<'a>,
    /// A member of `params.arguments` comes twice: to be refused by whoever reads those.
    pub repeats: bool,
}

/// A notification of the peer.
#[derive(Debug, Clone)]
pub(crate) struct Notification<'a> {
    /// Case-sensitive.
    pub method: Cow<'a, str>,
    /// Empty if there were none.
    pub params: Params<'a>,
    /// As that of a [`Request`].
    pub repeats: bool,
}

/// A response of the peer to a request of ours.
#[derive(Debug, Clone)]
pub(crate) struct Response<'a> {
    /// The id that we gave.
    pub id: RequestId,
    /// The `result`, or the `error`, whatever it holds.
    pub outcome: Result<&'a RawValue, &'a RawValue>,
    /// A member comes twice: nobody may use it, and whoever waits for it has to be told.
    pub repeats: bool,
}

/// A message that cannot be served.
#[derive(Debug, Clone)]
pub(crate) struct Malformed {
    /// The id to echo, if it could be read.
    pub id: Option<RequestId>,
    /// What to answer, or to log.
    pub error: RpcError,
    /// Whether to answer at all: never to a notification or a response (JSON-RPC 2.0).
    pub answer: bool,
}

/// Reads one message.
///
/// # Errors
///
/// [`Malformed`], with -32700 for what is not JSON (lone surrogates included), -32600 for what is no JSON-RPC message, -32602 for
/// parameters of the wrong type.
pub(crate) fn parse<'a>(text: &'a str, limits: &ParseLimits) -> Result<Incoming<'a>, Malformed> {
    let bounds = Bounds {
        depth: limits.max_depth,
        nodes: limits.max_nodes,
        string_bytes: limits.max_string,
        once: true,
        ..ENTRY
    };
    if !text.trim_ascii_start().starts_with('[') {
        return parse_within(text, &bounds);
    }
    // Of a batch each entry is looked at by itself: one that says a thing twice does not spoil the others.
    match exact::scan(text, &Bounds { once: false, ..bounds }) {
        Ok(_) => parse_batch(text),
        Err(flaw) => Err(refuse(text, flaw, &bounds)),
    }
}

/// What the entry of a batch may be, whose size was looked at.
const ENTRY: Bounds = Bounds { once: true, later: Some(["params", "arguments"]), ..Bounds::NONE };

/// Reads one entry of a batch that [`parse`] has found; its size and nesting were checked there.
///
/// # Errors
///
/// As [`parse`]; a batch within a batch is -32600.
pub(crate) fn parse_single(text: &str) -> Result<Incoming<'_>, Malformed> {
    parse_within(text, &ENTRY)
}

fn parse_within<'a>(text: &'a str, bounds: &Bounds) -> Result<Incoming<'a>, Malformed> {
    let (repeats, twice) = match exact::scan(text, bounds) {
        Ok(facts) => (facts.repeats, None),
        // What is wrong with the message beside this is said first, and an answer belongs to who waits for it.
        Err(Flaw::Twice(place)) => match exact::scan(text, &Bounds { once: false, ..*bounds }) {
            Ok(_) => (true, Some(Flaw::Twice(place))),
            Err(flaw) => return Err(refuse(text, flaw, bounds)),
        },
        Err(flaw) => return Err(refuse(text, flaw, bounds)),
    };
    let mut incoming = match Envelope::read(text) {
        Some(incoming) => incoming,
        None => parse_slowly(text)?,
    };
    match (&mut incoming, twice) {
        (Incoming::Response(response), _) => response.repeats = repeats,
        (_, Some(flaw)) => return Err(refuse(text, flaw, bounds)),
        (Incoming::Request(request), None) => request.repeats = repeats,
        (Incoming::Notification(notification), None) => notification.repeats = repeats,
        (Incoming::Batch(_), None) => {}
    }
    Ok(incoming)
}

impl Malformed {
    /// An error that belongs to no request.
    fn unreadable(error: RpcError) -> Self {
        Self { id: None, error, answer: true }
    }

    /// Which request of ours it would have answered, if it is a response.
    pub(crate) fn answers(&self) -> Option<&RequestId> {
        // A notification has no id, and whatever else has one is answered.
        self.id.as_ref().filter(|_| !self.answer)
    }
}

fn parse_batch(text: &str) -> Result<Incoming<'_>, Malformed> {
    let refused = |message| Err(Malformed::unreadable(RpcError::invalid_request(message)));
    match serde_json::from_str::<Entries<'_>>(text) {
        Ok(Entries { entries, .. }) if entries.is_empty() => refused("an empty batch"),
        Ok(Entries { too_many: true, .. }) => refused("too many messages in one batch"),
        Ok(Entries { entries, .. }) => Ok(Incoming::Batch(entries)),
        Err(_) => Err(Malformed::unreadable(RpcError::parse_error())),
    }
}

/// Beyond what may be parsed; but the id of a request can still be found, and a response must not be answered.
fn refuse(text: &str, flaw: Flaw, bounds: &Bounds) -> Malformed {
    let what = match flaw {
        Flaw::LoneSurrogate | Flaw::Here(_) => return Malformed::unreadable(RpcError::parse_error()),
        Flaw::TooDeep => format!("nested deeper than {} levels (limit json_depth)", bounds.depth),
        Flaw::TooMany => format!("more than {} values and names of members (limit json_nodes)", bounds.nodes),
        Flaw::TooLong => format!("a string of more than {} bytes (limit json_string_bytes)", bounds.string_bytes),
        Flaw::Twice(place) => format!("`{}` is there twice", shown(&place, MESSAGE_CHARS)),
        Flaw::TooLarge(place) => format!("`{}` has more than 64 bits", shown(&place, MESSAGE_CHARS)),
    };
    let error = RpcError::invalid_request(what);
    match Outline::read(text) {
        Ok(outline) => outline.refuse(error),
        Err(malformed) => malformed,
    }
}

/// The members of a message as the quick way takes them.
#[derive(Default)]
struct Envelope<'a> {
    version: Option<Str<'a>>,
    id: Option<&'a RawValue>,
    method: Option<Str<'a>>,
    params: Params<'a>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Member {
    JsonRpc,
    Id,
    Method,
    Params,
    Result,
    Error,
    #[serde(other)]
    Other,
}

impl<'a> Envelope<'a> {
    /// `None` if anything at all is odd.
    fn read(text: &'a str) -> Option<Incoming<'a>> {
        let mut envelope = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        Fill(&mut envelope).deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        envelope.into_incoming()
    }

    fn into_incoming(self) -> Option<Incoming<'a>> {
        if self.version?.0 != "2.0" {
            return None;
        }
        let id = self.id.map(RequestId::from_raw).transpose().ok()?;
        match (self.method, id, self.result, self.error) {
            (Some(method), Some(id), None, None) => {
                Some(Incoming::Request(Request { id, method: method.0, params: self.params, repeats: false }))
            }
            (Some(method), None, None, None) => {
                Some(Incoming::Notification(Notification { method: method.0, params: self.params, repeats: false }))
            }
            (None, Some(id), Some(result), None) => {
                Some(Incoming::Response(Response { id, outcome: Ok(result), repeats: false }))
            }
            (None, Some(id), None, Some(error)) => {
                Some(Incoming::Response(Response { id, outcome: Err(error), repeats: false }))
            }
            _ => None,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Fill<'_, Envelope<'de>> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fill<'_, Envelope<'de>> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(envelope) = self;
        let mut seen = Seen::default();
        while let Some(member) = map.next_key::<Member>()? {
            if member != Member::Other {
                seen.note(member as u32)?;
            }
            match member {
                Member::JsonRpc => envelope.version = Some(map.next_value()?),
                Member::Id => envelope.id = Some(map.next_value()?),
                Member::Method => envelope.method = Some(map.next_value()?),
                Member::Params => map.next_value_seed(Fill(&mut envelope.params))?,
                Member::Result => envelope.result = Some(map.next_value()?),
                Member::Error => envelope.error = Some(map.next_value()?),
                Member::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The elements of an array, as far as there may be any.
struct Entries<'a> {
    entries: Vec<&'a RawValue>,
    too_many: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;

        impl<'de> Visitor<'de> for Walk {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Entries<'de>, A::Error> {
                let mut found = Entries { entries: Vec::new(), too_many: false };
                while let Some(entry) = seq.next_element()? {
                    if found.entries.len() < MAX_BATCH {
                        found.entries.push(entry);
                    } else {
                        found.too_many = true;
                    }
                }
                Ok(found)
            }
        }

        deserializer.deserialize_seq(Walk)
    }
}

fn parse_slowly(text: &str) -> Result<Incoming<'_>, Malformed> {
    let outline = Outline::read(text)?;
    if let Some(name) = outline.twice {
        return Err(outline.refuse(RpcError::invalid_request(format!("{name} appears twice"))));
    }
    if outline.version.and_then(json::as_str).as_deref() != Some("2.0") {
        return Err(outline.refuse(RpcError::invalid_request("jsonrpc must be \"2.0\"")));
    }
    let id = match outline.id.map(RequestId::from_raw) {
        Some(Err(_)) => {
            return Err(
                outline.refuse(RpcError::invalid_request("id must be an integer or a string of at most 256 bytes"))
            );
        }
        Some(Ok(id)) => Some(id),
        None => None,
    };
    let Some(method) = outline.method else {
        // Some libraries write both members of an answer, and null for the one that is not meant.
        let (result, error) = match (outline.result, outline.error) {
            (Some(result), Some(error)) if json::is_null(error) => (Some(result), None),
            (Some(result), Some(error)) if json::is_null(result) => (None, Some(error)),
            both => both,
        };
        return match (id, result, error) {
            (Some(id), Some(result), None) => {
                Ok(Incoming::Response(Response { id, outcome: Ok(result), repeats: false }))
            }
            (Some(id), None, Some(error)) => {
                Ok(Incoming::Response(Response { id, outcome: Err(error), repeats: false }))
            }
            (_, Some(_), Some(_)) => Err(outline.refuse(RpcError::invalid_request("both result and error"))),
            (None, None, None) => Err(outline.refuse(RpcError::invalid_request("neither method nor id"))),
            (None, ..) => Err(outline.refuse(RpcError::invalid_request("a response without an id"))),
            (Some(_), None, None) => Err(outline.refuse(RpcError::invalid_request("method is missing"))),
        };
    };
    let Some(method) = json::as_str(method) else {
        return Err(outline.refuse(RpcError::invalid_request("method must be a string")));
    };
    if outline.result.is_some() || outline.error.is_some() {
        return Err(outline.refuse(RpcError::invalid_request("both method and result or error")));
    }
    let params = match outline.params.filter(|raw| !json::is_null(raw)) {
        Some(raw) => Params::read_slowly(raw, method::fields(&method)).map_err(|error| outline.refuse(error))?,
        None => Params::default(),
    };
    Ok(match id {
        Some(id) => Incoming::Request(Request { id, method, params, repeats: false }),
        None => Incoming::Notification(Notification { method, params, repeats: false }),
    })
}

/// The members of a message, unchecked: enough to tell whom an error goes to.
#[derive(Default)]
struct Outline<'a> {
    version: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    twice: Option<&'static str>,
    id_twice: bool,
}

impl<'a> Outline<'a> {
    fn read(text: &'a str) -> Result<Self, Malformed> {
        let mut outline = Self::default();
        let whole = json::for_each_member(text, |key, value| {
            let (slot, name) = match &*key {
                "jsonrpc" => (&mut outline.version, "jsonrpc"),
                "id" => (&mut outline.id, "id"),
                "method" => (&mut outline.method, "method"),
                "params" => (&mut outline.params, "params"),
                "result" => (&mut outline.result, "result"),
                "error" => (&mut outline.error, "error"),
                _ => return,
            };
            if slot.replace(value).is_some() {
                outline.twice.get_or_insert(name);
                outline.id_twice |= name == "id";
            }
        });
        if whole {
            return Ok(outline);
        }
        let not_an_object = serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| !json::is_object(raw));
        Err(Malformed::unreadable(if not_an_object {
            RpcError::invalid_request("a message must be an object")
        } else {
            RpcError::parse_error()
        }))
    }

    /// Turns an error into an answer to this message, or into something to log only.
    fn refuse(&self, error: RpcError) -> Malformed {
        let id = self.id.filter(|_| !self.id_twice).and_then(|raw| RequestId::from_raw(raw).ok());
        let names_method = self.method.is_some_and(|raw| json::as_str(raw).is_some());
        let is_response = !names_method && (self.result.is_some() || self.error.is_some());
        let is_notification = names_method && self.id.is_none();
        Malformed { id, error, answer: !is_response && !is_notification }
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;

//! Which parameters came with a message?
//!
//! One struct holds the parameters of all methods, borrowed from the message and read in the same pass as the
//! envelope: a second pass over the text would cost as much as the first.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::protocol::error::RpcError;
use crate::protocol::id::{InvalidId, ProgressToken, RequestId};
use crate::protocol::json::{self, Seen, Str};

/// The `_meta` keys of the protocol itself (2026-07-28, basic/index).
pub(crate) mod meta_keys {
    /// The revision that a modern request speaks.
    pub(crate) const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// What the sender of a modern request can do.
    pub(crate) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Who sends a modern request: for display only.
    pub(crate) const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// From which level on a modern request wants log messages.
    pub(crate) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// Who answers, on modern results.
    pub(crate) const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// Which listen request a modern notification belongs to.
    pub(crate) const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// Which task a message belongs to (2025-11-25).
    pub(crate) const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
    /// What a model is told while a task runs (2025-11-25).
    pub(crate) const IMMEDIATE_RESPONSE: &str = "io.modelcontextprotocol/model-immediate-response";
}

/// The parameters of any method of the protocol, as far as they are there; everything else is ignored.
///
/// An explicit `null` counts as absent, except for [`Params::input_responses`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Params<'a> {
    /// `name` of a tool or prompt.
    pub name: Option<Cow<'a, str>>,
    /// `uri` of a resource.
    pub uri: Option<Cow<'a, str>>,
    /// `cursor` of a list.
    pub cursor: Option<Cow<'a, str>>,
    /// `level` of `logging/setLevel`.
    pub level: Option<Cow<'a, str>>,
    /// `reason` of a cancellation.
    pub reason: Option<Cow<'a, str>>,
    /// `protocolVersion` of `initialize`.
    pub protocol_version: Option<Cow<'a, str>>,
    /// `requestState` of a retry (2026-07-28, basic/patterns/mrtr). Hostile input.
    pub request_state: Option<Cow<'a, str>>,
    /// `taskId` of the task methods.
    pub task_id: Option<Cow<'a, str>>,
    /// `arguments` of a tool or prompt.
    pub arguments: Option<&'a RawValue>,
    /// `requestId` of a cancellation: see [`Params::cancelled_id`].
    pub request_id: Option<&'a RawValue>,
    /// `capabilities` of `initialize`.
    pub capabilities: Option<&'a RawValue>,
    /// `clientInfo` of `initialize`.
    pub client_info: Option<&'a RawValue>,
    /// `notifications` of `subscriptions/listen`.
    pub notifications: Option<&'a RawValue>,
    /// `inputResponses` of a retry. `null` is kept, so that it can be refused or asked again.
    pub input_responses: Option<&'a RawValue>,
    /// `ref` of `completion/complete`.
    pub reference: Option<&'a RawValue>,
    /// `argument` of `completion/complete`.
    pub argument: Option<&'a RawValue>,
    /// `context` of `completion/complete`.
    pub context: Option<&'a RawValue>,
    /// `task` of a call (2025-11-25).
    pub task: Option<&'a RawValue>,
    /// `progressToken` of a `notifications/progress` from the client (legacy era).
    pub progress_token: Option<&'a RawValue>,
    /// `_meta`.
    pub meta: Option<Meta<'a>>,
}

/// Members of `_meta` without a meaning in the protocol that are kept; further ones are ignored.
const MAX_META_OTHERS: usize = 64;

/// The members of a request's `_meta`, unchecked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meta<'a> {
    /// `io.modelcontextprotocol/protocolVersion`. `null` is kept: any value here claims the modern era.
    pub protocol_version: Option<&'a RawValue>,
    /// `io.modelcontextprotocol/clientCapabilities`. `null` is kept.
    pub client_capabilities: Option<&'a RawValue>,
    /// `io.modelcontextprotocol/clientInfo`.
    pub client_info: Option<&'a RawValue>,
    /// `io.modelcontextprotocol/logLevel`.
    pub log_level: Option<&'a RawValue>,
    /// `progressToken`: see [`Meta::progress_token`].
    pub progress_token: Option<&'a RawValue>,
    /// `traceparent` of W3C trace context.
    pub traceparent: Option<&'a RawValue>,
    /// `tracestate` of W3C trace context.
    pub tracestate: Option<&'a RawValue>,
    /// `baggage` of W3C baggage.
    pub baggage: Option<&'a RawValue>,
    /// All others, in their order: for handlers that read keys of their own.
    pub others: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// The members of `params` that are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
pub(crate) enum Field {
    /// `name`
    Name,
    /// `uri`
    Uri,
    /// `cursor`
    Cursor,
    /// `level`
    Level,
    /// `reason`
    Reason,
    /// `protocolVersion`
    ProtocolVersion,
    /// `requestState`
    RequestState,
    /// `taskId`
    TaskId,
    /// `arguments`
    Arguments,
    /// `requestId`
    RequestId,
    /// `capabilities`
    Capabilities,
    /// `clientInfo`
    ClientInfo,
    /// `notifications`
    Notifications,
    /// `inputResponses`
    InputResponses,
    /// `ref`
    Ref,
    /// `argument`
    Argument,
    /// `context`
    Context,
    /// `task`
    Task,
    /// `progressToken`
    ProgressToken,
    /// `_meta`
    #[serde(rename = "_meta")]
    Meta,
    /// Anything else.
    #[serde(other)]
    Other,
}

impl<'a> Params<'a> {
    /// Reads `params` member by member, after the quick way failed: to say what is wrong, or to read past what does
    /// not matter. Only the `strict` members must have the right type and come once; `_meta` always must.
    ///
    /// # Errors
    ///
    /// -32602, naming the member.
    pub(super) fn read_slowly(raw: &'a RawValue, strict: &[Field]) -> Result<Self, RpcError> {
        let mut params = Self::default();
        let mut seen = Seen::default();
        let mut fault = None;
        let whole = json::for_each_member(raw.get(), |key, value| {
            let field = Field::of(&key);
            if field == Field::Other {
                return;
            }
            let matters = field == Field::Meta || strict.contains(&field);
            let twice = seen.note::<serde::de::value::Error>(field as u32).is_err();
            if let Err(problem) = params.set(field, value)
                && matters
            {
                fault.get_or_insert(problem);
            } else if twice && matters {
                fault.get_or_insert(RpcError::invalid_params(format!("params.{key} appears twice")));
            }
        });
        match fault {
            Some(fault) => Err(fault),
            None if whole => Ok(params),
            None => Err(RpcError::invalid_params("params must be an object")),
        }
    }

    /// The id that a cancellation names; `None` if it names none (2025-11-25 allows that for tasks).
    ///
    /// # Errors
    ///
    /// [`InvalidId`]: such a cancellation is to be ignored.
    pub(crate) fn cancelled_id(&self) -> Result<Option<RequestId>, InvalidId> {
        self.request_id.map(RequestId::from_raw).transpose()
    }

    /// The token that the sender wants progress for.
    ///
    /// # Errors
    ///
    /// -32602 if it is neither a string nor an integer.
    pub(crate) fn progress_token(&self) -> Result<Option<ProgressToken>, RpcError> {
        self.meta.as_ref().map_or(Ok(None), Meta::progress_token)
    }

    fn set(&mut self, field: Field, value: &'a RawValue) -> Result<(), RpcError> {
        let some = (!json::is_null(value)).then_some(value);
        if let Some((slot, name)) = self.text_slot(field) {
            *slot = some.and_then(json::as_str);
            return match (&slot, some) {
                (None, Some(_)) => Err(RpcError::invalid_params(format!("params.{name} must be a string"))),
                _ => Ok(()),
            };
        }
        match field {
            Field::InputResponses => self.input_responses = Some(value),
            Field::Meta => self.meta = some.map(Meta::read_slowly).transpose()?,
            _ => {
                if let Some(slot) = self.raw_slot(field) {
                    *slot = some;
                }
            }
        }
        Ok(())
    }

    fn text_slot(&mut self, field: Field) -> Option<(&mut Option<Cow<'a, str>>, &'static str)> {
        match field {
            Field::Name => Some((&mut self.name, "name")),
            Field::Uri => Some((&mut self.uri, "uri")),
            Field::Cursor => Some((&mut self.cursor, "cursor")),
            Field::Level => Some((&mut self.level, "level")),
            Field::Reason => Some((&mut self.reason, "reason")),
            Field::ProtocolVersion => Some((&mut self.protocol_version, "protocolVersion")),
            Field::RequestState => Some((&mut self.request_state, "requestState")),
            Field::TaskId => Some((&mut self.task_id, "taskId")),
            _ => None,
        }
    }

    fn raw_slot(&mut self, field: Field) -> Option<&mut Option<&'a RawValue>> {
        match field {
            Field::Arguments => Some(&mut self.arguments),
            Field::RequestId => Some(&mut self.request_id),
            Field::Capabilities => Some(&mut self.capabilities),
            Field::ClientInfo => Some(&mut self.client_info),
            Field::Notifications => Some(&mut self.notifications),
            Field::Ref => Some(&mut self.reference),
            Field::Argument => Some(&mut self.argument),
            Field::Context => Some(&mut self.context),
            Field::Task => Some(&mut self.task),
            Field::ProgressToken => Some(&mut self.progress_token),
            _ => None,
        }
    }
}

impl Field {
    fn of(key: &str) -> Self {
        let key = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(key);
        Self::deserialize(key).unwrap_or(Self::Other)
    }
}

impl<'a> Meta<'a> {
    /// The token that the sender wants progress for.
    ///
    /// # Errors
    ///
    /// -32602 if it is neither a string nor an integer.
    pub(crate) fn progress_token(&self) -> Result<Option<ProgressToken>, RpcError> {
        let token = self.progress_token.map(ProgressToken::from_raw).transpose();
        token.map_err(|_| {
            RpcError::invalid_params("params._meta.progressToken must be an integer or a string of at most 256 bytes")
        })
    }

    fn read_slowly(raw: &'a RawValue) -> Result<Self, RpcError> {
        if !json::is_object(raw) {
            return Err(RpcError::invalid_params("params._meta must be an object"));
        }
        let mut meta = None;
        let read = Fill(&mut meta).deserialize(&mut serde_json::Deserializer::from_str(raw.get()));
        match (read, meta) {
            (Ok(()), Some(meta)) => Ok(meta),
            _ => Err(RpcError::invalid_params("params._meta has a member twice")),
        }
    }
}

// Both are written out because a derived struct would also take an array, by position; and both fill a struct in
// place, because `Params` is large and moving it up through each level of the parser took a quarter of the time.

/// Fills a struct from a member that is an object, or `null`, which leaves it as it is.
pub(super) struct Fill<'f, T>(pub(super) &'f mut T);

impl<'de> DeserializeSeed<'de> for Fill<'_, Params<'de>> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Fill<'_, Params<'de>> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(params) = self;
        let mut seen = Seen::default();
        while let Some(field) = map.next_key::<Field>()? {
            if field == Field::Other {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            seen.note(field as u32)?;
            if let Some((slot, _)) = params.text_slot(field) {
                *slot = map.next_value::<Option<Str<'de>>>()?.map(|text| text.0);
            } else if let Some(slot) = params.raw_slot(field) {
                *slot = map.next_value()?;
            } else if field == Field::Meta {
                map.next_value_seed(Fill(&mut params.meta))?;
            } else {
                params.input_responses = Some(map.next_value()?);
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Fill<'_, Option<Meta<'de>>> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Fill<'_, Option<Meta<'de>>> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let meta = self.0.insert(Meta::default());
        let mut seen = Seen::default();
        while let Some(Str(key)) = map.next_key::<Str<'de>>()? {
            let (slot, place) = match &*key {
                // `null` is kept for these two: any value claims the modern era.
                meta_keys::PROTOCOL_VERSION => {
                    seen.note(0)?;
                    meta.protocol_version = Some(map.next_value()?);
                    continue;
                }
                meta_keys::CLIENT_CAPABILITIES => {
                    seen.note(1)?;
                    meta.client_capabilities = Some(map.next_value()?);
                    continue;
                }
                meta_keys::CLIENT_INFO => (&mut meta.client_info, 2),
                meta_keys::LOG_LEVEL => (&mut meta.log_level, 3),
                "progressToken" => (&mut meta.progress_token, 4),
                "traceparent" => (&mut meta.traceparent, 5),
                "tracestate" => (&mut meta.tracestate, 6),
                "baggage" => (&mut meta.baggage, 7),
                _ if meta.others.len() >= MAX_META_OTHERS => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ if meta.others.iter().any(|(other, _)| *other == key) => {
                    return Err(serde::de::Error::custom("duplicate member"));
                }
                _ => {
                    meta.others.push((key, map.next_value()?));
                    continue;
                }
            };
            seen.note(place)?;
            *slot = map.next_value()?;
        }
        Ok(())
    }
}

/// The whole `params` of a message as JSON text: for methods of the application. Reads the message again.
pub(crate) fn raw_params(message: &str) -> Option<&RawValue> {
    let mut found = None;
    let whole = json::for_each_member(message, |key, value| {
        if key == "params" {
            found = Some(value);
        }
    });
    found.filter(|raw| whole && !json::is_null(raw))
}

//! How does a JSON-RPC error look, and which code means what?

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::protocol::json::{self, Object};
use crate::protocol::revision::{Era, supported_versions};
use crate::protocol::show::{MESSAGE_CHARS, cut, shown};

/// Error codes. Names as in 2026-07-28, basic/index, and JSON-RPC 2.0.
pub(crate) mod codes {
    /// The text is not JSON.
    pub(crate) const PARSE_ERROR: i64 = -32700;
    /// JSON, but not a JSON-RPC message that may be sent here.
    pub(crate) const INVALID_REQUEST: i64 = -32600;
    /// No such method in this revision, or its capability is not offered.
    pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
    /// Parameters that do not fit the method.
    pub(crate) const INVALID_PARAMS: i64 = -32602;
    /// A fault of the server.
    pub(crate) const INTERNAL_ERROR: i64 = -32603;
    /// No such resource, in the legacy era only (2025-11-25, server/resources).
    pub(crate) const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;
    /// A header and the body disagree (2026-07-28, basic/transports/streamable-http).
    pub(crate) const HEADER_MISMATCH: i64 = -32020;
    /// The work needs a client capability that was not declared (2026-07-28, basic/index).
    pub(crate) const MISSING_CAPABILITY: i64 = -32021;
    /// The request names a revision that is not served (2026-07-28, basic/versioning).
    pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;
    /// Of this library: too much work waits, or the server is stopping. Not in the reserved range, as 2026-07-28 asks.
    pub(crate) const BUSY: i64 = -31001;
    /// Of this library: this client asks more often than it may.
    pub(crate) const RATE_LIMITED: i64 = -31002;
    /// Of this library: the caller would need more scopes. Over HTTP the status says the same (RFC 6750, 3.1).
    pub(crate) const INSUFFICIENT_SCOPE: i64 = -31003;
}

/// The word for it of RFC 6750, 3.1.
const INSUFFICIENT_SCOPE: &str = "insufficient_scope";

/// Why a request was turned away with [`codes::BUSY`]; goes into `data.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum BusyReason {
    /// This client has too many requests under way.
    Busy,
    /// The server as a whole has.
    Overloaded,
    /// The server is stopping.
    ShuttingDown,
    /// The server cannot record what would be done.
    Unrecorded,
}

impl BusyReason {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Overloaded => "overloaded",
            Self::ShuttingDown => "shutting down",
            Self::Unrecorded => "audit",
        }
    }
}

/// The `error` member of a JSON-RPC response.
#[derive(Debug, Clone)]
pub(crate) struct RpcError {
    /// What kind of error: one of [`codes`], or the application's own.
    pub code: i64,
    /// One sentence for a person. Never holds internals of the server.
    pub message: Cow<'static, str>,
    /// More for a program.
    pub data: Option<Box<RawValue>>,
}

impl RpcError {
    /// Any error, without data.
    pub(crate) fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The same error with data.
    #[must_use]
    pub(crate) fn with_data(mut self, data: Box<RawValue>) -> Self {
        self.data = Some(data);
        self
    }

    /// -32700: the text is not JSON.
    pub(crate) fn parse_error() -> Self {
        Self::new(codes::PARSE_ERROR, "not valid JSON")
    }

    /// -32600: JSON, but no message that may be sent here.
    pub(crate) fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(codes::INVALID_REQUEST, message)
    }

    /// -32601: the method does not exist, or not in this revision, or its capability is not offered.
    pub(crate) fn method_not_found(method: &str) -> Self {
        Self::new(codes::METHOD_NOT_FOUND, format!("method not found: {}", shown(method, MESSAGE_CHARS)))
    }

    /// -32602: the parameters do not fit.
    pub(crate) fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(codes::INVALID_PARAMS, message)
    }

    /// -32602: a tool, prompt, task, … of this name does not exist. `kind` is a plain word such as `tool`.
    pub(crate) fn unknown(kind: &str, name: &str) -> Self {
        Self::invalid_params(format!("unknown {kind}: {}", shown(name, MESSAGE_CHARS)))
    }

    /// -32603: a fault of the server. The message must not tell how the server is built.
    pub(crate) fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(codes::INTERNAL_ERROR, message)
    }

    /// -32021: `required` is an object in the shape of client capabilities, such as `{"sampling":{}}`.
    pub(crate) fn missing_capability(required: &serde_json::Value) -> Self {
        let mut names = required.as_object().into_iter().flat_map(|object| object.keys());
        let message = match names.next() {
            Some(name) => format!("the client lacks a required capability: {}", shown(name, MESSAGE_CHARS)),
            None => "the client lacks a required capability".to_owned(),
        };
        let error = Self::new(codes::MISSING_CAPABILITY, message);
        error.data_object(|data| {
            if json::write_value(data.key("requiredCapabilities"), required).is_err() {
                data.key("ignored").extend_from_slice(b"null");
            }
        })
    }

    /// -32020: a header and the message disagree (2026-07-28, basic/transports/streamable-http).
    pub(crate) fn header_mismatch(what: &str) -> Self {
        Self::new(codes::HEADER_MISMATCH, shown(what, MESSAGE_CHARS).to_string())
    }

    /// -32022: the version that a request names is not served (2026-07-28, basic/versioning).
    pub(crate) fn unsupported_version(requested: &str) -> Self {
        let message = format!("unsupported protocol version: {}", shown(requested, MESSAGE_CHARS));
        Self::new(codes::UNSUPPORTED_VERSION, message).version_data(Some(requested))
    }

    /// -32022: the version is served, but only after an `initialize` handshake.
    pub(crate) fn version_needs_initialize(requested: &str) -> Self {
        let requested_shown = shown(requested, MESSAGE_CHARS);
        let message = format!("protocol version {requested_shown} needs an initialize handshake on this connection");
        Self::new(codes::UNSUPPORTED_VERSION, message).version_data(Some(requested))
    }

    /// -32600: a request without a version of its own, on a connection without a session.
    pub(crate) fn before_initialize() -> Self {
        let versions = supported_versions().join(", ");
        let message = format!("send initialize first, or name a protocol version in _meta; supported: {versions}");
        Self::invalid_request(message).version_data(None)
    }

    /// -32600: a second `initialize` on a connection; its session goes on unharmed.
    pub(crate) fn already_initialized() -> Self {
        Self::invalid_request("this session is already initialized")
    }

    /// No such resource: -32002 in the legacy era, -32602 in the modern one (2026-07-28, server/resources: MUST).
    pub(crate) fn resource_not_found(uri: &str, era: Era) -> Self {
        let code = match era {
            Era::Legacy => codes::LEGACY_RESOURCE_NOT_FOUND,
            Era::Modern => codes::INVALID_PARAMS,
        };
        let message = format!("resource not found: {}", shown(uri, MESSAGE_CHARS));
        Self::new(code, message).data_object(|data| data.str("uri", uri))
    }

    /// -31001: try again after the delay.
    pub(crate) fn busy(reason: BusyReason, retry_after_ms: u64) -> Self {
        let message = match reason {
            BusyReason::Busy => "too many requests of this client are under way",
            BusyReason::Overloaded => "the server has too much to do",
            BusyReason::ShuttingDown => "the server is shutting down",
            BusyReason::Unrecorded => "the server cannot write its audit log, and begins nothing meanwhile",
        };
        Self::new(codes::BUSY, message).data_object(|data| {
            data.str("reason", reason.as_str());
            data.u64("retryAfterMs", retry_after_ms);
        })
    }

    /// -31002: this client must wait for the delay.
    pub(crate) fn rate_limited(retry_after_ms: u64) -> Self {
        Self::new(codes::RATE_LIMITED, "too many requests").data_object(|data| data.u64("retryAfterMs", retry_after_ms))
    }

    /// -31003: who asks lacks some of these scopes. All that are needed, for it to get them at once (2025-11-25, basic/authorization).
    pub(crate) fn insufficient_scope(scopes: &[impl AsRef<str>]) -> Self {
        let scopes = scopes.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
        let message = format!("this needs more scopes: {}", shown(&scopes, MESSAGE_CHARS));
        Self::new(codes::INSUFFICIENT_SCOPE, message).data_object(|data| {
            data.str("error", INSUFFICIENT_SCOPE);
            data.str("scope", &scopes);
        })
    }

    /// The scopes that such an error names.
    pub(crate) fn missing_scopes(&self) -> Option<Vec<String>> {
        #[derive(serde::Deserialize)]
        struct Data {
            scope: String,
        }
        let data = self.data.as_ref().filter(|_| self.code == codes::INSUFFICIENT_SCOPE)?;
        let Data { scope } = serde_json::from_str(data.get()).ok()?;
        Some(scope.split(' ').map(str::to_owned).collect())
    }

    /// -31002: no calls of this day are left; there are new ones at that time.
    pub(crate) fn used_up(most: u64, retry_after_ms: u64, renews: &str) -> Self {
        let message = format!("all {most} calls of today (UTC) are used up; there are new ones at {renews}");
        Self::new(codes::RATE_LIMITED, message).data_object(|data| {
            data.str("renewsAt", renews);
            data.u64("retryAfterMs", retry_after_ms);
        })
    }

    /// When to try again, in whole seconds for a header; of an error that says so.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        #[derive(serde::Deserialize)]
        struct Data {
            #[serde(rename = "retryAfterMs")]
            ms: u64,
        }
        let data = self.data.as_ref().filter(|_| matches!(self.code, codes::BUSY | codes::RATE_LIMITED))?;
        let Data { ms } = serde_json::from_str(data.get()).ok()?;
        Some(ms.div_ceil(1_000).max(1))
    }

    /// Appends the error object.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        json::write_i64(object.key("code"), self.code);
        object.str("message", &self.message);
        if let Some(data) = &self.data {
            object.raw("data", data);
        }
        object.end();
    }

    fn version_data(self, requested: Option<&str>) -> Self {
        self.data_object(|data| {
            json::write_array(data.key("supported"), supported_versions(), json::write_str);
            data.opt_str("requested", requested.map(|text| cut(text, MESSAGE_CHARS)));
        })
    }

    fn data_object(mut self, fill: impl FnOnce(&mut Object<'_>)) -> Self {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        fill(&mut object);
        object.end();
        self.data = json::raw_from_bytes(out).ok();
        self
    }
}

impl PartialEq for RpcError {
    fn eq(&self, other: &Self) -> bool {
        let data = |error: &Self| error.data.as_ref().map(|raw| raw.get().to_owned());
        self.code == other.code && self.message == other.message && data(self) == data(other)
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn written(error: &RpcError) -> Value {
        let mut out = Vec::new();
        error.write_to(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn each_error_has_its_code_and_data() {
        assert_eq!(written(&RpcError::parse_error()), json!({"code": -32700, "message": "not valid JSON"}));
        let error = written(&RpcError::unsupported_version("1900-01-01"));
        assert_eq!(error["code"], json!(-32022));
        assert_eq!(error["data"], json!({"supported": supported_versions(), "requested": "1900-01-01"}));
        let error = written(&RpcError::missing_capability(&json!({"elicitation": {"url": {}}})));
        assert_eq!(error["code"], json!(-32021));
        assert_eq!(error["data"], json!({"requiredCapabilities": {"elicitation": {"url": {}}}}));
        assert_eq!(error["message"], "the client lacks a required capability: elicitation");
        let error = written(&RpcError::busy(BusyReason::ShuttingDown, 250));
        assert_eq!(error["data"], json!({"reason": "shutting down", "retryAfterMs": 250}));
        assert_eq!(error["code"], json!(codes::BUSY));
        assert_eq!(written(&RpcError::rate_limited(9))["data"], json!({"retryAfterMs": 9}));
        let error = written(&RpcError::before_initialize());
        assert_eq!((&error["code"], &error["data"]), (&json!(-32600), &json!({"supported": supported_versions()})));
        assert!(error["message"].as_str().unwrap().contains("2025-11-25"));
        assert!(RpcError::version_needs_initialize("2025-06-18").message.contains("needs an initialize"));
    }

    #[test]
    fn scopes_that_are_missing_are_named_all_at_once() {
        let error = RpcError::insufficient_scope(&["files:read", "files:write"]);
        assert_eq!(written(&error)["data"], json!({"error": "insufficient_scope", "scope": "files:read files:write"}));
        assert_eq!(error.missing_scopes(), Some(vec!["files:read".to_owned(), "files:write".to_owned()]));
        assert_eq!(RpcError::rate_limited(9).missing_scopes(), None);
        assert_eq!(RpcError::new(codes::INSUFFICIENT_SCOPE, "no data").missing_scopes(), None);
    }

    #[test]
    fn a_missing_resource_has_a_code_for_each_era() {
        let uri = "file:///a \"b\"";
        let legacy = written(&RpcError::resource_not_found(uri, Era::Legacy));
        let modern = written(&RpcError::resource_not_found(uri, Era::Modern));
        assert_eq!((&legacy["code"], &modern["code"]), (&json!(-32002), &json!(-32602)));
        assert_eq!(legacy["data"], json!({"uri": uri}));
        assert_eq!(modern["data"], json!({"uri": uri}));
    }

    #[test]
    fn what_a_peer_wrote_is_cut_and_escaped_in_messages() {
        let nasty = format!("\u{1b}[2J\n{}", "x".repeat(100_000));
        for error in [
            RpcError::method_not_found(&nasty),
            RpcError::unknown("tool", &nasty),
            RpcError::unsupported_version(&nasty),
            RpcError::version_needs_initialize(&nasty),
            RpcError::resource_not_found(&nasty, Era::Modern),
        ] {
            assert!(!error.message.chars().any(char::is_control));
            assert!(error.message.chars().count() < 128 + 100, "{}", error.message);
        }
        assert!(RpcError::unsupported_version(&nasty).data.unwrap().get().len() < 500);
    }

    #[test]
    fn application_codes_lie_outside_the_reserved_range() {
        for code in [codes::BUSY, codes::RATE_LIMITED, codes::INSUFFICIENT_SCOPE] {
            assert!(!(-32768..=-32000).contains(&code));
        }
    }

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<RpcError>() <= 48);
    }
}

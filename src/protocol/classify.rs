//! Which era does a message belong to, and may it go on?
//!
//! Decided for each message by itself and before its method is looked at (2026-07-28, basic/versioning; our choice of
//! order where the page leaves it open). A request that names a version in `_meta` claims the modern era. Everything
//! else is legacy. No request changes how a later one is classified, so a probe with `server/discover` never stands
//! in the way of an `initialize` on the same connection.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::protocol::envelope::{Notification, Request};
use crate::protocol::error::RpcError;
use crate::protocol::json;
use crate::protocol::method;
use crate::protocol::params::{Params, meta_keys};
use crate::protocol::revision::{Revision, negotiate};

pub(crate) use crate::protocol::capabilities::{ClientCapabilities, ClientInfo, LogLevel};

/// How a request is to be served.
#[derive(Debug, Clone)]
pub(crate) enum Handling {
    /// Statelessly, by what it says about itself.
    Modern(ModernRequest),
    /// It opens a session: `initialize`. A second one on the same connection is for the caller to refuse
    /// ([`RpcError::already_initialized`]).
    Handshake,
    /// Within the session of its connection.
    Legacy,
    /// There is no session yet. `ping` is answered, all else gets [`RpcError::before_initialize`].
    LegacyBeforeInitialize,
}

/// What a modern request says about itself.
#[derive(Debug, Clone)]
pub(crate) struct ModernRequest {
    /// The revision it speaks.
    pub revision: Revision,
    /// What its sender can do.
    pub capabilities: ClientCapabilities,
    /// From which level on it wants log messages. `None`: it wants none at all.
    pub log_level: Option<LogLevel>,
}

/// How a notification is to be served. Nothing is ever answered to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotificationHandling {
    /// `notifications/cancelled`: look the id up among the requests of either era.
    Cancelled,
    /// Within the session of its connection.
    Legacy,
    /// To be ignored: it belongs to no session, or its era does not have it.
    Ignored,
}

/// What a message claims to be, by its `_meta` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim<'a> {
    /// It names no version: legacy.
    None,
    /// It names a version that only a handshake can select.
    Legacy(Revision),
    /// It names another version, perhaps one that is not served.
    Modern(Cow<'a, str>),
    /// It names a version that is not a string: modern, and wrong.
    Unreadable,
}

/// A modern request with its required keys, before its version is looked at. HTTP compares its headers in between.
#[derive(Debug, Clone)]
pub(crate) struct ModernClaim<'a> {
    /// The version that it names.
    pub version: Cow<'a, str>,
    capabilities: ClientCapabilities,
    log_level: Option<&'a RawValue>,
}

/// Decides how to serve a request on a stream (stdio, WebSocket) with the session's revision, if it has one.
///
/// # Errors
///
/// In this order: a required `_meta` key is missing or of the wrong type (-32602), the version is not served
/// (-32022), the log level is unknown (-32602).
pub(crate) fn classify_request(req: &Request<'_>, session: Option<Revision>) -> Result<Handling, RpcError> {
    match claim(&req.params) {
        Claim::None => {}
        // Not defined by any page: a client may do so after reading a legacy entry in `supportedVersions`.
        Claim::Legacy(_) if session.is_some() || req.method == method::INITIALIZE => {}
        Claim::Legacy(revision) => {
            return Err(RpcError::version_needs_initialize(revision.as_str()));
        }
        Claim::Modern(_) | Claim::Unreadable => {
            return ModernClaim::read(&req.params)?.resolve().map(Handling::Modern);
        }
    }
    Ok(match session {
        _ if req.method == method::INITIALIZE => Handling::Handshake,
        Some(_) => Handling::Legacy,
        None => Handling::LegacyBeforeInitialize,
    })
}

/// Decides how to serve a notification on a stream.
pub(crate) fn classify_notification(
    notification: &Notification<'_>,
    session: Option<Revision>,
) -> NotificationHandling {
    if notification.method == method::CANCELLED {
        return NotificationHandling::Cancelled;
    }
    match (claim(&notification.params), session) {
        (Claim::None | Claim::Legacy(_), Some(_)) => NotificationHandling::Legacy,
        _ => NotificationHandling::Ignored,
    }
}

/// What the `_meta` of a message claims.
pub(crate) fn claim<'a>(params: &Params<'a>) -> Claim<'a> {
    let Some(raw) = params.meta.as_ref().and_then(|meta| meta.protocol_version) else {
        return Claim::None;
    };
    match json::as_str(raw) {
        None => Claim::Unreadable,
        Some(version) => match Revision::parse(&version) {
            Some(revision) if !revision.is_modern() => Claim::Legacy(revision),
            _ => Claim::Modern(version),
        },
    }
}

impl<'a> ModernClaim<'a> {
    /// Checks the keys that every modern request must have (2026-07-28, basic/index).
    ///
    /// # Errors
    ///
    /// -32602, naming the key.
    pub(crate) fn read(params: &Params<'a>) -> Result<Self, RpcError> {
        let meta = params.meta.as_ref();
        let wrong = |key, kind| RpcError::invalid_params(format!("params._meta[\"{key}\"] must be {kind}"));
        let version = meta.and_then(|meta| meta.protocol_version).and_then(json::as_str);
        let version = version.ok_or_else(|| wrong(meta_keys::PROTOCOL_VERSION, "a string"))?;
        let capabilities = meta.and_then(|meta| meta.client_capabilities);
        let capabilities = capabilities.and_then(|raw| ClientCapabilities::parse(raw).ok());
        let capabilities = capabilities.ok_or_else(|| wrong(meta_keys::CLIENT_CAPABILITIES, "an object"))?;
        Ok(Self { version, capabilities, log_level: meta.and_then(|meta| meta.log_level) })
    }

    /// Checks the version, then the log level.
    ///
    /// # Errors
    ///
    /// -32022 for a version that is not served without a handshake, -32602 for an unknown level.
    pub(crate) fn resolve(self) -> Result<ModernRequest, RpcError> {
        let revision = match Revision::parse(&self.version) {
            Some(revision) if revision.is_modern() => revision,
            Some(revision) => return Err(RpcError::version_needs_initialize(revision.as_str())),
            None => return Err(RpcError::unsupported_version(&self.version)),
        };
        let log_level = match self.log_level {
            None => None,
            Some(raw) => match json::as_str(raw) {
                Some(text) => Some(LogLevel::from_param(&text)?),
                None => return Err(RpcError::invalid_params("the log level must be a string")),
            },
        };
        Ok(ModernRequest { revision, capabilities: self.capabilities, log_level })
    }
}

/// What `initialize` brings (2024-11-05 to 2025-11-25, basic/lifecycle).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) struct InitializeParams {
    /// The version that the session gets.
    pub revision: Revision,
    /// What the client can do for the length of the session.
    pub capabilities: ClientCapabilities,
    /// Who it says it is. The schema demands it; a session is not refused for the lack of a name.
    pub client_info: ClientInfo,
}

impl InitializeParams {
    /// Reads the parameters of `initialize` and negotiates the version.
    ///
    /// # Errors
    ///
    /// -32602 if `protocolVersion` is no string or `capabilities` no object.
    pub(crate) fn parse(params: &Params<'_>) -> Result<Self, RpcError> {
        let Some(requested) = params.protocol_version.as_deref() else {
            return Err(RpcError::invalid_params("params.protocolVersion must be a string"));
        };
        let capabilities = params.capabilities.and_then(|raw| ClientCapabilities::parse(raw).ok());
        let Some(capabilities) = capabilities else {
            return Err(RpcError::invalid_params("params.capabilities must be an object"));
        };
        Ok(Self {
            revision: negotiate(requested),
            capabilities,
            client_info: params.client_info.map(ClientInfo::parse).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::envelope::{Incoming, ParseLimits, parse};
    use crate::protocol::error::codes;

    const SESSION: Option<Revision> = Some(Revision::R2025_06_18);

    fn message(method: &str, meta: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"_meta":{meta}}}}}"#)
    }

    fn classify(text: &str, session: Option<Revision>) -> Result<String, (i64, String)> {
        let Ok(Incoming::Request(request)) = parse(text, &ParseLimits::default()) else { panic!("{text}") };
        match classify_request(&request, session) {
            Ok(Handling::Modern(modern)) => Ok(format!("modern {}", modern.revision)),
            Ok(Handling::Legacy) => Ok("legacy".to_owned()),
            Ok(Handling::Handshake) => Ok("handshake".to_owned()),
            Ok(Handling::LegacyBeforeInitialize) => Ok("before".to_owned()),
            Err(error) => Err((error.code, error.message.into_owned())),
        }
    }

    fn meta(version: &str, more: &str) -> String {
        format!(r#"{{"io.modelcontextprotocol/protocolVersion":{version}{more}}}"#)
    }

    const CAPS: &str = r#","io.modelcontextprotocol/clientCapabilities":{}"#;

    #[test]
    fn without_a_claim_a_request_is_legacy() {
        for text in [message("tools/list", "{}"), r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned()] {
            assert_eq!(classify(&text, SESSION), Ok("legacy".into()));
            assert_eq!(classify(&text, None), Ok("before".into()));
        }
        for session in [None, SESSION] {
            assert_eq!(classify(&message("initialize", "{}"), session), Ok("handshake".into()));
        }
    }

    #[test]
    fn a_claim_is_modern_whatever_the_session_and_the_method() {
        for session in [None, SESSION] {
            for method in ["tools/list", "initialize", "ping", "server/discover", "acme/x"] {
                let text = message(method, &meta("\"2026-07-28\"", CAPS));
                assert_eq!(classify(&text, session), Ok("modern 2026-07-28".into()));
            }
        }
    }

    #[test]
    fn required_keys_come_before_the_version_and_the_version_before_the_level() {
        let code = |meta: &str| classify(&message("tools/list", meta), None).unwrap_err().0;
        for version in ["null", "5", "{}", "[]", "true", "1.5"] {
            assert_eq!(code(&meta(version, CAPS)), codes::INVALID_PARAMS, "{version}");
        }
        for caps in [
            "",
            r#","io.modelcontextprotocol/clientCapabilities":null"#,
            r#","io.modelcontextprotocol/clientCapabilities":[]"#,
        ] {
            assert_eq!(code(&meta("\"2026-07-28\"", caps)), codes::INVALID_PARAMS);
            assert_eq!(code(&meta("\"1900-01-01\"", caps)), codes::INVALID_PARAMS);
        }
        let bad_level = format!(r#"{CAPS},"io.modelcontextprotocol/logLevel":"loud""#);
        assert_eq!(code(&meta("\"1900-01-01\"", &bad_level)), codes::UNSUPPORTED_VERSION);
        assert_eq!(code(&meta("\"2026-07-28\"", &bad_level)), codes::INVALID_PARAMS);
        let odd_level = format!(r#"{CAPS},"io.modelcontextprotocol/logLevel":3"#);
        assert_eq!(code(&meta("\"2026-07-28\"", &odd_level)), codes::INVALID_PARAMS);
    }

    #[test]
    fn a_legacy_version_in_meta_needs_a_handshake_unless_there_was_one() {
        let text = message("tools/list", &meta("\"2025-11-25\"", ""));
        assert_eq!(classify(&text, SESSION), Ok("legacy".into()));
        let (code, message_text) = classify(&text, None).unwrap_err();
        assert_eq!(code, codes::UNSUPPORTED_VERSION);
        assert!(message_text.contains("initialize"));
        assert_eq!(classify(&message("initialize", &meta("\"2025-11-25\"", "")), None), Ok("handshake".into()));
    }

    #[test]
    fn a_modern_request_says_all_about_itself() {
        let more = r#","io.modelcontextprotocol/clientCapabilities":{"sampling":{}},"io.modelcontextprotocol/clientInfo":{"name":"n"},"io.modelcontextprotocol/logLevel":"error""#;
        let text = message("tools/list", &meta("\"2026-07-28\"", more));
        let Ok(Incoming::Request(request)) = parse(&text, &ParseLimits::default()) else { panic!() };
        let Ok(Handling::Modern(modern)) = classify_request(&request, None) else { panic!() };
        assert!(modern.capabilities.sampling && !modern.capabilities.roots);
        assert_eq!(modern.log_level, Some(LogLevel::Error));
    }

    #[test]
    fn notifications_belong_to_the_session_and_cancellations_to_both_eras() {
        let classify = |method: &str, meta: &str, session| {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"_meta":{meta}}}}}"#);
            let Ok(Incoming::Notification(notification)) = parse(&text, &ParseLimits::default()) else { panic!() };
            classify_notification(&notification, session)
        };
        let modern = meta("\"2026-07-28\"", CAPS);
        for session in [None, SESSION] {
            for meta in ["{}", modern.as_str()] {
                assert_eq!(classify("notifications/cancelled", meta, session), NotificationHandling::Cancelled);
            }
            assert_eq!(classify("notifications/initialized", &modern, session), NotificationHandling::Ignored);
        }
        assert_eq!(classify("notifications/initialized", "{}", None), NotificationHandling::Ignored);
        assert_eq!(classify("notifications/initialized", "{}", SESSION), NotificationHandling::Legacy);
    }

    #[test]
    fn initialize_needs_a_version_and_capabilities() {
        let read = |params: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#);
            let Ok(Incoming::Request(request)) = parse(&text, &ParseLimits::default()) else { panic!("{text}") };
            InitializeParams::parse(&request.params)
        };
        let good = read(
            r#"{"protocolVersion":"2024-11-05","capabilities":{"roots":{}},"clientInfo":{"name":"c","version":"2"}}"#,
        )
        .unwrap();
        assert_eq!(
            (good.revision, good.capabilities.roots, &*good.client_info.name),
            (Revision::R2024_11_05, true, "c")
        );
        let future = read(r#"{"protocolVersion":"2026-07-28","capabilities":{}}"#).unwrap();
        assert_eq!(future.revision, Revision::LATEST_LEGACY);
        for bad in [
            "{}",
            r#"{"protocolVersion":"2025-11-25"}"#,
            r#"{"protocolVersion":"2025-11-25","capabilities":[]}"#,
            r#"{"protocolVersion":null,"capabilities":{}}"#,
            r#"{"capabilities":{}}"#,
        ] {
            assert_eq!(read(bad).unwrap_err().code, codes::INVALID_PARAMS, "{bad}");
        }
    }
}

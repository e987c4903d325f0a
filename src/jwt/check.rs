//! Is what a token says good enough, and who is it then? (RFC 7519, 4.1; RFC 9068, 4)
//!
//! Pure: the keys and the time are arguments.

use super::claims::Claims;
use super::config::Jwt;
use super::keys::{Found, KeySet};
use super::token::Token;
use crate::principal::Principal;
use serde_json::{Map, Value};
use std::time::{Duration, SystemTime};

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Newer keys may change that.
    UnknownKey,
    Invalid(&'static str),
}

impl Failure {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::UnknownKey => "the token is signed with a key that is not known here",
            Self::Invalid(reason) => reason,
        }
    }
}

/// It has been good.
pub(super) const EXPIRED: &str = "the token has expired";

/// Scopes of one caller, and how long the name of one may be.
const MOST_SCOPES: usize = 256;
const MOST_NAME_BYTES: usize = 512;
/// Times that are taken for one: until the year 10000.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// What a token says of itself, before keys are looked for.
pub(super) fn check_head(config: &Jwt, token: &Token<'_>) -> Result<(), &'static str> {
    if !config.algorithms.contains(&token.algorithm) {
        return Err("the token is signed with an algorithm that is not accepted here");
    }
    // RFC 9068, 4; media types are compared without case, and `application/` may be left out (RFC 7515, 4.1.9).
    let kind = token.kind.as_deref().map(str::to_ascii_lowercase);
    match kind.as_deref().map(|kind| kind.strip_prefix("application/").unwrap_or(kind)) {
        Some("at+jwt") => Ok(()),
        Some("jwt") | None if config.untyped => Ok(()),
        _ => Err("the token is not marked as an access token (`typ` is not `at+jwt`)"),
    }
}

/// The signature, then the claims.
pub(super) fn check(config: &Jwt, token: &Token<'_>, keys: &KeySet, now: SystemTime) -> Result<Principal, Failure> {
    let invalid = Failure::Invalid;
    let key = match keys.find(token.key_id.as_deref(), token.algorithm) {
        Found::Key(key) => key,
        Found::Unfit => return Err(invalid("the token's algorithm is not that of its key")),
        Found::Unknown => return Err(Failure::UnknownKey),
    };
    if !key.has_signed(token.signed.as_bytes(), &token.signature, token.algorithm) {
        return Err(invalid("the token's signature is wrong"));
    }
    let claims = &token.claims;
    if token.issuer() != Some(&config.issuer) {
        return Err(invalid("the token's issuer is not known here"));
    }
    if !is_for(config, claims.get("aud")) {
        return Err(invalid("the token is for another audience"));
    }
    let expiry = check_times(claims, now, config.leeway).map_err(invalid)?;
    // RFC 7800: whoever shows it has to prove that it has a key, which nobody asks for here. Taken as a bearer's it would be good for a thief.
    if claims.contains_key("cnf") {
        return Err(invalid("the token is bound to a key of its holder's, which is not supported"));
    }
    if config.required.iter().any(|name| claims.get(name).is_none_or(Value::is_null)) {
        return Err(invalid("the token lacks a claim that is needed here"));
    }
    let id = principal_id(config, token).ok_or(invalid("the token does not say who it is for"))?;
    let scopes = scopes(config, claims).map_err(invalid)?;
    Ok(Principal::new(id).with_scopes(scopes).expiring(expiry).with_user(Claims(claims.clone())))
}

/// What its holder is called, by the token's own word.
pub(super) fn principal_id(config: &Jwt, token: &Token<'_>) -> Option<String> {
    let name = token.claims.get(&config.principal_claim).and_then(Value::as_str);
    let is_name = |name: &&str| (1..=MOST_NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control);
    // An issuer has no `#` in its name, so nobody can take the place of another's.
    name.filter(is_name).map(|name| format!("jwt:{}#{name}", config.issuer))
}

/// RFC 7519, 4.1.3: one text or several.
fn is_for(config: &Jwt, audience: Option<&Value>) -> bool {
    let known = |text: &str| config.audiences.iter().any(|audience| audience == text);
    match audience {
        Some(Value::String(text)) => known(text),
        Some(Value::Array(texts)) => {
            texts.iter().all(Value::is_string) && texts.iter().filter_map(Value::as_str).any(known)
        }
        _ => false,
    }
}

/// When it ends for us.
fn check_times(claims: &Map<String, Value>, now: SystemTime, leeway: Duration) -> Result<SystemTime, &'static str> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let slack = leeway.as_secs_f64();
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64().filter(|seconds| (0.0..=LAST_SECOND).contains(seconds)) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err("the token has a time that is none"),
        },
    };
    let expiry = time("exp")?.ok_or("the token does not say when it expires")?;
    if now >= expiry + slack {
        return Err(EXPIRED);
    }
    if time("nbf")?.is_some_and(|start| now + slack < start) {
        return Err("the token is not valid yet");
    }
    if time("iat")?.is_some_and(|issued| now + slack < issued) {
        return Err("the token has been issued in the future");
    }
    // With the leeway, so that nobody is let in and thrown out in the same moment.
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs_f64(expiry + slack))
        .ok_or("the token has a time that is none")
}

/// RFC 8693, 4.2: text with blanks between; some issuers have lists.
fn scopes<'c>(config: &Jwt, claims: &'c Map<String, Value>) -> Result<Vec<&'c str>, &'static str> {
    const WRONG: &str = "the token's scopes are neither text nor a list of texts, or there are too many";
    let value = match &config.scope_claim {
        Some(name) => claims.get(name),
        None => claims.get("scope").or_else(|| claims.get("scp")),
    };
    let scopes: Vec<_> = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split(' ').filter(|scope| !scope.is_empty()).collect(),
        Some(Value::Array(texts)) => texts.iter().map(Value::as_str).collect::<Option<_>>().ok_or(WRONG)?,
        Some(_) => return Err(WRONG),
    };
    // RFC 6749, 3.3. Others could not be asked for in a challenge.
    let is_scope = |scope: &&str| {
        !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    if scopes.len() > MOST_SCOPES { Err(WRONG) } else { Ok(scopes.into_iter().filter(is_scope).collect()) }
}

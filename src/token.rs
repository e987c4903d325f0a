//! A static bearer token: whose it is, what it is for, until when.

mod list;

use crate::guard::bearer;
use crate::guard::config::ConfigError;
use std::fmt;
use std::time::SystemTime;

pub(crate) use list::parse;

/// A static bearer token for [`Settings::token`](crate::Settings::token): a secret, and who comes with it.
///
/// Only the SHA-256 hash of the secret is kept. A fast hash is right here: tokens are long and random, not passwords. Make one with
/// `openssl rand -base64 24`.
///
/// ```
/// use mcp_blocking::{Settings, Token};
/// use std::time::{Duration, SystemTime};
///
/// # fn secret() -> String { "m7jGqcV3dZ0yBqzN4K0bI1pZ".to_owned() }
/// let laptop = Token::new("ada", &secret())
///     .named("laptop")
///     .scopes(["notes:read"])
///     .expires(SystemTime::now() + Duration::from_secs(90 * 24 * 3_600));
/// let settings = Settings::new().token(laptop);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub(crate) principal: String,
    pub(crate) name: Option<String>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) expiry: Option<SystemTime>,
    /// Or what is wrong with what was given.
    pub(crate) hash: Result<[u8; 32], &'static str>,
}

impl Token {
    /// That secret for the principal of that name. One principal may have several tokens, for changing them without a gap.
    ///
    /// `bind` refuses a secret that is shorter than 16 or longer than 4096 characters, that could never be sent (RFC 6750, 2.1: letters,
    /// digits, `-._~+/`, then `=`), that repeats one character, or that is there twice.
    pub fn new(principal: impl Into<String>, secret: &str) -> Self {
        Self::with(principal.into(), bearer::usable(secret).map(|()| bearer::hash(secret)))
    }

    /// The token whose SHA-256 hash is this, in hexadecimal: for a configuration that does not hold the secret
    /// (`printf %s "$TOKEN" | sha256sum`). Whether the secret is a good one cannot be seen then.
    pub fn from_sha256(principal: impl Into<String>, hex: &str) -> Self {
        let hash = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok();
        let hash = hash.and_then(|hash| hash.try_into().ok());
        Self::with(principal.into(), hash.ok_or("is not a SHA-256 hash: write 64 hexadecimal digits"))
    }

    /// Gives the token itself a name for the log and the audit log, say that of the machine it is on. It is no secret.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Limits whoever comes with it to these scopes: see [`Principal::with_scopes`](crate::Principal::with_scopes).
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Ends it at that time: callers are refused from then on, and what they have open is closed.
    #[must_use]
    pub fn expires(mut self, at: SystemTime) -> Self {
        self.expiry = Some(at);
        self
    }

    /// Whose it is, and which one.
    pub(crate) fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({name})", self.principal),
            None => self.principal.clone(),
        }
    }

    fn with(principal: String, hash: Result<[u8; 32], &'static str>) -> Self {
        Self { principal, name: None, scopes: None, expiry: None, hash }
    }

    /// Its hash, if it can be used. The error does not contain the secret.
    pub(crate) fn check(&self) -> Result<[u8; 32], ConfigError> {
        let wrong = |problem: &str| Err(ConfigError::new("token", problem));
        if self.principal.is_empty() {
            return wrong("give the holder of the token a name");
        }
        if self.name.as_ref().is_some_and(String::is_empty) {
            return wrong("has an empty name: leave the name away");
        }
        if let Some(scope) = self.scopes.iter().flatten().find(|scope| !is_scope(scope)) {
            return wrong(&format!("has a scope that is none (RFC 6749, 3.3: no blanks, no `\"` or `\\`): {scope:?}"));
        }
        self.hash.or_else(wrong)
    }
}

/// Whether that is a scope (RFC 6749, 3.3).
pub(crate) fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

impl fmt::Debug for Token {
    /// Not even the hash, which could be tried against a list of weak tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("principal", &self.principal)
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_stands_for_its_secret() {
        let hex = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08";
        let given = Token::from_sha256("ada", hex).check().unwrap();
        assert_eq!(given, bearer::hash("test"));
        assert_eq!(Token::from_sha256("ada", &hex.to_lowercase()).check(), Ok(given));
        for wrong in ["", "9f86", &hex[1..], &format!("{hex}00"), &hex.replace('9', "g")] {
            assert!(Token::from_sha256("ada", wrong).check().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_could_not_be_meant_is_told() {
        let good = || Token::new("ada", "0123456789abcdef-ada");
        assert!(good().named("laptop").scopes(["a:b", "c/d"]).check().is_ok());
        for wrong in [good().named(""), good().scopes(["a b"]), good().scopes([""]), good().scopes(["a\"b"])] {
            assert_eq!(wrong.check().unwrap_err().setting, "token");
        }
        assert!(!format!("{:?}", good()).contains("0123456789"));
    }
}

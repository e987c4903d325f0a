//! What a token says.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fmt;

/// The claims of an access token that has been verified: what its issuer says of the caller.
///
/// A caller's [`Principal`](crate::Principal) carries them:
///
/// ```
/// use mcp_blocking::{NoArgs, Server, jwt::Claims};
///
/// let server = Server::new("notes", "1.0.0").tool("whoami", "Who am I?", |ctx, NoArgs| {
///     let claims = ctx.principal().and_then(|principal| principal.user::<Claims>());
///     Ok(claims.and_then(|claims| claims.text("email")).unwrap_or("somebody").to_owned())
/// });
/// ```
#[derive(Clone, PartialEq)]
pub struct Claims(pub(super) Map<String, Value>);

impl Claims {
    /// The claim of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The claim of that name, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// All claims as a type of one's own.
    ///
    /// # Errors
    /// If they do not fit it.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(Value::Object(self.0.clone()))
    }
}

impl fmt::Debug for Claims {
    /// Names only: what they say is about people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

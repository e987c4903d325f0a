//! What is in a token, before anything in it is believed? (RFC 7515, 7.1; RFC 7519, 7.2)

use super::config::Algorithm;
use super::json;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

/// A token taken apart. Its claims are only what somebody says, until a key has verified them.
pub(super) struct Token<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) claims: Map<String, Value>,
    /// What the signature is over.
    pub(super) signed: &'t str,
    pub(super) signature: Vec<u8>,
}

/// Longest names of keys that are looked up.
const KEY_ID_BYTES: usize = 256;

impl<'t> Token<'t> {
    /// Takes a token apart. Its length is bounded by whoever has read it out of a header.
    ///
    /// # Errors
    /// What is wrong with it, in words that say nothing of this server.
    pub(super) fn parse(text: &'t str) -> Result<Self, &'static str> {
        const SHAPE: &str = "this token is neither known here nor a signed JWT";
        let (signed, signature) = text.rsplit_once('.').ok_or(SHAPE)?;
        let (head, claims) = signed.split_once('.').ok_or(SHAPE)?;
        // One spelling: no padding, no bits left over, no fourth part, as a dot is not in the alphabet.
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| SHAPE);
        let (head, claims, signature) = (decode(head)?, decode(claims)?, decode(signature)?);
        let head = json::object(&head).ok_or(SHAPE)?;
        let claims = json::object(&claims).ok_or("the token's claims are not a JSON object with each name once")?;
        // RFC 7515, 4.1.11: an extension that is critical and not understood makes the token invalid; none is understood here.
        // `b64` (RFC 7797) and `zip` would change what is signed.
        if ["crit", "b64", "zip", "enc"].iter().any(|name| head.contains_key(*name)) {
            return Err("the token asks for an extension that is not supported");
        }
        let text = |name: &str| match head.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(SHAPE),
        };
        let algorithm = text("alg")?.and_then(Algorithm::from_name);
        let algorithm = algorithm.ok_or("the token is signed with an algorithm that is not accepted here")?;
        let key_id = text("kid")?;
        if key_id.is_some_and(|id| id.len() > KEY_ID_BYTES) {
            return Err("the token names its key by more than 256 bytes");
        }
        let (key_id, kind) = (key_id.map(str::to_owned), text("typ")?.map(str::to_owned));
        Ok(Self { algorithm, key_id, kind, claims, signed, signature })
    }

    /// Who has issued it, by its own word.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
}

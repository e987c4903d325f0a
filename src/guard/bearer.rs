//! Which token came, and is it one of ours?
//!
//! RFC 6750. Tokens are taken from `Authorization` only: one in the query string would end
//! up in histories, logs and `Referer` headers (MCP, all revisions with authorization: access
//! tokens "MUST NOT be included in the URI query string").

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::challenge::Challenge;
use super::config::ConfigError;
use crate::http::head::{Head, is_token};
use crate::http::refusal::Refusal;
use crate::principal::{Principal, Proof};
use crate::token::Token;

/// The shortest token that is taken: 16 random characters of base64 are 96 bits.
pub(crate) const TOKEN_BYTES_MIN: usize = 16;
/// The longest token that is taken; the whole head has 8 KiB.
pub(crate) const TOKEN_BYTES_MAX: usize = 4096;

/// What each challenge begins with.
pub(super) const REALM: &str = "Bearer realm=\"mcp\"";

/// The static tokens of a server, each with whoever holds it.
///
/// Only SHA-256 hashes are kept, so a memory dump or a debug line shows no token. A fast hash
/// is right here: tokens are long and random, not passwords.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    entries: Vec<Entry>,
    /// There are or were some: callers are asked, also when the last one is gone.
    asks: bool,
}

#[derive(Clone)]
struct Entry {
    token: Token,
    hash: [u8; 32],
    principal: Principal,
    proof: Arc<Proof>,
}

impl Tokens {
    /// No tokens: [`Tokens::check`] lets everybody pass without a name.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), asks: false }
    }

    /// Adds a token. One principal may have several, for changing them without a gap.
    ///
    /// # Errors
    ///
    /// It cannot be used, or is already there. The error does not contain the token.
    pub(crate) fn add(&mut self, token: &Token) -> Result<(), ConfigError> {
        let hash = token.check()?;
        if self.entries.iter().any(|entry| entry.hash == hash) {
            return Err(ConfigError::new("token", "is there already: each token names one holder"));
        }
        let proof = Proof::named(token.name.clone().map(String::into_boxed_str));
        let mut principal = Principal::new(token.principal.as_str()).proven_by(Arc::clone(&proof));
        if let Some(scopes) = &token.scopes {
            principal = principal.with_scopes(scopes.iter().map(String::as_str));
        }
        if let Some(expiry) = token.expiry {
            principal = principal.expiring(expiry);
        }
        self.entries.push(Entry { token: token.clone(), hash, principal, proof });
        self.asks = true;
        Ok(())
    }

    /// These tokens in place of the others, of which those that are the same in everything go on as they are; the rest is revoked. How many have
    /// come, and how many have gone.
    pub(crate) fn follow(&mut self, old: &Self) -> (usize, usize) {
        let mut kept = 0;
        for entry in &mut self.entries {
            if let Some(known) = old.entries.iter().find(|known| known.token == entry.token) {
                *entry = known.clone();
                kept += 1;
            }
        }
        for gone in &old.entries {
            if !self.entries.iter().any(|entry| Arc::ptr_eq(&entry.proof, &gone.proof)) {
                gone.proof.revoke();
            }
        }
        self.asks |= old.asks;
        (self.entries.len() - kept, old.entries.len() - kept)
    }

    /// Whether there is no token and never was, so that nobody is asked for one.
    #[must_use]
    pub(crate) const fn is_empty(&self) -> bool {
        !self.asks
    }

    /// Callers are asked for a token, even if there is none.
    pub(crate) fn ask(&mut self) {
        self.asks = true;
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Token> {
        self.entries.iter().map(|entry| &entry.token)
    }

    /// Whoever holds `token`.
    ///
    /// Every entry is compared to its last byte, whether it matches or not, so the time
    /// says neither how much of a guess was right nor which entry it was close to.
    #[must_use]
    pub(crate) fn holder(&self, token: &str) -> Option<&Principal> {
        let offered = hash(token);
        let mut found = None;
        for entry in &self.entries {
            let difference = entry.hash.iter().zip(&offered).fold(0_u8, |sum, (a, b)| black_box(sum | (a ^ b)));
            if black_box(difference) == 0 {
                found = Some(&entry.principal);
            }
        }
        found
    }

    /// Checks what a caller has brought. `Ok(None)` only if no token was configured at all.
    ///
    /// # Errors
    ///
    /// 401 with a challenge if no token, an unknown one or one that has expired was sent (RFC 6750, 3: no
    /// `error` parameter in the first case), 400 if the header is garbage.
    pub(crate) fn check(
        &self,
        token: Result<Option<&str>, Refusal>,
        challenge: &Challenge,
        now: SystemTime,
    ) -> Result<Option<Principal>, Refusal> {
        if self.is_empty() {
            return Ok(None);
        }
        let Some(token) = token? else {
            return Err(challenge.missing("send `Authorization: Bearer <token>`"));
        };
        let holder = self.holder(token).ok_or_else(|| challenge.invalid("this token is not known here"))?;
        challenge.still_valid(holder, now).map(|()| Some(holder.clone()))
    }
}

impl fmt::Debug for Tokens {
    /// Names only; not even the hashes, which could be tried against a list of weak tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| entry.principal.id())).finish()
    }
}

/// Whether that secret can be used; what is wrong with it, without the secret itself.
pub(crate) fn usable(token: &str) -> Result<(), &'static str> {
    if token.len() < TOKEN_BYTES_MIN {
        return Err("is shorter than 16 characters: make one with `openssl rand -base64 24`");
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err("is longer than 4096 characters");
    }
    if !is_b64token(token) {
        return Err("may contain only letters, digits and -._~+/ (and = at its end), since clients can send no other");
    }
    let first = token.bytes().next();
    if token.bytes().all(|byte| Some(byte) == first) {
        return Err("repeats one character: make one with `openssl rand -base64 24`");
    }
    Ok(())
}

/// The bearer token of a request, if it has one. Another scheme (`Basic …`) counts as none.
///
/// # Errors
///
/// 400 with `error="invalid_request"` (RFC 6750, 3.1) for several `Authorization` headers, two
/// tokens in one, or anything that is no token.
pub(crate) fn bearer(head: &Head) -> Result<Option<&str>, Refusal> {
    let mut values = head.values("authorization");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(garbage("send one Authorization header only"));
    }
    let text = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.is_ascii())
        .ok_or_else(|| garbage("send Authorization as plain ASCII"))?;
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if !is_token(scheme.as_bytes()) {
        return Err(garbage("send Authorization as `Bearer <token>`"));
    }
    // RFC 9110, 11.1: the scheme is compared without case.
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = rest.trim_start_matches(' ');
    if token.len() > TOKEN_BYTES_MAX || !is_b64token(token) {
        return Err(garbage("send one token after `Bearer`, of letters, digits and -._~+/="));
    }
    Ok(Some(token))
}

pub(crate) fn garbage(reason: &str) -> Refusal {
    Refusal::new(400, "auth", reason).header("WWW-Authenticate", format!("{REALM}, error=\"invalid_request\""))
}

/// `b64token` of RFC 6750, 2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
pub(super) fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/'))
}

/// What is kept of a secret.
pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::tests::head;
    use crate::principal::RightEnded;
    use std::time::Duration;

    const ALICE: &str = "alice-token-0123456789==";
    const BOB: &str = "bob-token-0123456789";

    fn tokens() -> Tokens {
        let mut tokens = Tokens::new();
        tokens.add(&Token::new("alice", ALICE)).unwrap();
        tokens.add(&Token::new("bob", BOB)).unwrap();
        tokens
    }

    fn with(value: &str) -> Head {
        head(&["GET /mcp?access_token=x HTTP/1.1", &format!("Authorization: {value}")])
    }

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn check(tokens: &Tokens, head: &Head) -> Result<Option<String>, Refusal> {
        let holder = tokens.check(bearer(head), &Challenge::default(), NOW)?;
        Ok(holder.map(|holder| holder.id().to_owned()))
    }

    #[test]
    fn known_tokens_give_their_holder() {
        let tokens = tokens();
        assert_eq!(check(&tokens, &with(&format!("Bearer {ALICE}"))), Ok(Some("alice".into())));
        assert_eq!(check(&tokens, &with(&format!("bEARER   {BOB} "))), Ok(Some("bob".into())));
    }

    #[test]
    fn no_token_and_a_wrong_one_are_challenged_differently() {
        let tokens = tokens();
        let none = check(&tokens, &head(&["GET / HTTP/1.1"])).unwrap_err();
        assert_eq!((none.status, none.headers), (401, vec![("WWW-Authenticate", "Bearer realm=\"mcp\"".to_owned())]));
        for wrong in ["alice-token-0123456789=", "alice-token-0123456789===", "ALICE-TOKEN-0123456789==", "x", "alice"]
        {
            let refusal = check(&tokens, &with(&format!("Bearer {wrong}"))).unwrap_err();
            assert_eq!(refusal.status, 401, "{wrong}");
            assert!(refusal.headers[0].1.ends_with("error=\"invalid_token\""));
            assert!(!refusal.to_string().contains(wrong) || wrong == "x", "{refusal}");
        }
        assert_eq!(check(&tokens, &with("Basic YWxpY2U6cHc=")).unwrap_err().headers[0].1, REALM);
    }

    #[test]
    fn query_strings_are_not_looked_at() {
        for query in ["access_token", "token", "bearer", "Authorization"] {
            let head = head(&[&format!("GET /mcp?{query}={BOB} HTTP/1.1"), "Host: localhost"]);
            assert_eq!(bearer(&head), Ok(None));
            assert_eq!(check(&tokens(), &head).unwrap_err().status, 401);
        }
    }

    #[test]
    fn garbage_is_a_bad_request() {
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer =",
            "Bearer a b",
            "Bearer a, Bearer b",
            "Bearer a,b",
            "Bearer \"a\"",
            "Bearer\ta",
            "Bearer \ta",
            "Bearer a\u{e9}",
            "Bearer:a",
            "Bearer a=b",
            "B\u{212a}arer a",
            "Bearer token=a",
            "=Bearer a",
            "Bearer a;",
            "Bearer a%20b",
            ", a",
        ] {
            let refusal = bearer(&with(value)).unwrap_err();
            assert_eq!(refusal.status, 400, "{value:?}");
            assert!(refusal.headers[0].1.ends_with("error=\"invalid_request\""));
        }
        let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX + 1));
        assert_eq!(bearer(&with(&long)).unwrap_err().status, 400);
        let twice = head(&["GET / HTTP/1.1", "Authorization: Bearer a", "authorization: Bearer a"]);
        assert_eq!(bearer(&twice).unwrap_err().status, 400);
    }

    #[test]
    fn weak_and_impossible_tokens_are_refused_at_start() {
        let mut tokens = tokens();
        for token in [
            "",
            "tiny",
            "fifteen-letters",
            "has blank 0123456789",
            "n\u{f6}n-ascii-0123456789",
            "line\nfeed-0123456789",
            "====================",
            "aaaaaaaaaaaaaaaaaaaa",
            "quote\"0123456789abcd",
            BOB,
        ] {
            let error = tokens.add(&Token::new("eve", token)).unwrap_err();
            assert_eq!(error.setting, "token");
            assert!(token.is_empty() || !error.to_string().contains(token), "{error}");
        }
        assert!(tokens.add(&Token::new("", "another-token-0123")).is_err());
        assert!(tokens.add(&Token::new("eve", &"ab".repeat(3000))).is_err());
        assert!(tokens.add(&Token::new("alice", "another-token-0123")).is_ok());
        assert_eq!(tokens.holder("another-token-0123").map(Principal::id), Some("alice"));
    }

    #[test]
    fn debug_shows_names_only() {
        assert_eq!(format!("{:?}", tokens()), "[\"alice\", \"bob\"]");
    }

    #[test]
    fn without_tokens_nobody_is_asked() {
        assert_eq!(check(&Tokens::new(), &with("complete \u{1f600} garbage")), Ok(None));
        assert!(Tokens::new().holder(BOB).is_none());
    }

    #[test]
    fn an_expired_token_is_told_so() {
        let mut tokens = Tokens::new();
        tokens.add(&Token::new("alice", ALICE).named("laptop").expires(NOW + Duration::from_secs(1))).unwrap();
        let at = |seconds| {
            let token = tokens.check(Ok(Some(ALICE)), &Challenge::default(), NOW + Duration::from_secs(seconds));
            token.map(|holder| holder.unwrap().token_name().unwrap().to_owned())
        };
        assert_eq!(at(0), Ok("laptop".to_owned()));
        let refusal = at(1).unwrap_err();
        assert_eq!((refusal.status, refusal.label), (401, "expired"));
        assert!(refusal.reason.contains("expired") && refusal.headers[0].1.contains("invalid_token"), "{refusal:?}");
    }

    #[test]
    fn tokens_that_stay_are_not_revoked() {
        let token = |name: &str, secret: &str| Token::new(name, secret).named("x");
        let list = |tokens: &[Token]| {
            let mut list = Tokens::new();
            tokens.iter().for_each(|token| list.add(token).unwrap());
            list
        };
        let old = list(&[token("alice", ALICE), token("bob", BOB)]);
        let [alice, bob] = [ALICE, BOB].map(|secret| old.holder(secret).unwrap().clone());
        // The same secret with other rights is another token.
        let mut new =
            list(&[token("bob", BOB).scopes(["a"]), token("alice", ALICE), token("eve", "eve-token-0123456789")]);
        assert_eq!(new.follow(&old), (2, 1));
        assert_eq!((alice.ended(NOW), bob.ended(NOW)), (None, Some(RightEnded::Revoked)));
        assert!(new.holder(BOB).unwrap().ended(NOW).is_none());
        let mut none = Tokens::new();
        assert_eq!(none.follow(&new), (0, 3));
        // Nobody gets in when the last token is gone.
        assert!(!none.is_empty() && alice.ended(NOW).is_some());
    }
}

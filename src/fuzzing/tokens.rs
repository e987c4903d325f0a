//! What comes in `Authorization`: which token it is, and whether a JWT is taken for more than it is.

use crate::guard::bearer::{TOKEN_BYTES_MAX, Tokens, bearer};
use crate::guard::challenge::Challenge;
use crate::http::head::Head;
use crate::http::reader::HeadLimits;
use crate::token::Token;
use std::time::SystemTime;

const KNOWN: &str = "alice-token-0123456789==";

/// The values of `Authorization` headers, a line each.
pub(super) fn bearers(bytes: &[u8]) {
    let Some(head) = head_of(bytes) else { return };
    let values: Vec<_> = head.values("authorization").collect();
    let mut tokens = Tokens::new();
    tokens.add(&Token::new("alice", KNOWN)).expect("a token");
    let known = tokens.check(bearer(&head), &Challenge::default(), SystemTime::UNIX_EPOCH);
    match bearer(&head) {
        Ok(Some(token)) => {
            let [value] = values.as_slice() else { panic!("one of several was taken") };
            assert!(value.len() > "bearer ".len() && value[..7].eq_ignore_ascii_case(b"bearer "));
            assert!(value.trim_ascii_end().ends_with(token.as_bytes()) && token.len() <= TOKEN_BYTES_MAX);
            let bare = token.trim_end_matches('=');
            assert!(
                !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
            );
            assert_eq!(known.ok().flatten().is_some(), token == KNOWN);
        }
        Ok(None) => {
            assert!(values.len() <= 1 && known.as_ref().is_err_and(|refusal| refusal.status == 401), "{known:?}");
            assert!(!values.iter().any(|value| value.to_ascii_lowercase().starts_with(b"bearer ")));
        }
        Err(refusal) => {
            assert_eq!(refusal.status, 400);
            super::check_answer(&refusal);
            // Nothing of what came goes back: it is what others are told, too.
            let others: [&[u8]; 4] = [b"a\na", b"\xff", b"Bearer\ta", b"Bearer "];
            let told = |values: &[u8]| head_of(values).and_then(|head| bearer(&head).err());
            assert!(others.iter().any(|other| told(other).as_ref() == Some(&refusal)), "{refusal}");
        }
    }
}

/// A head with these values.
fn head_of(values: &[u8]) -> Option<Head> {
    let mut text = b"GET /mcp?access_token=alice-token-0123456789== HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    for value in values.split(|&byte| byte == b'\n') {
        text.extend_from_slice(b"Authorization: ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    Head::parse(&text, HeadLimits { bytes: 16 << 10, lines: 12 }).ok().flatten().map(|(head, _)| head)
}

#[cfg(feature = "jwt")]
pub(super) use jwt::run as jwt;

#[cfg(feature = "jwt")]
mod jwt {
    use crate::jwt::{Algorithm, Claims, Jwt, exercise};
    use data_encoding::{BASE64, BASE64URL_NOPAD};
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::Value;
    use std::sync::OnceLock;
    use std::time::{Duration, SystemTime};

    const ISSUER: &str = "https://auth.example.com";
    const AUDIENCE: &str = "https://mcp.example.com/mcp";
    const NOW: u64 = 1_800_000_000;
    const LEEWAY: u64 = 60;

    fn stage() -> &'static (Ed25519KeyPair, Jwt) {
        static STAGE: OnceLock<(Ed25519KeyPair, Jwt)> = OnceLock::new();
        STAGE.get_or_init(|| {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
            // SubjectPublicKeyInfo of RFC 8410, 4.
            let head = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
            let der = [&head[..], pair.public_key().as_ref()].concat();
            let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(&der));
            let jwt = Jwt::issuer(ISSUER).audience(AUDIENCE).key_pem(pem).leeway(Duration::from_secs(LEEWAY));
            (pair, jwt.algorithms([Algorithm::EdDsa, Algorithm::Es256]))
        })
    }

    fn check(text: &str) -> Result<crate::Principal, &'static str> {
        exercise(&stage().1, text, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    /// A token as it comes; and one whose head and claims are the two halves of the text around the first line feed, signed by the
    /// issuer's key. Who signs can say anything, so all that is said is looked at once more.
    pub(in super::super) fn run(bytes: &[u8]) {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        // The key is known here only.
        assert!(check(text).is_err(), "somebody else's token was taken");
        let Some((head, claims)) = text.split_once('\n') else { return };
        let signed =
            format!("{}.{}", BASE64URL_NOPAD.encode(head.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()));
        let signature = stage().0.sign(signed.as_bytes());
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()));
        let Ok(principal) = check(&token) else { return };
        let head: Value = serde_json::from_str(head).expect("a head");
        let claims: Value = serde_json::from_str(claims).expect("claims");
        assert!(head["alg"] == "EdDSA" || head["alg"] == "Ed25519", "{head}");
        assert!(
            head.get("crit").is_none()
                && head["typ"].as_str().is_some_and(|typ| typ.to_ascii_lowercase().ends_with("at+jwt"))
        );
        assert!(claims["iss"] == ISSUER && claims.get("cnf").is_none());
        let audiences = claims["aud"].as_array().cloned().unwrap_or_else(|| vec![claims["aud"].clone()]);
        assert!(audiences.iter().any(|audience| audience == AUDIENCE), "{claims}");
        let time = |name: &str| claims.get(name).map(|value| value.as_f64().expect("a time"));
        let (now, leeway) = (NOW as f64, LEEWAY as f64);
        assert!(time("exp").is_some_and(|end| now < end + leeway), "{claims}");
        assert!(
            time("nbf").is_none_or(|start| start <= now + leeway)
                && time("iat").is_none_or(|start| start <= now + leeway)
        );
        assert!(principal.expiry().is_some_and(|end| end > SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)));
        assert_eq!(principal.id(), format!("jwt:{ISSUER}#{}", claims["sub"].as_str().expect("a subject")));
        assert!(!principal.id().contains(char::is_control));
        assert!(
            principal
                .scopes()
                .is_some_and(|mut scopes| scopes.all(|scope| !scope.is_empty() && !scope.contains([' ', '"'])))
        );
        assert_eq!(principal.user::<Claims>().map(|claims| claims.parse::<Value>().expect("claims")), Some(claims));
        // One letter of it another, wherever: not for anybody.
        let at =
            bytes.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % token.len();
        let mut other = token.into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert!(check(std::str::from_utf8(&other).expect("ASCII")).is_err(), "changed at {at}");
    }
}

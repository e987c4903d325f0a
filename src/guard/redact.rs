//! Where in a text does a secret stand?
//!
//! Whatever is logged, or told to the audit log, of a peer's or a handler's text passes through here before it is formatted
//! ([`Escaped`](super::text::Escaped)). Secrets are known by what stands before them (`password=`, `"api_key":`, `Bearer`) or by how they begin
//! (`eyJ…`, `ghp_…`). There is no regular expression: a rule is a literal and what may follow it, so that the cost is that of reading the text.
//!
//! What authors add holds for the whole process, as the logger does: rules are added and never taken away.

use parking_lot::RwLock;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// Names whose values are secrets, whatever stands before them: `db_password`, `X-Api-Key`.
const KEYS: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "credentials",
    "sessionid",
    "sessionkey",
];
/// Those whose values go on to the end of the line.
const LINES: [&str; 3] = ["authorization", "cookie", "setcookie"];
/// How well-known tokens begin, and how many letters follow at the least.
const PREFIXES: [(&str, usize); 15] = [
    ("github_pat_", 20),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("glpat-", 16),
    ("sk-", 16),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxa-", 10),
    ("xapp-", 10),
    ("AKIA", 16),
    ("AIza", 30),
    ("npm_", 30),
];
/// The longest name that is looked at.
const LONGEST_KEY: usize = 64;
/// Most rules of authors, and the most bytes of one.
const MOST: usize = 64;
const LONGEST: usize = 128;

/// What authors have added.
#[derive(Debug, Clone, Default)]
struct Rules {
    keys: Vec<String>,
    patterns: Vec<Vec<Vec<u8>>>,
}

static ANY: AtomicBool = AtomicBool::new(false);
static RULES: RwLock<Option<Arc<Rules>>> = RwLock::new(None);

/// Adds a name whose values are secrets.
///
/// # Errors
/// It is no such name, or there are too many.
pub(crate) fn add_key(key: &str) -> Result<(), String> {
    let name = folded(key.as_bytes());
    if name.len() < 2 || key.len() > LONGEST_KEY || !key.bytes().all(is_key) {
        return Err(format!("a key is a name of 2 to {LONGEST_KEY} letters, digits, `-`, `_` and `.`"));
    }
    add(|rules| &mut rules.keys, name)
}

/// Adds a pattern of secrets: literals, and `*` for as many letters, digits and `-_.~+/=` as there are.
///
/// # Errors
/// It has no literal of three bytes to begin with, or there are too many.
pub(crate) fn add_pattern(pattern: &str) -> Result<(), String> {
    let parts: Vec<Vec<u8>> = pattern.split('*').map(|part| part.as_bytes().to_vec()).collect();
    if parts.first().is_none_or(|first| first.len() < 3) || pattern.len() > LONGEST {
        return Err(format!("a pattern begins with at least 3 bytes that are no `*`, and has at most {LONGEST}"));
    }
    add(|rules| &mut rules.patterns, parts)
}

fn add<T: PartialEq>(list: impl FnOnce(&mut Rules) -> &mut Vec<T>, rule: T) -> Result<(), String> {
    let mut current = RULES.write();
    let mut rules = current.as_deref().cloned().unwrap_or_default();
    let list = list(&mut rules);
    if !list.contains(&rule) {
        if list.len() >= MOST {
            return Err(format!("there may be {MOST} rules in a process"));
        }
        list.push(rule);
    }
    *current = Some(Arc::new(rules));
    ANY.store(true, Ordering::Release);
    Ok(())
}

/// Where secrets stand, in their order.
pub(crate) fn secrets(text: &[u8]) -> Vec<Range<usize>> {
    let rules = if ANY.load(Ordering::Acquire) { RULES.read().clone() } else { None };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        let secret = match byte {
            b'=' | b':' => value(text, at, rules.as_deref()),
            b'B' | b'b' => credentials(text, at),
            b'e' => web_token(rest).map(|length| at..at + length),
            b'-' => private_key(rest).map(|length| at..at + length),
            b'g' | b's' | b'x' | b'A' | b'n' if !follows_letter(text, at) => {
                let known = PREFIXES.iter().find_map(|(prefix, least)| {
                    let letters = run(rest.strip_prefix(prefix.as_bytes())?);
                    (letters >= *least).then_some(prefix.len() + letters)
                });
                known.map(|length| at..at + length)
            }
            _ => None,
        };
        let own = || rules.as_ref()?.patterns.iter().find_map(|pattern| matches(rest, pattern));
        let secret = secret.or_else(|| own().map(|length| at..at + length));
        match secret {
            Some(secret) if secret.end > at => {
                at = secret.end;
                found.push(secret);
            }
            _ => at += 1,
        }
    }
    found
}

/// The value behind a sign that gives one to a name, if the name is that of secrets.
fn value(text: &[u8], sign: usize, rules: Option<&Rules>) -> Option<Range<usize>> {
    let before = text.get(..sign)?;
    // `"name" :`, in JSON within JSON `\"name\":`.
    let name = before.trim_ascii_end();
    let name = name.strip_suffix(b"\"").or_else(|| name.strip_suffix(b"'")).unwrap_or(name);
    let name = name.strip_suffix(b"\\").unwrap_or(name);
    let length = name.iter().rev().take(LONGEST_KEY).take_while(|byte| is_key(**byte)).count();
    let name = folded(name.get(name.len() - length..)?);
    let own = rules.is_some_and(|rules| rules.keys.iter().any(|key| name.ends_with(key.as_str())));
    let line = LINES.iter().any(|key| name.ends_with(key));
    if !own && !line && !KEYS.iter().any(|key| name.ends_with(key)) {
        return None;
    }
    let mut start = sign + 1;
    let blank = |at: usize| text.get(at).is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    while blank(start) {
        start += 1;
    }
    if text.get(start) == Some(&b'\\') && text.get(start + 1) == Some(&b'"') {
        start += 1;
    }
    let rest = |start: usize| text.get(start..).unwrap_or_default();
    let length = match text.get(start)? {
        &quote @ (b'"' | b'\'') => {
            start += 1;
            rest(start).iter().position(|byte| *byte == quote)
        }
        _ if line => rest(start).iter().position(|byte| matches!(byte, b'\r' | b'\n' | b'"')),
        _ => rest(start).iter().position(|byte| byte.is_ascii_whitespace() || b",;&)]}\"'<>".contains(byte)),
    };
    let length = length.unwrap_or(rest(start).len());
    // `token=Bearer abc`
    let scheme = rest(start).get(..length)?;
    let scheme = scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"basic");
    let more = if scheme && blank(start + length) { 1 + run(rest(start + length + 1)) } else { 0 };
    (length > 0).then_some(start..start + length + more)
}

/// What stands behind `Bearer` or `Basic`, if it looks like a secret and not like a word.
fn credentials(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let scheme = ["bearer", "basic"]
        .into_iter()
        .find(|scheme| rest.get(..scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes())))?;
    let blanks = rest.get(scheme.len()..)?.iter().take_while(|byte| matches!(byte, b' ' | b'+' | b'\t')).count();
    let start = at + scheme.len() + blanks;
    let length = run(text.get(start..)?);
    let token = text.get(start..start + length)?;
    let word = token.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'.') && length < 20;
    (blanks > 0 && length >= 8 && !word).then_some(start..start + length)
}

/// The length of what looks like a JSON Web Token (RFC 7519): a header that begins with `{"`, and a point.
fn web_token(rest: &[u8]) -> Option<usize> {
    let length = run(rest);
    let token = rest.get(..length)?;
    (token.starts_with(b"eyJ") && length >= 20 && token.contains(&b'.')).then_some(length)
}

/// The length of a private key in PEM, as far as it is there.
fn private_key(rest: &[u8]) -> Option<usize> {
    let label = rest.strip_prefix(b"-----BEGIN ")?;
    let end = label.windows(5).take(64).position(|five| five == b"-----")?;
    label.get(..end)?.ends_with(b"PRIVATE KEY").then_some(())?;
    let end = rest.windows(9).position(|nine| nine == b"-----END ");
    Some(end.unwrap_or(rest.len()))
}

/// The length of what a pattern of an author's stands for.
fn matches(rest: &[u8], pattern: &[Vec<u8>]) -> Option<usize> {
    let (first, others) = pattern.split_first()?;
    let mut at = rest.starts_with(first).then_some(first.len())?;
    for (place, part) in others.iter().enumerate() {
        let more = rest.get(at..)?;
        let letters = run(more);
        at += match part.is_empty() {
            true if place + 1 == others.len() => letters,
            true => 0,
            // What follows may stand among the letters, or behind them.
            false => {
                let within = more.get(..(letters + part.len()).min(more.len()))?;
                within.windows(part.len()).position(|window| window == part.as_slice())? + part.len()
            }
        };
    }
    Some(at)
}

/// How many letters of tokens there are.
fn run(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(byte)).count()
}

fn follows_letter(text: &[u8], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(u8::is_ascii_alphanumeric)
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// A name as it is compared: `X-Api-Key`, `x_api_key` and `xApiKey` are one.
fn folded(name: &[u8]) -> String {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = String::new();
        let mut kept = 0;
        for secret in secrets(text.as_bytes()) {
            out.push_str(&text[kept..secret.start]);
            out.push('#');
            kept = secret.end;
        }
        out + &text[kept..]
    }

    #[test]
    fn values_of_secret_names_are_found() {
        for (text, expected) in [
            ("password=hunter2 user=bob", "password=# user=bob"),
            ("postgres: DB_PASSWORD: 'a b c', x", "postgres: DB_PASSWORD: '#', x"),
            (r#"{"api_key":"abc","n":1,"clientSecret" : "d\"e"}"#, r##"{"api_key":"#","n":1,"clientSecret" : "#"e"}"##),
            (r#"{\"access_token\":\"abc\"}"#, r##"{\"access_token\":\"#"}"##),
            ("GET /mcp?a=1&token=abc&b=2", "GET /mcp?a=1&token=#&b=2"),
            ("Authorization: Bearer abc, Digest x\nHost: y", "Authorization: #\nHost: y"),
            ("Cookie: a=b; c=d", "Cookie: #"),
            ("token=Bearer abc.def x", "token=# x"),
            ("X-Api-Key:abc;", "X-Api-Key:#;"),
            ("password=", "password="),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn secrets_are_known_by_their_looks() {
        for (text, expected) in [
            ("sent Bearer gG4zQ9right-token", "sent Bearer #"),
            ("sent basic YWxpY2U6c2VjcmV0", "sent basic #"),
            ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln!", "got #!"),
            ("key ghp_0123456789abcdefghij0123 leaked", "key # leaked"),
            ("AKIAABCDEFGHIJKLMNOP", "#"),
            ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "#-----END RSA PRIVATE KEY-----"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn plain_words_stay() {
        for text in [
            "a bearer token is needed",
            "basic authentication",
            "12 tokens: none of them",
            "tool wipe (request 5) panicked: index out of bounds: the len is 3",
            "disk-full and task-list",
            "-----BEGIN CERTIFICATE-----",
            "eyJhb",
            "",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn authors_add_names_and_patterns() {
        assert!(add_key("x").is_err() && add_key("a b").is_err() && add_pattern("*x").is_err());
        add_key("kennwort").unwrap();
        add_pattern("acme_*_end").unwrap();
        add_pattern("zzkey-*").unwrap();
        assert_eq!(shown("Mein-Kennwort: abc."), "Mein-Kennwort: #");
        assert_eq!(shown("acme_123_end_x zzkey-55/6=, acme_1"), "#_x #, acme_1");
    }

    #[test]
    fn anything_at_all_is_read_in_bounds() {
        for piece in
            ["=", "token=", "\"token\":\"", "Bearer ", "eyJ.", "-----BEGIN ", "ghp_", "acme_", "\u{202e}:", "'\\\"="]
        {
            let text = piece.repeat(2_000);
            let found = secrets(text.as_bytes());
            assert!(found.iter().all(|secret| secret.start < secret.end && secret.end <= text.len()));
            assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
        }
    }
}

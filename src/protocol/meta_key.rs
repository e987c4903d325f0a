//! What may a key of `_meta`, or the id of an extension, be? (basic/index, "General fields")

use crate::protocol::content::MetaMap;
use crate::protocol::show::{MESSAGE_CHARS, shown};

/// The longest key: nobody asks for more.
const MOST_BYTES: usize = 256;

/// Checks a key of `_meta`: a name, perhaps with a prefix before a `/`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(key: &str) -> Result<(), String> {
    if is_key(key) {
        return Ok(());
    }
    Err(format!(
        "the `_meta` key `{}` has to be a name of letters, digits, `-`, `_` and `.`, perhaps with a prefix such as `com.example/`",
        shown(key, MESSAGE_CHARS)
    ))
}

/// Checks all keys of a `_meta` that there may be.
///
/// # Errors
/// What is wrong with the first that is wrong.
pub(crate) fn check_all(meta: Option<&MetaMap>) -> Result<(), String> {
    meta.iter().flat_map(|meta| meta.keys()).try_for_each(|key| check(key))
}

/// Checks the id of an extension: a key whose prefix says whose it is (2026-07-28, basic/versioning).
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_extension(id: &str) -> Result<(), String> {
    match is_key(id) && id.split_once('/').is_some_and(|(_, name)| !name.is_empty()) {
        true => Ok(()),
        false => Err("its id has to be a name with a prefix that says whose it is, such as `com.example/name`".into()),
    }
}

/// Whether a key may be used in a `_meta` object.
pub(crate) fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let named = (name.is_empty() && prefix.is_some()) || is_word(name, |byte| byte.is_ascii_alphanumeric(), b"-_.");
    key.len() <= MOST_BYTES && named && prefix.is_none_or(|prefix| prefix.split('.').all(is_label))
}

/// A label of a prefix begins with a letter and ends with a letter or digit.
fn is_label(label: &str) -> bool {
    is_word(label, |byte| byte.is_ascii_alphabetic(), b"-")
}

fn is_word(word: &str, first: impl Fn(u8) -> bool, within: &[u8]) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || within.contains(&byte);
    word.bytes().next().is_some_and(first)
        && word.ends_with(|c: char| c.is_ascii_alphanumeric())
        && word.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_names_with_or_without_a_prefix() {
        for good in
            ["a", "ui", "progressToken", "a-b_c.d", "com.example/x", "io.modelcontextprotocol/tasks", "a/", "a1-b.c2/1"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = "x".repeat(257);
        for bad in
            ["", "/", "/a", "a b", "-a", "a-", "a/b/c", "1a/b", "a-/b", "a..b/c", "com.example/-x", "é", "a\n", &long]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_extension_says_whose_it_is() {
        assert_eq!(check_extension("com.example/x"), Ok(()));
        for bad in ["x", "com.example/", "/x", "com example/x"] {
            assert!(check_extension(bad).is_err(), "{bad}");
        }
    }
}

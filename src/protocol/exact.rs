//! Does JSON text say each thing once, and can its numbers be kept as they are?
//!
//! serde_json takes the last of two members of one name, and makes a fraction of a whole number that 64 bits do not hold. Where a
//! value is checked and then used, both would be a way to have one thing checked and another one used.

use crate::protocol::json;
use std::borrow::Cow;
use std::collections::HashSet;

/// What a look at JSON text has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// How deep arrays and objects stand within each other.
    pub(crate) depth: usize,
    /// How many values there are, or a few more.
    pub(crate) values: usize,
}

/// What is wrong, and where: a JSON Pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A member stands there twice.
    Twice(String),
    /// A whole number that 64 bits do not hold.
    TooLarge(String),
}

/// Looks through text that is known to be JSON, without recursion. `whole_numbers`: refuse those that 64 bits do not hold.
///
/// # Errors
/// The first [`Flaw`].
pub(crate) fn look(text: &str, whole_numbers: bool) -> Result<Facts, Flaw> {
    let bytes = text.as_bytes();
    let mut facts = Facts { depth: 0, values: 1 };
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => {
                open.push(if byte == b'{' { Open::object() } else { Open::Array(0) });
                facts.depth = facts.depth.max(open.len());
                facts.values += 1;
            }
            b'}' | b']' => _ = open.pop(),
            b',' => {
                facts.values += 1;
                match open.last_mut() {
                    Some(Open::Array(index)) => *index += 1,
                    Some(Open::Object { key_next, .. }) => *key_next = true,
                    None => {}
                }
            }
            b'"' => {
                let end = end_of_string(bytes, at + 1);
                if let Some(Open::Object { key_next: key_next @ true, last, seen }) = open.last_mut() {
                    *key_next = false;
                    *last = text.get(at + 1..end.saturating_sub(1)).map(unescaped).unwrap_or_default();
                    if !seen.insert(last.clone()) {
                        return Err(Flaw::Twice(pointer(&open)));
                    }
                }
                at = end;
                continue;
            }
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(bytes, at);
                if whole_numbers && text.get(at..end).is_some_and(is_too_large) {
                    return Err(Flaw::TooLarge(pointer(&open)));
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(facts)
}

/// An array or object that has begun.
enum Open<'t> {
    /// The number of the element.
    Array(usize),
    Object {
        /// The names so far.
        seen: HashSet<Cow<'t, str>>,
        last: Cow<'t, str>,
        /// The next string is a name.
        key_next: bool,
    },
}

impl Open<'_> {
    fn object() -> Self {
        Self::Object { seen: HashSet::new(), last: Cow::Borrowed(""), key_next: true }
    }
}

fn pointer(open: &[Open<'_>]) -> String {
    let mut pointer = String::new();
    for one in open {
        match one {
            Open::Array(index) => json::push_segment(&mut pointer, &index.to_string()),
            Open::Object { last, .. } => json::push_segment(&mut pointer, last),
        }
    }
    pointer
}

fn unescaped(name: &str) -> Cow<'_, str> {
    match name.contains('\\') {
        true => serde_json::from_str(&format!("\"{name}\"")).map_or(Cow::Borrowed(name), Cow::Owned),
        false => Cow::Borrowed(name),
    }
}

/// The place behind the closing quote.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') | None => return at + 1,
            Some(_) => at += 1,
        }
    }
}

fn end_of_number(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !b"+-.eE0123456789".contains(byte)).unwrap_or(rest.len())
}

fn is_too_large(number: &str) -> bool {
    // 18 digits always fit.
    number.len() > 18
        && !number.contains(['.', 'e', 'E'])
        && number.parse::<i64>().is_err()
        && number.parse::<u64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_twice_wherever_they_are() {
        for (text, place) in [
            (r#"{"a":1,"a":2}"#, "/a"),
            (r#"{"a":1,"b":{"a":1},"\u0061":2}"#, "/a"),
            (r#"{"x":[{}, [{"k/~":"a","k/~":"b"}]]}"#, "/x/1/0/k~1~0"),
            (r#"{"":0,"":0}"#, "/"),
            (r#"{"a\"":0, "b" : {} , "a\"" : 0}"#, "/a\""),
        ] {
            assert_eq!(look(text, false), Err(Flaw::Twice(place.into())), "{text}");
        }
        for text in [r#"{"a":"a","b":"a"}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":{"a":{"a":"a"}}}"#, r#"["a","a"]"#, "{}"] {
            assert!(look(text, true).is_ok(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_have_64_bits() {
        for text in
            ["18446744073709551615", "-9223372036854775808", "0", "-0", "1e400", "1.0", "123456789012345678901.5"]
        {
            assert!(look(text, true).is_ok(), "{text}");
        }
        for text in ["18446744073709551616", "-9223372036854775809", "1000000000000000000000000"] {
            assert_eq!(look(text, true), Err(Flaw::TooLarge(String::new())), "{text}");
            assert!(look(text, false).is_ok());
        }
        let place = |text| look(text, true).unwrap_err();
        assert_eq!(place(r#"{"a":"9","b":[1,20000000000000000000]}"#), Flaw::TooLarge("/b/1".into()));
        // Digits in a string are none.
        assert!(look(r#"{"a":"20000000000000000000"}"#, true).is_ok());
    }

    #[test]
    fn values_and_depth_are_counted() {
        let facts = |text| look(text, false).map(|facts| (facts.depth, facts.values)).unwrap();
        assert_eq!(facts("1"), (0, 1));
        assert_eq!(facts("{}"), (1, 2));
        assert_eq!(facts(r#"{"a":[1,2,{"b":"[[[,,"}],"c":3}"#), (3, 7));
    }
}

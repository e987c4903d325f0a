//! JSON that has one meaning only: nothing too deep, no half characters, and no name twice.

use crate::protocol::json;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

/// Nesting that is taken: what issuers send has two or three levels.
const MOST_DEPTH: usize = 16;

/// The members of an object, if `bytes` are one. Two members of one name make it none: two readers could disagree about
/// them (RFC 7519, 4; RFC 8725, 2.4).
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(bytes).ok()?;
    json::check(text, MOST_DEPTH).ok()?;
    let mut reader = serde_json::Deserializer::from_str(text);
    Unique.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// Walks through a value, and takes no object that has a name twice. The value itself is read by serde_json afterwards, which
/// knows how numbers are to be kept.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Unique)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name) {
                map.next_value::<IgnoredAny>()?;
                return Err(A::Error::custom("duplicate member"));
            }
            map.next_value_seed(Unique)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_each_name_once_on_all_levels() {
        let text = br#" {"a": [1, {"b": 1, "c": {}}, -2.5, "x", null, true], "b": 18446744073709551615} "#;
        assert_eq!(object(text).map(|members| members.len()), Some(2));
        for wrong in [
            &br#"{"a":1,"a":1}"#[..],
            br#"{"a":1,"\u0061":2}"#,
            br#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#,
            br#"{"a":1} {"#,
            br#"{"a":1"#,
            br#"{"a":"\ud800"}"#,
            b"{\"a\":\"\xff\"}",
            b"[]",
            b"1",
            b"",
        ] {
            assert_eq!(object(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(16), "]".repeat(16));
        assert_eq!(object(deep.as_bytes()), None);
    }
}

//! JSON that has one meaning only: nothing too deep, no half characters, and no name twice.

use crate::protocol::exact::{self, Bounds};
use serde_json::{Map, Value};

/// What is taken: what issuers send has two or three levels, and some dozens of values.
const BOUNDS: Bounds = Bounds { depth: 16, nodes: 20_000, once: true, ..Bounds::NONE };

/// The members of an object, if `bytes` are one. Two members of one name make it none: two readers could disagree about
/// them (RFC 7519, 4; RFC 8725, 2.4).
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(bytes).ok()?;
    exact::scan(text, &BOUNDS).ok()?;
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
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

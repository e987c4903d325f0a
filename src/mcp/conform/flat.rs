//! The quick way for schemas of the simplest kind: an object with members of plain types. What fits one is seen from its text, at a
//! fraction of what it costs to read the value and check it against the whole schema.

use crate::protocol::json;
use serde_json::{Map, Value};

/// Members that are watched at the most.
const MOST_MEMBERS: usize = 64;

/// A schema of the simplest kind.
#[derive(Debug)]
pub(super) struct Flat {
    members: Vec<Member>,
    /// Whether there may be members that it does not name.
    open: bool,
}

#[derive(Debug)]
struct Member {
    name: String,
    required: bool,
    null: bool,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Truth,
    Number,
    /// A whole number between these.
    Integer(i64, i64),
}

impl Flat {
    /// `None` if the schema says more than can be checked here.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        let schema = schema.as_object()?;
        let known = |key: &str| matches!(key, "type" | "properties" | "required" | "additionalProperties" | "$schema");
        let plain = schema.get("type")? == "object" && schema.keys().all(|key| known(key) || says_nothing(key));
        let open = schema.get("additionalProperties").is_none_or(|more| *more == true);
        let closed = schema.get("additionalProperties").is_some_and(|more| *more == false);
        // In older dialects some of this would mean something else.
        let newest =
            schema.get("$schema").is_none_or(|dialect| *dialect == "https://json-schema.org/draft/2020-12/schema");
        if !(plain && newest && (open || closed)) {
            return None;
        }
        let required: Vec<&str> = match schema.get("required") {
            Some(names) => names.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?,
            None => Vec::new(),
        };
        let members = match schema.get("properties") {
            Some(properties) => properties
                .as_object()?
                .iter()
                .map(|member| Member::of(member, &required))
                .collect::<Option<Vec<_>>>()?,
            None => Vec::new(),
        };
        let named = required.iter().all(|name| members.iter().any(|member| member.name == *name));
        (named && members.len() <= MOST_MEMBERS).then_some(Self { members, open })
    }

    /// Whether JSON text surely fits. False says nothing: then the whole schema decides, and says what is wrong.
    pub(super) fn fits(&self, text: &str) -> bool {
        let (mut fits, mut seen) = (true, 0_u64);
        let whole = json::for_each_member(text, |name, value| {
            match self.members.iter().position(|member| member.name == name) {
                Some(place) => {
                    let bit = 1 << place;
                    fits &= seen & bit == 0 && self.members.get(place).is_some_and(|member| member.fits(value.get()));
                    seen |= bit;
                }
                None => fits &= self.open,
            }
        });
        let missing = |(place, member): (usize, &Member)| member.required && seen & 1 << place == 0;
        whole && fits && !self.members.iter().enumerate().any(missing)
    }
}

impl Member {
    fn of((name, schema): (&String, &Value), required: &[&str]) -> Option<Self> {
        let schema = schema.as_object()?;
        let known = |key: &str| matches!(key, "type" | "minimum" | "maximum");
        if !schema.keys().all(|key| known(key) || says_nothing(key)) {
            return None;
        }
        let (kind, null) = match schema.get("type")? {
            Value::String(kind) => (kind.as_str(), false),
            Value::Array(kinds) => match kinds.as_slice() {
                [Value::String(kind), Value::String(null)] if null == "null" => (kind.as_str(), true),
                _ => return None,
            },
            _ => return None,
        };
        let bounded = schema.contains_key("minimum") || schema.contains_key("maximum");
        let kind = match kind {
            "integer" => Kind::Integer(bound(schema, "minimum", i64::MIN)?, bound(schema, "maximum", i64::MAX)?),
            _ if bounded => return None,
            "string" => Kind::Text,
            "boolean" => Kind::Truth,
            "number" => Kind::Number,
            _ => return None,
        };
        Some(Self { name: name.clone(), required: required.contains(&name.as_str()), null, kind })
    }

    fn fits(&self, value: &str) -> bool {
        if value == "null" {
            return self.null;
        }
        match (self.kind, value.as_bytes()) {
            (Kind::Text, [b'"', ..]) | (Kind::Truth, [b't' | b'f', ..]) => true,
            // One that is too large for a number of ours is for the long way.
            (Kind::Number, [b'-' | b'0'..=b'9', ..]) => value.parse::<f64>().is_ok_and(f64::is_finite),
            (Kind::Integer(least, most), _) => value.parse::<i64>().is_ok_and(|value| (least..=most).contains(&value)),
            _ => false,
        }
    }
}

/// A bound of a whole number. `None` if it is no whole number itself.
fn bound(schema: &Map<String, Value>, key: &str, otherwise: i64) -> Option<i64> {
    schema.get(key).map_or(Some(otherwise), |bound| {
        // A largest value beyond 63 bits does not narrow what is looked at here.
        bound.as_i64().or_else(|| bound.as_u64().filter(|_| key == "maximum").map(|_| i64::MAX))
    })
}

/// Keywords that explain and allow everything.
fn says_nothing(key: &str) -> bool {
    matches!(key, "title" | "description" | "default" | "format" | "examples" | "deprecated") || key.starts_with("x-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flat() -> Flat {
        let schema = json!({ "type": "object", "description": "Arguments", "properties": {
            "text": { "type": "string", "description": "Any" }, "n": { "type": "integer", "minimum": 0, "maximum": 255, "format": "uint8" },
            "real": { "type": ["number", "null"] }, "yes": { "type": "boolean", "default": true }, "big": { "type": "integer" },
        }, "required": ["text"] });
        Flat::of(&schema).expect("it is flat")
    }

    #[test]
    fn what_fits_is_seen_from_its_text() {
        for text in [
            r#"{"text":"a"}"#,
            r#" { "te\u0078t" : "a\"{" , "n" : 0, "yes": false, "big": -9223372036854775808 } "#,
            r#"{"text":"","real":null,"other":{"text":5}}"#,
            r#"{"text":"","real":-1.5e3}"#,
        ] {
            assert!(flat().fits(text), "{text}");
        }
    }

    #[test]
    fn what_is_not_sure_is_left_to_the_whole_schema() {
        for text in [
            "{}",
            "[]",
            r#"{"text":5}"#,
            r#"{"text":null}"#,
            r#"{"text":"","text":""}"#,
            r#"{"text":"","n":256}"#,
            r#"{"text":"","n":1.0}"#,
            r#"{"text":"","n":"1"}"#,
            r#"{"text":"","real":1e400}"#,
            r#"{"text":"","real":"1"}"#,
            r#"{"text":"","yes":1}"#,
            r#"{"text":"","big":9223372036854775808}"#,
        ] {
            assert!(!flat().fits(text), "{text}");
        }
    }

    #[test]
    fn only_schemas_of_the_simplest_kind_are_flat() {
        let with = |property: Value| json!({ "type": "object", "properties": { "a": property } });
        for schema in [
            json!(true),
            json!({}),
            json!({ "type": "object", "minProperties": 1 }),
            json!({ "type": "object", "required": ["b"] }),
            json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            json!({ "type": "object", "$ref": "#" }),
            json!({ "type": "object", "$schema": "http://json-schema.org/draft-07/schema#" }),
            with(json!(true)),
            with(json!({})),
            with(json!({ "type": "object" })),
            with(json!({ "type": "string", "minLength": 1 })),
            with(json!({ "type": "string", "enum": ["a"] })),
            with(json!({ "type": "string", "minimum": 1 })),
            with(json!({ "type": "number", "minimum": 1 })),
            with(json!({ "type": "integer", "minimum": 0.5 })),
            with(json!({ "type": ["string", "integer"] })),
        ] {
            assert!(Flat::of(&schema).is_none(), "{schema}");
        }
        let closed = Flat::of(&json!({ "type": "object", "additionalProperties": false })).expect("it is flat");
        assert!(closed.fits("{}") && !closed.fits(r#"{"a":1}"#));
        let anything = Flat::of(&json!({ "type": "object" })).expect("it is flat");
        assert!(anything.fits(r#"{"a":[1,{"b":{}}]}"#) && !anything.fits("5"));
        let wide = Flat::of(&with(json!({ "type": "integer", "maximum": u64::MAX }))).expect("it is flat");
        assert!(wide.fits(r#"{"a":9223372036854775807}"#) && !wide.fits(r#"{"a":9223372036854775808}"#));
    }
}

//! What is checked of the arguments of a tool: any text, against schemas of ours and any schema; and the trace of a request.

use crate::mcp::conform::Conformity;
use crate::mcp::outline::Outline;
use crate::mcp::trace::{Baggage, TraceContext};
use crate::protocol::exact::{self, Flaw};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// A schema of the simplest kind, and one that contains itself by several ways.
static SCHEMAS: LazyLock<[Conformity; 2]> = LazyLock::new(|| {
    let flat = json!({ "type": "object", "properties": {
        "t": { "type": "string" }, "n": { "type": ["integer", "null"], "minimum": -5, "maximum": 300 }, "r": { "type": "number" },
        "b": { "type": "boolean" },
    }, "required": ["t"], "additionalProperties": false });
    let tree = json!({ "type": "object", "properties": { "t": { "$ref": "#/$defs/t" } }, "$defs": { "t": { "anyOf": [
        { "type": "object", "properties": { "l": { "$ref": "#/$defs/t" }, "k": { "const": "a" } }, "required": ["l", "k"] },
        { "type": "object", "properties": { "l": { "$ref": "#/$defs/t" }, "k": { "enum": ["b", "c"] } }, "required": ["l", "k"] },
        { "type": "array", "items": { "$ref": "#/$defs/t" }, "uniqueItems": true }, { "type": "string", "pattern": "^(a|b)*$" },
    ] } } });
    [flat, tree].map(|schema| made(schema).expect("a good schema"))
});

fn made(schema: Value) -> Result<Conformity, String> {
    let outline = Outline::of(&schema, "inputSchema")?;
    Conformity::new(schema, outline, "inputSchema")
}

pub(super) fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, "{}"));
    match kind % 3 {
        0 => trace(first, second),
        1 => SCHEMAS.iter().for_each(|schema| checked(schema, text)),
        _ => {
            // As deep as a message may be, and as large as an author's patience.
            let Ok(schema) = serde_json::from_str::<Value>(first) else { return };
            if first.len() <= 4_096
                && let Ok(schema) = made(schema)
            {
                checked(&schema, second);
            }
        }
    }
}

/// A check is a yes or a no that says why, in bounds; and names that come twice are always found.
fn checked(schema: &Conformity, text: &str) {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let once = exact::look(text, false);
    match &once {
        Ok(facts) => assert!(facts.values > members(&value) && facts.depth <= text.len()),
        Err(Flaw::Twice(place)) => assert!(value.pointer(place).is_some(), "{place} is not there"),
        Err(flaw) => panic!("{flaw:?} was not asked for"),
    }
    if let Ok(facts) = once
        && let Err(faults) = schema.check(&value, facts)
    {
        let said = faults.to_string();
        assert!(said.len() < 16_000 && !said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
    }
    #[cfg(feature = "validation")]
    schema.assert_quick_way_is_right(text, &value);
}

fn members(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(|element| 1 + members(element)).sum(),
        Value::Object(object) => object.values().map(|value| 1 + members(value)).sum(),
        _ => 0,
    }
}

/// What is handed on is harmless, and reads as itself.
fn trace(parent: &str, state: &str) {
    if let Some(trace) = TraceContext::read(parent, Some(state)) {
        assert!(trace.traceparent().len() == 55 && trace.trace_id().len() == 32 && trace.parent_id().len() == 16);
        assert_eq!(TraceContext::read(trace.traceparent(), trace.tracestate()), Some(trace.clone()));
        let all = [Some(trace.traceparent()), trace.tracestate()];
        assert!(all.into_iter().flatten().all(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))));
    }
    if let Some(baggage) = Baggage::read(parent) {
        assert!(baggage.iter().count() > 0 && !baggage.as_str().contains(['\r', '\n']));
        assert!(baggage.iter().all(|(name, _)| baggage.get(name).is_some()));
    }
}

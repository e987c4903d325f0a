//! The small readers of what peers send: chunked bodies, addresses of templates, sealed states, headers that repeat arguments, ids of events.

use crate::http::chunked::{ChunkReader, Chunks};
use crate::http::head::Head;
use crate::http::reader::HeadLimits;
use crate::mcp::http::event_id::EventId;
use crate::mcp::http::headers::{Mirrored, check_params};
use crate::protocol::sealed::{Binding, Keys, State};
use crate::protocol::uri_template::UriTemplate;
use serde_json::Value;

pub(super) fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 5 {
        0 => chunked(rest),
        1 => template(rest),
        2 => sealed(rest),
        3 => mirrored(rest),
        _ => event_id(rest),
    }
}

/// However the bytes are cut, the body is the same, and no longer than what came.
fn chunked(bytes: &[u8]) {
    let read = |size: usize| {
        let (mut reader, mut body, mut used) = (ChunkReader::new(), Vec::new(), 0);
        for piece in bytes.chunks(size) {
            match reader.push(piece, &mut body) {
                Ok(Chunks::More) => used += piece.len(),
                Ok(Chunks::Done(last)) => return (body, Ok(used + last)),
                Err(error) => {
                    assert!(reader.push(b"0\r\n\r\n", &mut Vec::new()).is_err(), "an error is for good");
                    return (Vec::new(), Err(Some(error.status)));
                }
            }
        }
        (body, Err(None))
    };
    let whole = read(bytes.len().max(1));
    for size in [1, 2, 7] {
        assert_eq!(read(size), whole, "cut into pieces of {size}");
    }
    assert!(whole.0.len() <= bytes.len());
    if let Ok(used) = whole.1 {
        assert!(used <= bytes.len() && bytes[..used].ends_with(b"\r\n\r\n"));
    }
}

/// A match has every variable once, none of them empty, and is found again in the address that it came from.
fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (template, uri) = text.split_once('\n').unwrap_or((text, "note://7"));
    let Ok(template) = UriTemplate::parse(template) else { return };
    let Some(found) = template.matches(uri) else { return };
    let names: Vec<_> = template.variables().collect();
    assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    assert!(found.iter().all(|(_, value)| !value.is_empty() && value.len() <= uri.len()));
    let json: Value = serde_json::from_str(&crate::mcp::resource::variables(&found)).expect("JSON");
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(names.len()));
}

/// Nothing opens but what was sealed, and that for its own request only.
fn sealed(bytes: &[u8]) {
    let keys = Keys::new(vec![vec![1; 32]]);
    let binding = Binding::new(Some("a"), "tools/call", Some("t"), &Value::Null);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(keys.open(text, binding, 0).is_err(), "a forged state is opened");
    let state = State { flow: text.chars().take(64).collect(), round: 1, expires: 10, ..State::default() };
    let seal = keys.seal(&state, binding).expect("a small state");
    let opened = keys.open(&seal, binding, 0).expect("it is as it was");
    assert_eq!(opened.state.flow, state.flow);
    let other = Binding::new(Some(text), "tools/call", Some("t"), &Value::Null);
    assert!(text == "a" || keys.open(&seal, other, 0).is_err());
    let arguments: Value = serde_json::from_str(text).unwrap_or(Value::Bool(true));
    let other = Binding::new(Some("a"), "tools/call", Some("t"), &arguments);
    assert!(arguments.is_null() || keys.open(&seal, other, 0).is_err());
}

/// Any header beside any arguments is a yes or a no.
fn mirrored(bytes: &[u8]) {
    let schema = serde_json::json!({ "properties": {
        "a": { "type": "string", "x-mcp-header": "A" },
        "b": { "type": "object", "properties": { "c": { "type": "integer", "x-mcp-header": "C" } } },
    } });
    let mirrored = Mirrored::of_schema(&schema).expect("a good schema");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (header, arguments) = text.split_once('\n').unwrap_or((text, "{}"));
    if let Ok(schema) = serde_json::from_str(arguments) {
        let _ = Mirrored::of_schema(&schema);
    }
    let head =
        format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Param-A: {header}\r\nMcp-Param-C: {header}\r\n\r\n");
    let Ok(Some((head, _))) = Head::parse(head.as_bytes(), HeadLimits::default()) else { return };
    let agrees = check_params(&head, &mirrored, Some(arguments)).is_ok();
    let given: Value = serde_json::from_str(arguments).unwrap_or_default();
    if let (true, Some(said)) = (agrees, given["a"].as_str()) {
        let plain = header.trim_matches([' ', '\t']);
        assert!(plain == said || plain.starts_with("=?base64?"), "{header:?} is not {said:?}");
    }
}

/// A text is the id of one event, spelled as the server spells it, or of none.
fn event_id(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match EventId::parse(text) {
        Some(id) => assert_eq!(id.to_string(), text),
        None => assert!(!is_plain(text)),
    }
}

/// Whether it is what the server could have written.
fn is_plain(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let hex = |part: &&str| part.len() == 8 && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let number = |part: &&str| part.parse::<u64>().is_ok_and(|number| number.to_string() == **part);
    matches!(&parts[..], [tag, stream, event] if hex(tag) && number(stream) && number(event))
}

//! What has to hold for any text at all. Mutated messages go through it in a test, a fuzzer's through
//! `crate::fuzzing`.

use crate::protocol::classify::{InitializeParams, classify_notification, classify_request};
use crate::protocol::cursor::{decode_cursor, encode_cursor};
use crate::protocol::encode::{write_error, write_response};
use crate::protocol::envelope::{Incoming, Malformed, ParseLimits, Request, parse, parse_single};
use crate::protocol::params::raw_params;
use crate::protocol::revision::Revision;
use crate::protocol::subscribe::ListenFilter;

/// Reads the text as a message on a connection with that session: nothing panics, every answer is well formed, and no wrong
/// kind of message is answered.
pub(crate) fn exercise(text: &str, session: Option<Revision>) {
    let valid = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    let parsed = parse(text, &ParseLimits { max_depth: 16, max_nodes: 2_000, max_string: 20_000 });
    match &parsed {
        Ok(_) => assert!(valid, "accepted what is not JSON: {text}"),
        Err(malformed) if malformed.error.code == -32700 => {
            assert!(malformed.id.is_none() && malformed.answer)
        }
        Err(_) => assert!(valid, "not reported as a parse error: {text}"),
    }
    match parsed {
        Ok(Incoming::Batch(entries)) => {
            assert!(!entries.is_empty());
            for entry in entries {
                match parse_single(entry.get()) {
                    Ok(Incoming::Batch(_)) => panic!("a batch within a batch: {text}"),
                    Ok(incoming) => serve(text, incoming, session),
                    Err(malformed) => answer(&malformed),
                }
            }
        }
        Ok(incoming) => serve(text, incoming, session),
        Err(malformed) => answer(&malformed),
    }
    let _ = raw_params(text);
}

fn serve(text: &str, incoming: Incoming<'_>, session: Option<Revision>) {
    match incoming {
        Incoming::Request(request) => {
            let _ = classify_request(&request, session);
            let _ = InitializeParams::parse(&request.params);
            listen(&request);
            let _ = request.params.cursor.as_deref().map(cursor);
            let _ = (request.params.progress_token(), request.params.cancelled_id());
            let mut out = Vec::new();
            write_response(&mut out, &request.id, |out| out.extend_from_slice(b"{}"));
            let echo: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(echo["id"], serde_json::to_value(&request.id).unwrap(), "{text}");
            assert!(!request.id.to_string().chars().any(char::is_control));
        }
        Incoming::Notification(notification) => {
            let _ = classify_notification(&notification, session);
        }
        Incoming::Response(_) | Incoming::Batch(_) => {}
    }
}

fn answer(malformed: &Malformed) {
    let mut out = Vec::new();
    write_error(&mut out, malformed.id.as_ref(), &malformed.error, None);
    serde_json::from_slice::<serde_json::Value>(&out).unwrap();
    assert!(malformed.error.message.chars().count() < 300 && !malformed.error.message.chars().any(char::is_control));
}

/// A filter that was understood is written so that it is understood as the same.
fn listen(request: &Request<'_>) {
    if let Ok(filter) = ListenFilter::parse(request.params.notifications) {
        let written = serde_json::value::to_raw_value(&filter).unwrap();
        assert_eq!(ListenFilter::parse(Some(&written)).unwrap(), filter);
    }
}

/// Reads a cursor. There is one way to write each: what is accepted is what would have been given out.
pub(crate) fn cursor(text: &str) {
    match decode_cursor(text) {
        Ok(key) if text.is_empty() => assert_eq!(key, ""),
        Ok(key) => assert_eq!(encode_cursor(&key), text),
        Err(error) => assert_eq!(error.code, -32602),
    }
}

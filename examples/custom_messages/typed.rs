//! Messages with a type and a payload.

use mcp_blocking::serde_json::{self, json, value::RawValue};
use mcp_blocking::{ClosedBy, Message, Peer, Service};
use serde::Deserialize;
use std::borrow::Cow;

pub struct TypedMessages;

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl Service for TypedMessages {
    type Session = ();

    fn open(&self, _peer: &Peer) -> Result<(), ClosedBy> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Peer, message: Message) {
        let answer = match &message {
            Message::Text(text) => match serde_json::from_str::<Typed<'_>>(text) {
                Ok(typed) => serve(peer, &typed),
                Err(error) => Some(complaint(&format!("not a message of the form {{\"type\", \"payload\"}}: {error}"))),
            },
            Message::Binary(_) => Some(complaint("messages are text")),
        };
        if let Some(answer) = answer {
            // A peer that has gone, or does not read, is the listener's business.
            let _ = peer.send(answer);
        }
    }
}

fn serve(peer: &Peer, typed: &Typed<'_>) -> Option<String> {
    let message = || {
        let payload = typed.payload.map_or("null", RawValue::get);
        format!(r#"{{"type":{},"payload":{payload}}}"#, json!(typed.kind))
    };
    match &*typed.kind {
        "echo" => Some(message()),
        "broadcast" => {
            peer.everybody().broadcast(message());
            None
        }
        other => Some(complaint(&format!("unknown type {other:?}; there are \"echo\" and \"broadcast\""))),
    }
}

fn complaint(message: &str) -> String {
    json!({ "type": "error", "payload": { "message": message } }).to_string()
}

//! What a test's client says when it is asked.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An answer, as a test gives it.
pub(super) enum Given {
    /// What the handler wants to know.
    Value(Value),
    /// What else a user can do with a question.
    Action(&'static str),
}

/// The answers by the keys of their questions.
#[derive(Default)]
pub(super) struct Answers(BTreeMap<String, Given>);

impl Answers {
    pub(super) fn add(&mut self, key: String, given: Given) {
        self.0.insert(key, given);
    }

    /// The result of a request of the server, if there is an answer for it.
    pub(super) fn result(&self, key: Option<&str>, method: &str, params: &Value) -> Option<Value> {
        let message = params.get("message").and_then(Value::as_str);
        let given = [key, message, Some(method)].into_iter().flatten().find_map(|name| self.0.get(name))?;
        match (method, given) {
            ("elicitation/create", Given::Action(action)) => Some(json!({ "action": action })),
            // Only forms and pages can be declined.
            (_, Given::Action(_)) => None,
            ("elicitation/create", Given::Value(_)) if params.get("mode").is_some_and(|mode| mode == "url") => {
                Some(json!({ "action": "accept" }))
            }
            ("elicitation/create", Given::Value(fields)) => Some(json!({ "action": "accept", "content": fields })),
            ("sampling/createMessage", Given::Value(Value::String(text))) => Some(json!({
                "role": "assistant", "content": { "type": "text", "text": text },
                "model": "in-memory", "stopReason": "endTurn",
            })),
            ("roots/list", Given::Value(roots @ Value::Array(_))) => Some(json!({ "roots": roots })),
            (_, Given::Value(result)) => Some(result.clone()),
        }
    }
}

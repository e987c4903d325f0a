//! Is a message of the server valid by the protocol's own schema?

use jsonschema::Validator;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;

/// The schema of one revision.
pub struct Schema {
    whole: Value,
    definitions: &'static str,
    /// Those that were made so far: making one takes longer than all that is done with it.
    validators: RefCell<HashMap<String, Validator>>,
}

impl Schema {
    pub fn of(revision: &str) -> Self {
        let path = format!("{}/tests/schemas/{revision}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a schema");
        let whole: Value = serde_json::from_str(&text).expect("JSON");
        let definitions = if whole.get("$defs").is_some() { "$defs" } else { "definitions" };
        Self { whole, definitions, validators: RefCell::default() }
    }

    /// Panics unless the value is what the definition says.
    #[track_caller]
    pub fn check(&self, definition: &str, value: &Value) {
        let mut validators = self.validators.borrow_mut();
        let validator = validators.entry(definition.to_owned()).or_insert_with(|| self.validator(definition));
        let problems: Vec<_> =
            validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(problems.is_empty(), "not a {definition}: {problems:?}\n{value:#}");
    }

    fn validator(&self, definition: &str) -> Validator {
        assert!(self.whole[self.definitions].get(definition).is_some(), "no definition of {definition}");
        let mut schema = self.whole.clone();
        schema["$ref"] = json!(format!("#/{}/{definition}", self.definitions));
        jsonschema::validator_for(&schema).expect("a valid schema")
    }

    /// Checks a whole message of the server; `method` is that of the request it answers, if it answers one.
    #[track_caller]
    pub fn check_message(&self, message: &Value, method: Option<&str>) {
        let mut message = message.clone();
        if message.get("id").is_some_and(Value::is_null) && message.get("error").is_some() {
            // JSON-RPC 2.0 wants null here and the older schemas want an id that nobody knows: null it is.
            message["id"] = json!(0);
        }
        self.check("JSONRPCMessage", &message);
        if let Some(notification) = message["method"].as_str() {
            self.check(notification_definition(notification), &message);
        } else if let (Some(result), Some(method)) = (message.get("result"), method) {
            self.check(result_definition(method), result);
        }
    }
}

fn result_definition(method: &str) -> &'static str {
    match method {
        "initialize" => "InitializeResult",
        "ping" | "logging/setLevel" => "EmptyResult",
        "tools/list" => "ListToolsResult",
        "tools/call" => "CallToolResult",
        "server/discover" => "DiscoverResult",
        "resources/list" => "ListResourcesResult",
        "resources/templates/list" => "ListResourceTemplatesResult",
        "resources/read" => "ReadResourceResult",
        "resources/subscribe" | "resources/unsubscribe" => "EmptyResult",
        "prompts/list" => "ListPromptsResult",
        "prompts/get" => "GetPromptResult",
        "completion/complete" => "CompleteResult",
        "subscriptions/listen" => "SubscriptionsListenResult",
        "tasks/get" => "GetTaskResult",
        "tasks/result" => "GetTaskPayloadResult",
        "tasks/list" => "ListTasksResult",
        "tasks/cancel" => "CancelTaskResult",
        other => panic!("which result has {other}?"),
    }
}

fn notification_definition(method: &str) -> &'static str {
    match method {
        "notifications/cancelled" => "CancelledNotification",
        "notifications/message" => "LoggingMessageNotification",
        "notifications/progress" => "ProgressNotification",
        "notifications/subscriptions/acknowledged" => "SubscriptionsAcknowledgedNotification",
        "notifications/tools/list_changed" => "ToolListChangedNotification",
        "notifications/prompts/list_changed" => "PromptListChangedNotification",
        "notifications/resources/list_changed" => "ResourceListChangedNotification",
        "notifications/resources/updated" => "ResourceUpdatedNotification",
        "notifications/tasks/status" => "TaskStatusNotification",
        other => panic!("which notification is {other}?"),
    }
}

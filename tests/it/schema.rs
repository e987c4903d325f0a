//! Is a message of the server valid by the protocol's own schema, and does it hold nothing that its revision does not know?

use crate::peer::ALL;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The schema of one revision.
///
/// It is taken more strictly than it is written: an object has the members that are named and no others, unless the schema
/// says that there may be more. So a member of a newer revision is not passed over.
pub struct Schema {
    revision: &'static str,
    definitions: &'static str,
    whole: Value,
    /// Those that were made so far: making one takes longer than all that is done with it.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// Those of the revisions, and that of the tasks extension.
static SCHEMAS: LazyLock<Vec<Schema>> =
    LazyLock::new(|| ALL.into_iter().chain(["ext-tasks"]).map(Schema::read).collect());

impl Schema {
    /// The same for all tests.
    pub fn of(revision: &str) -> &'static Self {
        SCHEMAS.iter().find(|schema| schema.revision == revision).expect("a published revision")
    }

    fn read(revision: &'static str) -> Self {
        let path = format!("{}/tests/schemas/{revision}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a schema");
        let mut whole: Value = serde_json::from_str(&text).expect("JSON");
        let definitions = if whole.get("$defs").is_some() { "$defs" } else { "definitions" };
        // That of the extension puts its objects together from parts of which each says what it says, and leaves the rest open.
        if !ALL.contains(&revision) {
            return Self { revision, definitions, whole, validators: Mutex::default() };
        }
        let mut named = whole[definitions].take();
        let open = named.clone();
        for (name, definition) in named.as_object_mut().expect("definitions") {
            if !name.ends_with("MetaObject") {
                close(definition, &open);
            }
        }
        // The others are extensions of it.
        named["EmptyResult"] = named["Result"].clone();
        named["EmptyResult"]["additionalProperties"] = json!(false);
        whole[definitions] = named;
        Self { revision, definitions, whole, validators: Mutex::default() }
    }

    /// Panics unless the value is what the definition says.
    #[track_caller]
    pub fn check(&self, definition: &str, value: &Value) {
        let validator = self.validator(definition);
        let problems: Vec<_> =
            validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(problems.is_empty(), "{}: not a {definition}: {problems:?}\n{value:#}", self.revision);
    }

    fn validator(&self, definition: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            assert!(self.whole[self.definitions].get(definition).is_some(), "no definition of {definition}");
            let mut schema = self.whole.clone();
            schema["$ref"] = json!(format!("#/{}/{definition}", self.definitions));
            Arc::new(jsonschema::validator_for(&schema).expect("a valid schema"))
        };
        validators.entry(definition.to_owned()).or_insert_with(make).clone()
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
        if let Some(method) = message["method"].as_str() {
            self.check(sent_definition(method), &message);
        } else if let (Some(result), Some(method)) = (message.get("result"), method) {
            let asks = result["resultType"] == "input_required";
            self.check(if asks { "InputRequiredResult" } else { result_definition(method) }, result);
        }
    }
}

/// Allows no other members than those that are named, all the way down.
fn close(schema: &mut Value, definitions: &Value) {
    match schema {
        Value::Object(object) => {
            if let Some(parts) = object.remove("allOf") {
                merge(object, &parts, definitions);
            }
            let names = object.get("properties").and_then(Value::as_object).map(|all| all.contains_key("method"));
            if names.is_some() && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".into(), json!(false));
            }
            if names == Some(true) {
                // Left to the envelope by the older schemas.
                for member in ["jsonrpc", "id"] {
                    object["properties"].as_object_mut().expect("an object").entry(member).or_insert(json!(true));
                }
            }
            for (name, inner) in object.iter_mut() {
                // A tool's schemas are the author's, and `_meta` is everybody's.
                if !["inputSchema", "outputSchema", "_meta"].contains(&name.as_str()) {
                    close(inner, definitions);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| close(item, definitions)),
        _ => {}
    }
}

/// One object of all its parts: each of them alone would not allow what the others have.
fn merge(object: &mut Map<String, Value>, parts: &Value, definitions: &Value) {
    for part in parts.as_array().into_iter().flatten() {
        let named = part["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        let part = named.map_or(part, |name| &definitions[name]);
        for (name, inner) in part["properties"].as_object().into_iter().flatten() {
            let properties = object.entry("properties").or_insert_with(|| json!({}));
            properties[name] = inner.clone();
        }
        let required = object.entry("required").or_insert_with(|| json!([])).as_array_mut().expect("a list");
        for name in part["required"].as_array().into_iter().flatten() {
            if !required.contains(name) {
                required.push(name.clone());
            }
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
        // An author's own.
        _ => "Result",
    }
}

/// What a request or a notification of the server has to be.
fn sent_definition(method: &str) -> &'static str {
    match method {
        "sampling/createMessage" => "CreateMessageRequest",
        "roots/list" => "ListRootsRequest",
        "elicitation/create" => "ElicitRequest",
        "notifications/cancelled" => "CancelledNotification",
        "notifications/message" => "LoggingMessageNotification",
        "notifications/progress" => "ProgressNotification",
        "notifications/subscriptions/acknowledged" => "SubscriptionsAcknowledgedNotification",
        "notifications/tools/list_changed" => "ToolListChangedNotification",
        "notifications/prompts/list_changed" => "PromptListChangedNotification",
        "notifications/resources/list_changed" => "ResourceListChangedNotification",
        "notifications/resources/updated" => "ResourceUpdatedNotification",
        "notifications/tasks/status" => "TaskStatusNotification",
        other if other.starts_with("notifications/") => panic!("which notification is {other}?"),
        _ => "JSONRPCNotification",
    }
}

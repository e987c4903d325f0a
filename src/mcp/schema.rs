//! JSON Schemas of handler arguments and results, in the form that hosts and models take best.

use super::prompt;
use crate::protocol::form;
use crate::protocol::prompt::PromptArgument;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The schema of a tool's arguments. An error says why it cannot be one.
pub(crate) fn of_input<T: JsonSchema>() -> Result<Box<RawValue>, String> {
    let schema = generate::<T>(true);
    match schema.get("type") {
        Some(Value::String(kind)) if kind == "object" => raw(&schema),
        Some(kind) => {
            Err(format!("its arguments are {kind}, but have to be an object: use a struct with named fields"))
        }
        // An enum with tagged variants gives `oneOf` alone, and the protocol wants the word.
        None if ["oneOf", "anyOf", "allOf", "properties"].iter().any(|key| schema.get(key).is_some()) => {
            let mut object = Map::new();
            object.insert("type".into(), "object".into());
            if let Value::Object(members) = schema {
                object.extend(members);
            }
            raw(&Value::Object(object))
        }
        None => Err("its arguments have no schema of an object: use a struct with named fields".into()),
    }
}

/// The schema of a tool's structured result.
pub(crate) fn of_output<T: JsonSchema>() -> Result<Box<RawValue>, String> {
    raw(&generate::<T>(false))
}

/// The schema of a form for the user.
pub(crate) fn of_form<T: JsonSchema>() -> Result<Value, String> {
    form::of_schema(&generate::<T>(true))
}

/// The arguments of a prompt.
pub(crate) fn of_prompt<T: JsonSchema>() -> Result<Vec<PromptArgument>, String> {
    prompt::arguments_of(&generate::<T>(true))
}

fn raw(schema: &Value) -> Result<Box<RawValue>, String> {
    serde_json::value::to_raw_value(schema).map_err(|error| format!("its schema cannot be written: {error}"))
}

fn generate<T: JsonSchema>(input: bool) -> Value {
    let mut settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    if !input {
        settings = settings.for_serialize();
    }
    let schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    let mut value = schema.to_value();
    if let Value::Object(object) = &mut value {
        // The name of a Rust type tells a model nothing.
        object.remove("title");
    }
    tidy(&mut value, input);
    value
}

/// Removes what hosts stumble over and what says nothing: `null` beside a type of an optional member, and formats that
/// are names of Rust's number types.
fn tidy(value: &mut Value, input: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| tidy(item, input)),
        Value::Object(object) => {
            if let Some(Value::String(format)) = object.get("format")
                && matches!(
                    format.as_str(),
                    "uint"
                        | "uint8"
                        | "uint16"
                        | "uint32"
                        | "uint64"
                        | "uint128"
                        | "int"
                        | "int8"
                        | "int16"
                        | "int32"
                        | "int64"
                        | "int128"
                        | "float"
                        | "double"
                )
            {
                object.remove("format");
            }
            if input {
                optional_without_null(object);
            }
            object.values_mut().for_each(|value| tidy(value, input));
        }
        _ => {}
    }
}

/// In arguments, a member that may be left out need not allow `null` as well.
fn optional_without_null(object: &mut Map<String, Value>) {
    let required: Vec<String> = match object.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    for (name, property) in properties {
        let Value::Object(property) = property else { continue };
        if required.contains(name) {
            continue;
        }
        if let Some(Value::Array(kinds)) = property.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = kinds.as_slice() {
                let only = only.clone();
                property.insert("type".into(), only);
            }
        }
        if let Some(Value::Array(values)) = property.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        if let Some(Value::Array(choices)) = property.get_mut("anyOf") {
            choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                property.remove("anyOf");
                for (key, value) in only {
                    property.entry(key).or_insert(value);
                }
            }
        }
        if property.get("default").is_some_and(Value::is_null) {
            property.remove("default");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Search {
        /// What to look for.
        query: String,
        limit: Option<u32>,
        #[serde(default)]
        order: Option<Order>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    enum Order {
        Newest,
        Oldest,
    }

    fn parsed(schema: Result<Box<RawValue>, String>) -> Value {
        serde_json::from_str(schema.unwrap().get()).unwrap()
    }

    #[test]
    fn a_schema_is_plain() {
        let schema = parsed(of_input::<Search>());
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "query": { "type": "string", "description": "What to look for." },
                    "limit": { "type": "integer", "minimum": 0 },
                    "order": { "type": "string", "enum": ["Newest", "Oldest"] },
                },
                "required": ["query"],
            })
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(of_input::<String>().unwrap_err().contains("object"));
        assert!(of_input::<()>().is_err());
        assert!(of_input::<Vec<u8>>().is_err());
    }
}

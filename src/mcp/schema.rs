//! JSON Schemas of handler arguments and results, in the form that hosts and models take best.

use super::keywords;
use super::prompt;
use crate::protocol::form;
use crate::protocol::prompt::PromptArgument;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The schema of a tool's arguments.
#[derive(Debug)]
pub(crate) struct Input {
    /// As clients see it.
    pub(crate) shown: Value,
    /// As arguments are checked: what may be left out may also be `null`, which many clients send for it.
    pub(crate) checked: Value,
}

/// The schema of a tool's arguments. An error says why it cannot be one.
pub(crate) fn of_input<T: JsonSchema>() -> Result<Input, String> {
    let checked = as_object(generate::<T>(true))?;
    Ok(Input { shown: shown(checked.clone()), checked })
}

fn shown(mut schema: Value) -> Value {
    keywords::for_each_mut(&mut schema, &mut optional_without_null);
    schema
}

/// Arguments are an object, and the protocol wants the word.
fn as_object(schema: Value) -> Result<Value, String> {
    match schema.get("type") {
        Some(Value::String(kind)) if kind == "object" => Ok(schema),
        Some(kind) => {
            Err(format!("its arguments are {kind}, but have to be an object: use a struct with named fields"))
        }
        // An enum with tagged variants gives `oneOf` alone.
        None if ["oneOf", "anyOf", "allOf", "properties"].iter().any(|key| schema.get(key).is_some()) => {
            let mut object = Map::new();
            object.insert("type".into(), "object".into());
            if let Value::Object(members) = schema {
                object.extend(members);
            }
            Ok(Value::Object(object))
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
    form::of_schema(&shown(generate::<T>(true)))
}

/// The arguments of a prompt.
pub(crate) fn of_prompt<T: JsonSchema>() -> Result<Vec<PromptArgument>, String> {
    prompt::arguments_of(&shown(generate::<T>(true)))
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
    keywords::for_each_mut(&mut value, &mut without_rust_formats);
    value
}

/// Removes formats that are names of Rust's number types: hosts stumble over them, and bounds say the same.
fn without_rust_formats(schema: &mut Map<String, Value>) {
    const NUMBERS: [&str; 16] = [
        "uint", "uint8", "uint16", "uint32", "uint64", "uint128", "int", "int8", "int16", "int32", "int64", "int128",
        "float", "double", "f32", "f64",
    ];
    if schema.get("format").and_then(Value::as_str).is_some_and(|format| NUMBERS.contains(&format)) {
        schema.remove("format");
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
    use serde::{Deserialize, Serialize};
    use serde_json::json;
    use std::collections::BTreeMap;

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

    fn shown_of<T: JsonSchema>() -> Value {
        of_input::<T>().unwrap().shown
    }

    fn output_of<T: JsonSchema>() -> Value {
        serde_json::from_str(of_output::<T>().unwrap().get()).unwrap()
    }

    #[test]
    fn a_schema_is_plain() {
        assert_eq!(
            shown_of::<Search>(),
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
    fn arguments_are_checked_by_a_schema_that_takes_null_for_nothing() {
        let checked = of_input::<Search>().unwrap().checked;
        assert_eq!(checked["properties"]["limit"], json!({ "type": ["integer", "null"], "minimum": 0 }));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(of_input::<String>().unwrap_err().contains("object"));
        assert!(of_input::<()>().is_err());
        assert!(of_input::<Vec<u8>>().is_err());
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Item {
        count: u8,
        weight: Option<f32>,
        /// Each may be missing.
        sizes: Vec<Option<i64>>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "camelCase")]
    enum Shape {
        /// Round.
        Circle {
            radius: f64,
        },
        Square {
            side: f64,
            name: Option<String>,
        },
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Change {
        Clear,
        Rename(String),
        Move { to: Option<Item> },
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Everything {
        item: Option<Item>,
        shape: Option<Shape>,
        changes: Vec<Change>,
        by_name: BTreeMap<String, Option<u16>>,
        #[serde(flatten)]
        more: Item,
        anything: Option<Value>,
        #[schemars(extend("x-mcp-header" = "Region"))]
        region: Option<String>,
        /// A default that looks like a schema is none.
        #[serde(default = "odd")]
        odd: Value,
    }

    fn odd() -> Value {
        json!({ "type": ["object", "null"], "format": "uint8" })
    }

    #[test]
    fn nested_types_are_in_their_place_and_say_what_they_are() {
        let schema = shown_of::<Everything>();
        let text = schema.to_string();
        assert!(!text.contains("$ref") && !text.contains("$defs"), "{text}");
        for number in ["uint", "int32", "float", "double"] {
            assert_eq!(
                text.matches(&format!("\"format\":\"{number}")).count(),
                usize::from(number == "uint"),
                "{text}"
            );
        }
        let property = |name: &str| schema["properties"][name].clone();
        let sizes =
            json!({ "type": "array", "items": { "type": ["integer", "null"] }, "description": "Each may be missing." });
        assert_eq!(
            property("item"),
            json!({
                "type": "object",
                "properties": {
                    "count": { "type": "integer", "minimum": 0, "maximum": 255 }, "weight": { "type": "number" }, "sizes": sizes,
                },
                "required": ["count", "sizes"],
            })
        );
        assert_eq!(property("sizes"), sizes);
        assert_eq!(
            property("shape"),
            json!({ "oneOf": [
                { "type": "object", "description": "Round.",
                  "properties": { "kind": { "type": "string", "const": "circle" }, "radius": { "type": "number" } },
                  "required": ["kind", "radius"] },
                { "type": "object",
                  "properties": { "kind": { "type": "string", "const": "square" }, "side": { "type": "number" }, "name": { "type": "string" } },
                  "required": ["kind", "side"] },
            ] })
        );
        assert_eq!(property("changes")["items"]["oneOf"][0], json!({ "type": "string", "enum": ["Clear"] }));
        assert_eq!(
            property("changes")["items"]["oneOf"][2]["properties"]["Move"]["properties"]["to"]["type"],
            "object"
        );
        // Here `null` says something.
        assert_eq!(property("by_name")["additionalProperties"]["type"], json!(["integer", "null"]));
        assert_eq!(
            (property("anything"), property("region")),
            (json!(true), json!({ "type": "string", "x-mcp-header": "Region" }))
        );
        assert_eq!(property("odd")["default"], odd());
        assert_eq!(schema["required"], json!(["changes", "by_name", "count", "sizes"]));
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Tree {
        value: i32,
        left: Option<Box<Tree>>,
        #[serde(default)]
        children: Vec<Tree>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Forest {
        first: Option<Tree>,
        others: Vec<Tree>,
    }

    #[test]
    fn only_types_that_contain_themselves_are_referred_to() {
        let tree = json!({
            "type": "object",
            "properties": {
                "value": { "type": "integer" }, "left": { "$ref": "#" },
                "children": { "type": "array", "items": { "$ref": "#" }, "default": [] },
            },
            "required": ["value"],
        });
        assert_eq!(shown_of::<Tree>(), tree);
        let forest = shown_of::<Forest>();
        assert_eq!(forest["properties"]["first"]["properties"]["left"], json!({ "$ref": "#/$defs/Tree" }));
        assert_eq!(forest["$defs"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn results_say_null_where_it_may_come() {
        let item = output_of::<Item>();
        assert_eq!(item["properties"]["weight"], json!({ "type": ["number", "null"] }));
        assert_eq!(item["required"], json!(["count", "weight", "sizes"]));
        assert_eq!(output_of::<Vec<u64>>(), json!({ "type": "array", "items": { "type": "integer", "minimum": 0 } }));
        assert_eq!(
            output_of::<Tree>()["properties"]["left"],
            json!({ "anyOf": [{ "$ref": "#" }, { "type": "null" }] })
        );
    }

    #[test]
    fn arguments_may_be_an_enum_whose_variants_are_objects() {
        let schema = shown_of::<Shape>();
        assert_eq!((&schema["type"], schema["oneOf"].as_array().map(Vec::len)), (&json!("object"), Some(2)));
    }
}

//! Forms that a user fills in: which JSON Schemas may be sent for one, and does an answer fit? (client/elicitation)
//!
//! A form is a flat object of text, numbers, yes or no, and choices.

use crate::protocol::revision::Revision;
use crate::protocol::show::shown;
use serde_json::{Map, Value, json};

/// Most fields of a form: more than anybody fills in.
const MAX_FIELDS: usize = 64;

/// Turns the schema of a type, or one that an author has written, into the schema of a form.
///
/// # Errors
/// Why it cannot be one, naming the field.
pub(crate) fn of_schema(schema: &Value) -> Result<Value, String> {
    if schema.get("type").is_none_or(|kind| kind != "object") {
        return Err("a form has to be an object: use a struct with named fields".into());
    }
    let empty = Map::new();
    let fields = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    if fields.len() > MAX_FIELDS {
        return Err(format!("a form may have {MAX_FIELDS} fields"));
    }
    let mut properties = Map::new();
    for (name, schema) in fields {
        let field = field(schema).map_err(|what| format!("field `{name}` {what}"))?;
        properties.insert(name.clone(), Value::Object(field));
    }
    let mut form = Map::new();
    form.insert("type".into(), "object".into());
    form.insert("properties".into(), Value::Object(properties));
    if let Some(required) = schema.get("required").filter(|names| names.as_array().is_some_and(|all| !all.is_empty())) {
        form.insert("required".into(), required.clone());
    }
    Ok(Value::Object(form))
}

fn field(schema: &Value) -> Result<Map<String, Value>, String> {
    let mut field = Map::new();
    let mut keep = |keys: &[&str]| {
        for key in keys {
            if let Some(value) = schema.get(*key) {
                field.insert((*key).into(), value.clone());
            }
        }
    };
    keep(&["title", "description", "default"]);
    let kind = schema.get("type").and_then(Value::as_str);
    match kind {
        Some("string") => keep(&["minLength", "maxLength", "enum", "enumNames"]),
        Some("integer" | "number") => keep(&["minimum", "maximum"]),
        Some("boolean") => {}
        Some("array") => {
            keep(&["minItems", "maxItems"]);
            let items = schema.get("items").and_then(choices_of_items);
            let items = items.ok_or("is a list of something else than choices")?;
            field.insert("items".into(), items);
        }
        Some(other) => return Err(format!("is of type {other}, which a form cannot have")),
        // An enum whose variants have descriptions.
        None if schema.get("oneOf").or_else(|| schema.get("const")).is_some() => {}
        None => return Err("has no type that a form can have".into()),
    }
    if let Some(choices) = titled(schema.get("oneOf")) {
        field.insert("type".into(), "string".into());
        field.insert("oneOf".into(), choices);
    } else if let Some(only) = schema.get("const").and_then(Value::as_str) {
        field.insert("type".into(), "string".into());
        field.insert("enum".into(), json!([only]));
    } else if let Some(kind) = kind {
        field.insert("type".into(), kind.into());
    } else {
        return Err("is a choice between something else than texts".into());
    }
    let format = schema.get("format").and_then(Value::as_str);
    if let Some(format @ ("email" | "uri" | "date" | "date-time")) = format {
        field.insert("format".into(), format.into());
    }
    Ok(field)
}

/// Choices with titles: what is not titled is titled by its description, or by itself.
fn titled(choices: Option<&Value>) -> Option<Value> {
    let choices = choices?.as_array()?;
    let mut titled = Vec::with_capacity(choices.len());
    for choice in choices {
        // Variants without a description stand together in one `enum`.
        if let Some(plain) = choice.get("enum").and_then(Value::as_array) {
            titled.extend(plain.iter().map(|value| json!({ "const": value, "title": value })));
            continue;
        }
        let value = choice.get("const")?.as_str()?;
        let title = choice.get("title").or_else(|| choice.get("description")).and_then(Value::as_str).unwrap_or(value);
        titled.push(json!({ "const": value, "title": title }));
    }
    Some(Value::Array(titled))
}

/// The `items` of a list of choices.
fn choices_of_items(items: &Value) -> Option<Value> {
    if let Some(choices) = titled(items.get("anyOf").or_else(|| items.get("oneOf"))) {
        return Some(json!({ "anyOf": choices }));
    }
    let plain =
        items.get("enum").filter(|values| values.as_array().is_some_and(|all| all.iter().all(Value::is_string)))?;
    Some(json!({ "type": "string", "enum": plain }))
}

/// The form as that revision knows it.
///
/// # Errors
/// What it does not know at all.
pub(crate) fn for_revision(form: &Value, revision: Revision) -> Result<Value, String> {
    let mut form = form.clone();
    if revision >= Revision::R2025_11_25 {
        return Ok(form);
    }
    let Some(Value::Object(fields)) = form.get_mut("properties") else { return Ok(form) };
    for (name, field) in fields {
        let Value::Object(field) = field else { continue };
        let kind = field.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind == "array" {
            return Err(format!("field `{name}` is a choice of several, which clients of {revision} do not know"));
        }
        if kind != "boolean" {
            // 2025-06-18 has defaults for yes or no only.
            field.remove("default");
        }
        if let Some(Value::Array(choices)) = field.remove("oneOf") {
            let of = |key: &str| choices.iter().map(|choice| choice.get(key).cloned().unwrap_or_default()).collect();
            field.insert("enum".into(), Value::Array(of("const")));
            field.insert("enumNames".into(), Value::Array(of("title")));
        }
    }
    Ok(form)
}

/// Whether an answer fits its form. Fields that the form does not have are let pass: nobody reads them.
///
/// # Errors
/// What is wrong, naming the field.
pub(crate) fn check(form: &Value, content: &Map<String, Value>) -> Result<(), String> {
    if let Some(Value::Array(required)) = form.get("required") {
        for name in required.iter().filter_map(Value::as_str) {
            if content.get(name).is_none_or(Value::is_null) {
                return Err(format!("`{name}` is missing"));
            }
        }
    }
    let Some(Value::Object(fields)) = form.get("properties") else { return Ok(()) };
    for (name, field) in fields {
        if let Some(value) = content.get(name).filter(|value| !value.is_null()) {
            fits(field, value).map_err(|what| format!("`{}` {what}", shown(name, 64)))?;
        }
    }
    Ok(())
}

fn fits(field: &Value, value: &Value) -> Result<(), String> {
    let number = |key: &str| field.get(key).and_then(Value::as_f64);
    match field.get("type").and_then(Value::as_str) {
        Some("string") => {
            let text = value.as_str().ok_or("has to be a text")?;
            let length = text.chars().count() as f64;
            if number("minLength").is_some_and(|least| length < least) {
                return Err("is too short".into());
            }
            if number("maxLength").is_some_and(|most| length > most) {
                return Err("is too long".into());
            }
            if !among(field, value) {
                return Err("is none of the choices".into());
            }
        }
        Some(kind @ ("integer" | "number")) => {
            let given = value.as_f64().ok_or("has to be a number")?;
            if kind == "integer" && given.fract() != 0.0 {
                return Err("has to be a whole number".into());
            }
            if number("minimum").is_some_and(|least| given < least) {
                return Err("is too small".into());
            }
            if number("maximum").is_some_and(|most| given > most) {
                return Err("is too large".into());
            }
        }
        Some("boolean") if !value.is_boolean() => return Err("has to be true or false".into()),
        Some("array") => {
            let chosen = value.as_array().ok_or("has to be a list")?;
            let items = field.get("items").unwrap_or(&Value::Null);
            if !chosen.iter().all(|one| one.is_string() && among(items, one)) {
                return Err("holds what is none of the choices".into());
            }
            let count = chosen.len() as f64;
            if number("minItems").is_some_and(|least| count < least) {
                return Err("has too few choices".into());
            }
            if number("maxItems").is_some_and(|most| count > most) {
                return Err("has too many choices".into());
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether a value is one of the choices, if there are choices.
fn among(field: &Value, value: &Value) -> bool {
    if let Some(Value::Array(plain)) = field.get("enum") {
        return plain.contains(value);
    }
    match field.get("oneOf").or_else(|| field.get("anyOf")) {
        Some(Value::Array(titled)) => titled.iter().any(|choice| choice.get("const") == Some(value)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Value {
        json!({ "type": "object", "title": "gone", "properties": {
            "text": { "type": "string", "minLength": 2, "maxLength": 4, "pattern": "gone", "default": "ab" },
            "mail": { "type": "string", "format": "email" }, "other": { "type": "string", "format": "hostname" },
            "whole": { "type": "integer", "minimum": 1, "maximum": 5, "default": 2 },
            "real": { "type": "number", "description": "any" },
            "yes": { "type": "boolean", "default": true },
            "plain": { "type": "string", "enum": ["a", "b"] },
            "legacy": { "type": "string", "enum": ["a", "b"], "enumNames": ["A", "B"] },
            "titled": { "oneOf": [{ "const": "a", "description": "The A" }, { "enum": ["b", "c"], "type": "string" }] },
            "several": { "type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": true,
                "items": { "type": "string", "enum": ["a", "b", "c"] } },
            "several_titled": { "type": "array", "items": { "anyOf": [{ "const": "a", "title": "A" }] } },
        }, "required": ["text"] })
    }

    #[test]
    fn a_form_keeps_what_forms_may_have() {
        let form = of_schema(&everything()).unwrap();
        let field = |name: &str| form["properties"][name].clone();
        assert_eq!(field("text"), json!({ "type": "string", "minLength": 2, "maxLength": 4, "default": "ab" }));
        assert_eq!(field("mail"), json!({ "type": "string", "format": "email" }));
        assert_eq!(field("other"), json!({ "type": "string" }));
        assert_eq!(field("real"), json!({ "type": "number", "description": "any" }));
        let titled =
            json!([{ "const": "a", "title": "The A" }, { "const": "b", "title": "b" }, { "const": "c", "title": "c" }]);
        assert_eq!(field("titled"), json!({ "type": "string", "oneOf": titled }));
        assert_eq!(field("several")["items"], json!({ "type": "string", "enum": ["a", "b", "c"] }));
        assert_eq!(field("several").get("uniqueItems"), None);
        assert_eq!(field("several_titled")["items"], json!({ "anyOf": [{ "const": "a", "title": "A" }] }));
        assert_eq!(form["required"], json!(["text"]));
        // What is a form stays as it is.
        assert_eq!(of_schema(&form).unwrap(), form);
    }

    #[test]
    fn what_is_no_form_is_refused_with_the_field() {
        for (schema, says) in [
            (json!({ "type": "string" }), "has to be an object"),
            (json!({ "type": "object", "properties": { "deep": { "type": "object" } } }), "`deep` is of type object"),
            (
                json!({ "type": "object", "properties": { "l": { "type": "array", "items": { "type": "string" } } } }),
                "`l`",
            ),
            (json!({ "type": "object", "properties": { "any": true } }), "`any` has no type"),
            (json!({ "type": "object", "properties": { "n": { "oneOf": [{ "const": 1 }] } } }), "`n` is a choice"),
        ] {
            let what = of_schema(&schema).unwrap_err();
            assert!(what.contains(says), "{what}");
        }
    }

    #[test]
    fn older_clients_get_what_they_know() {
        let mut form = of_schema(&everything()).unwrap();
        assert_eq!(for_revision(&form, Revision::R2025_11_25).unwrap(), form);
        assert!(for_revision(&form, Revision::R2025_06_18).unwrap_err().contains("several"));
        let fields = form["properties"].as_object_mut().unwrap();
        fields.retain(|name, _| !name.starts_with("several"));
        let old = for_revision(&form, Revision::R2025_06_18).unwrap();
        assert_eq!(old["properties"]["titled"]["enum"], json!(["a", "b", "c"]));
        assert_eq!(old["properties"]["titled"]["enumNames"], json!(["The A", "b", "c"]));
        assert_eq!(old["properties"]["whole"].get("default"), None);
        assert_eq!(old["properties"]["yes"]["default"], true);
    }

    #[test]
    fn answers_are_checked_against_their_form() {
        let form = of_schema(&everything()).unwrap();
        let check = |content: Value| check(&form, content.as_object().unwrap());
        assert_eq!(check(json!({ "text": "abc", "unknown": [], "real": null })), Ok(()));
        let good = json!({ "text": "ab", "whole": 5.0, "real": 1.5, "yes": false, "plain": "a", "titled": "c",
            "several": ["a", "c"], "several_titled": [] });
        assert_eq!(check(good), Ok(()));
        for (wrong, says) in [
            (json!({}), "`text` is missing"),
            (json!({ "text": null }), "`text` is missing"),
            (json!({ "text": 5 }), "`text` has to be a text"),
            (json!({ "text": "a" }), "too short"),
            (json!({ "text": "äöüäö" }), "too long"),
            (json!({ "text": "ab", "whole": 1.5 }), "whole number"),
            (json!({ "text": "ab", "whole": 0 }), "too small"),
            (json!({ "text": "ab", "whole": 6 }), "too large"),
            (json!({ "text": "ab", "real": "1" }), "a number"),
            (json!({ "text": "ab", "yes": "true" }), "true or false"),
            (json!({ "text": "ab", "plain": "c" }), "none of the choices"),
            (json!({ "text": "ab", "titled": "d" }), "none of the choices"),
            (json!({ "text": "ab", "several": "a" }), "a list"),
            (json!({ "text": "ab", "several": ["d"] }), "none of the choices"),
            (json!({ "text": "ab", "several": [] }), "too few"),
            (json!({ "text": "ab", "several": ["a", "b", "c"] }), "too many"),
        ] {
            let what = check(wrong).unwrap_err();
            assert!(what.contains(says), "{what}");
        }
    }
}

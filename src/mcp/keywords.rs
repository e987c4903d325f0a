//! Where schemas stand within a JSON Schema. Everything that walks through one asks here, so that a property called `items` is
//! never taken for the keyword.

use serde_json::Value;
use std::borrow::Cow;

/// What of a value the schemas under a keyword speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// The very value that the schema itself speaks of.
    Here,
    /// A part of it: a member, an element, a name.
    Within,
    /// Nothing, until something refers to them.
    Nowhere,
}

/// A schema within a schema.
pub(crate) struct Subschema<'s> {
    pub(crate) keyword: &'s str,
    /// Its name or number under the keyword, if there may be several.
    pub(crate) member: Option<Cow<'s, str>>,
    pub(crate) speaks: Speaks,
    pub(crate) schema: &'s Value,
}

impl Subschema<'_> {
    /// Where it stands, as a JSON Pointer, if its parent stands at `parent`.
    pub(crate) fn pointer(&self, parent: &str) -> String {
        let mut pointer = format!("{parent}/{}", self.keyword);
        if let Some(member) = &self.member {
            crate::protocol::json::push_segment(&mut pointer, member);
        }
        pointer
    }
}

/// Of which value a keyword's schemas speak, and whether they have names. `None` for a keyword that holds none.
///
/// All dialects together: what one does not know, it ignores.
fn place(keyword: &str) -> Option<(Speaks, bool)> {
    Some(match keyword {
        "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" => (Speaks::Here, false),
        "dependentSchemas" | "dependencies" => (Speaks::Here, true),
        "properties" | "patternProperties" => (Speaks::Within, true),
        "items"
        | "prefixItems"
        | "additionalItems"
        | "unevaluatedItems"
        | "contains"
        | "additionalProperties"
        | "unevaluatedProperties"
        | "propertyNames"
        | "contentSchema" => (Speaks::Within, false),
        "$defs" | "definitions" => (Speaks::Nowhere, true),
        _ => return None,
    })
}

/// The schemas directly within this one.
pub(crate) fn subschemas<'s>(schema: &'s Value) -> Vec<Subschema<'s>> {
    let mut found = Vec::new();
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let Some((speaks, named)) = place(keyword) else { continue };
        let mut add = |member: Option<Cow<'s, str>>, schema: &'s Value| {
            if schema.is_object() || schema.is_boolean() {
                found.push(Subschema { keyword, member, speaks, schema });
            }
        };
        match value {
            Value::Object(members) if named => {
                members.iter().for_each(|(name, schema)| add(Some(name.as_str().into()), schema));
            }
            Value::Array(several) if !named => {
                several.iter().enumerate().for_each(|(at, schema)| add(Some(at.to_string().into()), schema));
            }
            one if !named => add(None, one),
            _ => {}
        }
    }
    found
}

/// Calls `change` with this schema and all within it, the outermost first.
pub(crate) fn for_each_mut(schema: &mut Value, change: &mut impl FnMut(&mut serde_json::Map<String, Value>)) {
    let Value::Object(members) = schema else { return };
    change(members);
    for (keyword, value) in members.iter_mut() {
        match (place(keyword), value) {
            (Some((_, true)), Value::Object(named)) => {
                named.values_mut().for_each(|schema| for_each_mut(schema, change));
            }
            (Some((_, false)), Value::Array(several)) => {
                several.iter_mut().for_each(|schema| for_each_mut(schema, change));
            }
            (Some((_, false)), one) => for_each_mut(one, change),
            _ => {}
        }
    }
}

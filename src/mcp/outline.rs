//! Which JSON Schemas may be registered: in a dialect that is known, whole in themselves, and of a size that can be checked against in
//! bounded time (2026-07-28, basic/index, on JSON Schema).

use super::keywords::{Speaks, subschemas};
use crate::protocol::percent;
use serde_json::Value;
use std::collections::HashMap;

/// How deep schemas may stand within each other.
const MOST_NESTED: usize = 64;
/// How many there may be.
const MOST_SCHEMAS: usize = 4_096;
/// How many there may be once each reference is replaced by what it refers to: few definitions, each used twice in the next, make many.
const MOST_EXPANDED: usize = 65_536;
/// How many may speak of one and the same value in a row: each takes a part of the stack.
const MOST_IN_A_ROW: usize = 32;
/// The dialects, without the empty fragment that some are written with.
const DIALECTS: [&str; 5] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
    "http://json-schema.org/draft-04/schema",
];

/// What a schema's size and shape come to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "validation"), allow(dead_code, reason = "then nothing is checked against it"))]
pub(crate) struct Outline {
    /// How many schemas there are once references are followed, those that lead back excepted.
    pub(crate) expanded: usize,
    /// How many schemas speak of one value in a row.
    pub(crate) in_a_row: usize,
    /// The references that lead back to a schema they stand in, as the pointers of the schemas that hold them and of those that they mean.
    pub(crate) back: Vec<(String, String)>,
}

impl Outline {
    /// Looks a schema through. `of` is what the schema is called, say `inputSchema`.
    ///
    /// # Errors
    /// What is wrong with it, and what to change.
    pub(crate) fn of(schema: &Value, of: &str) -> Result<Self, String> {
        let found = check_dialect(schema).and_then(|()| Graph::of(schema)).and_then(|graph| graph.outline());
        found.map_err(|what| format!("its {of} {what}"))
    }
}

fn check_dialect(schema: &Value) -> Result<(), String> {
    let Some(dialect) = schema.get("$schema") else { return Ok(()) };
    if dialect.as_str().is_some_and(|dialect| DIALECTS.contains(&dialect.strip_suffix('#').unwrap_or(dialect))) {
        return Ok(());
    }
    let [newest, ..] = DIALECTS;
    Err(format!("is in a dialect that is not supported, {dialect}: set its `$schema` to `{newest}`, or leave it out"))
}

/// A schema with what it leads to.
struct Node<'s> {
    pointer: String,
    schema: &'s Value,
    to: Vec<Edge>,
}

#[derive(Clone, Copy)]
struct Edge {
    to: usize,
    speaks: Speaks,
    /// Whether it is by a reference.
    refers: bool,
}

struct Graph<'s> {
    root: &'s Value,
    nodes: Vec<Node<'s>>,
    places: HashMap<String, usize>,
    /// Names of schemas, by `$anchor` and its like.
    anchors: HashMap<&'s str, usize>,
    /// Whether parts of it have addresses of their own, so that a reference may mean something else than it seems to.
    has_ids: bool,
}

/// Where a reference leads.
enum Target {
    Node(usize),
    /// Somewhere, but not to a part of this schema that could be named.
    Known,
}

impl<'s> Graph<'s> {
    fn of(root: &'s Value) -> Result<Self, String> {
        let (nodes, places, anchors) = (Vec::new(), HashMap::new(), HashMap::new());
        let mut graph = Self { root, nodes, places, anchors, has_ids: false };
        graph.add(root, String::new(), 0)?;
        let mut at = 0;
        // References may lead to places where no schema was expected: those are added on the way.
        while at < graph.nodes.len() {
            graph.follow(at)?;
            at += 1;
        }
        Ok(graph)
    }

    /// Adds a schema and all within it.
    fn add(&mut self, schema: &'s Value, pointer: String, depth: usize) -> Result<usize, String> {
        if depth > MOST_NESTED {
            return Err(format!("is nested deeper than {MOST_NESTED} schemas: name parts of it under `$defs`"));
        }
        if self.nodes.len() >= MOST_SCHEMAS {
            return Err(format!("holds more than {MOST_SCHEMAS} schemas: make it simpler"));
        }
        let number = self.nodes.len();
        self.nodes.push(Node { pointer: pointer.clone(), schema, to: Vec::new() });
        self.places.insert(pointer.clone(), number);
        for key in ["$anchor", "$dynamicAnchor"] {
            self.anchors.extend(schema.get(key).and_then(Value::as_str).map(|name| (name, number)));
        }
        for id in ["$id", "id"].iter().filter_map(|key| schema.get(key)?.as_str()) {
            match id.strip_prefix('#') {
                // What an anchor was up to draft 7.
                Some(name) => _ = self.anchors.insert(name, number),
                None => self.has_ids |= !id.is_empty(),
            }
        }
        let mut to = Vec::new();
        for sub in subschemas(schema) {
            let child = self.add(sub.schema, sub.pointer(&pointer), depth + 1)?;
            if sub.speaks != Speaks::Nowhere {
                to.push(Edge { to: child, speaks: sub.speaks, refers: false });
            }
        }
        if let Some(node) = self.nodes.get_mut(number) {
            node.to = to;
        }
        Ok(number)
    }

    /// Adds where the references of a schema lead.
    fn follow(&mut self, number: usize) -> Result<(), String> {
        let Some(schema) = self.nodes.get(number).map(|node| node.schema) else { return Ok(()) };
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            let Some(reference) = schema.get(keyword).and_then(Value::as_str) else { continue };
            let target = self.resolve(reference).map_err(|what| {
                let pointer = self.nodes.get(number).map_or("", |node| &node.pointer);
                format!("refers to `{reference}` (at `{pointer}/{keyword}`), {what}")
            })?;
            if let (Target::Node(to), Some(node)) = (target, self.nodes.get_mut(number)) {
                node.to.push(Edge { to, speaks: Speaks::Here, refers: true });
            }
        }
        Ok(())
    }

    fn resolve(&mut self, reference: &str) -> Result<Target, String> {
        let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let own = base.is_empty() || self.root.get("$id").and_then(Value::as_str) == Some(base);
        if !own {
            // The dialects' own schemas need not be fetched either.
            return match self.has_ids || DIALECTS.contains(&base) {
                true => Ok(Target::Known),
                false => Err("which is not a part of it, and nothing is fetched: put what is meant under `$defs`, \
                     and refer to it as `#/$defs/name`"
                    .into()),
            };
        }
        // One that cannot be read is not there.
        let pointer = percent::decode(fragment, |_| true).unwrap_or_else(|| fragment.to_owned());
        let known = match pointer.is_empty() || pointer.starts_with('/') {
            true => self.places.get(&pointer).copied(),
            false => self.anchors.get(&*pointer).copied(),
        };
        if let Some(known) = known {
            return Ok(Target::Node(known));
        }
        match self.root.pointer(&pointer).filter(|schema| schema.is_object() || schema.is_boolean()) {
            Some(schema) => self.add(schema, pointer, 0).map(Target::Node),
            None if self.has_ids => Ok(Target::Known),
            None => Err("which is not there".into()),
        }
    }

    fn outline(&self) -> Result<Outline, String> {
        let mut walk = Walk { graph: self, seen: vec![Seen::Not; self.nodes.len()], back: Vec::new() };
        let expanded = walk.expanded(0);
        let back = walk.back;
        if expanded > MOST_EXPANDED {
            return Err(format!(
                "stands for more than {MOST_EXPANDED} schemas once its references are followed: make it simpler"
            ));
        }
        let mut rows = Rows { graph: self, seen: vec![Seen::Not; self.nodes.len()] };
        let mut in_a_row = 0;
        for number in 0..self.nodes.len() {
            in_a_row = in_a_row.max(rows.longest(number)?);
        }
        if in_a_row > MOST_IN_A_ROW {
            return Err(format!(
                "has {in_a_row} schemas within each other that speak of one value (by `$ref`, `allOf`, `anyOf`, …), \
                 and may have {MOST_IN_A_ROW}: make it simpler"
            ));
        }
        Ok(Outline { expanded, in_a_row, back })
    }

    fn pointer(&self, number: usize) -> String {
        self.nodes.get(number).map(|node| node.pointer.clone()).unwrap_or_default()
    }
}

/// How far a walk has come with a schema.
#[derive(Clone, Copy)]
enum Seen {
    Not,
    /// It is in the middle of it.
    Begun,
    Done(usize),
}

/// Counts what a schema stands for, and finds the references that lead back.
struct Walk<'g, 's> {
    graph: &'g Graph<'s>,
    seen: Vec<Seen>,
    back: Vec<(String, String)>,
}

impl Walk<'_, '_> {
    fn expanded(&mut self, number: usize) -> usize {
        match self.seen.get(number) {
            Some(Seen::Done(count)) => return *count,
            Some(Seen::Begun) | None => return 0,
            Some(Seen::Not) => {}
        }
        set(&mut self.seen, number, Seen::Begun);
        let mut count: usize = 1;
        for edge in self.graph.nodes.get(number).map_or(&[][..], |node| &node.to) {
            if edge.refers && matches!(self.seen.get(edge.to), Some(Seen::Begun)) {
                self.back.push((self.graph.pointer(number), self.graph.pointer(edge.to)));
            }
            count = count.saturating_add(self.expanded(edge.to));
        }
        set(&mut self.seen, number, Seen::Done(count));
        count
    }
}

/// Measures how many schemas speak of one value in a row.
struct Rows<'g, 's> {
    graph: &'g Graph<'s>,
    seen: Vec<Seen>,
}

impl Rows<'_, '_> {
    fn longest(&mut self, number: usize) -> Result<usize, String> {
        match self.seen.get(number) {
            Some(Seen::Done(length)) => return Ok(*length),
            Some(Seen::Begun) => {
                let pointer = self.graph.pointer(number);
                return Err(format!(
                    "refers to itself without going further into a value (at `{pointer}`), so that it says nothing: \
                     take that `$ref` out"
                ));
            }
            Some(Seen::Not) => {}
            None => return Ok(0),
        }
        set(&mut self.seen, number, Seen::Begun);
        let mut longest = 0;
        for edge in self.graph.nodes.get(number).map_or(&[][..], |node| &node.to) {
            if edge.speaks == Speaks::Here {
                longest = longest.max(self.longest(edge.to)?);
            }
        }
        set(&mut self.seen, number, Seen::Done(longest + 1));
        Ok(longest + 1)
    }
}

fn set(seen: &mut [Seen], number: usize, to: Seen) {
    if let Some(place) = seen.get_mut(number) {
        *place = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outline(schema: Value) -> Result<Outline, String> {
        Outline::of(&schema, "inputSchema")
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!({ "type": "string" }), |inner, _| json!({ "type": "array", "items": inner }))
    }

    #[test]
    fn a_schema_is_counted_with_what_it_refers_to() {
        let schema = json!({ "type": "object", "$defs": {
            "a": { "properties": { "x": true, "y": { "$ref": "#/$defs/b" } } }, "b": { "type": "string" }, "unused": {},
        }, "properties": { "a": { "$ref": "#/$defs/a" }, "b": { "$ref": "#/$defs/a" } } });
        let found = outline(schema).unwrap();
        // The root, two references, and twice: a, x, y, b.
        assert_eq!((found.expanded, found.in_a_row, found.back.len()), (11, 2, 0));
    }

    #[test]
    fn references_that_lead_back_are_found() {
        let tree = json!({ "type": "object", "properties": { "next": { "$ref": "#" } } });
        assert_eq!(outline(tree).unwrap().back, [("/properties/next".to_owned(), String::new())]);
        let two = json!({ "$defs": {
            "a~/b": { "properties": { "b": { "$ref": "#/$defs/c%64" } } },
            "cd": { "$anchor": "c", "properties": { "a": { "$ref": "#/$defs/a~0~1b" }, "self": { "$ref": "#c" } } },
        }, "properties": { "a": { "$ref": "#/$defs/a~0~1b" } } });
        let mut back = outline(two).unwrap().back;
        back.sort();
        assert_eq!(
            back,
            [
                ("/$defs/cd/properties/a".to_owned(), "/$defs/a~0~1b".to_owned()),
                ("/$defs/cd/properties/self".to_owned(), "/$defs/cd".to_owned()),
            ]
        );
    }

    #[test]
    fn what_cannot_be_checked_against_is_refused_with_what_to_change() {
        let doubled = |n: usize| {
            let next = format!("#/$defs/d{}", n + 1);
            json!({ "properties": { "a": { "$ref": next }, "b": { "$ref": next } } })
        };
        let mut definitions: serde_json::Map<_, _> = (0..20).map(|n| (format!("d{n}"), doubled(n))).collect();
        definitions.insert("d20".into(), json!({}));
        let row = (0..40).fold(json!({}), |inner, _| json!({ "allOf": [inner] }));
        let many: serde_json::Map<_, _> = (0..5_000).map(|n| (format!("p{n}"), json!({}))).collect();
        for (schema, says) in [
            (json!({ "$schema": "https://example.com/mine" }), "`https://json-schema.org/draft/2020-12/schema`"),
            (json!({ "$schema": 5 }), "dialect"),
            (json!({ "properties": { "a": { "$ref": "https://example.com/a.json" } } }), "under `$defs`"),
            (json!({ "properties": { "a": { "$ref": "a.json#/b" } } }), "nothing is fetched"),
            (json!({ "properties": { "a": { "$ref": "#/$defs/a" } } }), "`#/$defs/a` (at `/properties/a/$ref`)"),
            (json!({ "$dynamicRef": "#a" }), "not there"),
            (json!({ "$ref": "#" }), "refers to itself"),
            (json!({ "$defs": { "a": { "allOf": [{ "$ref": "#/$defs/a" }] } } }), "refers to itself"),
            (nested(80), "deeper than 64"),
            (json!({ "properties": many }), "more than 4096"),
            (json!({ "$defs": definitions, "$ref": "#/$defs/d0" }), "more than 65536"),
            (row, "may have 32"),
        ] {
            let what = outline(schema).unwrap_err();
            assert!(what.starts_with("its inputSchema ") && what.contains(says), "{what}");
        }
    }

    #[test]
    fn what_looks_odd_and_is_fine_passes() {
        for schema in [
            json!({ "$schema": "http://json-schema.org/draft-07/schema#", "definitions": { "a": { "$id": "#x" } }, "$ref": "#x" }),
            json!({ "$id": "https://example.com/me", "properties": { "a": { "$ref": "https://example.com/me#/$defs/b" } },
                "$defs": { "b": true } }),
            json!({ "$defs": { "b": { "$id": "https://example.com/b" } }, "$ref": "https://example.com/b" }),
            json!({ "properties": { "s": { "$ref": "https://json-schema.org/draft/2020-12/schema" } } }),
            json!({ "x-shared": { "a": { "type": "string" } }, "properties": { "a": { "$ref": "#/x-shared/a" } } }),
            // A property of that name is no reference.
            json!({ "properties": { "$ref": { "type": "string" }, "items": { "$ref": "#/properties/$ref" } } }),
            json!({ "const": { "$ref": "https://example.com/" }, "default": { "$schema": "x" } }),
            json!(true),
            nested(60),
        ] {
            assert!(outline(schema.clone()).is_ok(), "{schema}");
        }
    }
}

//! How is a content block, a tool or a program described to a client of an older revision?
//!
//! The schemas tolerate members that they do not know, but a block of an unknown `type` breaks strict clients. So
//! every writer here leaves out or replaces what the revision does not have.

use std::borrow::Cow;

use data_encoding::BASE64;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::content::{
    Annotations, Content, EmbeddedResource, Icon, Implementation, MediaContent, MetaMap, ResourceBody,
    ResourceContents, ResourceLink, TaskSupport, TextContent, ToolAnnotations, ToolInfo,
};
use crate::protocol::json::{self, Object};
use crate::protocol::meta_key;
use crate::protocol::revision::Revision;

use Revision::{R2025_03_26 as R2, R2025_06_18 as R3, R2025_11_25 as R4, R2026_07_28 as R5};

/// Appends one content block.
pub(crate) fn encode_content(out: &mut Vec<u8>, content: &Content, revision: Revision) {
    match content {
        Content::Text(text) => write_text(out, text, revision),
        Content::Image(image) => write_media(out, "image", image, revision),
        Content::Audio(audio) if revision >= R2 => write_media(out, "audio", audio, revision),
        Content::Audio(audio) => {
            let text = format!("[audio of type {}, {} bytes]", audio.mime_type, audio.data.as_bytes().len());
            write_stand_in(out, text, &audio.annotations, revision);
        }
        Content::ResourceLink(link) if revision >= R3 => write_link(out, link, revision),
        Content::ResourceLink(link) => write_stand_in(out, link_text(link), &link.annotations, revision),
        Content::Resource(resource) => write_resource(out, resource, revision),
    }
}

/// Appends the contents of a resource: within a block, or as an element of the result of `resources/read`.
pub(crate) fn encode_resource_contents(out: &mut Vec<u8>, contents: &ResourceContents, revision: Revision) {
    let mut object = Object::begin(out);
    object.str("uri", &contents.uri);
    object.opt_str("mimeType", contents.mime_type.as_deref());
    match &contents.body {
        ResourceBody::Text(text) => object.str("text", text),
        ResourceBody::Blob(blob) => write_base64(object.key("blob"), blob.as_bytes()),
    }
    write_item_meta(&mut object, contents.meta.as_ref(), revision);
    object.end();
}

/// Appends the description of a tool. Depends on nothing but its arguments, so it can be kept per revision.
pub(crate) fn encode_tool_info(out: &mut Vec<u8>, tool: &ToolInfo, revision: Revision) {
    let mut object = Object::begin(out);
    object.str("name", &tool.name);
    if revision >= R3 {
        object.opt_str("title", tool.title.as_deref());
    }
    object.opt_str("description", tool.description.as_deref());
    write_schema(object.key("inputSchema"), &tool.input_schema, revision);
    if let Some(schema) = tool.output_schema.as_deref().filter(|schema| shows_output_schema(schema, revision)) {
        write_schema(object.key("outputSchema"), schema, revision);
    }
    if revision >= R2 {
        write_tool_annotations(&mut object, tool, revision);
    }
    if revision == R4 && tool.task_support != TaskSupport::Forbidden {
        // What is absent is forbidden (2025-11-25, basic/utilities/tasks); in other revisions there is no such member.
        let mut execution = Object::begin(object.key("execution"));
        execution.str("taskSupport", tool.task_support.as_str());
        execution.end();
    }
    write_icons(&mut object, &tool.icons, revision);
    write_item_meta(&mut object, tool.meta.as_ref(), revision);
    object.end();
}

/// Appends the description of a resource, or with another `key` of a template.
pub(crate) fn encode_resource_info(out: &mut Vec<u8>, key: &'static str, info: &ResourceLink, revision: Revision) {
    let mut object = Object::begin(out);
    object.str(key, &info.uri);
    object.str("name", &info.name);
    if revision >= R3 {
        object.opt_str("title", info.title.as_deref());
    }
    object.opt_str("description", info.description.as_deref());
    object.opt_str("mimeType", info.mime_type.as_deref());
    if let Some(size) = info.size.filter(|_| key == "uri") {
        object.u64("size", size);
    }
    write_icons(&mut object, &info.icons, revision);
    write_annotations(&mut object, &info.annotations, revision);
    write_item_meta(&mut object, info.meta.as_ref(), revision);
    object.end();
}

/// Appends who a program is.
pub(crate) fn encode_implementation(out: &mut Vec<u8>, implementation: &Implementation, revision: Revision) {
    let mut object = Object::begin(out);
    object.str("name", &implementation.name);
    object.str("version", &implementation.version);
    if revision >= R3 {
        object.opt_str("title", implementation.title.as_deref());
    }
    if revision >= R4 {
        object.opt_str("description", implementation.description.as_deref());
        object.opt_str("websiteUrl", implementation.website_url.as_deref());
    }
    write_icons(&mut object, &implementation.icons, revision);
    object.end();
}

/// Whether a result may carry this structured content: not before 2025-06-18, and only objects before 2026-07-28.
pub(crate) fn shows_structured(structured: &RawValue, revision: Revision) -> bool {
    revision >= R5 || (revision >= R3 && json::is_object(structured))
}

/// Whether a tool may show this output schema: not before 2025-06-18, and only one of objects before 2026-07-28.
pub(crate) fn shows_output_schema(schema: &RawValue, revision: Revision) -> bool {
    let of_objects = || json::member(schema, "type").and_then(json::as_str).as_deref() == Some("object");
    json::is_object(schema) && (revision >= R5 || (revision >= R3 && of_objects()))
}

fn write_text(out: &mut Vec<u8>, content: &TextContent, revision: Revision) {
    let mut object = Object::begin(out);
    object.str("type", "text");
    object.str("text", &content.text);
    write_annotations(&mut object, &content.annotations, revision);
    write_item_meta(&mut object, content.meta.as_ref(), revision);
    object.end();
}

/// A text in the place of a block that the revision does not have.
fn write_stand_in(out: &mut Vec<u8>, text: String, annotations: &Annotations, revision: Revision) {
    let mut object = Object::begin(out);
    object.str("type", "text");
    object.str("text", &text);
    write_annotations(&mut object, annotations, revision);
    object.end();
}

fn write_media(out: &mut Vec<u8>, kind: &'static str, content: &MediaContent, revision: Revision) {
    let mut object = Object::begin(out);
    object.str("type", kind);
    write_base64(object.key("data"), content.data.as_bytes());
    object.str("mimeType", &content.mime_type);
    write_annotations(&mut object, &content.annotations, revision);
    write_item_meta(&mut object, content.meta.as_ref(), revision);
    object.end();
}

fn write_link(out: &mut Vec<u8>, link: &ResourceLink, revision: Revision) {
    let mut object = Object::begin(out);
    object.str("type", "resource_link");
    object.str("uri", &link.uri);
    object.str("name", &link.name);
    object.opt_str("title", link.title.as_deref());
    object.opt_str("description", link.description.as_deref());
    object.opt_str("mimeType", link.mime_type.as_deref());
    if let Some(size) = link.size {
        object.u64("size", size);
    }
    write_icons(&mut object, &link.icons, revision);
    write_annotations(&mut object, &link.annotations, revision);
    write_item_meta(&mut object, link.meta.as_ref(), revision);
    object.end();
}

fn link_text(link: &ResourceLink) -> String {
    let name = link.title.as_ref().unwrap_or(&link.name);
    let mut text = format!("{name}: {}", link.uri);
    if let Some(description) = &link.description {
        text.push('\n');
        text.push_str(description);
    }
    text
}

fn write_resource(out: &mut Vec<u8>, content: &EmbeddedResource, revision: Revision) {
    let mut object = Object::begin(out);
    object.str("type", "resource");
    encode_resource_contents(object.key("resource"), &content.resource, revision);
    write_annotations(&mut object, &content.annotations, revision);
    write_item_meta(&mut object, content.meta.as_ref(), revision);
    object.end();
}

fn write_annotations(object: &mut Object<'_>, annotations: &Annotations, revision: Revision) {
    let last_modified = annotations.last_modified.as_deref().filter(|_| revision >= R3);
    let priority = annotations.priority.filter(|priority| !priority.is_nan());
    if annotations.audience.is_empty() && priority.is_none() && last_modified.is_none() {
        return;
    }
    let mut inner = Object::begin(object.key("annotations"));
    if !annotations.audience.is_empty() {
        json::write_array(inner.key("audience"), &annotations.audience, |out, role| {
            json::write_str(out, role.as_str())
        });
    }
    if let Some(priority) = priority {
        inner.f64("priority", priority.clamp(0.0, 1.0));
    }
    inner.opt_str("lastModified", last_modified);
    inner.end();
}

/// `title` of its own came with 2025-06-18; towards 2025-03-26 it is moved to where that revision looks for it.
fn write_tool_annotations(object: &mut Object<'_>, tool: &ToolInfo, revision: Revision) {
    let ToolAnnotations { title, read_only, destructive, idempotent, open_world } = &tool.annotations;
    let title = title.as_ref().or(tool.title.as_ref().filter(|_| revision < R3));
    if tool.annotations.is_empty() && title.is_none() {
        return;
    }
    let mut inner = Object::begin(object.key("annotations"));
    inner.opt_str("title", title.map(String::as_str));
    inner.opt_bool("readOnlyHint", *read_only);
    inner.opt_bool("destructiveHint", *destructive);
    inner.opt_bool("idempotentHint", *idempotent);
    inner.opt_bool("openWorldHint", *open_world);
    inner.end();
}

pub(super) fn write_icons(object: &mut Object<'_>, icons: &[Icon], revision: Revision) {
    if icons.is_empty() || revision < R4 {
        return;
    }
    json::write_array(object.key("icons"), icons, |out, icon| {
        let mut inner = Object::begin(out);
        inner.str("src", &icon.src);
        inner.opt_str("mimeType", icon.mime_type.as_deref());
        if !icon.sizes.is_empty() {
            json::write_array(inner.key("sizes"), &icon.sizes, |out, size| json::write_str(out, size));
        }
        inner.opt_str("theme", icon.theme.map(|theme| theme.as_str()));
        inner.end();
    });
}

/// `_meta` of an item or a block: 2025-06-18 and later.
pub(super) fn write_item_meta(object: &mut Object<'_>, meta: Option<&MetaMap>, revision: Revision) {
    if let Some(meta) = meta.filter(|meta| !meta.is_empty() && revision >= R3) {
        let mut inner = Object::begin(object.key("_meta"));
        write_meta_members(&mut inner, meta, |_| true);
        inner.end();
    }
}

/// Writes the members of a `_meta` that pass `keep`, and whose keys the protocol allows.
pub(super) fn write_meta_members(object: &mut Object<'_>, meta: &MetaMap, keep: impl Fn(&str) -> bool) {
    for (key, value) in meta.iter().filter(|(key, _)| keep(key) && meta_key::is_key(key)) {
        let out = object.any_key(key);
        if json::write_value(out, value).is_err() {
            out.extend_from_slice(b"null");
        }
    }
}

fn write_schema(out: &mut Vec<u8>, schema: &RawValue, revision: Revision) {
    out.extend_from_slice(legacy_schema(schema, revision).as_bytes());
}

/// Before 2026-07-28 the schemas of the protocol demand that each value in `properties` is an object. JSON Schema also
/// allows `true` (schemars writes it for `serde_json::Value`) and `false`; both have an equal in the form of an object.
fn legacy_schema(schema: &RawValue, revision: Revision) -> Cow<'_, str> {
    let has_boolean = || {
        let mut found = false;
        if let Some(properties) = json::member(schema, "properties") {
            json::for_each_member(properties.get(), |_, value| found |= !json::is_object(value));
        }
        found
    };
    if revision >= R5 || !has_boolean() {
        return Cow::Borrowed(schema.get());
    }
    let Ok(mut value) = serde_json::from_str::<Value>(schema.get()) else {
        return Cow::Borrowed(schema.get());
    };
    let properties = value.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten() {
        match property {
            Value::Bool(true) => *property = Value::Object(MetaMap::new()),
            Value::Bool(false) => *property = serde_json::json!({"not": {}}),
            _ => {}
        }
    }
    Cow::Owned(value.to_string())
}

fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + BASE64.encode_len(bytes.len()), b'=');
    if let Some(space) = out.get_mut(start..) {
        BASE64.encode_mut(bytes, space);
    }
    out.push(b'"');
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;

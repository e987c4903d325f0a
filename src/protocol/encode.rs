//! How is a message or a result written for a revision?
//!
//! Every writer appends to a buffer that the caller keeps, so that many answers leave in one write.

use serde_json::value::RawValue;

use crate::protocol::content::{Content, Implementation, MetaMap, ResourceBody, ResourceContents, ToolOutput};
use crate::protocol::convert::{encode_resource_contents, shows_structured, write_meta_members};
use crate::protocol::error::RpcError;
use crate::protocol::id::RequestId;
use crate::protocol::json::{self, Object};
use crate::protocol::params::meta_keys;
use crate::protocol::revision::{Revision, supported_versions};

pub(crate) use crate::protocol::capabilities::ServerCapabilities;
pub(crate) use crate::protocol::convert::{encode_content, encode_implementation};

/// Who may keep a copy of a result (2026-07-28, server/utilities/caching).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CacheScope {
    /// Only whoever asked. The safe choice.
    #[default]
    Private,
    /// Anybody, even if the request was authenticated.
    Public,
}

impl CacheScope {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}

/// Appends a response; `result` appends the value of its `result` member.
pub(crate) fn write_response(out: &mut Vec<u8>, id: &RequestId, result: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    id.write_to(out);
    out.extend_from_slice(b",\"result\":");
    result(out);
    out.push(b'}');
}

/// Appends an error response.
///
/// Without an id (it could not be read): 2024-11-05 to 2025-06-18 get `"id":null`, as JSON-RPC has it and their schemas
/// demand a member; 2025-11-25 and later, and a peer of unknown revision, get none.
pub(crate) fn write_error(out: &mut Vec<u8>, id: Option<&RequestId>, error: &RpcError, revision: Option<Revision>) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",");
    match id {
        Some(id) => {
            out.extend_from_slice(b"\"id\":");
            id.write_to(out);
            out.push(b',');
        }
        None if revision.is_some_and(|revision| revision < Revision::R2025_11_25) => {
            out.extend_from_slice(b"\"id\":null,");
        }
        None => {}
    }
    out.extend_from_slice(b"\"error\":");
    error.write_to(out);
    out.push(b'}');
}

/// Appends a notification with ready parameters.
pub(crate) fn write_notification(out: &mut Vec<u8>, method: &str, params: Option<&RawValue>) {
    write_notification_with(
        out,
        method,
        params.map(|raw| |out: &mut Vec<u8>| out.extend_from_slice(raw.get().as_bytes())),
    );
}

/// Appends a notification; `params` appends the value of its `params` member.
pub(crate) fn write_notification_with(out: &mut Vec<u8>, method: &str, params: Option<impl FnOnce(&mut Vec<u8>)>) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":");
    json::write_str(out, method);
    if let Some(params) = params {
        out.extend_from_slice(b",\"params\":");
        params(out);
    }
    out.push(b'}');
}

/// Appends a request of the server: legacy era only, no modern server sends any.
pub(crate) fn write_request(out: &mut Vec<u8>, id: &RequestId, method: &str, params: Option<&RawValue>) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    id.write_to(out);
    out.extend_from_slice(b",\"method\":");
    json::write_str(out, method);
    if let Some(params) = params {
        out.extend_from_slice(b",\"params\":");
        out.extend_from_slice(params.get().as_bytes());
    }
    out.push(b'}');
}

/// Appends several ready messages as a batch (2025-03-26). Nothing at all if there are none: a batch of notifications has no
/// answer. Says whether anything was appended.
pub(crate) fn write_batch<M: AsRef<[u8]>>(out: &mut Vec<u8>, messages: impl IntoIterator<Item = M>) -> bool {
    let mut messages = messages.into_iter().peekable();
    let any = messages.peek().is_some();
    if any {
        json::write_array(out, messages, |out, message| out.extend_from_slice(message.as_ref()));
    }
    any
}

/// Appends the result of `tools/call`.
pub(crate) fn encode_tool_result(
    out: &mut Vec<u8>,
    output: &ToolOutput,
    revision: Revision,
    server: Option<&Implementation>,
) {
    let mut result = begin_result(out, revision);
    let structured = output.structured.as_deref();
    let content = result.key("content");
    match structured {
        // 2026-07-28, server/tools: structured content SHOULD come as a text block too, for clients that do not read it.
        Some(structured) if output.content.is_empty() => {
            content.extend_from_slice(b"[{\"type\":\"text\",\"text\":");
            json::write_str(content, structured.get());
            content.extend_from_slice(b"}]");
        }
        _ => json::write_array(content, &output.content, |out, block| encode_content(out, block, revision)),
    }
    if let Some(structured) = structured.filter(|raw| shows_structured(raw, revision)) {
        result.raw("structuredContent", structured);
    }
    if output.is_error {
        result.bool("isError", true);
    }
    end_result(result, revision, server, output.meta.as_ref());
}

/// Appends a result that asks the client for more (2026-07-28, basic/patterns/mrtr): the key, method and parameters of each
/// question, and the state to bring back.
pub(crate) fn encode_input_required<'q>(
    out: &mut Vec<u8>,
    questions: impl IntoIterator<Item = (&'q str, &'q str, &'q RawValue)>,
    state: &str,
    revision: Revision,
    server: Option<&Implementation>,
) {
    let mut result = Object::begin(out);
    result.str("resultType", "input_required");
    write_input_requests(&mut result, questions);
    result.str("requestState", state);
    end_result(result, revision, server, None);
}

/// Adds questions to the client, each with its key, method and parameters.
pub(crate) fn write_input_requests<'q>(
    result: &mut Object<'_>,
    questions: impl IntoIterator<Item = (&'q str, &'q str, &'q RawValue)>,
) {
    let mut requests = Object::begin(result.key("inputRequests"));
    for (key, method, params) in questions {
        let mut request = Object::begin(requests.any_key(key));
        request.str("method", method);
        request.raw("params", params);
        request.end();
    }
    requests.end();
}

/// About how many bytes a response with this output takes: enough, unless much of its text has to be escaped.
pub(crate) fn tool_result_size(output: &ToolOutput) -> usize {
    let block = |content: &Content| match content {
        Content::Text(text) => text.text.len(),
        Content::Image(media) | Content::Audio(media) => media.data.as_bytes().len() / 3 * 4,
        Content::Resource(resource) => match &resource.resource.body {
            ResourceBody::Text(text) => text.len(),
            ResourceBody::Blob(data) => data.as_bytes().len() / 3 * 4,
        },
        _ => 256,
    };
    let content: usize = output.content.iter().map(|content| block(content) + 64).sum();
    // Structured content goes out twice: as it is, and as text with its quotes escaped.
    let structured = output.structured.as_ref().map_or(0, |structured| structured.get().len() * 9 / 4);
    let escapes = content / 64;
    256 + content + structured + escapes
}

/// About how many bytes the contents of a resource take.
pub(crate) fn contents_size(contents: &ResourceContents) -> usize {
    let body = match &contents.body {
        ResourceBody::Text(text) => text.len() + text.len() / 64,
        ResourceBody::Blob(data) => data.as_bytes().len() / 3 * 4,
    };
    body + contents.uri.len() + 128
}

/// Appends a result that is an object of the author's own. Towards 2026-07-28 it gets the members that every result has, unless
/// it has brought them.
pub(crate) fn encode_object_result(
    out: &mut Vec<u8>,
    object: &RawValue,
    revision: Revision,
    server: Option<&Implementation>,
) {
    if !revision.is_modern() {
        return out.extend_from_slice(object.get().as_bytes());
    }
    let mut result = Object::begin(out);
    if json::member(object, "resultType").is_none() {
        result.str("resultType", "complete");
    }
    json::for_each_member(object.get(), |key, value| {
        result.any_key(&key).extend_from_slice(value.get().as_bytes());
    });
    match json::member(object, "_meta") {
        Some(_) => result.end(),
        None => end_result(result, revision, server, None),
    }
}

/// What surrounds the items of a page of any list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'a> {
    /// The member that holds the items: `tools`, `prompts`, `resources`, `resourceTemplates`.
    pub key: &'static str,
    /// The cursor of the next page, if there is one.
    pub next_cursor: Option<&'a str>,
    /// The client's revision.
    pub revision: Revision,
    /// How long the page may be kept (2026-07-28).
    pub ttl_ms: u64,
    /// Who may keep it (2026-07-28).
    pub scope: CacheScope,
    /// Who answers (2026-07-28).
    pub server: Option<&'a Implementation>,
}

/// Appends a page of any list; `each` appends one item.
pub(crate) fn encode_page<T>(
    out: &mut Vec<u8>,
    page: Page<'_>,
    items: impl IntoIterator<Item = T>,
    each: impl FnMut(&mut Vec<u8>, T),
) {
    let mut result = begin_result(out, page.revision);
    json::write_array(result.key(page.key), items, each);
    result.opt_str("nextCursor", page.next_cursor);
    write_cache_hints(&mut result, page.revision, page.ttl_ms, page.scope);
    end_result(result, page.revision, page.server, None);
}

/// Appends the result of `resources/read`.
pub(crate) fn encode_read_result(
    out: &mut Vec<u8>,
    contents: &[ResourceContents],
    revision: Revision,
    cache: (u64, CacheScope),
    server: Option<&Implementation>,
    meta: Option<&MetaMap>,
) {
    let mut result = begin_result(out, revision);
    json::write_array(result.key("contents"), contents, |out, one| encode_resource_contents(out, one, revision));
    write_cache_hints(&mut result, revision, cache.0, cache.1);
    end_result(result, revision, server, meta);
}

/// Appends the result of `initialize` (2024-11-05 to 2025-11-25, basic/lifecycle).
pub(crate) fn encode_initialize_result(
    out: &mut Vec<u8>,
    revision: Revision,
    capabilities: &ServerCapabilities,
    server: &Implementation,
    instructions: Option<&str>,
) {
    let mut result = Object::begin(out);
    result.str("protocolVersion", revision.as_str());
    capabilities.write_to(result.key("capabilities"), revision);
    encode_implementation(result.key("serverInfo"), server, revision);
    result.opt_str("instructions", instructions);
    result.end();
}

/// Appends the result of `server/discover` (2026-07-28, server/discover).
pub(crate) fn encode_discover_result(
    out: &mut Vec<u8>,
    capabilities: &ServerCapabilities,
    server: Option<&Implementation>,
    instructions: Option<&str>,
    ttl_ms: u64,
    scope: CacheScope,
) {
    let revision = Revision::R2026_07_28;
    let mut result = begin_result(out, revision);
    json::write_array(result.key("supportedVersions"), supported_versions(), json::write_str);
    capabilities.write_to(result.key("capabilities"), revision);
    result.opt_str("instructions", instructions);
    write_cache_hints(&mut result, revision, ttl_ms, scope);
    end_result(result, revision, server, None);
}

/// Appends a result that says nothing but that it was done: of `ping`, `logging/setLevel`, …
pub(crate) fn encode_empty_result(out: &mut Vec<u8>, revision: Revision, server: Option<&Implementation>) {
    let result = begin_result(out, revision);
    end_result(result, revision, server, None);
}

/// Appends the result that ends a `subscriptions/listen` (2026-07-28, basic/patterns/subscriptions).
pub(crate) fn encode_listen_result(out: &mut Vec<u8>, subscription: &RequestId, server: Option<&Implementation>) {
    let revision = Revision::R2026_07_28;
    let mut result = begin_result(out, revision);
    let mut meta = Object::begin(result.key("_meta"));
    subscription.write_to(meta.key(meta_keys::SUBSCRIPTION_ID));
    write_server_info(&mut meta, revision, server);
    meta.end();
    result.end();
}

/// Begins a result of any method; a modern one with its `resultType`.
pub(crate) fn begin_result(out: &mut Vec<u8>, revision: Revision) -> Object<'_> {
    let mut result = Object::begin(out);
    if revision.is_modern() {
        result.str("resultType", "complete");
    }
    result
}

/// Ends a result of any method with its `_meta`: what the author set, and on modern ones who answers.
pub(crate) fn end_result(
    mut result: Object<'_>,
    revision: Revision,
    server: Option<&Implementation>,
    meta: Option<&MetaMap>,
) {
    let server = server.filter(|_| revision.is_modern());
    let meta = meta.filter(|meta| !meta.is_empty());
    if server.is_some() || meta.is_some() {
        let mut inner = Object::begin(result.key("_meta"));
        write_server_info(&mut inner, revision, server);
        if let Some(meta) = meta {
            // Who answers is ours to say, and a member must not come twice.
            write_meta_members(&mut inner, meta, |key| key != meta_keys::SERVER_INFO);
        }
        inner.end();
    }
    result.end();
}

/// Adds the cache hints that six modern results must have.
pub(crate) fn write_cache_hints(result: &mut Object<'_>, revision: Revision, ttl_ms: u64, scope: CacheScope) {
    if revision.is_modern() {
        result.u64("ttlMs", ttl_ms);
        result.str("cacheScope", scope.as_str());
    }
}

fn write_server_info(meta: &mut Object<'_>, revision: Revision, server: Option<&Implementation>) {
    if let Some(server) = server {
        encode_implementation(meta.key(meta_keys::SERVER_INFO), server, revision);
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
pub(crate) mod tests;

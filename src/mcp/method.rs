//! JSON-RPC methods and notifications of an author's own, beside those of MCP.

use super::ctx::Ctx;
use super::handler::complaint;
use super::product::Product;
use super::tool_error::{ToolError, ToolResult};
use crate::guard::scopes::Required;
use crate::protocol::error::codes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A registered closure; the text is the JSON of the params.
pub(crate) type MethodHandler = Arc<dyn Fn(&Ctx, &str) -> ToolResult<Product> + Send + Sync>;

/// What answers methods that nothing else is registered for.
pub(crate) type Fallback = Arc<dyn Fn(&Ctx, &str, &str) -> ToolResult<Product> + Send + Sync>;

/// A method of an author's own: its name, and who may use it.
///
/// ```
/// # use mcp_blocking::{Method, NoArgs, Server};
/// # use serde_json::json;
/// let server = Server::new("notes", "1.0.0")
///     .method_with(Method::new("acme/purge").scope("admin"), |_ctx, NoArgs| Ok(json!({ "purged": true })));
/// ```
#[derive(Debug, Clone)]
pub struct Method {
    pub(crate) name: String,
    pub(crate) required: Required,
}

impl Method {
    /// A method of that name, for everybody.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), required: Required::default() }
    }

    /// Only callers with this scope may use it: see [`Tool::scope`](crate::Tool::scope). May be called several times: all are needed. For others there is no such
    /// method, so that a [`fallback`](crate::Server::fallback) is asked.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.required.add(scope);
        self
    }

    /// Callers without its scopes are told which they need: see [`Tool::step_up`](crate::Tool::step_up).
    #[must_use]
    pub fn step_up(mut self) -> Self {
        self.required.set_step_up();
        self
    }
}

/// A method or notification with its handler.
pub(crate) struct MethodEntry {
    pub(crate) name: Arc<str>,
    pub(crate) required: Required,
    pub(crate) handler: MethodHandler,
}

/// Methods, notifications and the fallback of a server.
#[derive(Clone, Default)]
pub(crate) struct Methods {
    pub(crate) requests: Vec<Arc<MethodEntry>>,
    pub(crate) notifications: Vec<Arc<MethodEntry>>,
    pub(crate) fallback: Option<Fallback>,
}

impl Methods {
    pub(crate) fn request(&self, name: &str) -> Option<Arc<MethodEntry>> {
        find(&self.requests, name)
    }

    /// What answers a method that nothing else answers.
    pub(crate) fn unknown(&self, name: &str) -> Option<Arc<MethodEntry>> {
        let fallback = Arc::clone(self.fallback.as_ref()?);
        let name: Arc<str> = name.into();
        let asked = Arc::clone(&name);
        let handler: MethodHandler = Arc::new(move |ctx: &Ctx, params: &str| fallback(ctx, &asked, params));
        Some(Arc::new(MethodEntry { name, required: Required::default(), handler }))
    }

    pub(crate) fn notification(&self, name: &str) -> Option<Arc<MethodEntry>> {
        find(&self.notifications, name)
    }
}

fn find(entries: &[Arc<MethodEntry>], name: &str) -> Option<Arc<MethodEntry>> {
    entries.iter().find(|entry| *entry.name == *name).cloned()
}

/// From a typed closure that answers.
pub(crate) fn answering<A, R, F>(handler: F) -> MethodHandler
where
    A: DeserializeOwned,
    R: Serialize,
    F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
{
    Arc::new(move |ctx, text| Product::object(&handler(ctx, parse(text)?)?))
}

/// From a typed closure that takes note.
pub(crate) fn noting<A, F>(handler: F) -> MethodHandler
where
    A: DeserializeOwned,
    F: Fn(&Ctx, A) + Send + Sync + 'static,
{
    Arc::new(move |ctx, text| {
        handler(ctx, parse(text)?);
        Ok(Product::Nothing)
    })
}

/// From a closure that answers any method.
pub(crate) fn fallback<R, F>(handler: F) -> Fallback
where
    R: Serialize,
    F: Fn(&Ctx, &str, &RawValue) -> ToolResult<R> + Send + Sync + 'static,
{
    Arc::new(move |ctx, method, text| {
        let params: &RawValue = serde_json::from_str(text)?;
        Product::object(&handler(ctx, method, params)?)
    })
}

/// Params that do not fit are an error of the protocol: there is no model that could read a result.
fn parse<A: DeserializeOwned>(text: &str) -> ToolResult<A> {
    serde_json::from_str(text).map_err(|_| ToolError::rpc(codes::INVALID_PARAMS, complaint::<A>(text)))
}

//! JSON-RPC methods and notifications of an author's own, beside those of MCP.

use super::ctx::Ctx;
use super::handler::complaint;
use super::product::Product;
use super::tool_error::{ToolError, ToolResult};
use crate::protocol::error::codes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A registered closure; the text is the JSON of the params.
pub(crate) type MethodHandler = Arc<dyn Fn(&Ctx, &str) -> ToolResult<Product> + Send + Sync>;

/// What answers methods that nothing else is registered for.
pub(crate) type Fallback = Arc<dyn Fn(&Ctx, &str, &str) -> ToolResult<Product> + Send + Sync>;

/// A method or notification with its handler.
pub(crate) struct MethodEntry {
    pub(crate) name: Arc<str>,
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
        find(&self.requests, name).or_else(|| {
            let fallback = Arc::clone(self.fallback.as_ref()?);
            let name: Arc<str> = name.into();
            let asked = Arc::clone(&name);
            let handler: MethodHandler = Arc::new(move |ctx: &Ctx, params: &str| fallback(ctx, &asked, params));
            Some(Arc::new(MethodEntry { name, handler }))
        })
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

//! What is called, with which arguments: a tool, a resource, a prompt, a completion or a method of an author's own.

use super::batch::Reply;
use super::cache::{self, Hint};
use super::catalog::Item;
use super::complete::CompletionHandler;
use super::ctx::Ctx;
use super::layer::Layers;
use super::method::MethodEntry;
use super::product::Product;
use super::prompt::PromptEntry;
use super::registry::Entry;
use super::resource::{self, ResourceHandler};
use super::tool_error::ToolResult;
use crate::guard::scopes::Required;
use crate::protocol::method;
use crate::service::Text;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The JSON text of the arguments.
#[derive(Clone)]
pub(crate) enum Arguments {
    Copied(Arc<str>),
    /// A part of the message, for large ones.
    Part(Text, Range<usize>),
}

impl Arguments {
    /// Below this the text is copied, so that a few bytes do not hold the whole read buffer.
    const COPY: usize = 4 << 10;

    /// `part` is a part of `message`.
    pub(crate) fn of(message: &Text, part: Option<&str>) -> Self {
        let Some(part) = part else { return Self::Copied("{}".into()) };
        let start = (part.as_ptr() as usize).wrapping_sub(message.as_ptr() as usize);
        let range = start..start.wrapping_add(part.len());
        match message.get(range.clone()) {
            Some(same) if part.len() > Self::COPY && same == part => Self::Part(message.clone(), range),
            _ => Self::Copied(part.into()),
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Copied(text) => text,
            Self::Part(message, range) => message.get(range.clone()).unwrap_or("{}"),
        }
    }

    /// The memory they hold.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Copied(text) => text.len(),
            Self::Part(message, _) => message.len(),
        }
    }
}

/// What is called.
pub(crate) enum Target {
    Tool(Arc<Entry>),
    Resource { handler: ResourceHandler, uri: Box<str>, cache: Hint, required: Required },
    Prompt(Arc<Item<PromptEntry>>),
    Completion(CompletionHandler),
    Method(Arc<MethodEntry>),
}

impl Target {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Tool(entry) => entry.name(),
            Self::Resource { uri, .. } => uri,
            Self::Prompt(prompt) => &prompt.it.info.name,
            Self::Completion(_) => "completion",
            Self::Method(entry) => &entry.name,
        }
    }

    /// The JSON-RPC method, and what of it.
    pub(super) fn what(&self) -> (&str, Option<&str>) {
        match self {
            Self::Tool(entry) => (method::TOOLS_CALL, Some(entry.name())),
            Self::Resource { uri, .. } => (method::RESOURCES_READ, Some(uri)),
            Self::Prompt(prompt) => (method::PROMPTS_GET, Some(&prompt.it.info.name)),
            Self::Completion(_) => (method::COMPLETE, None),
            Self::Method(entry) => (&*entry.name, None),
        }
    }

    /// What it takes to use it.
    pub(super) fn required(&self) -> Option<&Required> {
        match self {
            Self::Tool(entry) => Some(&entry.required),
            Self::Resource { required, .. } => Some(required),
            Self::Prompt(prompt) => Some(&prompt.it.required),
            Self::Method(entry) => Some(&entry.required),
            // That of what is completed was looked at.
            Self::Completion(_) => None,
        }
    }

    /// Whether clients repeat it when they have answered a question (2026-07-28, basic/patterns/mrtr).
    pub(super) fn is_retried(&self) -> bool {
        matches!(self, Self::Tool(_) | Self::Resource { .. } | Self::Prompt(_))
    }

    /// What the audit log has a digest of.
    pub(super) fn subject<'a>(&'a self, arguments: &'a Arguments) -> &'a str {
        match self {
            Self::Resource { uri, .. } => uri,
            _ => arguments.text(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Tool(entry) => entry.deadline,
            _ => None,
        }
    }

    pub(super) fn run(&self, ctx: &Ctx, arguments: &str) -> ToolResult<Product> {
        match self {
            Self::Tool(entry) => (entry.handler)(ctx, arguments).map(Product::Output),
            Self::Resource { handler, uri, cache, required } => match handler(ctx, uri, arguments)? {
                // An empty answer would say that it is there (2026-07-28, server/resources).
                contents if contents.is_empty() => Err(resource::not_found(uri, ctx.revision())),
                contents => {
                    let guarded = !required.is_empty() || ctx.has_looked_at_scopes();
                    let hint = cache::narrowed(ctx.cache_hint().unwrap_or(*cache), guarded);
                    Ok(Product::Contents(contents, hint, None))
                }
            },
            Self::Prompt(prompt) => (prompt.it.handler)(ctx, arguments).map(Product::Prompt),
            Self::Completion(handler) => {
                let prefix = serde_json::from_str(arguments).unwrap_or_default();
                handler(ctx, &prefix).map(|values| Product::Completion(values, None))
            }
            Self::Method(entry) => (entry.handler)(ctx, arguments),
        }
    }
}

/// What is to be done, and where its answer goes.
pub(crate) struct Job {
    pub(crate) target: Target,
    pub(crate) layers: Layers,
    pub(crate) arguments: Arguments,
    pub(crate) reply: Reply,
}

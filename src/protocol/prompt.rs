//! What is a prompt, and what does it say? (server/prompts)

use crate::protocol::content::{Content, Icon, Implementation, MetaMap, Role};
use crate::protocol::convert::{encode_content, write_icons, write_item_meta};
use crate::protocol::encode::{begin_result, end_result};
use crate::protocol::json::{self, Object};
use crate::protocol::revision::Revision;
use serde_json::Value;

/// How a prompt is described to clients.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct PromptInfo {
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub arguments: Vec<PromptArgument>,
    pub icons: Vec<Icon>,
    pub meta: Option<MetaMap>,
}

/// What a prompt can be filled with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PromptArgument {
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub required: bool,
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PromptMessage {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: Content,
}

impl PromptMessage {
    /// Something that the user says.
    pub fn user(content: impl Into<Content>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// Something that the model says.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// What a prompt says.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct PromptOutput {
    /// What it is about, for people.
    pub description: Option<String>,
    /// The messages, in their order.
    pub messages: Vec<PromptMessage>,
    /// `_meta` of the result.
    pub meta: Option<MetaMap>,
}

impl PromptOutput {
    /// Messages without a description.
    pub fn new(messages: impl IntoIterator<Item = PromptMessage>) -> Self {
        Self { messages: messages.into_iter().collect(), ..Self::default() }
    }

    /// Adds one member to the result's `_meta`. A key that the protocol does not allow
    /// ([`Ctx::set_meta`](crate::Ctx::set_meta)) is left out when the result is sent.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    /// Says what it is about.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}

/// Appends the description of a prompt.
pub(crate) fn encode_prompt_info(out: &mut Vec<u8>, prompt: &PromptInfo, revision: Revision) {
    let mut object = Object::begin(out);
    object.str("name", &prompt.name);
    if revision >= Revision::R2025_06_18 {
        object.opt_str("title", prompt.title.as_deref());
    }
    object.opt_str("description", prompt.description.as_deref());
    if !prompt.arguments.is_empty() {
        json::write_array(object.key("arguments"), &prompt.arguments, |out, argument| {
            let mut inner = Object::begin(out);
            inner.str("name", &argument.name);
            if revision >= Revision::R2025_06_18 {
                inner.opt_str("title", argument.title.as_deref());
            }
            inner.opt_str("description", argument.description.as_deref());
            inner.bool("required", argument.required);
            inner.end();
        });
    }
    write_icons(&mut object, &prompt.icons, revision);
    write_item_meta(&mut object, prompt.meta.as_ref(), revision);
    object.end();
}

/// Appends the result of `prompts/get`.
pub(crate) fn encode_prompt_result(
    out: &mut Vec<u8>,
    output: &PromptOutput,
    revision: Revision,
    server: Option<&Implementation>,
) {
    let mut result = begin_result(out, revision);
    result.opt_str("description", output.description.as_deref());
    json::write_array(result.key("messages"), &output.messages, |out, message| {
        let mut inner = Object::begin(out);
        inner.str("role", message.role.as_str());
        encode_content(inner.key("content"), &message.content, revision);
        inner.end();
    });
    end_result(result, revision, server, output.meta.as_ref());
}

//! Prompts: texts for the model that a user asks for by name.

use super::catalog::Listed;
use super::ctx::Ctx;
use super::handler::complaint;
use super::schema;
use super::tool_error::{ToolError, ToolResult};
use crate::error::Problem;
use crate::guard::scopes::Required;
use crate::protocol::content::{Content, Icon, MetaMap};
use crate::protocol::error::codes;
use crate::protocol::meta_key;
use crate::protocol::prompt::{PromptArgument, PromptInfo, PromptMessage, PromptOutput, encode_prompt_info};
use crate::protocol::revision::Revision;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// The text is the JSON of the arguments.
pub(crate) type PromptHandler = Arc<dyn Fn(&Ctx, &str) -> ToolResult<PromptOutput> + Send + Sync>;

/// What a prompt is called and what it is for.
///
/// ```
/// # use mcp_blocking::Prompt;
/// let prompt = Prompt::new("review", "Ask for a code review").title("Code review");
/// ```
#[derive(Debug, Clone)]
pub struct Prompt {
    name: String,
    title: Option<String>,
    description: String,
    icons: Vec<Icon>,
    meta: Option<MetaMap>,
    required: Required,
}

impl Prompt {
    /// A prompt with that name and a description for people.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        let (name, description) = (name.into(), description.into());
        Self { name, title: None, description, icons: Vec::new(), meta: None, required: Required::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A name for people, for revisions that have one (2025-06-18 and later).
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// A picture for clients that show one (2025-11-25 and later).
    #[must_use]
    pub fn icon(mut self, icon: Icon) -> Self {
        self.icons.push(icon);
        self
    }

    /// A member of the prompt's `_meta` (2025-06-18 and later). `bind` reports keys that the protocol does not allow, see
    /// [`Ctx::set_meta`](crate::Ctx::set_meta).
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    /// Only callers with this scope may use the prompt: see [`Tool::scope`](crate::Tool::scope). May be called several times: all are needed.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.required.add(scope);
        self
    }

    /// Callers without its scopes see it, and are told which they need: see [`Tool::step_up`](crate::Tool::step_up).
    #[must_use]
    pub fn step_up(mut self) -> Self {
        self.required.set_step_up();
        self
    }
}

/// What a prompt can say: one text of the user (`String`, `&str`, [`Content`]), messages, or all of a [`PromptOutput`].
pub trait IntoPrompt {
    /// As messages.
    fn into_prompt(self) -> PromptOutput;
}

impl IntoPrompt for PromptOutput {
    fn into_prompt(self) -> PromptOutput {
        self
    }
}

impl IntoPrompt for String {
    fn into_prompt(self) -> PromptOutput {
        PromptOutput::new([PromptMessage::user(self)])
    }
}

impl IntoPrompt for &str {
    fn into_prompt(self) -> PromptOutput {
        PromptOutput::new([PromptMessage::user(self)])
    }
}

impl IntoPrompt for Content {
    fn into_prompt(self) -> PromptOutput {
        PromptOutput::new([PromptMessage::user(self)])
    }
}

impl IntoPrompt for PromptMessage {
    fn into_prompt(self) -> PromptOutput {
        PromptOutput::new([self])
    }
}

impl IntoPrompt for Vec<PromptMessage> {
    fn into_prompt(self) -> PromptOutput {
        PromptOutput::new(self)
    }
}

/// A registered prompt.
pub(crate) struct PromptEntry {
    pub(crate) info: PromptInfo,
    pub(crate) required: Required,
    pub(crate) handler: PromptHandler,
}

impl Listed for PromptEntry {
    fn key(&self) -> &str {
        &self.info.name
    }

    fn encode(&self, out: &mut Vec<u8>, revision: Revision) {
        encode_prompt_info(out, &self.info, revision);
    }

    fn required(&self) -> &Required {
        &self.required
    }
}

pub(crate) fn prompt_of<A, R, F>(prompt: Prompt, handler: F) -> Result<PromptEntry, Problem>
where
    A: DeserializeOwned + JsonSchema,
    R: IntoPrompt,
    F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
{
    let problem = |what: String| Problem::new(format!("prompt `{}`", prompt.name.escape_debug()), what);
    if prompt.name.is_empty() || prompt.name.len() > 128 || prompt.name.chars().any(char::is_control) {
        return Err(problem("its name has to have 1 to 128 bytes, without control characters".into()));
    }
    meta_key::check_all(prompt.meta.as_ref()).map_err(problem)?;
    let arguments = schema::of_prompt::<A>().map_err(problem)?;
    prompt.required.check().map_err(problem)?;
    let Prompt { name, title, description, icons, meta, required } = prompt;
    let info = PromptInfo { name, title, description: Some(description), arguments, icons, meta };
    let handler: PromptHandler = Arc::new(move |ctx, text| {
        let arguments =
            serde_json::from_str(text).map_err(|_| ToolError::rpc(codes::INVALID_PARAMS, complaint::<A>(text)))?;
        handler(ctx, arguments).map(IntoPrompt::into_prompt)
    });
    Ok(PromptEntry { info, required, handler })
}

/// The arguments of a prompt, from the schema of their type.
pub(crate) fn arguments_of(schema: &Value) -> Result<Vec<PromptArgument>, String> {
    let required = |name: &str| {
        schema.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|other| other == name))
    };
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else { return Ok(Vec::new()) };
    let argument = |(name, field): (&String, &Value)| {
        let texts = field.get("type").is_some_and(|kind| kind == "string") || field.get("oneOf").is_some();
        if !texts {
            return Err(format!("its argument `{name}` has to be a text: a prompt is filled with nothing else"));
        }
        let text = |key: &str| field.get(key).and_then(Value::as_str).map(str::to_owned);
        let (title, description) = (text("title"), text("description"));
        Ok(PromptArgument { name: name.clone(), title, description, required: required(name) })
    };
    fields.iter().map(argument).collect()
}

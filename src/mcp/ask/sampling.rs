//! Questions that the client's language model answers, and the client's roots.

use super::question::{Needs, Question, Rendered, Sealed};
use crate::mcp::tool_error::ToolResult;
use crate::protocol::content::{Blob, Role};
use crate::protocol::revision::Revision;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A question to the client's language model (`sampling/createMessage`). Deprecated in 2026-07-28, and still served there.
///
/// ```
/// # use mcp_blocking::ask::Sampling;
/// let question = Sampling::new("summary", "Summarize this text: …").max_tokens(200).system("You are brief.");
/// ```
#[derive(Debug, Clone)]
pub struct Sampling {
    key: String,
    messages: Vec<Value>,
    params: Map<String, Value>,
    tools: bool,
}

impl Sampling {
    /// Asks the model what follows that text of the user. At most 1,000 tokens, unless [`max_tokens`](Self::max_tokens) says
    /// otherwise. The key names the question within the handler: each question has its own.
    pub fn new(key: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self::conversation(key).user(prompt)
    }

    /// A conversation, to be filled with [`user`](Self::user) and [`assistant`](Self::assistant).
    pub fn conversation(key: impl Into<String>) -> Self {
        let mut params = Map::new();
        params.insert("maxTokens".into(), 1_000.into());
        Self { key: key.into(), messages: Vec::new(), params, tools: false }
    }

    /// A text of the user.
    #[must_use]
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(Role::User, json!({ "type": "text", "text": text.into() }))
    }

    /// A text of the model.
    #[must_use]
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(Role::Assistant, json!({ "type": "text", "text": text.into() }))
    }

    /// A message with content as the protocol has it: one block, or a list of blocks (2025-11-25 and later).
    #[must_use]
    pub fn message(mut self, role: Role, content: Value) -> Self {
        let role = match role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        self.messages.push(json!({ "role": role, "content": content }));
        self
    }

    /// Most tokens of the answer.
    #[must_use]
    pub fn max_tokens(self, most: u32) -> Self {
        self.set("maxTokens", most)
    }

    /// A system prompt. Clients may change or ignore it.
    #[must_use]
    pub fn system(self, prompt: impl Into<String>) -> Self {
        self.set("systemPrompt", prompt.into())
    }

    /// How much chance is in the answer.
    #[must_use]
    pub fn temperature(self, temperature: f64) -> Self {
        self.set("temperature", temperature)
    }

    /// Texts at which the model stops.
    #[must_use]
    pub fn stop_at(self, sequences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.set("stopSequences", sequences.into_iter().map(Into::into).collect::<Vec<String>>())
    }

    /// Which model is wanted, as the protocol has it: `hints`, `costPriority`, `speedPriority`, `intelligencePriority`.
    #[must_use]
    pub fn model_preferences(self, preferences: Value) -> Self {
        self.set("modelPreferences", preferences)
    }

    /// Tools that the model may use, as the protocol has them (2025-11-25 and later, for clients that declare
    /// `sampling.tools`). Uses come back as [`Sampled::tool_uses`]; each has to be answered in the next question.
    #[must_use]
    pub fn tools(mut self, tools: Vec<Value>) -> Self {
        self.tools = true;
        self.set("tools", tools)
    }

    /// `auto`, `required` or `none`.
    #[must_use]
    pub fn tool_choice(mut self, mode: &str) -> Self {
        self.tools = true;
        self.set("toolChoice", json!({ "mode": mode }))
    }

    fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.params.insert(key.into(), value.into());
        self
    }
}

impl Sealed for Sampling {}

impl Question for Sampling {
    type Answer = Sampled;

    fn key(&self) -> &str {
        &self.key
    }

    fn render(&self, _revision: Revision) -> ToolResult<Rendered> {
        let mut params = self.params.clone();
        params.insert("messages".into(), Value::Array(self.messages.clone()));
        let needs = if self.tools { Needs::SamplingTools } else { Needs::Sampling };
        Rendered::new("sampling/createMessage", &Value::Object(params), needs)
    }

    fn read(&self, answer: &RawValue) -> Result<Sampled, String> {
        let wire: WireSampled =
            serde_json::from_str(answer.get()).map_err(|error| format!("it is no result of sampling: {error}"))?;
        let content = match wire.content {
            Value::Array(blocks) => blocks,
            block => vec![block],
        };
        let content = content.into_iter().map(SampledContent::read).collect::<Result<_, _>>()?;
        let role = if wire.role == WireRole::User { Role::User } else { Role::Assistant };
        Ok(Sampled { role, content, model: wire.model, stop_reason: wire.stop_reason })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSampled {
    role: WireRole,
    content: Value,
    model: String,
    #[serde(default)]
    stop_reason: Option<String>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum WireRole {
    User,
    Assistant,
}

/// What a model has answered.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sampled {
    /// Whose words these are: as a rule the assistant's.
    pub role: Role,
    /// One block, or several (2025-11-25 and later).
    pub content: Vec<SampledContent>,
    /// The model's name.
    pub model: String,
    /// Why it stopped: `endTurn`, `stopSequence`, `maxTokens`, `toolUse`, or what the provider says.
    pub stop_reason: Option<String>,
}

impl Sampled {
    /// All texts, one after the other.
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|content| match content {
            SampledContent::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// The tools that the model wants used: id, name and input.
    pub fn tool_uses(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.content.iter().filter_map(|content| match content {
            SampledContent::ToolUse { id, name, input } => Some((id.as_str(), name.as_str(), input)),
            _ => None,
        })
    }
}

/// A block of a model's answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SampledContent {
    /// Text.
    Text(String),
    /// A picture with its MIME type.
    Image(Blob, String),
    /// Sound with its MIME type.
    Audio(Blob, String),
    /// A tool that is to be used.
    ToolUse {
        /// To be named in the answer.
        id: String,
        /// The tool's name.
        name: String,
        /// Its arguments.
        input: Value,
    },
    /// A block of some other type, as it came.
    Other(Value),
}

impl SampledContent {
    fn read(block: Value) -> Result<Self, String> {
        let text = |key: &str| {
            block.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("a block has no `{key}`"))
        };
        let data = || {
            let data = BASE64.decode(text("data")?.as_bytes()).map_err(|_| "a block's data is not base64")?;
            Ok::<_, String>((Blob::from(data), text("mimeType")?))
        };
        Ok(match block.get("type").and_then(Value::as_str) {
            Some("text") => Self::Text(text("text")?),
            Some("image") => data().map(|(data, kind)| Self::Image(data, kind))?,
            Some("audio") => data().map(|(data, kind)| Self::Audio(data, kind))?,
            Some("tool_use") => Self::ToolUse {
                id: text("id")?,
                name: text("name")?,
                input: block.get("input").cloned().unwrap_or_default(),
            },
            Some(_) => Self::Other(block),
            None => return Err("a block has no `type`".into()),
        })
    }
}

/// Asks for the client's roots (`roots/list`): the folders it works in. Deprecated in 2026-07-28, and still served there.
#[derive(Debug, Clone)]
pub struct Roots {
    key: String,
}

impl Roots {
    /// The key names the question within the handler: each question has its own.
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into() }
    }
}

/// A folder that the client works in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Root {
    /// A `file://` URI. It may not exist, and what is behind it may change.
    pub uri: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Sealed for Roots {}

impl Question for Roots {
    type Answer = Vec<Root>;

    fn key(&self) -> &str {
        &self.key
    }

    fn render(&self, _revision: Revision) -> ToolResult<Rendered> {
        Rendered::new("roots/list", &json!({}), Needs::Roots)
    }

    fn read(&self, answer: &RawValue) -> Result<Vec<Root>, String> {
        #[derive(Deserialize)]
        struct Wire {
            roots: Vec<Root>,
        }
        let wire: Wire =
            serde_json::from_str(answer.get()).map_err(|error| format!("it is no list of roots: {error}"))?;
        match wire.roots.iter().find(|root| !root.uri.starts_with("file://")) {
            Some(_) => Err("a root is no file:// URI".into()),
            None => Ok(wire.roots),
        }
    }
}

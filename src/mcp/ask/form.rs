//! Questions that a user answers: forms to fill in, and pages to open.

use super::question::{Needs, Question, Rendered, Sealed};
use crate::mcp::schema;
use crate::mcp::tool_error::{ToolError, ToolResult};
use crate::protocol::form;
use crate::protocol::revision::Revision;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::fmt;
use std::marker::PhantomData;

/// What a user has said to a question.
///
/// Three cases, and no default among them: whoever declines or turns away has not agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<T> {
    /// The user agreed, and this is what they filled in.
    Accept(T),
    /// The user said no.
    Decline,
    /// The user said nothing: closed the question, or let it stand.
    Cancel,
}

impl<T> Answer<T> {
    /// What was filled in; an error that `?` carries out of the handler if there is nothing. "No answer, no work."
    ///
    /// # Errors
    /// The user declined or cancelled.
    pub fn accepted(self) -> ToolResult<T> {
        match self {
            Self::Accept(value) => Ok(value),
            Self::Decline => Err(ToolError::new("the user declined")),
            Self::Cancel => Err(ToolError::new("the user cancelled")),
        }
    }

    /// What was filled in, if the user agreed.
    pub fn ok(self) -> Option<T> {
        match self {
            Self::Accept(value) => Some(value),
            Self::Decline | Self::Cancel => None,
        }
    }

    /// `accept`, `decline` or `cancel`, as on the wire.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Accept(_) => "accept",
            Self::Decline => "decline",
            Self::Cancel => "cancel",
        }
    }

    /// The same with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Accept(value) => Answer::Accept(change(value)),
            Self::Decline => Answer::Decline,
            Self::Cancel => Answer::Cancel,
        }
    }
}

/// A form for the user: elicitation in form mode (2025-06-18 and later).
///
/// The fields of `T` are those of the form: texts (with a length, or a format among `email`, `uri`, `date`, `date-time`),
/// numbers, yes or no, choices (an enum without values in its variants), and lists of choices. The answer is checked
/// against them. Never ask for secrets in a form.
pub struct Form<T> {
    key: String,
    message: String,
    schema: Result<Value, String>,
    answer: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + JsonSchema> Form<T> {
    /// A form with the fields of `T`. The key names the question within the handler: each question has its own.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        let schema = schema::of_form::<T>();
        Self { key: key.into(), message: message.into(), schema, answer: PhantomData }
    }
}

impl Form<Value> {
    /// A form whose schema you bring, as the protocol has it (2025-11-25, `client/elicitation`).
    pub fn raw(key: impl Into<String>, message: impl Into<String>, schema: &Value) -> Self {
        let schema = form::of_schema(schema);
        Self { key: key.into(), message: message.into(), schema, answer: PhantomData }
    }
}

impl<T> fmt::Debug for Form<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What a client answers to an elicitation.
#[derive(Deserialize)]
struct ElicitResult {
    action: Action,
    #[serde(default)]
    content: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Accept,
    Decline,
    Cancel,
}

impl ElicitResult {
    fn read(raw: &RawValue) -> Result<Self, String> {
        serde_json::from_str(raw.get()).map_err(|error| format!("it is no result of an elicitation: {error}"))
    }
}

impl<T> Sealed for Form<T> {}

impl<T: DeserializeOwned> Question for Form<T> {
    type Answer = Answer<T>;

    fn key(&self) -> &str {
        &self.key
    }

    fn render(&self, revision: Revision) -> ToolResult<Rendered> {
        let wrong = |what: String| ToolError::new(format!("the form `{}` cannot be sent: {what}", self.key));
        let schema = self.schema.as_ref().map_err(|what| wrong(what.clone()))?;
        let schema = form::for_revision(schema, revision).map_err(wrong)?;
        let mut params = json!({ "message": self.message, "requestedSchema": schema });
        if revision >= Revision::R2025_11_25 {
            params["mode"] = "form".into();
        }
        Rendered::new("elicitation/create", &params, Needs::Form)
    }

    fn read(&self, answer: &RawValue) -> Result<Answer<T>, String> {
        let result = ElicitResult::read(answer)?;
        match result.action {
            Action::Decline => Ok(Answer::Decline),
            Action::Cancel => Ok(Answer::Cancel),
            Action::Accept => {
                let content = result.content.unwrap_or_default();
                if let Ok(schema) = &self.schema {
                    form::check(schema, &content)?;
                }
                serde_json::from_value(Value::Object(content)).map(Answer::Accept).map_err(|error| error.to_string())
            }
        }
    }
}

/// A page for the user to open, say to sign in somewhere: elicitation in URL mode (2025-11-25 and later).
///
/// [`Answer::Accept`] means that the user agreed to open it, not that they are done there. The server has to make sure that
/// who opens the page is who asked, and the URL must hold no secrets (2026-07-28, `client/elicitation`).
#[derive(Debug, Clone)]
pub struct OpenUrl {
    key: String,
    message: String,
    url: String,
}

impl OpenUrl {
    /// A page at that URL: `https`, or `http` during development.
    pub fn new(key: impl Into<String>, message: impl Into<String>, url: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), url: url.into() }
    }
}

impl Sealed for OpenUrl {}

impl Question for OpenUrl {
    type Answer = Answer<()>;

    fn key(&self) -> &str {
        &self.key
    }

    fn render(&self, revision: Revision) -> ToolResult<Rendered> {
        let good = self.url.split_once("://").is_some_and(|(scheme, rest)| {
            matches!(scheme, "https" | "http")
                && !rest.is_empty()
                && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
        });
        if !good {
            return Err(ToolError::new(format!("the page `{}` has no URL that could be opened", self.key)));
        }
        let mut params = json!({ "mode": "url", "message": self.message, "url": self.url });
        if !revision.is_modern() {
            // 2025-11-25 wants an id; the key and the URL make it the same whenever the same is asked.
            params["elicitationId"] = crate::protocol::sealed::digest(&self.key, &self.url).into();
        }
        Rendered::new("elicitation/create", &params, Needs::Url)
    }

    fn read(&self, answer: &RawValue) -> Result<Answer<()>, String> {
        Ok(match ElicitResult::read(answer)?.action {
            Action::Accept => Answer::Accept(()),
            Action::Decline => Answer::Decline,
            Action::Cancel => Answer::Cancel,
        })
    }
}

//! Completion: what could stand in an argument of a prompt, or in a variable of a template.

use super::ctx::Ctx;
use super::tool_error::ToolResult;
use crate::protocol::content::{Implementation, MetaMap};
use crate::protocol::encode::{begin_result, end_result};
use crate::protocol::error::RpcError;
use crate::protocol::json::{self, Object};
use crate::protocol::revision::Revision;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

/// Most values of one answer (server/utilities/completion).
const MOST: usize = 100;

pub(crate) type CompletionHandler = Arc<dyn Fn(&Ctx, &Prefix) -> ToolResult<Vec<String>> + Send + Sync>;

/// What has been typed so far. Use it as a `&str`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Prefix {
    value: String,
    #[serde(default)]
    arguments: BTreeMap<String, String>,
}

impl Prefix {
    /// What another argument has been filled with already (clients of 2025-06-18 and later say so).
    pub fn argument(&self, name: &str) -> Option<&str> {
        self.arguments.get(name).map(String::as_str)
    }
}

impl Deref for Prefix {
    type Target = str;

    fn deref(&self) -> &str {
        &self.value
    }
}

/// What is completed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Subject {
    Prompt(String),
    Template(String),
}

impl Subject {
    /// What a problem with the completion of that argument is named by.
    pub(crate) fn completed(&self, argument: &str) -> String {
        let (Self::Prompt(name) | Self::Template(name)) = self;
        format!("completion of `{}` in `{}`", argument.escape_debug(), name.escape_debug())
    }
}

/// Who suggests values, and where that was registered.
#[derive(Clone)]
pub(crate) struct Completion {
    pub(crate) handler: CompletionHandler,
    pub(crate) at: &'static Location<'static>,
}

/// What a request asks for.
pub(crate) struct Asked {
    pub(crate) subject: Subject,
    pub(crate) argument: String,
    pub(crate) prefix: Prefix,
}

impl Asked {
    /// Reads the parameters of `completion/complete`.
    ///
    /// # Errors
    /// -32602, naming what is wrong.
    pub(crate) fn read(
        reference: Option<&RawValue>,
        argument: Option<&RawValue>,
        context: Option<&RawValue>,
    ) -> Result<Self, RpcError> {
        #[derive(Deserialize)]
        struct Reference {
            #[serde(rename = "type")]
            kind: String,
            name: Option<String>,
            uri: Option<String>,
        }
        #[derive(Deserialize)]
        struct Argument {
            name: String,
            value: String,
        }
        #[derive(Deserialize, Default)]
        struct Context {
            #[serde(default)]
            arguments: BTreeMap<String, String>,
        }
        let wrong = |what: &str| RpcError::invalid_params(format!("params.{what}"));
        let reference: Reference = reference
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .ok_or_else(|| wrong("ref must be an object with a type"))?;
        let subject = match (reference.kind.as_str(), reference.name, reference.uri) {
            ("ref/prompt", Some(name), _) => Subject::Prompt(name),
            ("ref/resource", _, Some(uri)) => Subject::Template(uri),
            _ => return Err(wrong("ref must be a ref/prompt with a name or a ref/resource with a uri")),
        };
        let argument: Argument = argument
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .ok_or_else(|| wrong("argument must be an object with a name and a value"))?;
        let context: Context = match context {
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| wrong("context.arguments must hold texts"))?,
            None => Context::default(),
        };
        let prefix = Prefix { value: argument.value, arguments: context.arguments };
        Ok(Self { subject, argument: argument.name, prefix })
    }
}

/// Appends the result of `completion/complete`.
pub(crate) fn encode_completion(
    out: &mut Vec<u8>,
    values: &[String],
    revision: Revision,
    server: Option<&Implementation>,
    meta: Option<&MetaMap>,
) {
    let mut result = begin_result(out, revision);
    let mut completion = Object::begin(result.key("completion"));
    let shown = values.get(..MOST).unwrap_or(values);
    json::write_array(completion.key("values"), shown, |out, value| json::write_str(out, value));
    completion.u64("total", values.len() as u64);
    completion.bool("hasMore", shown.len() < values.len());
    completion.end();
    end_result(result, revision, server, meta);
}

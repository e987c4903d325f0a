//! What all questions to a client have in common.

use super::form::{Form, OpenUrl};
use super::sampling::{Roots, Sampling};
use crate::mcp::tool_error::{ToolError, ToolResult};
use crate::protocol::capabilities::ClientCapabilities;
use crate::protocol::json;
use crate::protocol::revision::Revision;
use crate::protocol::sealed;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Keeps [`Question`] in this crate: what may be asked is the protocol's business.
pub trait Sealed {}

/// Something that a client, its user or its model can be asked: a [`Form`](super::Form), an [`OpenUrl`](super::OpenUrl), a
/// [`Sampling`](super::Sampling) or [`Roots`](super::Roots).
pub trait Question: Sealed {
    /// What comes back.
    type Answer;

    #[doc(hidden)]
    fn key(&self) -> &str;

    #[doc(hidden)]
    fn render(&self, revision: Revision) -> ToolResult<Rendered>;

    #[doc(hidden)]
    fn read(&self, answer: &RawValue) -> Result<Self::Answer, String>;
}

/// A question as it goes out.
#[derive(Debug)]
#[doc(hidden)]
pub struct Rendered {
    pub(crate) method: &'static str,
    pub(crate) params: Box<RawValue>,
    pub(crate) digest: String,
    needs: Needs,
    /// Only an answer counts that was asked for: none that a client brings of its own accord.
    pub(super) solicited: bool,
}

/// What a client has to have declared to be asked this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Form,
    Url,
    Sampling,
    SamplingTools,
    Roots,
}

impl Rendered {
    pub(super) fn new(method: &'static str, params: &Value, needs: Needs) -> ToolResult<Self> {
        let params = json::to_raw(params)?;
        let digest = sealed::digest(method, params.get());
        Ok(Self { method, params, digest, needs, solicited: false })
    }

    /// Lets only an answer count that was asked for.
    pub(in crate::mcp) fn solicited(self) -> Self {
        Self { solicited: true, ..self }
    }

    /// An error if this client cannot be asked this.
    pub(super) fn check(&self, client: &ClientCapabilities) -> ToolResult<()> {
        let (has, required) = match self.needs {
            Needs::Form => (client.elicitation_form, json!({ "elicitation": { "form": {} } })),
            Needs::Url => (client.elicitation_url, json!({ "elicitation": { "url": {} } })),
            Needs::Sampling => (client.sampling, json!({ "sampling": {} })),
            Needs::SamplingTools => (client.sampling_tools, json!({ "sampling": { "tools": {} } })),
            Needs::Roots => (client.roots, json!({ "roots": {} })),
        };
        if has { Ok(()) } else { Err(ToolError::missing_capability(required)) }
    }

    /// Whether that can be an answer, as far as it can be told without the handler, which knows the type that it wants.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn fits(&self, answer: &RawValue) -> Result<(), String> {
        match self.needs {
            Needs::Form => {
                let params: Value = serde_json::from_str(self.params.get()).unwrap_or_default();
                let schema = params.get("requestedSchema").unwrap_or(&Value::Null);
                Form::raw("", "", schema).read(answer).map(drop)
            }
            Needs::Url => OpenUrl::new("", "", "").read(answer).map(drop),
            Needs::Sampling | Needs::SamplingTools => Sampling::new("", "").read(answer).map(drop),
            Needs::Roots => Roots::new("").read(answer).map(drop),
        }
    }
}

/// Questions that can go out together: a tuple of up to six, or a list.
pub trait Questions: sealed_list::SealedList {
    /// The answers, in the same places.
    type Answers;

    #[doc(hidden)]
    fn render(&self, revision: Revision) -> ToolResult<Vec<(String, Rendered)>>;

    #[doc(hidden)]
    fn read(&self, answers: &[Box<RawValue>]) -> Result<Self::Answers, (String, String)>;
}

mod sealed_list {
    pub trait SealedList {}
}

fn read_one<Q: Question>(question: &Q, answer: Option<&RawValue>) -> Result<Q::Answer, (String, String)> {
    let wrong = |what: String| (question.key().to_owned(), what);
    question.read(answer.ok_or_else(|| wrong("there is no answer".into()))?).map_err(wrong)
}

impl<Q: Question> sealed_list::SealedList for Vec<Q> {}

impl<Q: Question> Questions for Vec<Q> {
    type Answers = Vec<Q::Answer>;

    fn render(&self, revision: Revision) -> ToolResult<Vec<(String, Rendered)>> {
        self.iter().map(|question| Ok((question.key().to_owned(), question.render(revision)?))).collect()
    }

    fn read(&self, answers: &[Box<RawValue>]) -> Result<Self::Answers, (String, String)> {
        self.iter()
            .enumerate()
            .map(|(place, question)| read_one(question, answers.get(place).map(|answer| &**answer)))
            .collect()
    }
}

macro_rules! tuple {
    ($($name:ident $place:tt),+) => {
        impl<$($name: Question),+> sealed_list::SealedList for ($($name,)+) {}

        impl<$($name: Question),+> Questions for ($($name,)+) {
            type Answers = ($($name::Answer,)+);

            fn render(&self, revision: Revision) -> ToolResult<Vec<(String, Rendered)>> {
                Ok(vec![$((self.$place.key().to_owned(), self.$place.render(revision)?)),+])
            }

            fn read(&self, answers: &[Box<RawValue>]) -> Result<Self::Answers, (String, String)> {
                Ok(($(read_one(&self.$place, answers.get($place).map(|answer| &**answer))?,)+))
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);

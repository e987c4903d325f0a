//! What is known of one request's questions: from earlier rounds, from this request, and from this run of its handler.

use super::question::Rendered;
use crate::clock;
use crate::guard::text::Escaped;
use crate::mcp::tool_error::{ToolError, ToolResult};
use crate::protocol::error::codes;
use crate::protocol::json;
use crate::protocol::sealed::{Binding, Keys, Recorded, SealError, State};
use crate::random;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most rounds of one request.
const MAX_ROUNDS: u32 = 10;
/// … of one task, which stays with the server: nobody else has to carry its state.
const MAX_TASK_ROUNDS: u32 = 100;
/// Most answers that are read of one request.
const MAX_RESPONSES: usize = 64;

/// What a request brings of earlier rounds (2026-07-28, basic/patterns/mrtr), unread.
#[derive(Clone, Default)]
pub(crate) struct Given {
    pub(crate) state: Option<Box<str>>,
    pub(crate) responses: Option<Box<RawValue>>,
}

impl Given {
    /// The memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.len())
            + self.responses.as_ref().map_or(0, |responses| responses.get().len())
    }

    fn is_empty(&self) -> bool {
        self.state.is_none() && self.responses.is_none()
    }
}

/// Where a request stands.
#[derive(Default)]
pub(crate) struct Flow {
    /// What came back sealed.
    state: Option<State>,
    /// What tells the state that a client has carried from all others, and when it ends, in seconds since 1970.
    carried: Option<([u8; 16], u64)>,
    /// The request runs as a task.
    in_task: bool,
    /// The handler wants to go on as a task.
    detaches: bool,
    /// The answers that came with this request.
    responses: BTreeMap<String, Box<RawValue>>,
    /// What was asked in this run, with the answers that are there.
    asked: BTreeMap<String, Asked>,
    /// What has to be asked before the handler can get further.
    open: Vec<(String, Rendered)>,
    remembered: BTreeMap<String, Box<RawValue>>,
    id: Option<String>,
}

struct Asked {
    digest: String,
    answer: Option<Box<RawValue>>,
}

/// An answer that was looked for.
pub(super) enum Found {
    Answer(Box<RawValue>),
    /// There is none yet.
    Open,
}

impl Flow {
    /// Reads what a request brings. `binding` is asked for only if there is something.
    pub(crate) fn open(given: &Given, keys: &Keys, binding: impl FnOnce() -> Binding) -> ToolResult<Self> {
        let mut flow = Self::default();
        if given.is_empty() {
            return Ok(flow);
        }
        if let Some(sealed) = &given.state {
            let opened = keys.open(sealed, binding(), clock::since_1970().as_secs()).map_err(|error| {
                let what = match error {
                    SealError::Expired => "its time is over; call again without it",
                    _ => "it was changed, or belongs to another request; call again without it",
                };
                ToolError::rpc(codes::INVALID_PARAMS, format!("params.requestState is not accepted: {what}"))
            })?;
            flow.id = Some(opened.state.flow.clone());
            flow.remembered.clone_from(&opened.state.remembered);
            flow.carried = Some((opened.id, opened.state.expires));
            flow.state = Some(opened.state);
        }
        if let Some(responses) = &given.responses {
            let whole = json::for_each_member(responses.get(), |key, value| {
                if flow.responses.len() < MAX_RESPONSES {
                    flow.responses.insert(key.into_owned(), value.to_owned());
                }
            });
            if !whole {
                return Err(ToolError::rpc(codes::INVALID_PARAMS, "params.inputResponses must be an object"));
            }
        }
        Ok(flow)
    }

    /// Looks for the answer to a question.
    pub(super) fn look_up(&mut self, key: &str, question: &Rendered) -> ToolResult<Found> {
        if let Some(asked) = self.asked.get(key) {
            if asked.digest != question.digest {
                return Err(ToolError::new(format!("two different questions have the key `{key}`")));
            }
            return Ok(asked.answer.clone().map_or(Found::Open, Found::Answer));
        }
        let answer = self.answer_from_outside(key, question);
        let asked = Asked { digest: question.digest.clone(), answer: answer.clone() };
        self.asked.insert(key.to_owned(), asked);
        Ok(answer.map_or(Found::Open, Found::Answer))
    }

    fn answer_from_outside(&self, key: &str, question: &Rendered) -> Option<Box<RawValue>> {
        let digest = &question.digest;
        let changed = || {
            log::warn!(target: "mcp_blocking::ask", "the question `{}` has changed since it was asked, and is asked again", Escaped::short(key));
        };
        let Some(state) = &self.state else {
            // A client may know what will be asked.
            return self.responses.get(key).filter(|_| !question.solicited).cloned();
        };
        if let Some(response) = self.responses.get(key)
            && let Some(asked) = state.open.get(key)
        {
            if *asked == *digest {
                return Some(response.clone());
            }
            changed();
            return None;
        }
        let recorded = state.answers.get(key)?;
        if recorded.question == *digest {
            return Some(recorded.answer.clone());
        }
        changed();
        None
    }

    /// A question goes out with the result of this round.
    pub(super) fn ask_later(&mut self, key: String, question: Rendered) {
        if !self.open.iter().any(|(open, _)| *open == key) {
            self.open.push((key, question));
        }
    }

    /// An answer that came during this run.
    pub(super) fn answered(&mut self, key: &str, answer: Box<RawValue>) {
        if let Some(asked) = self.asked.get_mut(key) {
            asked.answer = Some(answer);
        }
    }

    /// The handler can do without the questions that are open.
    pub(super) fn withdraw(&mut self) {
        self.open.clear();
    }

    pub(super) fn may_ask_again(&self) -> bool {
        let most = if self.in_task { MAX_TASK_ROUNDS } else { MAX_ROUNDS };
        self.state.as_ref().is_none_or(|state| state.round < most)
    }

    pub(super) fn in_task(&self) -> bool {
        self.in_task
    }

    /// The handler wants to go on as a task.
    pub(crate) fn detach(&mut self) {
        self.detaches = true;
    }

    pub(crate) fn detaches(&self) -> bool {
        self.detaches
    }

    /// The same text through all rounds of the request.
    pub(super) fn id(&mut self) -> ToolResult<String> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let bytes = random::bytes::<16>().map_err(|_| ToolError::new("the system gives no random numbers"))?;
        Ok(self.id.insert(data_encoding::HEXLOWER.encode(&bytes)).clone())
    }

    /// What tells the state that came from all others, and when it ends. `None` in the first round.
    pub(super) fn state_id(&self) -> Option<([u8; 16], Duration)> {
        let (id, expires) = self.carried?;
        Some((id, Duration::from_secs(expires.saturating_sub(clock::since_1970().as_secs()))))
    }

    /// Its use has been noted: once for all of this run, and in a task for all that follow.
    pub(super) fn used(&mut self) {
        self.carried = None;
    }

    pub(super) fn remembered(&self, key: &str) -> Option<&RawValue> {
        self.remembered.get(key).map(|raw| &**raw)
    }

    pub(super) fn remember(&mut self, key: &str, value: Box<RawValue>) {
        self.remembered.insert(key.to_owned(), value);
    }

    /// The questions that have to be asked now, with all that is known sealed. `None` if none are open.
    pub(crate) fn take_open(
        &mut self,
        keys: &Keys,
        lifetime: Duration,
        binding: impl FnOnce() -> Binding,
    ) -> ToolResult<Option<Round>> {
        if self.open.is_empty() {
            return Ok(None);
        }
        let questions = std::mem::take(&mut self.open);
        let mut state = self.next_state()?;
        state.expires = clock::since_1970().as_secs().saturating_add(lifetime.as_secs().max(1));
        state.open = questions.iter().map(|(key, question)| (key.clone(), question.digest.clone())).collect();
        let state = keys.seal(&state, binding()).map_err(|error| match error {
            SealError::TooLarge(bytes) => ToolError::new(format!(
                "the answers and what is remembered take {bytes} bytes, which is too much to carry on"
            )),
            _ => ToolError::new("the state of this request cannot be sealed"),
        })?;
        Ok(Some(Round { questions, state }))
    }

    /// All that is known behind this run, for one more.
    fn next_state(&mut self) -> ToolResult<State> {
        let answers = std::mem::take(&mut self.asked).into_iter().filter_map(|(key, asked)| {
            let answer = asked.answer?;
            Some((key, Recorded { question: asked.digest, answer }))
        });
        Ok(State {
            flow: self.id()?,
            round: self.state.as_ref().map_or(0, |state| state.round) + 1,
            answers: answers.collect(),
            remembered: std::mem::take(&mut self.remembered),
            ..State::default()
        })
    }

    /// The same flow, of a request that runs as a task.
    pub(crate) fn of_task(mut self) -> Self {
        self.in_task = true;
        self
    }

    /// What a task's next run begins with: all that is known behind this one.
    pub(crate) fn next_run(&mut self) -> ToolResult<Self> {
        let mut state = self.next_state()?;
        for (key, known) in self.state.take().map(|state| state.answers).unwrap_or_default() {
            // This run may not have come to it. Nobody has to carry it, so nobody is asked again.
            state.answers.entry(key).or_insert(known);
        }
        let (id, remembered) = (Some(state.flow.clone()), state.remembered.clone());
        Ok(Self { state: Some(state), carried: self.carried, in_task: true, id, remembered, ..Self::default() })
    }

    /// The questions that a task has to ask before its handler can get further; empty if there are none.
    pub(crate) fn take_questions(&mut self) -> Vec<(String, Rendered)> {
        std::mem::take(&mut self.open)
    }

    /// An answer has come between two runs of a task.
    pub(crate) fn record(&mut self, key: String, question: &Rendered, answer: Box<RawValue>) {
        let state = self.state.get_or_insert_default();
        state.answers.insert(key, Recorded { question: question.digest.clone(), answer });
    }

    /// The memory that it holds between two runs.
    pub(crate) fn bytes(&self) -> usize {
        let of_state = |state: &State| {
            let answers = state.answers.iter().map(|(key, known)| key.len() + known.answer.get().len() + 64);
            answers.sum::<usize>() + state.flow.len()
        };
        // Twice: in the state, and at hand.
        let remembered = self.remembered.iter().map(|(key, value)| 2 * (key.len() + value.get().len() + 32));
        let responses = self.responses.iter().map(|(key, value)| key.len() + value.get().len() + 32);
        size_of::<Self>()
            + self.state.as_ref().map_or(0, of_state)
            + remembered.sum::<usize>()
            + responses.sum::<usize>()
    }
}

/// Questions for the client, and what it has to bring back with the answers.
pub(crate) struct Round {
    questions: Vec<(String, Rendered)>,
    pub(crate) state: String,
}

impl Round {
    /// Key, method and parameters of each question.
    pub(crate) fn questions(&self) -> impl Iterator<Item = (&str, &str, &RawValue)> {
        self.questions.iter().map(|(key, question)| (key.as_str(), question.method, &*question.params))
    }
}

/// The arguments as a value, for a [`Binding`].
pub(crate) fn arguments_of(text: &str) -> Value {
    // They were parsed before; if this fails, any fixed value will do.
    serde_json::from_str(text).unwrap_or_default()
}

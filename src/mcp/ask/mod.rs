//! Questions to the client in the middle of a handler, and one way to write them for both eras.
//!
//! Up to 2025-11-25 the client is sent a request and the handler's thread waits. With 2026-07-28 the handler ends with the
//! question, the client comes again with the answer and a sealed state, and the handler runs again from its top.

pub(crate) mod flow;
pub(crate) mod form;
pub(crate) mod question;
pub(crate) mod replay;
pub(crate) mod sampling;

use super::asked::{self, RequestError};
use super::call::Call;
use super::ctx::Ctx;
use super::tool_error::{ToolError, ToolResult};
use crate::engine::{pool, reading};
use crate::principal::Payer;
use crate::protocol::error::codes;
use crate::protocol::json;
use crate::protocol::revision::Revision;
use crate::protocol::tasks;
use crossbeam_channel::select;
use flow::Found;
use form::{Answer, Form, OpenUrl};
use question::{Question, Questions, Rendered};
use replay::Use;
use sampling::{Root, Roots, Sampled, Sampling};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Questions to the client, its user and its model.
impl Ctx {
    /// Asks the user to fill in a form with the fields of `T`, and returns what they said.
    ///
    /// Write it as if it were a function that returns the answer; one handler serves all clients:
    ///
    /// ```
    /// # use mcp_blocking::{Answer, Ctx, NoArgs, Server};
    /// # use schemars::JsonSchema;
    /// # use serde::Deserialize;
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Confirm { confirm: bool }
    ///
    /// let server = Server::new("files", "1.0.0").tool("wipe", "Delete everything", |ctx, NoArgs| {
    ///     let Answer::Accept(Confirm { confirm: true }) = ctx.ask("sure", "Delete everything?")? else {
    ///         return Ok("kept");
    ///     };
    ///     Ok("deleted")
    /// });
    /// ```
    ///
    /// - Clients up to 2025-11-25 are sent a request, and this thread waits for the answer: up to
    ///   [`Limits::question_deadline`](crate::Limits::question_deadline), which does not count against the handler's deadline.
    /// - Clients of 2026-07-28 get the question as the result; `?` carries an error out of the handler that says so. When the client
    ///   comes back with the answer, **the handler runs again from its top**, and this call returns the answer. So what is before
    ///   the last question runs once for each round: keep it free of effects, or put it into [`remember`](Self::remember). Nothing is held
    ///   on the server meanwhile, and a server with the same [`state_key`](crate::Server::state_key) can take the next round.
    /// - In a task ([`Tool::task`](crate::Tool::task)) it is the same for both: clients up to 2025-11-25 are sent a request; those of
    ///   2026-07-28 find the question in the task, and the handler runs again from its top when they have answered. What is known of the task between its
    ///   runs stays on the server.
    ///
    /// The key names the question within the handler. An answer counts for the very same question only: if its text has changed
    /// between rounds, it is asked again.
    ///
    /// # Errors
    /// To be carried out by `?`: the question is on its way; the request was cancelled; the client cannot be asked (it did not declare
    /// elicitation: -32021, or a result that says so), did not answer in time, or answered what does not fit; the key is used for two questions; too
    /// many handlers wait; this is a [`quick`](crate::Tool::quick) tool, a notification or a method of your own, which cannot ask.
    #[doc(alias = "elicit")]
    #[doc(alias = "elicitation")]
    pub fn ask<T>(&self, key: impl Into<String>, message: impl Into<String>) -> ToolResult<Answer<T>>
    where
        T: DeserializeOwned + JsonSchema,
    {
        self.put(Form::new(key, message))
    }

    /// Asks the user to open a page: see [`OpenUrl`].
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn ask_url(
        &self,
        key: impl Into<String>,
        message: impl Into<String>,
        url: impl Into<String>,
    ) -> ToolResult<Answer<()>> {
        self.put(OpenUrl::new(key, message, url))
    }

    /// Asks the client's language model.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    #[doc(alias = "createMessage")]
    #[doc(alias = "sampling")]
    pub fn sample(&self, question: Sampling) -> ToolResult<Sampled> {
        self.put(question)
    }

    /// Asks for the folders that the client works in.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn roots(&self, key: impl Into<String>) -> ToolResult<Vec<Root>> {
        self.put(Roots::new(key))
    }

    /// Asks any one question.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn put<Q: Question>(&self, question: Q) -> ToolResult<Q::Answer> {
        self.ask_all((question,)).map(|(answer,)| answer)
    }

    /// Asks several questions that do not depend on each other in one round: a tuple of up to six, or a list.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn ask_all<Q: Questions>(&self, questions: Q) -> ToolResult<Q::Answers> {
        self.check()?;
        self.may_ask()?;
        let revision = self.revision();
        let rendered = questions.render(revision)?;
        let (mut answers, mut open) = (Vec::with_capacity(rendered.len()), Vec::new());
        {
            let mut flow = self.flow.lock();
            for (place, (key, question)) in rendered.into_iter().enumerate() {
                match flow.look_up(&key, &question)? {
                    Found::Answer(answer) => answers.push(answer),
                    Found::Open => {
                        question.check(self.capabilities())?;
                        answers.push(Box::default());
                        open.push((place, key, question));
                    }
                }
            }
            if revision.is_modern() && !open.is_empty() {
                if !flow.may_ask_again() {
                    return Err(ToolError::new("too many rounds of questions for one request"));
                }
                for (_, key, question) in open {
                    flow.ask_later(key, question);
                }
                return Err(ToolError::asking());
            }
        }
        if !open.is_empty() {
            // The lock is not held: this waits for a person.
            for ((place, key, _), answer) in open.iter().zip(self.call().converse(&open)?) {
                self.flow.lock().answered(key, answer.clone());
                if let Some(slot) = answers.get_mut(*place) {
                    *slot = answer;
                }
            }
        }
        let of_request = revision.is_modern() && !self.flow.lock().in_task();
        for answer in &mut answers {
            self.call().screen_answer(answer).map_err(|faults| match of_request {
                true => ToolError::rpc(
                    codes::INVALID_PARAMS,
                    format!("params.inputResponses: an answer does not fit:{faults}"),
                ),
                false => ToolError::new(format!("an answer of the client does not fit:{faults}")),
            })?;
        }
        questions.read(&answers).map_err(|(key, what)| match of_request {
            true => ToolError::rpc(
                codes::INVALID_PARAMS,
                format!("params.inputResponses: the answer to `{key}` does not fit: {what}"),
            ),
            false => ToolError::new(format!("the client's answer to `{key}` does not fit: {what}")),
        })
    }

    /// Does something once in all rounds of a request, and remembers its result in the sealed state: for effects before a
    /// question.
    ///
    /// **At least once**, to be exact: a client that loses an answer and repeats the round before it has it done again.
    /// [`flow_id`](Self::flow_id) is the same then, and makes a good idempotency key. The client can read what is remembered, and
    /// cannot change it; all together may take some 10 KiB.
    ///
    /// # Errors
    /// What the closure returns; or the result cannot be written as JSON.
    pub fn remember<T>(&self, key: &str, make: impl FnOnce() -> ToolResult<T>) -> ToolResult<T>
    where
        T: Serialize + DeserializeOwned,
    {
        let known = self.flow.lock().remembered(key).map(RawValue::to_owned);
        if let Some(known) = known {
            return Ok(serde_json::from_str(known.get())?);
        }
        let made = make()?;
        let raw = json::to_raw(&made)?;
        self.flow.lock().remember(key, raw);
        Ok(made)
    }

    /// A text that is the same in all rounds of this request, and that no other request has: 32 hexadecimal digits.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn flow_id(&self) -> ToolResult<String> {
        self.flow.lock().id()
    }

    /// From here on only once: an error if the client has come to this place with the very same sealed state before. To be
    /// called right before something that must not happen twice, behind the last question.
    ///
    /// Which states were used is remembered in this process, for 65,536 at a time and for 4,096 of one client (a principal or, without
    /// authentication, an address; IPv6: one /64), or by [`Server::replay_guard`](crate::Server::replay_guard).
    ///
    /// # Errors
    /// The state was used before, or there is no room to remember it ("busy").
    pub fn once(&self) -> ToolResult<()> {
        let Some((id, lifetime)) = self.flow.lock().state_id() else { return Ok(()) };
        let call = self.call();
        let payer = Payer::of(call.principal(), call.party().address);
        match call.mcp.replays.note(id, lifetime, payer) {
            Use::First => {
                self.flow.lock().used();
                Ok(())
            }
            Use::Again => {
                Err(ToolError::rpc(codes::INVALID_PARAMS, "params.requestState has been used; call again without it"))
            }
            Use::Full => Err(ToolError::busy(Duration::from_secs(1))),
        }
    }

    /// Gives up the questions that are open: the handler answers without them. Without this, a question that was asked goes out, even if
    /// the handler did not carry the error out.
    pub fn withdraw(&self) {
        self.flow.lock().withdraw();
    }

    fn may_ask(&self) -> ToolResult<()> {
        if reading::is_reader() {
            return Err(ToolError::new("a quick tool cannot ask anything: take the mark off it"));
        }
        if self.revision() < Revision::R2026_07_28 || self.call().is_retried() {
            return if self.call().is_notice() {
                Err(ToolError::new("a notification cannot ask anything"))
            } else {
                Ok(())
            };
        }
        Err(ToolError::new("in 2026-07-28 only tools, prompts and resources can ask"))
    }
}

impl Call {
    /// Sends the client questions and waits for all the answers, in their order.
    fn converse(self: &Arc<Self>, questions: &[(usize, String, Rendered)]) -> ToolResult<Vec<Box<RawValue>>> {
        if self.link.legacy().is_none_or(|legacy| !legacy.is_initialized()) {
            return Err(RequestError::NoSession.into());
        }
        let _parked = pool::park().map_err(|_| ToolError::busy(Duration::from_secs(1)))?;
        let task = self.task();
        let _waiting = task.map(|task| task.wait_for_client());
        let patience = self.mcp.limits().question_deadline;
        let _time = self.pause(patience);
        let until = crossbeam_channel::at(Instant::now() + patience);
        let cancelled = self.cancel_signal().channel();
        let mut asked = Vec::with_capacity(questions.len());
        for (_, key, question) in questions {
            let params = match task {
                Some(task) => Cow::Owned(tasks::with_related(&question.params, &task.id)),
                None => Cow::Borrowed(&*question.params),
            };
            let params = self.clean_question(&params)?;
            let send = |message| self.send_request(message);
            asked.push(asked::Question::ask(&self.link, Some(self), Some(key), question.method, &params, send)?);
        }
        let mut answers = Vec::with_capacity(asked.len());
        for question in &asked {
            select! {
                recv(question.answer) -> answer => answers.push(answer.unwrap_or(Err(RequestError::Disconnected))?),
                recv(cancelled) -> _ => return Err(ToolError::stopped()),
                recv(until) -> _ => return Err(RequestError::TimedOut.into()),
            }
        }
        Ok(answers)
    }
}

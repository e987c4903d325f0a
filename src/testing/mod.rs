//! A client in the same process, for tests of a server: no socket, no port, either era.
//!
//! ```
//! use mcp_blocking::testing::ClientError;
//! use mcp_blocking::{Answer, Era, NoArgs, Server};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//! use serde_json::json;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Confirm {
//!     confirm: bool,
//! }
//!
//! fn server() -> Server {
//!     Server::new("disk", "1.0.0").tool("wipe", "Delete everything", |ctx, NoArgs| {
//!         let Answer::Accept(Confirm { confirm: true }) = ctx.ask("sure", "Really?")? else { return Ok("kept") };
//!         Ok("deleted")
//!     })
//! }
//!
//! # fn main() -> Result<(), ClientError> {
//! for era in [Era::Legacy, Era::Modern] {
//!     let client = server().in_memory().in_era(era).answer("sure", json!({ "confirm": false }));
//!     assert_eq!(client.call("wipe", ())?, "kept");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Everything else is as over any transport: the same threads, limits, layers and messages. What belongs to a transport is not:
//! there is no `Host`, `Origin` or token, so that [`Ctx::principal`](crate::Ctx::principal) is `None`.

mod answers;
mod conversation;
mod tasks;

use crate::content::MetaMap;
use crate::error::Error;
use crate::handle::Handle;
use crate::protocol::revision::{Era, Revision};
use crate::server::Server;
use answers::{Answers, Given};
use conversation::Conversation;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt;
use std::time::Duration;

/// Pages of a list that are read at the most.
const MOST_PAGES: usize = 10_000;

impl Server {
    /// A client of this server in the same process, for tests: see [`testing`](crate::testing). It speaks 2026-07-28 unless told
    /// otherwise. The server starts with the first request, and ends when the client is dropped.
    pub fn in_memory(self) -> InMemory {
        let how = How {
            revision: Revision::R2026_07_28,
            capabilities: json!({
                "elicitation": { "form": {}, "url": {} }, "sampling": { "tools": {} }, "roots": { "listChanged": true },
            }),
            tasks: false,
            answers: Answers::default(),
            patience: Duration::from_secs(30),
        };
        InMemory { how, state: Mutex::new(State::Waiting(Box::new(self))) }
    }
}

/// A client of a server in the same process: a tool for tests. [`Server::in_memory`] makes one.
///
/// It sends one request at a time and blocks until the answer is there; on the way it answers the server's questions from what
/// [`answer`](Self::answer) has told it. Shared between threads, it lets them take turns. Tests of calls that run side by side, or are cancelled, write
/// their own messages over [`Server::serve_on`].
///
/// Dropping it is the end of the server's input: calls that are under way may go on for 2 s and are then cancelled; the drop waits for that.
pub struct InMemory {
    how: How,
    state: Mutex<State>,
}

/// How a client behaves.
struct How {
    revision: Revision,
    capabilities: Value,
    /// Tools are called as tasks.
    tasks: bool,
    answers: Answers,
    patience: Duration,
}

enum State {
    Waiting(Box<Server>),
    Open(Box<Conversation>),
    /// It could not be started.
    Failed,
}

impl InMemory {
    /// Speaks the newest revision of an era: 2025-11-25, or 2026-07-28. For before the first request; behind it nothing changes.
    #[must_use]
    pub fn in_era(self, era: Era) -> Self {
        self.in_revision(match era {
            Era::Legacy => Revision::LATEST_LEGACY,
            Era::Modern => Revision::R2026_07_28,
        })
    }

    /// Speaks that revision, likewise.
    #[must_use]
    pub fn in_revision(mut self, revision: Revision) -> Self {
        self.how.revision = revision;
        self
    }

    /// Declares these capabilities, likewise: an object such as `{"elicitation": {}}`. Without this, all that there are.
    #[must_use]
    pub fn capabilities(mut self, capabilities: impl Into<Value>) -> Self {
        self.how.capabilities = capabilities.into();
        self
    }

    /// Knows tasks, likewise: tools that can be tasks ([`Tool::task`](crate::Tool::task)) are called as such, in 2025-11-25 and
    /// 2026-07-28, and [`call`](Self::call) waits for their results. In other revisions nothing changes.
    #[must_use]
    pub fn tasks(mut self) -> Self {
        self.how.tasks = true;
        self
    }

    /// Answers a question, as often as it is asked. `key` is the question's key; its message, or its method (say `sampling/createMessage`), will do for those that have
    /// no other answer.
    ///
    /// The answer is what the handler wants to know: for a form its fields, which are accepted; for a page to be opened anything, say `null`; for a
    /// model its text, or a whole result of `sampling/createMessage`; for roots their array.
    #[must_use]
    pub fn answer(mut self, key: impl Into<String>, answer: impl Into<Value>) -> Self {
        self.how.answers.add(key.into(), Given::Value(answer.into()));
        self
    }

    /// The user declines what is asked: a form, or a page to be opened.
    #[must_use]
    pub fn decline(mut self, key: impl Into<String>) -> Self {
        self.how.answers.add(key.into(), Given::Action("decline"));
        self
    }

    /// The user closes the question without an answer, likewise.
    #[must_use]
    pub fn cancel(mut self, key: impl Into<String>) -> Self {
        self.how.answers.add(key.into(), Given::Action("cancel"));
        self
    }

    /// How long a request may take, with all its questions. Default 30 s; then it is cancelled.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.how.patience = patience;
        self
    }

    /// Calls a tool; `()` stands for no arguments. A tool that fails is a [`Called`], too: see [`Called::is_error`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn call(&self, tool: &str, arguments: impl Serialize) -> Result<Called, ClientError> {
        let mut params = Map::new();
        params.insert("name".into(), tool.into());
        let arguments = value_of(arguments)?;
        if !arguments.is_null() {
            params.insert("arguments".into(), arguments);
        }
        Called::of(self.with(|conversation| conversation.call(&self.how, params))?)
    }

    /// All tools, page after page, as they are described to clients of this revision.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn list_tools(&self) -> Result<Vec<Value>, ClientError> {
        let mut tools = Vec::new();
        let mut params = json!({});
        for _ in 0..MOST_PAGES {
            let mut page = self.request("tools/list", &params)?;
            match page.get_mut("tools").map(Value::take) {
                Some(Value::Array(more)) => tools.extend(more),
                _ => return Err(ClientError::Unexpected("a list without `tools`".into())),
            }
            match page.get_mut("nextCursor").map(Value::take) {
                Some(cursor @ Value::String(_)) => params = json!({ "cursor": cursor }),
                _ => return Ok(tools),
            }
        }
        Err(ClientError::Unexpected("the list of tools does not end".into()))
    }

    /// Sends a request and returns its `result`. `params` has to become a JSON object, or `null` for none. What the revision asks for in `_meta` is
    /// added, with a progress token and, in 2026-07-28, the log level `info`, where `params` does not have them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn request(&self, method: &str, params: impl Serialize) -> Result<Value, ClientError> {
        let params = object_of(params)?;
        self.with(|conversation| conversation.request(&self.how, method, params))
    }

    /// Sends a notification, likewise.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn notify(&self, method: &str, params: impl Serialize) -> Result<(), ClientError> {
        let params = object_of(params)?;
        self.with(|conversation| conversation.notify(&self.how, method, params))
    }

    /// Asks to be told of changes: `notifications` of `subscriptions/listen` (2026-07-28), say `{"toolsListChanged": true}`. Returns when the
    /// server has acknowledged it. In an older revision, where lists are told of without asking, it subscribes to the resources of
    /// `resourceSubscriptions`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn listen(&self, notifications: impl Serialize) -> Result<(), ClientError> {
        let notifications = object_of(notifications)?;
        self.with(|conversation| conversation.listen(&self.how, notifications))
    }

    /// Takes the notifications that were sent since the last time, whole messages, the oldest first: progress, log messages, changes.
    /// What the server had sent before this call is among them. Beyond 10,000 the oldest are dropped.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn notifications(&self) -> Result<Vec<Value>, ClientError> {
        self.with(|conversation| conversation.notifications(&self.how))
    }

    /// A handle on the server, to change it or to broadcast in the middle of a test.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn handle(&self) -> Result<Handle, ClientError> {
        self.with(|conversation| Ok(conversation.handle()))
    }

    /// Does something over the conversation, which is opened if it is not.
    fn with<T>(&self, work: impl FnOnce(&mut Conversation) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let mut state = self.state.lock();
        if let State::Waiting(_) = &*state
            && let State::Waiting(server) = std::mem::replace(&mut *state, State::Failed)
        {
            *state = State::Open(Box::new(Conversation::open(*server, &self.how)?));
        }
        match &mut *state {
            State::Open(conversation) => work(conversation),
            State::Waiting(_) | State::Failed => Err(ClientError::Closed),
        }
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").field("revision", &self.how.revision).finish_non_exhaustive()
    }
}

fn value_of(value: impl Serialize) -> Result<Value, ClientError> {
    serde_json::to_value(value).map_err(|error| ClientError::Params(error.to_string()))
}

fn object_of(value: impl Serialize) -> Result<MetaMap, ClientError> {
    match value_of(value)? {
        Value::Object(object) => Ok(object),
        Value::Null => Ok(Map::new()),
        _ => Err(ClientError::Params("they have to be a JSON object".into())),
    }
}

/// What a tool has returned. Equal to a text if the tool did not fail and its text is that.
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "CallToolResult")]
pub struct Called {
    text: String,
    result: Value,
}

impl Called {
    fn of(result: Value) -> Result<Self, ClientError> {
        let Some(blocks) = result.get("content").and_then(Value::as_array) else {
            return Err(ClientError::Unexpected(format!("a tool's result without `content`: {result}")));
        };
        let texts: Vec<_> = blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect();
        Ok(Self { text: texts.join("\n"), result })
    }

    /// Its blocks of text, a line each.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `structuredContent` (2025-06-18 and later).
    pub fn structured(&self) -> Option<&Value> {
        self.result.get("structuredContent")
    }

    /// Whether the tool has failed; [`text`](Self::text) then says why.
    pub fn is_error(&self) -> bool {
        self.result.get("isError").is_some_and(|is_error| *is_error == true)
    }

    /// The whole result, as it was sent.
    pub fn result(&self) -> &Value {
        &self.result
    }
}

impl PartialEq<str> for Called {
    fn eq(&self, text: &str) -> bool {
        !self.is_error() && self.text == text
    }
}

impl PartialEq<&str> for Called {
    fn eq(&self, text: &&str) -> bool {
        self == *text
    }
}

/// Why a client has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server cannot be started.
    #[error(transparent)]
    Server(#[from] Error),
    /// The server answered with a JSON-RPC error.
    #[error("the server answered with error {code}: {message}")]
    Rpc {
        /// Its code, say -32602.
        code: i64,
        /// Its message.
        message: String,
        /// Its `data`, if there was any.
        data: Option<Value>,
    },
    /// The server asked something that [`InMemory::answer`] has no answer for.
    #[error("there is no answer for the question `{question}`: {message}")]
    Unanswered {
        /// Its key, or its method if it has none.
        question: String,
        /// What it says.
        message: String,
    },
    /// The parameters cannot be written as JSON.
    #[error("the parameters cannot be sent: {0}")]
    Params(String),
    /// No answer came within [`InMemory::patience`].
    #[error("no answer came within {0:?}")]
    TimedOut(Duration),
    /// The server has ended, or could not be started.
    #[error("the server has ended")]
    Closed,
    /// The server said something that the protocol does not have.
    #[error("the server's answer cannot be understood: {0}")]
    Unexpected(String),
}

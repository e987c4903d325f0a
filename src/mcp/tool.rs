//! The description of a tool, and arguments for one that takes none.

use super::bounds::BoundsPlan;
use crate::guard::policy::TextPolicy;
use crate::guard::scopes::Required;
use crate::protocol::content::{Icon, TaskSupport, ToolAnnotations, ToolInfo};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What a tool is called, what it does, and how it behaves.
///
/// ```
/// # use mcp_blocking::Tool;
/// # use std::time::Duration;
/// let tool = Tool::new("wipe", "Delete a folder").destructive().deadline(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
pub struct Tool {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) description: String,
    pub(crate) annotations: ToolAnnotations,
    pub(crate) icons: Vec<Icon>,
    pub(crate) meta: Option<Map<String, Value>>,
    pub(crate) output_schema: Option<Value>,
    /// Arguments that HTTP clients say again in a header, and its name.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) quick: bool,
    pub(crate) task_support: TaskSupport,
    pub(crate) task: TaskPlan,
    pub(crate) bounds: BoundsPlan,
    pub(crate) unchecked: bool,
    pub(crate) text_in: Option<TextPolicy>,
    pub(crate) text_out: Option<TextPolicy>,
    pub(crate) rank: i32,
    pub(crate) required: Required,
    /// Whether the user is asked first, whatever the policy is.
    pub(crate) confirm: Option<bool>,
}

/// How a tool runs as a task.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskPlan {
    /// Its handler says where the task begins.
    pub(crate) detaches: bool,
    /// What the model is told until there is a result.
    pub(crate) immediate: Option<String>,
}

impl Tool {
    /// A tool with that name (1 to 128 of `A-Z a-z 0-9 _ . - /`) and a description for the model.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: description.into(),
            annotations: ToolAnnotations::default(),
            icons: Vec::new(),
            meta: None,
            output_schema: None,
            headers: Vec::new(),
            deadline: None,
            quick: false,
            task_support: TaskSupport::Forbidden,
            task: TaskPlan::default(),
            bounds: BoundsPlan::default(),
            unchecked: false,
            text_in: None,
            text_out: None,
            rank: 0,
            required: Required::default(),
            confirm: None,
        }
    }

    /// A name for people, for revisions that have one (2025-06-18 and later).
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// A hint: the tool changes nothing.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.annotations.read_only = Some(true);
        self
    }

    /// A hint: the tool may destroy something. That is what clients assume of a tool that says nothing.
    #[must_use]
    pub fn destructive(mut self) -> Self {
        self.annotations.destructive = Some(true);
        self
    }

    /// A hint: what the tool changes, it only adds.
    #[must_use]
    pub fn additive(mut self) -> Self {
        self.annotations.destructive = Some(false);
        self
    }

    /// A hint: a second call with the same arguments changes nothing more.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.annotations.idempotent = Some(true);
        self
    }

    /// A hint: the tool stays within a closed domain, unlike, say, a search of the web.
    #[must_use]
    pub fn closed_world(mut self) -> Self {
        self.annotations.open_world = Some(false);
        self
    }

    /// A picture for clients that show one (2025-11-25 and later).
    #[must_use]
    pub fn icon(mut self, icon: Icon) -> Self {
        self.icons.push(icon);
        self
    }

    /// A member of the tool's `_meta` (2025-06-18 and later). `bind` reports keys that the protocol does not allow, see
    /// [`Ctx::set_meta`](crate::Ctx::set_meta).
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    /// The schema of the tool's structured results, for [`Server::tool_raw`](crate::Server::tool_raw) and handlers that return a
    /// [`ToolOutput`](crate::content::ToolOutput); [`Json`](crate::Json) brings its own. Any JSON Schema; clients of 2025-06-18 and 2025-11-25 see it if it is one
    /// of objects.
    ///
    /// The handler then has to return structured content that fits, unless it returns a failure. What does not fit does not leave: it is
    /// logged, and the client is answered -32603 with an incident number, as no model could mend it.
    #[must_use]
    pub fn output_schema(mut self, schema: impl Into<Value>) -> Self {
        self.output_schema = Some(schema.into());
        self
    }

    /// Has clients of 2026-07-28 repeat an argument in the HTTP header `Mcp-Param-<name>`, for proxies that do not read bodies
    /// (`x-mcp-header`, `server/tools`). The server refuses calls whose header is missing or says something else. Not for secrets.
    ///
    /// ```
    /// # use mcp_blocking::Tool;
    /// let tool = Tool::new("deploy", "Deploy to a region").header("region", "Region").header("target/cluster", "Cluster");
    /// ```
    ///
    /// The argument has to be a string, an integer or a boolean; `/` leads to a member of an object. The same can be said of a
    /// field by `#[schemars(extend("x-mcp-header" = "Region"))]`. `bind` reports what does not fit.
    #[must_use]
    pub fn header(mut self, argument: impl Into<String>, name: impl Into<String>) -> Self {
        self.headers.push((argument.into(), name.into()));
        self
    }

    /// Leaves out the checks of arguments and results against their schemas, for a tool that is called very often and checks for
    /// itself. Arguments are still read as the handler's type.
    ///
    /// What it saves: nothing worth it where all arguments are strings, numbers and booleans; else about what it takes to read the arguments once more. Without the
    /// feature `validation` nothing is checked in any case.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.unchecked = true;
        self
    }

    /// What is done with control characters and hidden text in its arguments, instead of what [`Settings::text_in`](crate::Settings::text_in) says: for a tool that
    /// writes files of any kind, say.
    #[must_use]
    pub fn text_in(mut self, policy: TextPolicy) -> Self {
        self.text_in = Some(policy);
        self
    }

    /// The same for its results, instead of what [`Settings::text_out`](crate::Settings::text_out) says: for a tool that shows files as they are.
    #[must_use]
    pub fn text_out(mut self, policy: TextPolicy) -> Self {
        self.text_out = Some(policy);
        self
    }

    /// How long a call may take, instead of [`Limits::handler_deadline`](crate::Limits::handler_deadline); or a task, instead of
    /// [`Limits::task_deadline`](crate::Limits::task_deadline). A deadline of a tool's own is not extended by progress.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The tool never blocks and takes microseconds: it may run on the connection's own thread, which spares a hand-over.
    ///
    /// While it runs, nothing else of that client is read: no cancellation, no answer, no ping. A quick tool whose calls take longer than 5 ms
    /// again and again, or once longer than 250 ms or its [`deadline`](Self::deadline), is named in the log and runs on the pool from then on. At the
    /// deadline its client is answered, as for any other call; but a handler that does not look at its [`Ctx`](crate::Ctx) holds the connection's thread until it returns.
    #[must_use]
    pub fn quick(mut self) -> Self {
        self.quick = true;
        self
    }

    /// Calls run as tasks: the client is answered at once that there is one, looks after it when it likes, and fetches the result. The handler is
    /// written as ever, and serves both ways and both eras:
    ///
    /// ```
    /// # use mcp_blocking::{NoArgs, Server, TaskSupport, Tool};
    /// # use std::time::Duration;
    /// let server = Server::new("books", "1.0.0").tool_with(
    ///     Tool::new("index", "Index all books").task(TaskSupport::Optional),
    ///     |ctx, NoArgs| {
    ///         for book in 1..=100 {
    ///             ctx.report(f64::from(book), Some(100.0), Some(&format!("book {book} of 100")))?;
    ///             ctx.sleep(Duration::from_millis(1))?;
    ///         }
    ///         Ok("indexed")
    ///     },
    /// );
    /// ```
    ///
    /// - Clients of 2026-07-28 that declare the extension `io.modelcontextprotocol/tasks` get a task from every call. It belongs to their principal, and
    ///   outlives their connection. Without authentication it belongs to whoever knows its id, which nobody can guess.
    /// - Clients of 2025-11-25 get one when they ask for it. It belongs to their session, and ends with it.
    /// - To all others the result is the answer. With [`TaskSupport::Required`] they get an error instead: -32021 (2026-07-28), -32601
    ///   (2025-11-25), -32602 before that.
    ///
    /// In a task, words of [`Ctx::report`](crate::Ctx::report) and [`Ctx::task_status`](crate::Ctx::task_status) are what the client sees of it. Questions
    /// ([`Ctx::ask`](crate::Ctx::ask)) wait in it for their answers; for those that have to be answered before there is a task, see
    /// [`detaches`](Self::detaches). A client that cancels its task cancels the handler's context.
    ///
    /// How many tasks there may be, how long they run and are kept: [`Limits::tasks`](crate::Limits::tasks) and those behind it. They are in the memory of
    /// the process, and end with it.
    #[must_use]
    pub fn task(mut self, support: TaskSupport) -> Self {
        self.task_support = support;
        self
    }

    /// The handler says where its task begins, by [`Ctx::detach`](crate::Ctx::detach); until then a call is like any other. So questions can be asked
    /// first, and what is done quickly needs no task at all. For tools with [`task`](Self::task), and clients of 2026-07-28: a task that
    /// a client of 2025-11-25 has asked for begins at once.
    #[must_use]
    pub fn detaches(mut self) -> Self {
        self.task.detaches = true;
        self
    }

    /// What the model is told when a task has begun, until there is a result (2025-11-25, for clients that hand it on).
    #[must_use]
    pub fn immediate_response(mut self, text: impl Into<String>) -> Self {
        self.task.immediate = Some(text.into());
        self
    }

    /// How often each client may call the tool: so many calls in that time, which may come at once. Beyond it a call is answered with error -31002 and the
    /// delay after which to try again, over HTTP with status 429. Default: as often as [`Limits::rate`](crate::Limits::rate) and its like allow.
    ///
    /// A client is a principal over all of its connections or, without authentication, an address (IPv6: one /64; all clients of this machine at
    /// 127.0.0.1 are one). Each round of a request with questions (2026-07-28) is a call. Beyond 16,384 clients that have called lately, newcomers
    /// share 256 common allowances, so that memory is bounded and nobody's allowance is renewed early.
    ///
    /// ```
    /// # use mcp_blocking::Tool;
    /// # use std::time::Duration;
    /// let tool = Tool::new("render", "Render a film").rate(10, Duration::from_secs(60)).cost(50).in_flight(4).in_flight_per_client(1);
    /// ```
    #[must_use]
    pub fn rate(mut self, calls: u32, per: Duration) -> Self {
        self.bounds.rate = Some((calls, per));
        self
    }

    /// How many messages a call counts for, in all rates of its client ([`Limits::rate`](crate::Limits::rate), that of its principal and of its
    /// address) and in [`Limits::calls_per_day`](crate::Limits::calls_per_day). Default 1.
    /// More than the smallest of their bursts, or than the calls of a day, is reported by `bind`: nobody could ever call the tool.
    #[must_use]
    pub fn cost(mut self, messages: u32) -> Self {
        self.bounds.cost = Some(messages);
        self
    }

    /// How many calls may be under way at once, over all clients; one more is answered "busy" (-31001) with a delay, at once. A call counts from its
    /// request until its handler has returned, also if it was cancelled or its time is over before that; so does a task. While a task of 2026-07-28
    /// waits for answers it does not count, as nothing runs: if there is no place for it when they come, they are answered "busy", and none of them
    /// has counted.
    /// Default: no bound but the [workers](crate::Limits::workers).
    #[must_use]
    pub fn in_flight(mut self, calls: usize) -> Self {
        self.bounds.in_flight = Some(calls);
        self
    }

    /// How many of these may be of one client, likewise; what a client is, see [`rate`](Self::rate).
    #[must_use]
    pub fn in_flight_per_client(mut self, calls: usize) -> Self {
        self.bounds.in_flight_per_client = Some(calls);
        self
    }

    /// Where the tool stands in the list: lower ranks first, then by name. Default 0. Hosts that show or send only the
    /// first tools get the ones that matter.
    #[must_use]
    pub fn rank(mut self, rank: i32) -> Self {
        self.rank = rank;
        self
    }

    /// Only callers with this scope may use the tool, or with one that implies it ([`Settings::scope_implies`](crate::Settings::scope_implies)). May be
    /// called several times: all are needed. A scope is one word of printable ASCII; `bind` reports anything else.
    ///
    /// ```
    /// # use mcp_blocking::{NoArgs, Principal, Server, Settings, Tool};
    /// # fn look_up(token: &str) -> Option<Principal> { None }
    /// let settings = Settings::new()
    ///     .authenticate(|head| head.bearer().and_then(look_up).ok_or(mcp_blocking::Denied)) // … .with_scopes(["files:read"])
    ///     .scope_implies("files", ["files:read", "files:write"]);
    /// let server = Server::new("files", "1.0.0")
    ///     .settings(settings)
    ///     .tool_with(Tool::new("save", "Save a file").scope("files:write"), |_ctx, NoArgs| Ok("saved"));
    /// ```
    ///
    /// To all others there is no such tool: it is in no list, and its name is answered as any unknown one; but see [`step_up`](Self::step_up). Who may use
    /// what is decided at each request, over each transport:
    ///
    /// - a [`Principal`](crate::Principal) has the scopes that it was [given](crate::Principal::with_scopes), or everything if none were named;
    /// - where nobody is asked who they are (no authentication is set up, standard input, [`in_memory`](crate::Server::in_memory)) callers may use everything;
    /// - whoever comes in without saying who they are where others do (an
    ///   optional certificate), what asks for no scope.
    ///
    /// Resources, templates, prompts and methods of your own have the same ([`ResourceLink::scope`](crate::content::ResourceLink::scope),
    /// [`Prompt::scope`](crate::Prompt::scope), [`Method::scope`](crate::Method::scope)); what depends on arguments is up to the handler
    /// ([`Ctx::require_scope`](crate::Ctx::require_scope)). Clients of 2026-07-28 are told that lists with scopes in them are for whoever asked alone (`cacheScope`).
    /// A task keeps the scopes of the request that began it.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.required.add(scope);
        self
    }

    /// Callers without its [scopes](Self::scope) see the tool all the same, and are told when they call it which scopes they need: over HTTP by status 403 and
    /// `WWW-Authenticate: Bearer error="insufficient_scope", scope="…"` (2025-11-25 and later, `basic/authorization`), which has clients ask
    /// their user for a token that may do more; everywhere by error -31003, whose `data` says the same. [`Settings::step_up`](crate::Settings::step_up) says this of everything.
    #[must_use]
    pub fn step_up(mut self) -> Self {
        self.required.set_step_up();
        self
    }

    /// Asks the user before each call, whatever [`Settings::confirm_destructive`](crate::Settings::confirm_destructive) says: by a form that names the tool and shows its
    /// arguments, escaped and whole: a call with a value of over 2,000 characters, or with more than 20 arguments that it does not all know, is refused. The handler runs when the user has agreed; if not, the result is a failure that says so.
    ///
    /// The question is one like those of [`Ctx::ask`](crate::Ctx::ask), in both eras and in tasks, ahead of the handler's own. What a user has agreed to is this one call:
    /// no other arguments, and no second time, even if the client brings the same state again ([`Ctx::once`](crate::Ctx::once) says who remembers that). A client that cannot ask its user, as it did not declare elicitation, is refused
    /// (-32021 in 2026-07-28, a failed result before that). A [`quick`](Self::quick) tool runs on the pool then.
    ///
    /// This keeps a model from doing what its user does not want. It is no protection from a client that does not ask: for that there are scopes.
    #[must_use]
    pub fn confirm(mut self) -> Self {
        self.confirm = Some(true);
        self
    }

    /// Does not ask the user, though the tool is destructive and [`Settings::confirm_destructive`](crate::Settings::confirm_destructive) is set: for tools that ask themselves.
    #[must_use]
    pub fn without_confirmation(mut self) -> Self {
        self.confirm = Some(false);
        self
    }

    pub(crate) fn into_info(self, input: Box<RawValue>, output: Option<Box<RawValue>>) -> ToolInfo {
        let mut info = ToolInfo::new(self.name, input);
        info.title = self.title;
        info.description = Some(self.description);
        info.output_schema = output;
        info.annotations = self.annotations;
        info.task_support = self.task_support;
        info.icons = self.icons;
        info.meta = self.meta;
        info
    }
}

/// The arguments of a tool that takes none. Accepts an empty object, an object with members (which are ignored), and
/// nothing at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoArgs;

impl<'de> Deserialize<'de> for NoArgs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = NoArgs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without members")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<NoArgs, A::Error> {
                while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
                Ok(NoArgs)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl JsonSchema for NoArgs {
    fn schema_name() -> Cow<'static, str> {
        "NoArgs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

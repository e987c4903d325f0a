//! What a server can do and how it is guarded: plain data, until it is bound.

use crate::audit::Audit;
use crate::doctor::{Diagnosis, Offered};
use crate::error::{Error, Problem};
use crate::guard::scopes::Required;
use crate::handle::Handle;
use crate::health::Identity;
use crate::limits::Limits;
use crate::mcp::access::Access;
use crate::mcp::ask::replay::{Guard, Replays};
use crate::mcp::cache::{self, Cacheable};
use crate::mcp::client::Client;
use crate::mcp::complete::{Completion, Prefix, Subject};
use crate::mcp::ctx::Ctx;
use crate::mcp::hooks::Hooks;
use crate::mcp::http::McpOverHttp;
use crate::mcp::layer::Layer;
use crate::mcp::method::{self, Method, MethodEntry};
use crate::mcp::output::IntoToolOutput;
use crate::mcp::prompt::{IntoPrompt, Prompt};
use crate::mcp::registry::{self, Entry, Registry};
use crate::mcp::resource::{IntoResource, Resource};
use crate::mcp::schema;
use crate::mcp::tool::Tool;
use crate::mcp::tool_error::ToolResult;
use crate::mcp::{Mcp, Plan};
use crate::principal::Principal;
use crate::protocol::content::{Icon, Implementation, ResourceLink};
use crate::protocol::encode::CacheScope;
use crate::protocol::meta_key;
use crate::protocol::method as protocol_method;
use crate::protocol::sealed::{self, Keys};
use crate::random;
use crate::running::Bound;
use crate::service::{AnyService, Ended};
use crate::settings::Settings;
use crate::transport::gate::Route;
use crate::transport::http::HttpService;
use crate::transport::request_head::{Denied, RequestHead};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// An MCP server to be: its tools and its guards. Nothing is opened before [`bind`](Self::bind).
///
/// ```
/// use mcp_blocking::Server;
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use std::time::Duration;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Add { a: f64, b: f64 }
///
/// # fn main() -> Result<(), mcp_blocking::Error> {
/// let server = Server::new("calculator", "1.0.0")
///     .tool("add", "Add two numbers", |_ctx, Add { a, b }| Ok(format!("{}", a + b)));
/// let running = server.bind("127.0.0.1:0")?.start()?;
/// println!("listening on {}", running.addr());
/// running.shutdown(Duration::from_secs(1))?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a server does nothing until it is bound and started"]
pub struct Server {
    pub(crate) identity: Implementation,
    pub(crate) instructions: Option<String>,
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    /// The method that has set the first of them.
    set_by: Option<&'static str>,
    hooks: Hooks,
    keys: Keys,
    replay_guard: Option<Guard>,
    problems: Vec<Problem>,
}

impl Server {
    /// A server of that name and version, without tools.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            identity: Implementation::new(name, version),
            instructions: None,
            registry: Registry::default(),
            settings: Settings::new(),
            set_by: None,
            hooks: Hooks::default(),
            keys: Keys::default(),
            replay_guard: None,
            problems: Vec::new(),
        }
    }

    /// A name for people (shown by clients of 2025-06-18 and later).
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.identity.title = Some(title.into());
        self
    }

    /// What the server is, in a sentence (clients of 2025-11-25 and later).
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.identity.description = Some(description.into());
        self
    }

    /// The server's home page (clients of 2025-11-25 and later).
    pub fn website(mut self, url: impl Into<String>) -> Self {
        self.identity.website_url = Some(url.into());
        self
    }

    /// A picture of the server (clients of 2025-11-25 and later).
    pub fn icon(mut self, icon: Icon) -> Self {
        self.identity.icons.push(icon);
        self
    }

    /// Advice to the model about how to use the server as a whole.
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Registers a tool.
    ///
    /// The closure's second argument is a struct with the tool's arguments: its [`JsonSchema`] is the tool's
    /// `inputSchema`. What a client sends is checked against it (with the feature `validation`, which is on by default) and deserialized; what
    /// does not fit is a result that tells the model which arguments are wrong. Optional arguments may also be `null`. [`NoArgs`](crate::NoArgs) is for tools
    /// that take none. Numbers are what the field's type takes: one that it cannot hold is refused, and a whole number in a field of `f64` or
    /// [`Value`] may be rounded beyond 64 bits. Whatever the closure returns as an error becomes a result that the model can read.
    ///
    /// Handlers run on a pool of threads, several at a time; a panic is answered with -32603 and an incident number.
    /// Problems (a name that is taken, arguments that are no object) are reported by [`bind`](Self::bind), all at once.
    #[track_caller]
    pub fn tool<A, R, F>(self, name: impl Into<String>, description: impl Into<String>, handler: F) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        R: IntoToolOutput,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        self.tool_with(Tool::new(name, description), handler)
    }

    /// Registers a tool with more to say about it: hints, a deadline of its own, a title.
    #[track_caller]
    pub fn tool_with<A, R, F>(mut self, tool: Tool, handler: F) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        R: IntoToolOutput,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        self.add(registry::entry_of(tool, handler), Location::caller());
        self
    }

    /// Registers a tool whose schema you bring: `schema` has to be a JSON Schema with `"type": "object"` that refers to nothing outside of
    /// itself. It reaches the client as it is.
    ///
    /// The handler gets the arguments as a JSON value. With the feature `validation`, which is on by default, they have been checked against the
    /// schema (`format` excepted, which explains and does not constrain); without it, that is up to the handler. Members that
    /// come twice and whole numbers of more than 64 bits are refused in any case.
    #[track_caller]
    pub fn tool_raw<R, F>(mut self, tool: Tool, schema: &Value, handler: F) -> Self
    where
        R: IntoToolOutput,
        F: Fn(&Ctx, Value) -> ToolResult<R> + Send + Sync + 'static,
    {
        self.add(registry::raw_entry(tool, schema, handler), Location::caller());
        self
    }

    /// Registers a resource: something to read at an address, of that MIME type.
    ///
    /// ```
    /// # use mcp_blocking::Server;
    /// # fn read_config() -> std::io::Result<String> { Ok(String::new()) }
    /// let server = Server::new("app", "1.0.0")
    ///     .resource("config://app", "The app's configuration", "application/json", |_ctx| Ok(read_config()?));
    /// ```
    ///
    /// The closure runs on the pool, like a tool; its error is answered as -32603 with its message. Addresses that
    /// are not registered are answered as not found.
    #[track_caller]
    pub fn resource<R, F>(
        self,
        uri: impl Into<String>,
        name: impl Into<String>,
        mime_type: impl Into<String>,
        handler: F,
    ) -> Self
    where
        R: IntoResource,
        F: Fn(&Ctx) -> ToolResult<R> + Send + Sync + 'static,
    {
        self.resource_with(ResourceLink::new(uri, name).mime_type(mime_type), handler)
    }

    /// Registers a resource with more to say about it: a [`ResourceLink`], perhaps with [scopes](ResourceLink::scope).
    #[track_caller]
    pub fn resource_with<R, F>(mut self, resource: impl Into<Resource>, handler: F) -> Self
    where
        R: IntoResource,
        F: Fn(&Ctx) -> ToolResult<R> + Send + Sync + 'static,
    {
        let resource = resource.into();
        let uri = resource.link.uri.clone();
        let taken = self.registry.resources.find(&uri).is_some();
        let added = match taken {
            true => Err(Problem::new(format!("resource `{uri}`"), "its address is taken").at(Location::caller())),
            false => self.registry.add_resource(resource, handler),
        };
        self.problems.extend(added.err());
        self
    }

    /// Registers a template: a family of resources whose addresses have variables (RFC 6570: `{name}` within a segment, `{+name}`
    /// over several; a literal between any two). The variables, decoded, are the members of the closure's argument.
    ///
    /// ```
    /// # use mcp_blocking::Server;
    /// # use serde::Deserialize;
    /// #[derive(Deserialize)]
    /// struct Note { id: u32 }
    ///
    /// let server = Server::new("notes", "1.0.0")
    ///     .template("note://{id}", "A note", "text/markdown", |_ctx, Note { id }| Ok(format!("# Note {id}")));
    /// ```
    ///
    /// A variable comes from the client: never use one as a path by itself, see [`RootDir`](crate::RootDir). Values that the argument type does not take
    /// name no resource. Addresses registered with [`resource`](Self::resource) come first.
    #[track_caller]
    pub fn template<A, R, F>(
        self,
        uri_template: impl Into<String>,
        name: impl Into<String>,
        mime_type: impl Into<String>,
        handler: F,
    ) -> Self
    where
        A: DeserializeOwned,
        R: IntoResource,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        self.template_with(ResourceLink::new(uri_template, name).mime_type(mime_type), handler)
    }

    /// Registers a template with more to say about it; its `uri` is the template.
    #[track_caller]
    pub fn template_with<A, R, F>(mut self, template: impl Into<Resource>, handler: F) -> Self
    where
        A: DeserializeOwned,
        R: IntoResource,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        let template = template.into();
        let uri = template.link.uri.clone();
        let taken = self.registry.templates.find(&uri).is_some();
        let added = match taken {
            true => Err(Problem::new(format!("template `{uri}`"), "it is registered twice").at(Location::caller())),
            false => self.registry.add_template(template, handler),
        };
        self.problems.extend(added.err());
        self
    }

    /// Registers a prompt: a text for the model that a user asks for. The members of the closure's argument, all of them
    /// texts, are what it is filled with; [`NoArgs`](crate::NoArgs) is for prompts that take nothing.
    ///
    /// ```
    /// # use mcp_blocking::Server;
    /// # use schemars::JsonSchema;
    /// # use serde::Deserialize;
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Review { code: String }
    ///
    /// let server = Server::new("reviews", "1.0.0").prompt("review", "Ask for a code review", |_ctx, Review { code }| {
    ///     Ok(format!("Review this code:\n{code}"))
    /// });
    /// ```
    #[track_caller]
    pub fn prompt<A, R, F>(self, name: impl Into<String>, description: impl Into<String>, handler: F) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        R: IntoPrompt,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        self.prompt_with(Prompt::new(name, description), handler)
    }

    /// Registers a prompt with more to say about it.
    #[track_caller]
    pub fn prompt_with<A, R, F>(mut self, prompt: Prompt, handler: F) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        R: IntoPrompt,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        let (taken, name) = (self.registry.prompts.find(prompt.name()).is_some(), prompt.name().to_owned());
        let added =
            match taken {
                true => Err(Problem::new(format!("prompt `{name}`"), "its name is taken by another prompt")
                    .at(Location::caller())),
                false => self.registry.add_prompt(prompt, handler),
            };
        self.problems.extend(added.err());
        self
    }

    /// Suggests values for an argument of a prompt while a user types: what the closure returns, the best first; clients are sent 100
    /// at the most. A prompt that is not there by then, or has no such argument, is reported by `bind`.
    #[track_caller]
    pub fn complete_prompt<F>(self, prompt: impl Into<String>, argument: impl Into<String>, handler: F) -> Self
    where
        F: Fn(&Ctx, &Prefix) -> ToolResult<Vec<String>> + Send + Sync + 'static,
    {
        self.complete(Subject::Prompt(prompt.into()), argument.into(), handler)
    }

    /// Suggests values for a variable of a template, likewise.
    #[track_caller]
    pub fn complete_template<F>(self, template: impl Into<String>, variable: impl Into<String>, handler: F) -> Self
    where
        F: Fn(&Ctx, &Prefix) -> ToolResult<Vec<String>> + Send + Sync + 'static,
    {
        self.complete(Subject::Template(template.into()), variable.into(), handler)
    }

    #[track_caller]
    fn complete<F>(mut self, subject: Subject, argument: String, handler: F) -> Self
    where
        F: Fn(&Ctx, &Prefix) -> ToolResult<Vec<String>> + Send + Sync + 'static,
    {
        let (of, at) = (subject.completed(&argument), Location::caller());
        let completion = Completion { handler: Arc::new(handler), at };
        if self.registry.completions.insert((subject, argument), completion).is_some() {
            self.problems.push(Problem::new(of, "it is registered twice").at(at));
        }
        self
    }

    /// Looks at a form before anybody is asked to fill it in: what a form cannot have (a field of another type than text, number, yes or no, and
    /// choices) is reported by `bind`, instead of failing the first handler that asks for it.
    ///
    /// ```
    /// # use mcp_blocking::Server;
    /// # use schemars::JsonSchema;
    /// #[derive(serde::Deserialize, JsonSchema)]
    /// struct Confirm { confirm: bool }
    ///
    /// let server = Server::new("files", "1.0.0").form::<Confirm>();
    /// ```
    #[track_caller]
    pub fn form<T: JsonSchema>(mut self) -> Self {
        if let Err(what) = schema::of_form::<T>() {
            let problem = Problem::new(format!("form `{}`", T::schema_name()), what);
            self.problems.push(problem.at(Location::caller()));
        }
        self
    }

    /// How long clients of 2026-07-28 may keep lists and resources, and who may: stale at once, and private, unless said otherwise.
    /// [`CacheScope::Public`] lets shared caches hand them to anybody, also what was read with a token: only for what is the same for everybody.
    pub fn cache(mut self, time: Duration, scope: CacheScope) -> Self {
        self.registry.cache.set_all(cache::hint(time, scope));
        self
    }

    /// The same for one list, for what is read, or for `server/discover`, in place of what [`cache`](Self::cache) says. A handler that reads may say it for
    /// its resource alone ([`Ctx::cache`]).
    pub fn cache_of(mut self, what: Cacheable, time: Duration, scope: CacheScope) -> Self {
        self.registry.cache.set(what, cache::hint(time, scope));
        self
    }

    /// Registers a JSON-RPC method of your own, say `acme/search`. It runs like a tool, in both eras; its result has to be
    /// a JSON object. An error that `?` carries out is answered as -32603 with its message, params that do not fit as -32602; other
    /// codes are made with [`ToolError::rpc`](crate::ToolError::rpc).
    #[track_caller]
    pub fn method<A, R, F>(self, name: impl Into<String>, handler: F) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        self.method_with(Method::new(name), handler)
    }

    /// The same with more to say about it: who may use it.
    #[track_caller]
    pub fn method_with<A, R, F>(mut self, method: Method, handler: F) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        let (Method { name, required }, caller) = (method, Location::caller());
        if let Err(what) = required.check() {
            let problem = Problem::new(format!("method `{}`", name.escape_debug()), what);
            self.problems.push(problem.at(caller));
        }
        let entry = MethodEntry { name: name.into(), required, handler: method::answering(handler) };
        let taken = self.registry.methods.requests.iter().any(|other| other.name == entry.name)
            || protocol_method::is_known(&entry.name);
        self.check_method(&entry, taken, caller);
        self.registry.methods.requests.push(Arc::new(entry));
        self
    }

    /// Registers a notification of your own that clients may send. Nothing is answered to it.
    #[track_caller]
    pub fn notification<A, F>(mut self, name: impl Into<String>, handler: F) -> Self
    where
        A: DeserializeOwned,
        F: Fn(&Ctx, A) + Send + Sync + 'static,
    {
        let required = Required::default();
        let entry = MethodEntry { name: name.into().into(), required, handler: method::noting(handler) };
        let taken = self.registry.methods.notifications.iter().any(|other| other.name == entry.name)
            || protocol_method::is_known(&entry.name);
        self.check_method(&entry, taken, Location::caller());
        self.registry.methods.notifications.push(Arc::new(entry));
        self
    }

    /// Answers the methods that nothing else is registered for; it gets the method's name and its params. Without it they are
    /// answered -32601.
    pub fn fallback<R, F>(mut self, handler: F) -> Self
    where
        R: Serialize,
        F: Fn(&Ctx, &str, &RawValue) -> ToolResult<R> + Send + Sync + 'static,
    {
        self.registry.methods.fallback = Some(method::fallback(handler));
        self
    }

    /// Declares an extension of the protocol, with its settings (an object, `{}` if there are none): in `server/discover`, and in the
    /// answer to `initialize` of clients of 2025-11-25. What it consists of is up to you: [methods](Self::method),
    /// [members of `_meta`](Ctx::meta), …
    ///
    /// ```
    /// # use mcp_blocking::{NoArgs, Server};
    /// # use serde_json::json;
    /// let server = Server::new("maps", "1.0.0").extension("com.example/units", json!({ "units": ["m", "ft"] })).tool(
    ///     "height",
    ///     "How high a place is",
    ///     |ctx, NoArgs| match ctx.extension("com.example/units") {
    ///         Some(settings) if settings.get("unit").is_some_and(|unit| unit == "ft") => Ok("3,000 ft"),
    ///         _ => Ok("914 m"),
    ///     },
    /// );
    /// ```
    ///
    /// Extensions are off unless both sides declare them: a handler sees by [`Ctx::extension`] whether its client has, and
    /// refuses those that have not by [`Ctx::require_extension`]. The id has a prefix that says whose it is, the reversed name of a domain; those of the
    /// protocol itself begin with `io.modelcontextprotocol/`.
    #[track_caller]
    pub fn extension(mut self, id: impl Into<String>, settings: impl Into<Value>) -> Self {
        let (id, caller) = (id.into(), Location::caller());
        let problem = |what: String| Problem::new(format!("extension `{}`", id.escape_debug()), what).at(caller);
        let checked = match settings.into() {
            _ if self.registry.extensions.contains_key(&id) => Err("it is declared twice".into()),
            Value::Object(settings) => meta_key::check_extension(&id).map(|()| settings),
            _ => Err("its settings have to be an object, `{}` if there are none".into()),
        };
        match checked.map_err(problem) {
            Ok(settings) => _ = Arc::make_mut(&mut self.registry.extensions).insert(id, settings.into()),
            Err(problem) => self.problems.push(problem),
        }
        self
    }

    /// Puts a [`Layer`] around the requests and notifications that are served: what is refused before that passes none. The first one added is the
    /// outermost.
    #[doc(alias = "middleware")]
    #[doc(alias = "interceptor")]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        let before = self.registry.layers.iter().cloned();
        self.registry.layers = before.chain([Arc::new(layer) as Arc<dyn Layer>]).collect();
        self
    }

    /// Calls a closure for each client that has connected, before its first message is read. Runs on the client's own thread, which reads nothing
    /// meanwhile; a panic is logged and changes nothing.
    ///
    /// Nothing can be sent to the client yet: for that there is [`on_initialized`](Self::on_initialized).
    pub fn on_connect(mut self, hook: impl Fn(&Client) + Send + Sync + 'static) -> Self {
        self.hooks.connect.push(Box::new(hook));
        self
    }

    /// Calls a closure for each client that has opened its session: its revision, name and capabilities are known, and it can be sent
    /// notifications. Clients of 2026-07-28 have no session. Runs as [`on_connect`](Self::on_connect) does.
    pub fn on_initialized(mut self, hook: impl Fn(&Client) + Send + Sync + 'static) -> Self {
        self.hooks.initialized.push(Box::new(hook));
        self
    }

    /// Calls a closure for each client that has gone, with the reason. Called exactly once for each that connected, also when the server
    /// stops; nothing can be sent any more.
    ///
    /// Runs as [`on_connect`](Self::on_connect) does. A session over HTTP has no thread: if its client ends it, the closure runs on the thread of that
    /// request; if its time is over, it has to make room for another, or it is closed by [`Client::close`], on one that is there for this alone, one
    /// client after the other; and when the server stops, on the thread that stops it, which waits for it.
    pub fn on_disconnect(mut self, hook: impl Fn(&Client, Ended) + Send + Sync + 'static) -> Self {
        self.hooks.disconnect.push(Box::new(hook));
        self
    }

    /// A secret for the states that clients of 2026-07-28 carry between the rounds of a request
    /// ([`Ctx::ask`]): at least 32 random bytes. Without any, each process makes a key of its own, and a round that another process began, or the same
    /// one before a restart, is refused.
    ///
    /// May be called several times: the first key seals, all of them open, so that a key can be replaced without breaking the
    /// rounds under way. States are authenticated, not encrypted: a client can read them.
    #[track_caller]
    pub fn state_key(mut self, key: &[u8]) -> Self {
        if key.len() < sealed::MIN_KEY {
            let what = format!("it has {} bytes, and has to have {} or more", key.len(), sealed::MIN_KEY);
            self.problems.push(Problem::new("state key", what).at(Location::caller()));
        } else {
            self.keys.add(key.to_vec());
        }
        self
    }

    /// A memory of one's own for [`Ctx::once`], and for what users have [agreed](Tool::confirm) to, say a database that several processes share. The closure gets the id of a
    /// state and the time for which it has to be remembered, and says whether this is its first use. It runs on the handler's thread.
    pub fn replay_guard(mut self, guard: impl Fn(&str, Duration) -> bool + Send + Sync + 'static) -> Self {
        self.replay_guard = Some(Box::new(guard));
        self
    }

    /// Takes guards and limits that were made elsewhere, all at once. Comes before [`bearer_token`](Self::bearer_token) and the others that add to them: `bind` reports
    /// what this would replace, as a server that has lost its tokens lets everybody in.
    #[track_caller]
    pub fn settings(mut self, settings: Settings) -> Self {
        if let Some(before) = self.set_by.replace("settings") {
            let what = format!("they would replace what `{before}` has set: call `settings` once, and before it");
            self.problems.push(Problem::new("settings", what).at(Location::caller()));
        }
        self.settings = settings;
        self
    }

    /// The settings, for the method of that name to add to them.
    fn adding(&mut self, by: &'static str) -> Settings {
        self.set_by.get_or_insert(by);
        std::mem::take(&mut self.settings)
    }

    /// [`Settings::limits`].
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        self.settings = self.adding("limits").limits(change);
        self
    }

    /// [`Settings::allow_host`].
    #[track_caller]
    pub fn allow_host(mut self, host: &str) -> Self {
        self.settings = self.adding("allow_host").allow_host(host);
        self
    }

    /// [`Settings::allow_origin`].
    #[track_caller]
    #[doc(alias = "cors")]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        self.settings = self.adding("allow_origin").allow_origin(origin);
        self
    }

    /// [`Settings::bearer_token`].
    #[track_caller]
    pub fn bearer_token(mut self, principal: impl Into<String>, token: &str) -> Self {
        self.settings = self.adding("bearer_token").bearer_token(principal, token);
        self
    }

    /// [`Settings::authenticate`].
    pub fn authenticate(
        mut self,
        who: impl Fn(&RequestHead<'_>) -> Result<Principal, Denied> + Send + Sync + 'static,
    ) -> Self {
        self.settings = self.adding("authenticate").authenticate(who);
        self
    }

    /// [`Settings::dangerous_allow_anonymous`].
    pub fn dangerous_allow_anonymous(mut self) -> Self {
        self.settings = self.adding("dangerous_allow_anonymous").dangerous_allow_anonymous();
        self
    }

    /// [`Settings::confirm_destructive`].
    pub fn confirm_destructive(mut self) -> Self {
        self.settings = self.adding("confirm_destructive").confirm_destructive();
        self
    }

    /// [`Settings::tls`].
    #[cfg(feature = "tls")]
    #[track_caller]
    pub fn tls(mut self, tls: crate::TlsConfig) -> Self {
        self.settings = self.adding("tls").tls(tls);
        self
    }

    /// [`Settings::plaintext_behind_proxy`].
    pub fn plaintext_behind_proxy(mut self) -> Self {
        self.settings = self.adding("plaintext_behind_proxy").plaintext_behind_proxy();
        self
    }

    /// [`Settings::ready_check`].
    pub fn ready_check(
        mut self,
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.settings = self.adding("ready_check").ready_check(name, check);
        self
    }

    /// [`Settings::health_on_main`].
    pub fn health_on_main(mut self) -> Self {
        self.settings = self.adding("health_on_main").health_on_main();
        self
    }

    /// [`Settings::audit`].
    pub fn audit(mut self, audit: Audit) -> Self {
        self.settings = self.adding("audit").audit(audit);
        self
    }

    /// What is open, weak or missing if this is served on loopback: see [`doctor`](crate::doctor). What `bind` would refuse is in the list, too, all at
    /// once. Reads the files that are named in the settings, and opens nothing else.
    #[must_use]
    pub fn doctor(&self) -> Diagnosis {
        self.doctor_at(&[([127, 0, 0, 1], 0).into()], None)
    }

    /// The same for these addresses, and for probes at `health`. They are not opened, so they may be in use. Without addresses it is looked at as one that is served over
    /// pairs of streams alone.
    #[must_use]
    pub fn doctor_at(&self, addresses: &[SocketAddr], health: Option<SocketAddr>) -> Diagnosis {
        let offered = Offered::Mcp(Box::new(self.registry.clone()));
        self.settings.clone().diagnose(&offered, addresses, health, self.problems.clone())
    }

    /// Opens a listening socket: WebSocket, at path `/mcp`. Port 0 takes any free port; [`Bound::addr`] tells which.
    ///
    /// # Errors
    /// [`Error::Setup`] for everything that cannot be served, [`Error::Exposed`] for an address beyond loopback
    /// without authentication or TLS, [`Error::Address`] and [`Error::Bind`] for the address itself.
    pub fn bind(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Bound, Error> {
        self.into_bound()?.and_bind(address)
    }

    /// Serves on a socket that is listening already, say one that was handed over by a supervisor.
    ///
    /// # Errors
    /// As for [`bind`](Self::bind).
    pub fn bind_listener(self, listener: TcpListener) -> Result<Bound, Error> {
        self.into_bound()?.and_listener(listener)
    }

    /// Serves standard input and output until the input ends or [`Handle::stop`] is called: for hosts that start the program. Blocks for as
    /// long. See [`Bound::stdio`].
    ///
    /// # Errors
    /// [`Error::Setup`] for everything that cannot be served, [`Error::System`] if the operating system gives no thread.
    pub fn run_stdio(self) -> Result<(), Error> {
        self.into_bound()?.stdio().start()?.join()
    }

    /// Serves a pair of streams until the input ends, likewise: an accepted Unix socket, a serial line, pipes. The writing side is flushed
    /// behind each piece.
    ///
    /// # Errors
    /// As for [`run_stdio`](Self::run_stdio).
    pub fn serve_on(self, read: impl Read + Send + 'static, write: impl Write + Send + 'static) -> Result<(), Error> {
        self.into_bound()?.pipe(read, write).start()?.join()
    }

    /// A server without any address yet: for [`Bound::pipe`], [`Bound::stdio`], or addresses that are added one by one.
    ///
    /// # Errors
    /// [`Error::Setup`] for everything that cannot be served.
    pub fn unbound(self) -> Result<Bound, Error> {
        self.into_bound()
    }

    fn into_bound(mut self) -> Result<Bound, Error> {
        let settings = std::mem::take(&mut self.settings);
        let access = Access::of(&settings);
        let problems = std::mem::take(&mut self.problems);
        if self.keys.is_empty() {
            let key = random::bytes::<{ sealed::MIN_KEY }>()
                .map_err(|error| Error::System { what: "random numbers", source: std::io::Error::other(error) })?;
            self.keys.add(key.to_vec());
        }
        let reported = Identity { name: self.identity.name.clone(), version: self.identity.version.clone() };
        let offered = Offered::Mcp(Box::new(self.registry.clone()));
        let plan = Plan { texts: settings.texts, ..self.plan(access) };
        Bound::new(settings, offered, problems, reported, move |core| {
            let mcp = Mcp::new(plan, Arc::clone(core));
            let service: Arc<dyn AnyService> = Arc::new(Arc::clone(&mcp));
            let http: Arc<dyn HttpService> = Arc::new(McpOverHttp::new(Arc::clone(&mcp)));
            (vec![Route { path: "/mcp".into(), service, http: Some(http) }], Handle::of(mcp))
        })
    }

    /// What the running server needs of it.
    pub(crate) fn plan(self, access: Access) -> Plan {
        let Self { identity, instructions, registry, settings, hooks, keys, replay_guard, .. } = self;
        let (replays, texts) = (Replays::new(replay_guard), settings.texts);
        Plan { identity, instructions, registry, hooks, keys, replays, access, texts }
    }

    fn check_method(&mut self, entry: &MethodEntry, taken: bool, location: &'static Location<'static>) {
        let problem = |what: &str| Problem::new(format!("method `{}`", entry.name.escape_debug()), what).at(location);
        if entry.name.is_empty() {
            self.problems.push(problem("it has no name"));
        } else if taken {
            self.problems.push(problem("its name is taken, by the protocol or by another one"));
        }
    }

    fn add(&mut self, entry: Result<Entry, Problem>, location: &'static Location<'static>) {
        match entry {
            Ok(entry) if self.registry.tool(entry.name()).is_some() => {
                let subject = format!("tool `{}`", entry.name());
                self.problems.push(Problem::new(subject, "its name is taken by another tool").at(location));
            }
            Ok(entry) => self.registry.insert(entry),
            Err(problem) => self.problems.push(problem.at(location)),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.identity.name)
            .field("tools", &self.registry)
            .finish_non_exhaustive()
    }
}

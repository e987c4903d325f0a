//! MCP as a [`Service`](crate::Service): what is registered, what a client says, and who answers it.

pub(crate) mod access;
pub(crate) mod ask;
pub(crate) mod asked;
pub(crate) mod batch;
pub(crate) mod bounds;
pub(crate) mod cache;
pub(crate) mod call;
pub(crate) mod catalog;
pub(crate) mod client;
pub(crate) mod complete;
pub(crate) mod confirm;
#[cfg_attr(not(feature = "validation"), path = "conform/off.rs")]
pub(crate) mod conform;
pub(crate) mod ctx;
mod editing;
pub(crate) mod fault;
pub(crate) mod features;
pub(crate) mod handler;
pub(crate) mod hooks;
pub(crate) mod http;
pub(crate) mod keywords;
pub(crate) mod layer;
pub(crate) mod listen;
pub(crate) mod meta;
pub(crate) mod method;
mod notices;
pub(crate) mod outline;
pub(crate) mod output;
pub(crate) mod product;
pub(crate) mod prompt;
pub(crate) mod rate_limit;
pub(crate) mod registry;
pub(crate) mod resource;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod speech;
pub(crate) mod target;
pub(crate) mod tasks;
mod texts;
pub(crate) mod tool;
pub(crate) mod tool_error;
pub(crate) mod trace;

use crate::engine::connection::key;
use crate::engine::outbox::{Body, Flush};
use crate::engine::{ConnectionId, Core};
use crate::guard::policy::Texts;
use crate::guard::scopes::Required;
use crate::limits::Limits;
use crate::protocol::capabilities::{ListCapability, ResourcesCapability, ServerCapabilities};
use crate::protocol::content::{Implementation, MetaMap};
use crate::protocol::notify::{self, ListKind};
use crate::protocol::sealed::Keys;
use crate::service::{ClosedBy, Ended, Message, Peer, Service};
use access::Access;
use ask::replay::Replays;
use client::{Link, Watched};
use editing::Editing;
use hooks::Hooks;
use http::sessions::Sessions;
use parking_lot::RwLock;
use registry::Registry;
use session::Session;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tasks::TaskStore;

/// The WebSocket subprotocol of MCP.
pub(crate) const SUBPROTOCOL: &str = "mcp";

/// What an author has said of a server, before it runs.
pub(crate) struct Plan {
    pub(crate) identity: Implementation,
    pub(crate) instructions: Option<String>,
    pub(crate) registry: Registry,
    pub(crate) hooks: Hooks,
    pub(crate) keys: Keys,
    pub(crate) replays: Replays,
    pub(crate) access: Access,
    pub(crate) texts: Texts,
}

/// One MCP server: everything its connections share.
pub(crate) struct Mcp {
    pub(crate) identity: Implementation,
    pub(crate) instructions: Option<String>,
    pub(crate) core: Arc<Core>,
    pub(crate) hooks: Hooks,
    /// What sealed states are sealed with.
    pub(crate) keys: Keys,
    pub(crate) replays: Replays,
    /// Who may use what.
    pub(crate) access: Access,
    /// Those over HTTP.
    pub(crate) sessions: Sessions,
    pub(crate) tasks: Arc<TaskStore>,
    registry: RwLock<Arc<Registry>>,
    /// One edit at a time, so that none is lost.
    editing: Editing,
    links: RwLock<HashMap<ConnectionId, Arc<Link>>>,
    sequence: AtomicU64,
    hasher: RandomState,
    incidents: AtomicU64,
    /// Distinguishes the incident numbers of one run of the process from those of another.
    run: u16,
}

impl Mcp {
    pub(crate) fn new(plan: Plan, core: Arc<Core>) -> Arc<Self> {
        let Plan { identity, instructions, registry, hooks, keys, replays, access, texts } = plan;
        // Its only MCP server sets them.
        let _ = core.texts.set(texts);
        let tasks = TaskStore::new(&core);
        Arc::new(Self {
            identity,
            instructions,
            sessions: Sessions::new(core.limits.memory_bytes),
            core,
            tasks,
            hooks,
            keys,
            replays,
            access,
            registry: RwLock::new(Arc::new(registry)),
            editing: Editing::default(),
            links: RwLock::new(HashMap::new()),
            sequence: AtomicU64::new(key::FIRST_FREE),
            hasher: RandomState::new(),
            incidents: AtomicU64::new(0),
            run: RandomState::new().hash_one(std::process::id()) as u16,
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.core.limits
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read())
    }

    /// Changes what is registered, in one step for everybody, and tells the clients.
    pub(crate) fn edit<T>(&self, change: impl FnOnce(&mut Registry) -> T) -> T {
        let (result, changed) = {
            let _turn = self.editing.turn();
            let before = self.registry();
            // A copy, as user code runs here: nobody waits for it but another edit.
            let mut registry = Registry::clone(&before);
            let result = change(&mut registry);
            let changed = registry.changed_since(&before);
            *self.registry.write() = Arc::new(registry);
            (result, changed)
        };
        for kind in changed {
            self.core.audit.reloaded(kind.method());
            self.announce(kind);
        }
        result
    }

    /// Sends a `list_changed` to whom it concerns: legacy sessions, and listeners that asked for it.
    pub(crate) fn announce(&self, kind: ListKind) {
        let mut text = Vec::with_capacity(64);
        notify::write_list_changed(&mut text, kind, None);
        let text: Arc<[u8]> = text.into();
        for link in self.links() {
            if link.legacy().is_some_and(|legacy| legacy.is_initialized() && legacy.offers(kind)) {
                // A client that cannot take even this is closed: it would go on with a list that is out of date.
                let _ = link.send(Body::Shared(Arc::clone(&text)), changed_key(kind), Flush::Now);
            }
            for listen in link.listens() {
                listen.list_changed(kind);
            }
        }
    }

    /// Tells those who watch a resource, and may read it, that it has changed.
    pub(crate) fn resource_updated(&self, uri: &str) {
        let registry = self.registry();
        let nobody_needs = Required::default();
        let required = registry.resource(uri).map_or(&nobody_needs, |reader| reader.required);
        let mut text = Vec::with_capacity(96 + uri.len());
        notify::write_resource_updated(&mut text, uri, None);
        let text: Arc<[u8]> = text.into();
        let key = self.key_of(0, uri);
        for link in self.links() {
            let may_know =
                |watched: Option<&Watched>| watched.is_some_and(|it| self.access.allows(&it.grant, required));
            if link.legacy().is_some_and(|legacy| legacy.is_initialized() && may_know(legacy.watched.lock().get(uri))) {
                let _ = link.send(Body::Shared(Arc::clone(&text)), key, Flush::Now);
            }
            let listens = link.listens();
            if listens.is_empty() || !self.access.allows(&link.grant(&self.access, None), required) {
                continue;
            }
            for listen in listens {
                listen.resource_updated(self, uri);
            }
        }
    }

    /// What coalesces notices of the same resource.
    pub(crate) fn key_of(&self, of: u64, uri: &str) -> u64 {
        self.hasher.hash_one((of, uri)) | 1 << 63
    }

    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        let mut links: Vec<_> = self.links.read().values().cloned().collect();
        links.sort_unstable_by_key(|link| link.id);
        links
    }

    /// From here on the client is told of what happens.
    pub(crate) fn add_link(&self, link: &Arc<Link>) {
        self.links.write().insert(link.id, Arc::clone(link));
    }

    pub(crate) fn remove_link(&self, id: ConnectionId) {
        let mut links = self.links.write();
        links.remove(&id);
        if links.capacity() > 64 && links.len() < links.capacity() / 4 {
            links.shrink_to_fit();
        }
    }

    pub(crate) fn next_key(&self) -> u64 {
        // One for each kind of list.
        self.sequence.fetch_add(4, Ordering::Relaxed)
    }

    /// A number that stands in an answer for what is told in the log only.
    pub(crate) fn incident(&self) -> String {
        let number = self.incidents.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{:04x}-{number}", self.run)
    }

    /// Whether there is anything to say about tasks: tools that can be some, or tasks of tools that were there.
    pub(crate) fn offers_tasks(&self) -> bool {
        self.registry().has_tasks() || !self.tasks.is_empty()
    }

    /// The same for a panic.
    pub(crate) fn panic_incident(&self) -> String {
        self.core.counters.panics.fetch_add(1, Ordering::Relaxed);
        self.incident()
    }

    /// What is offered right now.
    pub(crate) fn capabilities(&self, registry: &Registry) -> ServerCapabilities {
        let list = |empty: bool| (!empty).then_some(ListCapability { list_changed: true });
        let resources = !registry.resources.is_empty() || !registry.templates.is_empty();
        ServerCapabilities {
            tools: list(registry.is_empty()),
            prompts: list(registry.prompts.is_empty()),
            resources: resources.then_some(ResourcesCapability { subscribe: true, list_changed: true }),
            completions: !registry.completions.is_empty(),
            logging: true,
            tasks: registry.has_tasks(),
            extensions: MetaMap::clone(&registry.extensions),
            ..ServerCapabilities::default()
        }
    }

    /// Sends a notification to every legacy session that is open; encodes it once. Returns how many queues took it.
    pub(crate) fn broadcast(&self, text: Vec<u8>) -> usize {
        let text: Arc<[u8]> = text.into();
        let sent = |link: &Arc<Link>| {
            link.legacy().is_some_and(|legacy| legacy.is_initialized())
                && link.send(Body::Shared(Arc::clone(&text)), 0, Flush::Now).is_ok()
        };
        self.links().iter().filter(|link| sent(link)).count()
    }
}

/// What coalesces the notices of a list.
fn changed_key(kind: ListKind) -> u64 {
    match kind {
        ListKind::Tools => key::TOOLS_CHANGED,
        ListKind::Prompts => key::PROMPTS_CHANGED,
        ListKind::Resources => key::RESOURCES_CHANGED,
    }
}

impl Service for Arc<Mcp> {
    type Session = Session;

    fn open(&self, peer: &Peer) -> Result<Session, ClosedBy> {
        let link = Link::of_connection(peer.connection());
        self.add_link(&link);
        self.hooks.connected(&link);
        Ok(Session::new(Arc::clone(self), link))
    }

    fn message(&self, session: &mut Session, peer: &Peer, message: Message) {
        match message {
            Message::Text(text) => session.receive(&text),
            // MCP over WebSocket is text; a binary message is a client of something else.
            Message::Binary(_) => peer.close(1003, "MCP messages are text"),
        }
    }

    fn close(&self, session: Session, peer: &Peer, ended: Ended) {
        self.remove_link(peer.id());
        session.link().asked.close();
        self.tasks.end_session(peer.id());
        self.hooks.disconnected(session.link(), ended);
    }

    fn stopping(&self) {
        for link in self.links() {
            for listen in link.take_listens() {
                listen.finish(&self.identity);
            }
        }
        self.sessions.end_all();
        self.hooks.tell();
    }

    fn subprotocols(&self) -> &[&str] {
        &[SUBPROTOCOL]
    }
}

impl std::fmt::Debug for Mcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mcp").field("identity", &self.identity.name).finish_non_exhaustive()
    }
}

//! What one client says: each message to its era, each method to who answers it. Runs on the connection's thread.

use super::Mcp;
use super::ask::flow::Given;
use super::batch::{Batch, Reply};
use super::cache::{self, Cacheable};
use super::call::{Call, http_status};
use super::client::{Legacy, Link, Pending, Sender};
use super::features;
use super::http::headers;
use super::speech::Speech;
use super::target::{Arguments, Job, Target};
use super::tasks::methods::Way;
use super::texts;
use crate::audit::{Called, Party};
use crate::engine::Core;
use crate::engine::outbox::Flush;
use crate::engine::pool::{Busy, Work};
use crate::engine::rates::TooMany;
use crate::guard::rate::TokenBucket;
use crate::guard::text::{Escaped, logged_id};
use crate::metrics::{Method, Outcome};
use crate::protocol::capabilities::LogLevel;
use crate::protocol::classify::{
    Claim, Handling, InitializeParams, ModernRequest, NotificationHandling, claim, classify_notification,
    classify_request,
};
use crate::protocol::cursor;
use crate::protocol::encode;
use crate::protocol::envelope::{self, Incoming, Malformed, Notification, ParseLimits, Request};
use crate::protocol::error::{BusyReason, RpcError, codes};
use crate::protocol::id::RequestId;
use crate::protocol::method;
use crate::protocol::params::{Params, raw_params};
use crate::protocol::revision::Revision;
use crate::service::Text;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a client that was told "busy" is asked to wait.
const BUSY_MS: u64 = 100;
/// How long a client is asked to wait for a disk.
const UNRECORDED_MS: u64 = 1_000;

/// Messages beyond the rate that are borne in any case.
const PATIENCE: u64 = 100;

/// One connection's conversation.
pub(crate) struct Session {
    mcp: Arc<Mcp>,
    link: Arc<Link>,
    rate: Rate,
    /// What is borne of messages beyond the rate.
    patience: Rate,
    /// Who has sent the one request that this is made for.
    sender: Option<Sender>,
}

/// How often a client may ask; several sessions may share one.
pub(crate) type Rate = Arc<Mutex<TokenBucket>>;

/// Who is asking, for a method that both eras have.
pub(crate) enum Caller<'a> {
    Legacy(&'a Legacy),
    Modern(ModernRequest),
}

impl Caller<'_> {
    pub(crate) fn revision(&self) -> Revision {
        match self {
            Self::Legacy(legacy) => legacy.revision,
            Self::Modern(request) => request.revision,
        }
    }
}

/// What becomes of a request on this thread.
pub(crate) enum Done {
    /// The text of its result or error.
    Answer(Vec<u8>),
    /// Somebody else will answer, or nobody.
    Elsewhere,
}

impl Session {
    pub(crate) fn new(mcp: Arc<Mcp>, link: Arc<Link>) -> Self {
        let rate = Self::rate(&mcp);
        Self::with_rate(mcp, link, rate)
    }

    pub(crate) fn with_rate(mcp: Arc<Mcp>, link: Arc<Link>, rate: Rate) -> Self {
        let limits = mcp.limits();
        // Who keeps to the delays that it is told has sent a pipeline's worth too much, and not more in each second than it may.
        let patience = TokenBucket::new(limits.rate.into(), u64::from(limits.burst).max(PATIENCE));
        Self { mcp, link, rate, patience: Arc::new(Mutex::new(patience)), sender: None }
    }

    /// The same for one request that somebody has sent who may have come another way than who has opened it.
    pub(crate) fn sent_by(&self, sender: Sender) -> Self {
        let (mcp, link) = (Arc::clone(&self.mcp), Arc::clone(&self.link));
        let (rate, patience) = (Arc::clone(&self.rate), Arc::clone(&self.patience));
        Self { mcp, link, rate, patience, sender: Some(sender) }
    }

    /// The rate of a new client.
    pub(crate) fn rate(mcp: &Mcp) -> Rate {
        let limits = mcp.limits();
        Arc::new(Mutex::new(TokenBucket::new(limits.rate.into(), limits.burst.into())))
    }

    pub(crate) fn own_rate(&self) -> &Rate {
        &self.rate
    }

    pub(crate) fn mcp(&self) -> &Arc<Mcp> {
        &self.mcp
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(super) fn sender(&self) -> Option<&Sender> {
        self.sender.as_ref()
    }

    /// Who asks.
    pub(super) fn party(&self) -> Party<'_> {
        self.link.party(self.sender())
    }

    /// One message.
    pub(crate) fn receive(&self, text: &Text) {
        let limits = ParseLimits::from(self.mcp.limits());
        match envelope::parse(text, &limits) {
            Ok(incoming) => self.receive_over(text, incoming, &Reply::Direct),
            Err(malformed) => self.malformed(malformed, &Reply::Direct),
        }
    }

    /// One message that has been read, with the way for what comes of it.
    pub(crate) fn receive_over(&self, text: &Text, incoming: Incoming<'_>, reply: &Reply) {
        match incoming {
            Incoming::Batch(entries) => self.batch(text, &entries, reply),
            incoming => self.incoming(text, text, incoming, reply),
        }
    }

    /// Answers a request that this thread can answer itself.
    pub(crate) fn answer(&self, text: &Text, request: &Request<'_>) -> Vec<u8> {
        match self.request(text, text, request, &Reply::Nowhere) {
            (Done::Answer(json), _) => json,
            (Done::Elsewhere, _) => Vec::new(),
        }
    }

    fn revision(&self) -> Option<Revision> {
        self.link.legacy().map(|legacy| legacy.revision)
    }

    /// `own` is the text of this very message, which may be one of a batch.
    fn incoming(&self, text: &Text, own: &str, incoming: Incoming<'_>, reply: &Reply) {
        match incoming {
            Incoming::Request(request) => {
                if let Reply::Batch(batch) = reply {
                    batch.expect();
                }
                if let (Done::Answer(json), status) = self.request(text, own, &request, reply) {
                    reply.deliver(&self.link, Some(json), status, Flush::Later);
                }
            }
            Incoming::Notification(notification) => self.notification(text, own, &notification),
            // One must not answer an answer, whatever it is.
            Incoming::Response(response) => {
                if !self.link.asked.answered(&response) && self.within_rate() {
                    log::debug!(
                        target: "mcp_blocking::session", connection = self.link.id.0;
                        "{}: response {} to nothing", self.link.id, logged_id(&response.id)
                    );
                }
            }
            Incoming::Batch(_) => {}
        }
    }

    /// 2025-03-26 only: receivers MUST accept batches (basic).
    fn batch(&self, text: &Text, entries: &[&RawValue], direct: &Reply) {
        let allowed = self.revision().is_some_and(Revision::has_batches);
        let most = self.mcp.limits().calls_per_connection;
        if !allowed || entries.is_empty() || entries.len() > most {
            let why = match allowed {
                false => "batches belong to sessions of 2025-03-26".to_owned(),
                true if entries.is_empty() => "a batch has to have entries".to_owned(),
                true => format!("a batch may have {most} entries at the most"),
            };
            return self.malformed(Malformed { id: None, error: RpcError::invalid_request(why), answer: true }, direct);
        }
        let batch = Batch::new(&self.link.core, direct.clone());
        let reply = Reply::Batch(Arc::clone(&batch));
        for entry in entries {
            match envelope::parse_single(entry.get()) {
                Ok(Incoming::Request(request)) if request.method == method::INITIALIZE => {
                    let error = RpcError::invalid_request("initialize must not be part of a batch");
                    self.malformed(Malformed { id: Some(request.id), error, answer: true }, &reply);
                }
                // A batch belongs to the session, and such a request to none.
                Ok(Incoming::Request(request)) if !matches!(claim(&request.params), Claim::None | Claim::Legacy(_)) => {
                    let error = RpcError::invalid_request("a request of 2026-07-28 must not be part of a batch");
                    self.malformed(Malformed { id: Some(request.id), error, answer: true }, &reply);
                }
                Ok(incoming) => self.incoming(text, entry.get(), incoming, &reply),
                Err(malformed) => self.malformed(malformed, &reply),
            }
        }
        batch.add(&self.link, None, Flush::Later);
    }

    fn malformed(&self, malformed: Malformed, reply: &Reply) {
        self.fail_question(&malformed);
        let Malformed { id, error, answer } = malformed;
        // It costs as much as any other message.
        if let Err(too_many) = self.take() {
            match reply {
                Reply::Batch(batch) if answer => {
                    batch.expect();
                    reply.deliver(&self.link, None, 200, Flush::Later);
                }
                // Its sender waits for the end of its POST.
                Reply::Exchange(_) | Reply::Stream(_) => {
                    reply.come_back_after(&too_many);
                    reply.deliver(&self.link, Some(self.error(id.as_ref(), &too_many)), 429, Flush::Later);
                }
                // Beyond the rate it is not even answered.
                _ => {}
            }
            return;
        }
        log::debug!(
            target: "mcp_blocking::session", connection = self.link.id.0;
            "{}: malformed message: {}", self.link.id, Escaped::short(&*error.message)
        );
        if answer {
            if let Reply::Batch(batch) = reply {
                batch.expect();
            }
            let json = self.error(id.as_ref(), &error);
            reply.deliver(&self.link, Some(json), 400, Flush::Later);
        }
    }

    /// Whoever waits for an answer that cannot be used need not wait any longer.
    pub(crate) fn fail_question(&self, malformed: &Malformed) {
        if let Some(id) = malformed.answers() {
            self.link.asked.refused(id, &malformed.error.message);
        }
    }

    /// Takes one message from the client's rate. Whoever goes on to send much more than that is not worth the reading.
    fn take(&self) -> Result<(), RpcError> {
        let party = self.party();
        let taken = take(&self.rate, &self.mcp, party);
        if taken.is_err() {
            let core = &self.mcp.core;
            if self.patience.lock().take(core.uptime(), 1).is_err() {
                core.audit.limited(party, "flood");
                self.link.flooded();
            }
        }
        taken
    }

    fn within_rate(&self) -> bool {
        self.take().is_ok()
    }

    fn error(&self, id: Option<&RequestId>, error: &RpcError) -> Vec<u8> {
        let mut json = Vec::with_capacity(128);
        encode::write_error(&mut json, id, error, self.revision());
        json
    }

    /// Serves a request; also the HTTP status of what is answered here.
    fn request(&self, text: &Text, own: &str, request: &Request<'_>, reply: &Reply) -> (Done, u16) {
        let counters = &self.mcp.core.counters;
        let counted = Method::of(&request.method);
        counters.requests.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.take() {
            counters.request(counted, Outcome::RateLimited, Duration::ZERO);
            reply.come_back_after(&error);
            return (Done::Answer(self.error(Some(&request.id), &error)), 429);
        }
        let received = Instant::now();
        let handling = match self.link.is_pending(&request.id) {
            true => Err(RpcError::invalid_request("a request with this id is under way")),
            false => match reply.head() {
                Some(head) => headers::classify(request, head, self.revision()),
                None => classify_request(request, self.revision()),
            },
        };
        let spoken = handling.as_ref().ok().map(|handling| match handling {
            Handling::Modern(modern) => modern.revision,
            _ => self.revision().unwrap_or(Revision::LATEST_LEGACY),
        });
        let done = handling.and_then(|handling| {
            let revision = match &handling {
                Handling::Modern(modern) => Some(modern.revision),
                _ => self.revision(),
            };
            self.layered(request, revision, || match handling {
                Handling::Handshake => self.initialize(request).map(Done::Answer),
                Handling::Modern(modern) => self.modern(text, own, request, modern, reply),
                Handling::Legacy => match self.link.legacy() {
                    Some(legacy) => self.legacy(text, own, request, legacy, reply),
                    None => Err(RpcError::before_initialize()),
                },
                Handling::LegacyBeforeInitialize if request.method == method::PING => {
                    Ok(Done::Answer(self.empty(request)))
                }
                Handling::LegacyBeforeInitialize => Err(RpcError::before_initialize()),
            })
        });
        let done = done.map(|done| match done {
            // What tasks have come to was looked at when they did.
            Done::Answer(json) if !request.method.starts_with("tasks/") => {
                Done::Answer(texts::answer(&self.mcp.core, &request.id, json))
            }
            done => done,
        });
        let outcome = match &done {
            // A subscription is answered with its acknowledgement; a call counts itself when it ends.
            Ok(Done::Elsewhere) => (request.method == method::LISTEN).then_some(Outcome::Ok),
            Ok(Done::Answer(_)) => Some(Outcome::Ok),
            Err(error) if error.code == codes::BUSY => Some(Outcome::Busy),
            Err(error) if error.code == codes::RATE_LIMITED => Some(Outcome::RateLimited),
            Err(_) => Some(Outcome::Error),
        };
        if let Some(outcome) = outcome {
            self.mcp.core.counters.request(counted, outcome, received.elapsed());
            self.record(request, outcome, received.elapsed());
        }
        let status = match &done {
            Ok(_) => 200,
            Err(error) => {
                self.mcp.challenge(error, reply);
                reply.come_back_after(error);
                spoken.map_or(400, |revision| http_status(error, revision))
            }
        };
        let told = |error| Done::Answer(self.error(Some(&request.id), &texts::error(&self.mcp.core, &error)));
        (done.unwrap_or_else(told), status)
    }

    /// Tells the audit log of a call that was not begun, or goes on as a task; any other tells of its own end.
    pub(super) fn record(&self, request: &Request<'_>, outcome: Outcome, took: Duration) {
        if outcome == Outcome::Busy && self.mcp.core.audit.refuses() {
            // Summed up as a limit: the room in the queue is for calls under way.
            return;
        }
        let method = &*request.method;
        // The address of a resource may hold what its template takes for arguments.
        let name = request.params.name.as_deref().filter(|_| method != method::RESOURCES_READ);
        if [method::TOOLS_CALL, method::RESOURCES_READ, method::PROMPTS_GET].contains(&method) {
            let arguments = request.params.arguments.and_then(|raw| self.mcp.core.audit.digest(raw.get()));
            self.mcp
                .core
                .audit
                .called(self.party(), &Called { method, name, known: false, scopes: &[], outcome, took, arguments });
        }
    }

    fn legacy(
        &self,
        text: &Text,
        own: &str,
        request: &Request<'_>,
        legacy: &Legacy,
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        match &*request.method {
            method::PING => Ok(Done::Answer(self.empty(request))),
            method::TOOLS_LIST => self.list_tools(request, &Caller::Legacy(legacy)).map(Done::Answer),
            method::TOOLS_CALL => self.call_tool(text, request, Caller::Legacy(legacy), reply),
            method::SET_LEVEL => {
                let level = request.params.level.as_deref();
                let level = level.ok_or_else(|| RpcError::invalid_params("params.level must be a string"))?;
                legacy.set_level(LogLevel::from_param(level)?);
                Ok(Done::Answer(self.empty(request)))
            }
            method::TASKS_GET | method::TASKS_RESULT | method::TASKS_LIST | method::TASKS_CANCEL => {
                self.legacy_task(request, legacy, reply)
            }
            _ => self.feature(text, own, request, Caller::Legacy(legacy), reply),
        }
    }

    fn modern(
        &self,
        text: &Text,
        own: &str,
        request: &Request<'_>,
        modern: ModernRequest,
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        match &*request.method {
            method::DISCOVER => Ok(Done::Answer(self.discover(request))),
            method::TOOLS_LIST => self.list_tools(request, &Caller::Modern(modern)).map(Done::Answer),
            method::TOOLS_CALL => self.call_tool(text, request, Caller::Modern(modern), reply),
            method::LISTEN => self.listen(request, &modern, reply),
            method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL => self.modern_task(request, &modern),
            _ => self.feature(text, own, request, Caller::Modern(modern), reply),
        }
    }

    pub(super) fn empty(&self, request: &Request<'_>) -> Vec<u8> {
        let mut json = Vec::with_capacity(48);
        // Only legacy revisions have methods with nothing to say.
        encode::write_response(&mut json, &request.id, |out| {
            encode::encode_empty_result(out, Revision::LATEST_LEGACY, None);
        });
        json
    }

    fn initialize(&self, request: &Request<'_>) -> Result<Vec<u8>, RpcError> {
        if self.link.legacy().is_some() {
            return Err(RpcError::already_initialized());
        }
        let wanted = InitializeParams::parse(&request.params)?;
        let capabilities = self.mcp.capabilities(&self.mcp.registry());
        log::info!(
            target: "mcp_blocking::session", connection = self.link.id.0, revision = wanted.revision.as_str();
            "{}: {} {} speaks {}",
            self.link.id, Escaped::new(&wanted.client_info.name, 64), Escaped::new(&wanted.client_info.version, 32), wanted.revision
        );
        let mut json = Vec::with_capacity(256);
        encode::write_response(&mut json, &request.id, |out| {
            encode::encode_initialize_result(
                out,
                wanted.revision,
                &capabilities,
                &self.mcp.identity,
                self.mcp.instructions.as_deref(),
            );
        });
        let client = (wanted.client_info.name.as_str(), wanted.client_info.version.as_str());
        self.mcp.core.audit.session(self.party(), wanted.revision.as_str(), client);
        self.link.open_legacy(Legacy::new(wanted.revision, wanted.capabilities, wanted.client_info, capabilities));
        Ok(json)
    }

    fn discover(&self, request: &Request<'_>) -> Vec<u8> {
        let registry = self.mcp.registry();
        let capabilities = self.mcp.capabilities(&registry);
        let (ttl_ms, scope) = registry.cache.of(Cacheable::Discover);
        let mut json = Vec::with_capacity(384);
        encode::write_response(&mut json, &request.id, |out| {
            let (identity, instructions) = (Some(&self.mcp.identity), self.mcp.instructions.as_deref());
            encode::encode_discover_result(out, &capabilities, identity, instructions, ttl_ms, scope);
        });
        json
    }

    fn list_tools(&self, request: &Request<'_>, caller: &Caller<'_>) -> Result<Vec<u8>, RpcError> {
        let registry = self.mcp.registry();
        if self.offered(&registry, caller).tools.is_none() {
            return Err(RpcError::method_not_found(&request.method));
        }
        let after = match &request.params.cursor {
            Some(text) => cursor::decode_cursor(text)?,
            None => String::new(),
        };
        let after = if after.is_empty() { None } else { Some(position_of(&after)?) };
        let (access, grant) = (&self.mcp.access, self.grant());
        let sees = |required: &_| access.shows(&grant, required);
        let (page, more) = registry.page(after, self.mcp.limits().page_size, sees);
        let next = page.last().filter(|_| more).map(|last| {
            let (rank, name) = last.position();
            cursor::encode_cursor(&format!("{rank} {name}"))
        });
        let revision = caller.revision();
        let (ttl_ms, scope) = cache::narrowed(registry.cache.of(Cacheable::Tools), registry.has_guarded_tools());
        let server = Some(&self.mcp.identity);
        let page_of = encode::Page { key: "tools", next_cursor: next.as_deref(), revision, ttl_ms, scope, server };
        Ok(features::answer(request, page_of, page.iter().map(|entry| entry.listed(revision))))
    }

    fn call_tool(
        &self,
        text: &Text,
        request: &Request<'_>,
        caller: Caller<'_>,
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        let registry = self.mcp.registry();
        // The first is for the common case: this is the busiest of all ways.
        if registry.is_empty() && self.offered(&registry, &caller).tools.is_none() {
            return Err(RpcError::method_not_found(&request.method));
        }
        self.refuse_if_stopping()?;
        let params = &request.params;
        let name = params.name.as_deref().ok_or_else(|| RpcError::invalid_params("params.name must be a string"))?;
        let unknown = || RpcError::unknown("tool", name);
        let entry = Arc::clone(registry.tool(name).ok_or_else(unknown)?);
        if !self.admits(&entry.required, (method::TOOLS_CALL, Some(name)))? {
            return Err(unknown());
        }
        let way = Way::of(&entry, &caller, params.task)?;
        let arguments = object(params.arguments)?.map(RawValue::get);
        if let (Some(head), Caller::Modern(_)) = (reply.head(), &caller) {
            headers::check_params(head, &entry.mirrored, arguments)?;
        }
        // Before anything is taken: what is refused by this does not cost more than its message.
        let speech = self.speech(request, caller)?;
        let (permit, charge) = self.within_bounds(&entry)?;
        let layers = Arc::clone(&registry.layers);
        drop(registry);
        let arguments = Arguments::of(text, arguments);
        if let Way::Task(ttl) = way {
            let done = self.begin_task(request, speech, (entry, arguments, ttl, permit), reply)?;
            charge.spent();
            return Ok(done);
        }
        let job = Job { target: Target::Tool(entry), layers, arguments, reply: reply.clone() };
        let call = Call::new(Arc::clone(&self.mcp), Arc::clone(&self.link), speech, request.id.clone(), job);
        call.hold(permit);
        if call.is_quick() {
            charge.spent();
            call.execute_here();
            return Ok(Done::Elsewhere);
        }
        let done = self.spawn(request, call)?;
        charge.spent();
        Ok(done)
    }

    /// A method of the author's own.
    pub(super) fn custom(
        &self,
        text: &Text,
        own: &str,
        request: &Request<'_>,
        caller: Caller<'_>,
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        let registry = self.mcp.registry();
        let known = method::is_known(&request.method);
        let mut entry = registry.methods.request(&request.method).filter(|_| !known);
        if let Some(found) = &entry
            && !self.admits(&found.required, (&found.name, None))?
        {
            entry = None;
        }
        let entry = entry.or_else(|| registry.methods.unknown(&request.method).filter(|_| !known));
        let entry = entry.ok_or_else(|| RpcError::method_not_found(&request.method))?;
        self.refuse_if_stopping()?;
        let arguments = Arguments::of(text, raw_params(own).map(RawValue::get));
        let (target, layers) = (Target::Method(entry), Arc::clone(&registry.layers));
        let call = self.call(request, caller, Job { target, layers, arguments, reply: reply.clone() })?;
        self.spawn(request, call)
    }

    /// Hands a call to the pool.
    pub(super) fn spawn(&self, request: &Request<'_>, call: Arc<Call>) -> Result<Done, RpcError> {
        if !self.link.begin(&request.id, Pending::Call(Arc::clone(&call))) {
            return Err(RpcError::invalid_request("a request with this id is under way"));
        }
        let cost = call.cost();
        self.link.spawn(call as Arc<dyn Work>, cost).map_err(|busy| {
            self.link.finish(&request.id);
            self.busy(busy)
        })?;
        Ok(Done::Elsewhere)
    }

    pub(super) fn call(&self, request: &Request<'_>, caller: Caller<'_>, job: Job) -> Result<Arc<Call>, RpcError> {
        let speech = self.speech(request, caller)?;
        Ok(Call::new(Arc::clone(&self.mcp), Arc::clone(&self.link), speech, request.id.clone(), job))
    }

    /// What a request says about itself, or its session did.
    fn speech(&self, request: &Request<'_>, caller: Caller<'_>) -> Result<Speech, RpcError> {
        let progress = request.params.progress_token()?;
        let sender = self.sender.clone();
        self.refuse_if_unrecorded()?;
        let says = (&request.params, request.repeats);
        Ok(match caller {
            Caller::Legacy(legacy) => {
                let capabilities = Arc::clone(&legacy.capabilities);
                Speech { progress, ..Speech::new(legacy.revision, capabilities, sender, says) }
            }
            Caller::Modern(modern) => Speech {
                level: modern.log_level,
                progress,
                given: Given {
                    state: request.params.request_state.as_deref().map(Box::from),
                    responses: request.params.input_responses.map(RawValue::to_owned),
                },
                ..Speech::new(modern.revision, Arc::new(modern.capabilities), sender, says)
            },
        })
    }

    pub(super) fn refuse_if_stopping(&self) -> Result<(), RpcError> {
        if self.mcp.core.stopping() { Err(self.busy(Busy::Stopping)) } else { Ok(()) }
    }

    /// What the audit log could not take is not begun, if its author wants that.
    fn refuse_if_unrecorded(&self) -> Result<(), RpcError> {
        if !self.mcp.core.audit.refuses() {
            return Ok(());
        }
        self.mcp.core.counters.busy.fetch_add(1, Ordering::Relaxed);
        self.mcp.core.audit.limited(self.party(), "audit");
        Err(RpcError::busy(BusyReason::Unrecorded, UNRECORDED_MS))
    }

    pub(crate) fn busy(&self, busy: Busy) -> RpcError {
        self.mcp.core.counters.busy.fetch_add(1, Ordering::Relaxed);
        let (audit, party) = (&self.mcp.core.audit, self.party());
        match busy {
            Busy::Connection => {
                audit.limited(party, "calls-per-connection");
                RpcError::busy(BusyReason::Busy, BUSY_MS)
            }
            Busy::Client => {
                audit.limited(party, "calls-per-client");
                RpcError::busy(BusyReason::Busy, BUSY_MS)
            }
            Busy::Overloaded => {
                audit.limited(party, "overload");
                RpcError::busy(BusyReason::Overloaded, BUSY_MS)
            }
            Busy::Stopping => RpcError::busy(BusyReason::ShuttingDown, BUSY_MS),
        }
    }

    fn notification(&self, text: &Text, own: &str, notification: &Notification<'_>) {
        let within = self.within_rate();
        match classify_notification(notification, self.revision()) {
            // Always heard: it lightens the load.
            NotificationHandling::Cancelled => self.cancelled(&notification.params),
            _ if !within => {}
            NotificationHandling::Legacy if notification.method == method::INITIALIZED => {
                if let Some(legacy) = self.link.legacy() {
                    // Once, however often it is said.
                    if legacy.set_initialized() {
                        self.mcp.hooks.initialized(&self.link);
                    }
                }
            }
            NotificationHandling::Legacy | NotificationHandling::Ignored => self.noted(text, own, notification),
        }
    }

    /// A notification of the author's own, if it is one.
    fn noted(&self, text: &Text, own: &str, notification: &Notification<'_>) {
        let registry = self.mcp.registry();
        let Some(entry) = registry.methods.notification(&notification.method) else { return };
        let says = (&notification.params, notification.repeats);
        let speech = match self.link.legacy() {
            Some(legacy) => Speech::new(legacy.revision, Arc::clone(&legacy.capabilities), self.sender.clone(), says),
            None => Speech::new(Revision::R2026_07_28, Arc::default(), None, says),
        };
        let arguments = Arguments::of(text, raw_params(own).map(RawValue::get));
        let (mcp, link) = (Arc::clone(&self.mcp), Arc::clone(&self.link));
        let (target, layers) = (Target::Method(entry), Arc::clone(&registry.layers));
        let job = Job { target, layers, arguments, reply: Reply::Nowhere };
        let call = Call::new(mcp, link, speech, RequestId::from(0_u64), job);
        let cost = call.cost();
        if self.refuse_if_unrecorded().is_ok() && self.link.spawn(call as Arc<dyn Work>, cost).is_err() {
            // Nobody can be told; it is counted.
            self.mcp.core.counters.busy.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Unknown, finished and malformed ids are ignored (2026-07-28, basic/patterns/cancellation).
    fn cancelled(&self, params: &Params<'_>) {
        let Ok(Some(id)) = params.cancelled_id() else { return };
        match self.link.finish(&id) {
            Some(Pending::Call(call)) => call.cancel(params.reason.as_deref()),
            Some(Pending::Wait(wait)) => wait.cancel(),
            Some(Pending::Listen(_)) | None => {}
        }
    }
}

/// Takes one message from a rate.
///
/// # Errors
/// -31002: it comes too soon.
pub(crate) fn take(rate: &Rate, mcp: &Mcp, party: Party<'_>) -> Result<(), RpcError> {
    let taken = mcp.core.rates.take(rate, party.principal, party.address, 1);
    taken.map_err(|too_many| rate_limited(&mcp.core, party, too_many))
}

/// What is answered to who asks too often; it is recorded and counted.
pub(super) fn rate_limited(core: &Core, party: Party<'_>, too_many: TooMany) -> RpcError {
    core.audit.limited(party, too_many.limit);
    core.counters.rate_limited.fetch_add(1, Ordering::Relaxed);
    RpcError::rate_limited(too_many.retry.ms())
}

/// `arguments` has to be an object, or may be left out.
pub(super) fn object(arguments: Option<&RawValue>) -> Result<Option<&RawValue>, RpcError> {
    match arguments {
        Some(raw) if raw.get().starts_with('{') => Ok(Some(raw)),
        Some(_) => Err(RpcError::invalid_params("params.arguments must be an object")),
        None => Ok(None),
    }
}

/// A place in the list, from what our cursor holds.
fn position_of(key: &str) -> Result<(i32, &str), RpcError> {
    key.split_once(' ')
        .and_then(|(rank, name)| Some((rank.parse().ok()?, name)))
        .ok_or_else(|| RpcError::invalid_params("params.cursor is not a cursor of this server"))
}

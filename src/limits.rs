//! Every size, count and time that bounds what a peer can make the server do.

use crate::protocol::envelope::ParseLimits;
use std::time::Duration;

/// The bounds of a server: sizes, counts, rates and deadlines, each with a default that is safe to leave alone.
///
/// Change them through [`Server::limits`](crate::Server::limits):
///
/// ```
/// # use mcp_blocking::Server;
/// let server = Server::new("notes", "1.0.0").limits(|limits| limits.message_bytes = 4 << 20);
/// ```
///
/// A value of zero is refused by `bind` where it would make the server useless, and means "no limit" only where its
/// description says so.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one incoming message, all its fragments together. A larger one closes the connection with 1009.
    /// Default 1 MiB: generous for JSON, small enough that a thousand clients cannot fill the memory.
    pub message_bytes: usize,
    /// Bytes of one incoming WebSocket frame. The memory for a frame is reserved when its head has been read, so this
    /// bounds what a peer can reserve with 14 bytes. Default `None`: as much as a message may have.
    pub frame_bytes: Option<usize>,
    /// Fragments of one message; more close the connection with 1008. Empty fragments cost the peer 6 bytes each and
    /// would otherwise be endless. Default 256.
    pub fragments: usize,
    /// WebSocket control frames (ping, pong) a second, with a burst of the same size; more close the connection with
    /// 1008. Each ping has to be answered, so they are work that the message rate does not see. Default 100.
    pub control_frames_per_second: u32,
    /// Bytes of a request head (request line and headers); more are answered 431. Default 8 KiB.
    pub head_bytes: usize,
    /// Lines of a request head; more are answered 431. Default 64.
    pub head_lines: usize,
    /// Time for the whole handshake, from accept (and through that of TLS) to the answered upgrade; then 408, or the end of the TLS
    /// session. One deadline, not one for each read, so that a client cannot hold a thread by dripping. Default 10 s.
    pub head_deadline: Duration,
    /// Time for the body of an HTTP request, from the end of its head; then 408. The same for a WebSocket message, from its first
    /// frame to its last; then the connection is closed with 1008. Default 30 s: 1 MiB over a slow line.
    pub body_deadline: Duration,
    /// How long an HTTP connection without a request stays open: this, and up to twice as long. Default 15 s.
    pub keep_alive: Duration,
    /// HTTP sessions at once (2025-03-26 to 2025-11-25). One more takes the place of the one that has not been used for longest, those with tasks last (its client
    /// is answered 404 and begins anew); if all are in use, `initialize` is answered "busy". Default 1,024.
    pub sessions: usize,
    /// How long an HTTP session that nobody uses is kept: no request, no open stream, no task. Default 30 min.
    pub session_idle: Duration,
    /// Events of an HTTP session that are kept for a client that lost a connection: what was sent and may not have arrived, and what could not be
    /// sent since; beyond it the oldest are dropped. As many messages that belong to no request wait for the client to open its stream.
    /// Default 256: more than a client misses in the seconds until it is back.
    pub events_per_session: usize,
    /// Bytes of these events, likewise; an answer that is larger than all of it is kept alone. All sessions together keep a quarter of
    /// [`memory_bytes`](Self::memory_bytes) at the most; beyond it the one that keeps most forgets it. Default 1 MiB: some large answers.
    pub event_bytes_per_session: usize,
    /// How long the stream of an HTTP request can be resumed after its answer was sent, or could not be. Default 5 min: a laptop's nap, not a
    /// night.
    pub event_lifetime: Duration,
    /// What a client that loses a stream is told to wait before it comes back (2025-11-25). Default 1 s: nobody notices, and a thousand clients
    /// that lose their connections at once do not come back at once.
    pub reconnect_delay: Duration,
    /// Connections at once, in all; more are answered 503 before anything is read. Every connection has a thread, and
    /// the number is cut to what the machine's thread limit allows. Default 4,096.
    pub connections: usize,
    /// Connections at once from one address (IPv6: one /64) beyond loopback; more are answered 503. Default 100. The connection of a
    /// [trusted proxy](crate::Settings::trusted_proxies) counts for the client that it names: a WebSocket for as long as it is open, over HTTP for
    /// the time of each request.
    pub connections_per_address: usize,
    /// How long a connection may live: between three quarters of this and all of it, each another time, so that a thousand clients do not come back at
    /// once. Then it is ended between two calls, a WebSocket with 1001, an HTTP connection behind an answer with `Connection: close`; the streams
    /// of HTTP sessions can be resumed. Calls under way may finish, each within its own deadline and all within
    /// [`handler_deadline_extended`](Self::handler_deadline_extended). Zero means no limit. Default 7 days: an IDE that is left open through
    /// a week loses nothing, and yet no connection outlives for long what it was let in for (a token that was withdrawn, a machine that a balancer
    /// would empty, a socket that somebody has forgotten). What has an end of its own ends there: [`Principal::expiring`](crate::Principal::expiring).
    /// Pairs of streams have no such end.
    pub connection_lifetime: Duration,
    /// One-time tickets that nobody has used so far, in all ([`Settings::tickets`](crate::Settings::tickets)); beyond it no more are issued. Default
    /// 4,096: as many as there may be connections.
    pub tickets: usize,
    /// The same for one principal, so that nobody takes all of them. Default 64.
    pub tickets_per_principal: usize,
    /// How long a ticket can be used. Default 30 s: a page opens its WebSocket at once.
    pub ticket_lifetime: Duration,
    /// New connections a second from one address (IPv6: one /64) beyond loopback; more are answered 429, before they cost a thread. 0 means no
    /// limit. Through a trusted proxy each WebSocket counts. Default 20: nobody opens that many for long, and with TLS each costs as much as
    /// hundreds of requests.
    pub connect_rate: u32,
    /// Connections that may come at once before [`connect_rate`](Self::connect_rate) applies. Default 200: all that an address may have, twice.
    pub connect_burst: u32,
    /// Connections that have not finished their handshake, with or without TLS, counted apart so that they cannot use up the seats of
    /// those who have. One more takes the place of the oldest, of the address that has most of them: an honest handshake takes milliseconds, and those
    /// that never end must not keep it out. Default 512.
    pub half_open: usize,
    /// Silence after which the server sends a WebSocket ping, and how often it sends a comment over an HTTP stream. A call of an HTTP session that has
    /// said nothing for that long is answered with a stream. Default 20 s: below the idle time-outs of common proxies.
    pub ping_interval: Duration,
    /// Unanswered pings after which the peer counts as gone. Default 2.
    pub missed_pings: u32,
    /// Time to finish a frame once its first byte has come; then the connection is closed with 1008. Default 10 s.
    pub frame_deadline: Duration,
    /// Time a frame may wait in a socket that takes no more bytes; then the connection is cut. Default 10 s.
    pub write_deadline: Duration,
    /// Time for the peer to answer a close frame; then the connection is cut. Default 1 s.
    pub close_deadline: Duration,
    /// Bytes queued for one client that does not read fast enough; beyond it the client is closed with 1013.
    /// Default 4 MiB.
    pub outbox_bytes: usize,
    /// Frames queued for one client, likewise. Default 1,024.
    pub outbox_frames: usize,
    /// Requests of one connection that may be under way at once; beyond it a request is answered "busy" at once and
    /// the connection goes on being read, so that answers and cancellations still arrive. Default 128.
    pub calls_per_connection: usize,
    /// Requests waiting for a worker, over all clients; beyond it they are answered "busy", and so are those of one client
    /// beyond three quarters of it. Default 4,096.
    pub queued_calls: usize,
    /// Open `subscriptions/listen` requests of one connection; beyond it -32603. Default 64.
    pub listens_per_connection: usize,
    /// Nesting of arrays and objects in one message; deeper ones are refused before they are parsed. Default 64.
    pub json_depth: usize,
    /// Values and names of members in one message, all levels together; more are refused before they are parsed. Default 100,000: a table of
    /// 10,000 rows and more, while the tree that a handler gets of them takes some 10 MB instead of the 50 of a message full of `0,0,0`.
    pub json_nodes: usize,
    /// Bytes of one string in a message, as it stands there: without its quotes, with its escapes. A longer one is refused before it is parsed. Default `None`: as
    /// much as a message may have, as files travel as one string of base64.
    pub json_string_bytes: Option<usize>,
    /// Time a handler has, from the moment its request was read, unless its tool says otherwise; then its context is cancelled and
    /// the client is answered. Default 60 s.
    pub handler_deadline: Duration,
    /// How far progress reports may extend a handler's deadline: each report gives it its time anew, up to this in
    /// all. Default 10 min.
    pub handler_deadline_extended: Duration,
    /// Time a client has to answer a question of a handler ([`Ctx::ask`](crate::Ctx::ask)); it does not count against the handler's own.
    /// Default 10 min: a person may have to think.
    pub question_deadline: Duration,
    /// How long a client of 2026-07-28 may take to come back with the answer to a question; the sealed state that it carries is
    /// refused afterwards. Default 1 h.
    pub state_lifetime: Duration,
    /// Messages a second that one client may send; 0 means no limit. Requests beyond it are answered with error -31002
    /// and the delay after which to try again, notifications beyond it are dropped and counted. A WebSocket that goes on to send more than twice as much
    /// is closed with 1008, once [`burst`](Self::burst) is exceeded by as much again (100 at least), and counts as 20 new connections of its address: what is dropped has to be
    /// read, too. Default 1,000.
    pub rate: u32,
    /// Messages that may come at once before [`rate`](Self::rate) applies. Default 2,000.
    pub burst: u32,
    /// Messages a second of one [`Principal`](crate::Principal), over all of its connections and sessions; 0 means no limit. Answered like those beyond
    /// [`rate`](Self::rate). Default 10,000: ten clients at full speed; a gateway has many users and one principal.
    pub principal_rate: u32,
    /// Messages of one principal that may come at once before that. Default 20,000.
    pub principal_burst: u32,
    /// Messages a second from one address (IPv6: one /64) beyond loopback, likewise. Default 4,000: an office behind one address, and not what a
    /// hundred connections could send.
    pub address_rate: u32,
    /// Messages from one address that may come at once before that. Default 8,000.
    pub address_burst: u32,
    /// Attempts to log in that may fail from one address (IPv6: one /64) beyond loopback before it has to wait; 0 means no limit. Beyond it each
    /// further failure has every attempt from there answered 429, unseen: for 1 s, then twice as long each time, up to
    /// [`failed_login_wait`](Self::failed_login_wait). One failure is forgiven each 30 s. What counts are tokens, certificates and the like that are not
    /// accepted; not requests that bring none, which is how clients ask how to log in.
    /// Of other headers than `Authorization` those count that [`authenticate`](crate::Settings::authenticate) looks at.
    ///
    /// Credentials that were accepted from the same address before go on being looked at, so that an attacker behind the same NAT
    /// does not lock others out (4,096 in all, of which 16 are each principal's own when there are no free ones); so do tickets that were issued and not used, and signed tokens (feature `jwt`) that name a principal who was let in from there before, 20 at
    /// once and 5 a second for each address: nobody guesses those. Who comes for the first time waits with the attacker, as does a new token that is not signed. Default 10: a person who mistypes, a program that was left
    /// with an old token.
    pub failed_logins: u32,
    /// The longest time that failed logins cost at once. Default 5 min.
    pub failed_login_wait: Duration,
    /// Calls of tools a day (UTC) that one principal has, or without authentication one address (IPv6: one /64; all local clients together), in units
    /// of [`Tool::cost`](crate::Tool::cost); 0 means no limit. Beyond it they are answered with error -31002, which says when there are new ones. Counted in
    /// the memory of the process, from its start. Default 0.
    pub calls_per_day: u64,
    /// Whether what is limited for each address is limited for 127.0.0.1 and the other addresses of loopback, too: connections, their rate, messages,
    /// failed logins, and one client's share of [`workers`](Self::workers), of the queue and of memory. Default false: all local clients share them, and so does a proxy on this machine (for that, see
    /// [`Settings::trusted_proxies`](crate::Settings::trusted_proxies)).
    pub limit_loopback: bool,
    /// Log messages a second that one client is sent ([`Ctx::log`](crate::Ctx::log)), with a burst of ten times as many; more are dropped. 0 means no limit. A client is a
    /// connection, a session, or over HTTP in 2026-07-28 one request. Default 100: more than anybody reads.
    pub log_rate: u32,
    /// Worker threads for handlers. They are started when work waits and end when they are idle; a single connection or session
    /// holds at most a quarter of them, and all those of one client (a principal, or else an address, but see [`limit_loopback`](Self::limit_loopback)) three quarters; never more than half of the threads that the machine allows. Default 64.
    pub workers: usize,
    /// Handlers that may wait for a client's answer at once ([`Client::request`](crate::Client::request)); beyond it the question fails as
    /// "busy" at once. Such a handler does not count as a worker, so that questions nobody answers do not stop the others; but it
    /// has a thread. One client has at most three quarters of them. Tasks have as many of their own. Default 256.
    pub parked_calls: usize,
    /// Requests to one client that may be unanswered at once; beyond it the question fails as "busy". Default 64.
    pub questions_per_client: usize,
    /// Tasks at once, over all clients: those under way, and those that have ended and are kept for their clients to fetch
    /// ([`task_ttl`](Self::task_ttl)). None is forgotten early to make room: one more is answered "busy". Default 4,096.
    pub tasks: usize,
    /// Tasks of one client at once, likewise: of one principal or, without authentication, of one address (IPv6: one /64). Default 1,024: one every
    /// 3.5 s, kept for an hour.
    pub tasks_per_client: usize,
    /// Bytes that tasks may hold: arguments, what is remembered between the runs of their handlers, results until they are forgotten. One
    /// client may hold a quarter of it. Beyond it a new task is answered "busy", and a task whose result finds no room fails. Part of
    /// [`memory_bytes`](Self::memory_bytes), and never more than half of that. Default 64 MiB.
    pub task_bytes: usize,
    /// Worker threads for tasks, beside those for calls: tasks may run for long, and must not leave calls without a thread. One client holds a
    /// quarter of them at the most; what finds none waits. Default 32.
    pub task_workers: usize,
    /// Time a handler has that runs as a task, unless its tool says otherwise; then its context is cancelled and the task ends. What it waits for
    /// answers does not count. Default 30 min.
    pub task_deadline: Duration,
    /// How long a task is kept, from its creation: it is forgotten when this time is over and it has ended, its result a minute after it was there at the
    /// earliest; one that waits for an answer ends then. At least twice the time that its handler has. A client of 2025-11-25 may ask for
    /// another time. Default 1 h.
    pub task_ttl: Duration,
    /// The longest such time, whoever asks for it. Default 24 h.
    pub task_ttl_max: Duration,
    /// Bytes of queued requests, outgoing frames and what HTTP sessions keep, over all clients. Beyond it new work is answered "busy" and the client
    /// with the fullest queue is closed. Messages that have not come completely and have more than 16 KiB hold half of it at most; a client has three quarters of that
    /// half, and of the whole for calls that wait. Default 256 MiB, or a quarter of the
    /// machine's (or container's) memory if that is less.
    pub memory_bytes: usize,
    /// Items on one page of a list. Default 250: many clients do not ask for a second page.
    pub page_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1 << 20,
            frame_bytes: None,
            fragments: 256,
            control_frames_per_second: 100,
            head_bytes: 8 << 10,
            head_lines: 64,
            head_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            sessions: 1_024,
            session_idle: Duration::from_secs(1_800),
            events_per_session: 256,
            event_bytes_per_session: 1 << 20,
            event_lifetime: Duration::from_secs(300),
            reconnect_delay: Duration::from_secs(1),
            connections: 4_096,
            connections_per_address: 100,
            connection_lifetime: Duration::from_secs(7 * 24 * 3_600),
            tickets: 4_096,
            tickets_per_principal: 64,
            ticket_lifetime: Duration::from_secs(30),
            connect_rate: 20,
            connect_burst: 200,
            half_open: 512,
            ping_interval: Duration::from_secs(20),
            missed_pings: 2,
            frame_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(10),
            close_deadline: Duration::from_secs(1),
            outbox_bytes: 4 << 20,
            outbox_frames: 1_024,
            calls_per_connection: 128,
            queued_calls: 4_096,
            listens_per_connection: 64,
            json_depth: 64,
            json_nodes: 100_000,
            json_string_bytes: None,
            handler_deadline: Duration::from_secs(60),
            handler_deadline_extended: Duration::from_secs(600),
            question_deadline: Duration::from_secs(600),
            state_lifetime: Duration::from_secs(3_600),
            rate: 1_000,
            burst: 2_000,
            principal_rate: 10_000,
            principal_burst: 20_000,
            address_rate: 4_000,
            address_burst: 8_000,
            failed_logins: 10,
            failed_login_wait: Duration::from_secs(300),
            calls_per_day: 0,
            limit_loopback: false,
            log_rate: 100,
            workers: 64,
            parked_calls: 256,
            questions_per_client: 64,
            tasks: 4_096,
            tasks_per_client: 1_024,
            task_bytes: 64 << 20,
            task_workers: 32,
            task_deadline: Duration::from_secs(1_800),
            task_ttl: Duration::from_secs(3_600),
            task_ttl_max: Duration::from_secs(24 * 3_600),
            memory_bytes: default_memory(),
            page_size: 250,
        }
    }
}

impl From<&Limits> for ParseLimits {
    fn from(limits: &Limits) -> Self {
        let max_string = limits.json_string_bytes.unwrap_or(usize::MAX);
        Self { max_depth: limits.json_depth, max_nodes: limits.json_nodes, max_string }
    }
}

impl Limits {
    /// The values with times that can be added to any other without overflowing: a month stands for "for ever".
    pub(crate) fn clamped(mut self) -> Self {
        for time in [
            &mut self.head_deadline,
            &mut self.body_deadline,
            &mut self.keep_alive,
            &mut self.session_idle,
            &mut self.event_lifetime,
            &mut self.reconnect_delay,
            &mut self.connection_lifetime,
            &mut self.ticket_lifetime,
            &mut self.ping_interval,
            &mut self.frame_deadline,
            &mut self.write_deadline,
            &mut self.close_deadline,
            &mut self.failed_login_wait,
            &mut self.handler_deadline,
            &mut self.handler_deadline_extended,
            &mut self.question_deadline,
            &mut self.state_lifetime,
            &mut self.task_deadline,
            &mut self.task_ttl,
            &mut self.task_ttl_max,
        ] {
            *time = clamp_time(*time);
        }
        // Half of the threads are for connections, whatever is asked for.
        self.workers = self.workers.min(crate::engine::budget::thread_limit() / 2);
        self.parked_calls = self.parked_calls.min(crate::engine::budget::thread_limit() / 4);
        self.task_workers = self.task_workers.min(crate::engine::budget::thread_limit() / 4);
        self.task_bytes = self.task_bytes.min(self.memory_bytes / 2);
        self
    }

    /// What is so much more than its default that it bounds nothing: name, option of the examples, and value.
    pub(crate) fn far_beyond_defaults(&self) -> Vec<(&'static str, &'static str, String)> {
        /// Times the default.
        const FAR: usize = 64;
        const LONG: Duration = Duration::from_secs(3_600);
        let default = Self::default();
        let string = self.json_string_bytes.unwrap_or(0);
        let counts = [
            ("message_bytes", "message-bytes", self.message_bytes, default.message_bytes),
            ("fragments", "fragments", self.fragments, default.fragments),
            ("head_bytes", "head-bytes", self.head_bytes, default.head_bytes),
            ("head_lines", "head-lines", self.head_lines, default.head_lines),
            (
                "connections_per_address",
                "max-connections-per-address",
                self.connections_per_address,
                default.connections_per_address,
            ),
            ("half_open", "max-half-open", self.half_open, default.half_open),
            ("outbox_bytes", "outbox-bytes", self.outbox_bytes, default.outbox_bytes),
            ("outbox_frames", "outbox-frames", self.outbox_frames, default.outbox_frames),
            (
                "event_bytes_per_session",
                "event-bytes-per-session",
                self.event_bytes_per_session,
                default.event_bytes_per_session,
            ),
            ("calls_per_connection", "calls-per-connection", self.calls_per_connection, default.calls_per_connection),
            ("json_depth", "json-depth", self.json_depth, default.json_depth),
            ("json_nodes", "json-nodes", self.json_nodes, default.json_nodes),
            ("json_string_bytes", "json-string-bytes", string, default.message_bytes),
        ];
        let rates = [
            (
                "control_frames_per_second",
                "control-frames-per-second",
                self.control_frames_per_second,
                default.control_frames_per_second,
            ),
            ("rate", "rate", self.rate, default.rate),
            ("burst", "burst", self.burst, default.burst),
            ("principal_rate", "principal-rate", self.principal_rate, default.principal_rate),
            ("address_rate", "address-rate", self.address_rate, default.address_rate),
            ("connect_rate", "connect-rate", self.connect_rate, default.connect_rate),
            ("failed_logins", "failed-logins", self.failed_logins, default.failed_logins),
        ];
        let times = [
            ("head_deadline", "head-deadline", self.head_deadline),
            ("body_deadline", "body-deadline", self.body_deadline),
            ("frame_deadline", "frame-deadline", self.frame_deadline),
            ("write_deadline", "write-deadline", self.write_deadline),
            ("ticket_lifetime", "ticket-lifetime", self.ticket_lifetime),
        ];
        let rates = rates.map(|(name, option, value, usual)| (name, option, value as usize, usual as usize));
        let counts = counts.into_iter().chain(rates).filter(|(.., value, usual)| *value > usual.saturating_mul(FAR));
        let counts = counts.map(|(name, option, value, _)| (name, option, value.to_string()));
        let times = times.into_iter().filter(|(.., value)| *value > LONG);
        let mut far: Vec<_> =
            counts.chain(times.map(|(name, option, value)| (name, option, format!("{} s", value.as_secs())))).collect();
        if machine_memory().is_some_and(|bytes| self.memory_bytes > bytes / 2) {
            far.push((
                "memory_bytes",
                "memory-bytes",
                format!("{} of the machine's memory, more than half of it", self.memory_bytes),
            ));
        }
        far
    }

    /// What is wrong with the values, a sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let zero = [
            ("message_bytes", self.message_bytes == 0),
            ("frame_bytes", self.frame_bytes == Some(0)),
            ("fragments", self.fragments == 0),
            ("control_frames_per_second", self.control_frames_per_second == 0),
            ("head_bytes", self.head_bytes < 256),
            ("head_lines", self.head_lines < 8),
            ("head_deadline", self.head_deadline.is_zero()),
            ("body_deadline", self.body_deadline.is_zero()),
            ("keep_alive", self.keep_alive.is_zero()),
            ("sessions", self.sessions == 0),
            ("session_idle", self.session_idle.is_zero()),
            ("events_per_session", self.events_per_session == 0),
            ("event_bytes_per_session", self.event_bytes_per_session < 1_024),
            ("event_lifetime", self.event_lifetime.is_zero()),
            ("connections", self.connections == 0),
            ("connections_per_address", self.connections_per_address == 0),
            ("tickets", self.tickets == 0),
            ("tickets_per_principal", self.tickets_per_principal == 0),
            ("ticket_lifetime", self.ticket_lifetime.is_zero()),
            ("half_open", self.half_open == 0),
            ("ping_interval", self.ping_interval < Duration::from_millis(10)),
            ("missed_pings", self.missed_pings == 0),
            ("frame_deadline", self.frame_deadline.is_zero()),
            ("write_deadline", self.write_deadline.is_zero()),
            ("close_deadline", self.close_deadline.is_zero()),
            ("outbox_bytes", self.outbox_bytes < 1_024),
            ("outbox_frames", self.outbox_frames < 8),
            ("calls_per_connection", self.calls_per_connection == 0),
            ("queued_calls", self.queued_calls == 0),
            ("listens_per_connection", self.listens_per_connection == 0),
            ("json_depth", self.json_depth < 8),
            ("json_nodes", self.json_nodes < 64),
            ("json_string_bytes", self.json_string_bytes.is_some_and(|bytes| bytes < 256)),
            ("handler_deadline", self.handler_deadline.is_zero()),
            ("burst", self.rate > 0 && self.burst == 0),
            ("principal_burst", self.principal_rate > 0 && self.principal_burst == 0),
            ("address_burst", self.address_rate > 0 && self.address_burst == 0),
            ("connect_burst", self.connect_rate > 0 && self.connect_burst == 0),
            ("workers", self.workers == 0),
            ("tasks", self.tasks == 0),
            ("tasks_per_client", self.tasks_per_client == 0),
            ("task_bytes", self.task_bytes < 64 << 10),
            ("task_workers", self.task_workers == 0),
            ("task_deadline", self.task_deadline.is_zero()),
            ("task_ttl", self.task_ttl.is_zero()),
            ("task_ttl_max", self.task_ttl_max.is_zero()),
            ("memory_bytes", self.memory_bytes < 1 << 20),
            ("page_size", self.page_size == 0),
        ];
        zero.into_iter()
            .filter(|(_, bad)| *bad)
            .map(|(name, _)| format!("limit `{name}` is too small to serve anybody"))
            .collect()
    }
}

/// The longest time that is told from "for ever".
pub(crate) fn clamp_time(time: Duration) -> Duration {
    const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);
    time.min(MONTH)
}

/// 256 MiB, or a quarter of the memory that there is.
fn default_memory() -> usize {
    const MOST: usize = 256 << 20;
    machine_memory().map_or(MOST, |bytes| (bytes / 4).clamp(4 << 20, MOST))
}

/// The memory of this machine, or of the container.
fn machine_memory() -> Option<usize> {
    let cgroup =
        std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<usize>().ok());
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<usize>().ok()?.checked_mul(1_024)
    });
    [cgroup, machine].into_iter().flatten().min()
}

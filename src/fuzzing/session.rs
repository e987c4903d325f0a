//! A whole connection, from its handshake to its end, with a small MCP server behind it. The bytes are a script of what the
//! client does: most steps are messages that make sense, some are not. At the end all that the server wrote is looked at:
//!
//! - it is one answer to the handshake, then whole frames, and nothing behind a close frame;
//! - each text is JSON-RPC: an answer, a notification, or a batch of answers;
//! - no request has more than one answer, nothing else has any, and in a session that went well every request has one;
//! - progress goes up, and does not follow the answer;
//! - requests of the server are those of the tool that asks, each with an id of its own;
//!
//! and of the server: the outbox stays within its bound, the memory budget comes back to nothing, nothing panics but handlers.

use super::Script;
use super::link::{Source, Wire, push_frame, server_frames};
use crate::content::Content;
use crate::engine::Core;
use crate::engine::outbox::Phase;
use crate::guard::address::ClientAddr;
use crate::limits::Limits;
use crate::mcp::Mcp;
use crate::mcp::access::Access;
use crate::mcp::tool::{NoArgs, Tool};
use crate::protocol::capabilities::LogLevel;
use crate::protocol::json;
use crate::server::Server;
use crate::service::{AnyService, Service};
use crate::transport::accept::{Door, Seat};
use crate::transport::gate::Route;
use crate::transport::opening;
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const HEAD: &[u8] = b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mcp\r\n\r\n";
const OUTBOX_BYTES: usize = 32 << 10;
const OUTBOX_FRAMES: usize = 24;
/// An answer of the echo, with every character escaped.
const LARGEST: usize = 512 << 10;
/// Workers that one connection can hold.
const SHARE: usize = 4;
/// What is waited for takes microseconds; something is stuck when it does not come in this time.
const PATIENCE: Duration = Duration::from_secs(10);
const PANIC: &str = "a handler panics, as it is meant to";

/// What all runs of a process share: threads are not started anew for each.
struct Stage {
    core: Arc<Core>,
    mcp: Arc<Mcp>,
    door: Arc<Door>,
}

/// The slow tool waits until this is disconnected.
static GATE: Mutex<Option<(Sender<()>, Receiver<()>)>> = Mutex::new(None);
/// Slow calls that wait now.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// Something other than a handler has panicked.
static STRAY: AtomicBool = AtomicBool::new(false);

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
    #[serde(default)]
    times: u8,
}

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        // Those of handlers are part of the play; a fuzzer's own hook ends the process at any other.
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&PANIC) {
                STRAY.store(true, Ordering::SeqCst);
                report(info);
            }
        }));
        let limits = Limits {
            message_bytes: 16 << 10,
            fragments: 16,
            outbox_bytes: OUTBOX_BYTES,
            outbox_frames: OUTBOX_FRAMES,
            calls_per_connection: 12,
            queued_calls: 64,
            listens_per_connection: 3,
            json_depth: 16,
            rate: 1,
            burst: 120,
            workers: SHARE * 4,
            memory_bytes: 1 << 20,
            page_size: 3,
            write_deadline: Duration::from_secs(1),
            // Nobody may answer.
            question_deadline: Duration::from_millis(3),
            parked_calls: 3,
            questions_per_client: 2,
            ..Limits::default()
        };
        let (core, _) = Core::start(limits, None).expect("two threads");
        let server = server();
        let mcp = Mcp::new(server.plan(Access::default()), Arc::clone(&core));
        let service: Arc<dyn AnyService> = Arc::new(Arc::clone(&mcp));
        let door = super::door(&core, Route { path: "/mcp".into(), service, http: None });
        Stage { core, mcp, door }
    })
}

fn server() -> Server {
    let echo = |_: &crate::Ctx, Echo { text, times }: Echo| Ok(text.repeat(usize::from(times).max(1)));
    Server::new("fuzz", "1.0.0")
        .instructions("Do not")
        .tool_with(Tool::new("quick", "Echoes on the connection's thread").quick(), echo)
        .tool("pooled", "Echoes with progress", move |ctx, arguments: Echo| {
            ctx.log(LogLevel::Info, &arguments.text);
            for step in 0..arguments.times {
                ctx.progress(f64::from(step), 255.0)?;
            }
            echo(ctx, arguments)
        })
        .tool("panics", "Panics", |_, NoArgs| -> crate::ToolResult<String> { std::panic::panic_any(PANIC) })
        .tool_with(
            Tool::new("panics-quick", "Panics on the connection's thread").quick(),
            |_, NoArgs| -> crate::ToolResult<String> { std::panic::panic_any(PANIC) },
        )
        .tool("slow", "Waits until the script goes on", |ctx, NoArgs| {
            let gate = GATE.lock().as_ref().map(|(_, gate)| gate.clone());
            let Some(gate) = gate else { return Ok("no gate") };
            WAITING.fetch_add(1, Ordering::SeqCst);
            let cancelled = ctx.cancelled();
            let released = crossbeam_channel::select! {
                recv(gate) -> _ => true,
                recv(cancelled) -> _ => false,
            };
            WAITING.fetch_sub(1, Ordering::SeqCst);
            ctx.progress(1.0, 1.0)?;
            Ok(if released { "released" } else { "cancelled" })
        })
        .tool("asks", "Asks for roots", |ctx, NoArgs| {
            WAITING.fetch_add(1, Ordering::SeqCst);
            let roots = ctx.roots("roots");
            WAITING.fetch_sub(1, Ordering::SeqCst);
            Ok(format!("{} roots", roots?.len()))
        })
        .tool_with(Tool::new("hasty", "Has no time").deadline(Duration::from_millis(1)), |ctx, NoArgs| {
            let _ = ctx.cancelled().recv();
            ctx.check()?;
            Ok("in time")
        })
        .tool("fails", "Fails", |ctx, Echo { text, .. }| -> crate::ToolResult<Content> {
            ctx.require_sampling()?;
            Err(crate::ToolError::rpc(-1, text))
        })
}

/// What the client has sent, as far as it tells which answers there may be.
#[derive(Default)]
struct Sent {
    /// Requests with that id (as JSON); `null` for what has none and is answered all the same.
    requests: HashMap<String, usize>,
    /// Answers that there may be besides, to whatever id.
    free: usize,
    /// Ids of requests that need not be answered: they were cancelled, or subscribe to something.
    excused: HashSet<String>,
    /// Progress tokens with the id of the request that brought them; nothing for those that came twice.
    tokens: HashMap<String, Option<String>>,
    /// Something was sent that ends the connection.
    ended: bool,
}

impl Sent {
    fn text(&mut self, text: &str) {
        if serde_json::from_str::<Value>(text).is_err() {
            self.free += 1;
            if serde_json::from_str::<&RawValue>(text).is_ok() {
                // JSON that not every reader takes (1e400, deep nesting): it may be anything.
                self.free += usize::from(u8::MAX);
                self.ended = true;
            }
            return;
        }
        match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(entries) => {
                // Whether batches are allowed depends on the session: each for itself, or one error for all.
                self.free += 1;
                entries.iter().for_each(|entry| self.single(entry.get(), true));
            }
            Err(_) => self.single(text, false),
        }
    }

    fn single(&mut self, text: &str, in_batch: bool) {
        let Ok(Value::Object(object)) = serde_json::from_str(text) else {
            *self.requests.entry("null".into()).or_default() += 1;
            return;
        };
        let mut keys = HashSet::new();
        let mut twice = false;
        json::for_each_member(text, |key, _| twice |= !keys.insert(key.into_owned()));
        let id = object.get("id");
        let is_call = object.get("method").is_some_and(Value::is_string);
        if is_call && object.get("method").is_some_and(|method| method == "notifications/cancelled") {
            let id = &object.get("params").unwrap_or(&Value::Null)["requestId"];
            self.excused.insert(id.to_string());
        }
        if twice {
            self.free += 1;
            self.excused.extend(id.map(Value::to_string));
            return;
        }
        match (is_call, id) {
            (true, None) => return,
            (false, _) if object.contains_key("result") || object.contains_key("error") => return,
            _ => {}
        }
        let id = match id {
            Some(Value::String(text)) if text.len() <= 40 => Value::from(text.as_str()).to_string(),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
            // Long, or a number that may be one to one reader and none to another.
            Some(Value::String(_) | Value::Number(_)) => {
                self.free += 1;
                return;
            }
            _ => "null".into(),
        };
        if in_batch || object.get("method").is_some_and(|method| method == "subscriptions/listen") {
            self.excused.insert(id.clone());
        }
        let token = &object.get("params").unwrap_or(&Value::Null)["_meta"]["progressToken"];
        if !token.is_null() {
            let first = !self.tokens.contains_key(&token.to_string()) && !self.requests.contains_key(&id);
            self.tokens.insert(token.to_string(), first.then(|| id.clone()));
        }
        *self.requests.entry(id).or_default() += 1;
    }

    /// Whether all is written that these requests were to be answered.
    fn is_answered(&self, written: &[u8]) -> bool {
        let (frames, cut) = server_frames(behind_head(written));
        let mut answers: HashMap<String, usize> = HashMap::new();
        for frame in frames.iter().filter(|frame| frame.opcode == 1) {
            if let Ok(Value::Object(object)) = serde_json::from_slice(&frame.payload)
                && !object.contains_key("method")
            {
                *answers.entry(object.get("id").unwrap_or(&Value::Null).to_string()).or_default() += 1;
            }
        }
        let is_answered = |(id, count): (&String, &usize)| {
            id == "null" || self.excused.contains(id) || answers.get(id).is_some_and(|given| given >= count)
        };
        cut == 0 && self.requests.iter().all(is_answered)
    }
}

/// The client: plays its script while the server reads.
struct Client {
    script: Vec<u8>,
    at: usize,
    /// Bytes on their way.
    out: Vec<u8>,
    sent_out: usize,
    /// Most bytes of one read; 0 for all.
    piece: usize,
    /// Fragments of the next messages.
    fragments: usize,
    started: bool,
    over: bool,
    sent: Arc<Mutex<Sent>>,
}

impl Source for Client {
    fn read(&mut self, wire: &Wire, room: usize) -> Vec<u8> {
        self.check(wire);
        while self.sent_out == self.out.len() {
            self.out.clear();
            self.sent_out = 0;
            if !std::mem::replace(&mut self.started, true) {
                // The head comes alone: nothing may follow it before its answer.
                return HEAD.to_vec();
            }
            if self.over {
                return Vec::new();
            }
            self.step(wire);
        }
        let piece = if self.piece == 0 { usize::MAX } else { self.piece };
        let step = room.min(piece).min(self.out.len() - self.sent_out);
        self.sent_out += step;
        self.out[self.sent_out - step..self.sent_out].to_vec()
    }
}

impl Client {
    fn check(&self, wire: &Wire) {
        let Some(outbox) = wire.outbox() else { return };
        let (bytes, frames) = outbox.queued();
        // One message larger than the bound may wait behind what is within it, and a close frame always has a place.
        assert!(bytes <= OUTBOX_BYTES + LARGEST && frames <= OUTBOX_FRAMES + 1, "{bytes} bytes, {frames} frames wait");
        let memory = stage().core.memory.used();
        assert!(memory <= (1 << 20) + 1_024, "{memory} bytes of the budget");
    }

    /// One step of the script.
    fn step(&mut self, wire: &Wire) {
        let bytes = std::mem::take(&mut self.script);
        let mut script = Script(&bytes[self.at.min(bytes.len())..]);
        if script.is_over() {
            self.finish(wire);
            self.script = bytes;
            return;
        }
        let step = script.byte();
        match step % 24 {
            0..=9 => {
                let text = message(&mut script);
                self.text(&text, wire);
            }
            10 => {
                let count = script.below(6);
                let entries: Vec<_> = (0..count).map(|_| message(&mut script)).collect();
                self.text(&format!("[{}]", entries.join(",")), wire);
            }
            11 => {
                let length = script.below(200);
                let text = String::from_utf8_lossy(script.take(length)).into_owned();
                self.text(&text, wire);
            }
            12 => {
                // A message with a piece of something in the midst of it.
                let mut text = message(&mut script);
                let mut at = script.below(256).min(text.len());
                let end = (at + script.below(8)).min(text.len());
                let length = script.below(24);
                let piece = String::from_utf8_lossy(script.take(length)).into_owned();
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
                text.replace_range(at..end, &piece);
                self.text(&text, wire);
            }
            13 => self.fragments = script.below(20),
            14 => self.piece = script.below(64),
            15 => {
                let length = script.below(126);
                let opcode = if step >= 128 { 0x89 } else { 0x8a };
                push_frame(&mut self.out, opcode, true, script.take(length));
            }
            16 => settle(),
            17 => {
                release();
                settle();
            }
            18 => wire.set_window(step >= 128, script.below(50)),
            19 => stage().mcp.edit(|registry| match step >= 128 {
                true => drop(registry.add_tool(Tool::new("extra", "Comes and goes"), |_, NoArgs| Ok("extra"))),
                false => drop(registry.remove_tool("extra")),
            }),
            20 => {
                let mut text = Vec::new();
                crate::protocol::encode::write_notification(&mut text, "notifications/fuzz", None);
                stage().mcp.broadcast(text);
            }
            21 => Service::stopping(&stage().mcp),
            22 => {
                // The large ones.
                let id = script.below(8);
                let size = script.below(32) * 600;
                let text = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"pooled","arguments":{{"text":"{}","times":{}}},"_meta":{{"progressToken":{id}}}}}}}"#,
                    "x".repeat(size),
                    script.byte() % 8
                );
                self.text(&text, wire);
            }
            _ => self.odd(&mut script, wire),
        }
        self.at = bytes.len() - script.0.len();
        self.script = bytes;
    }

    /// What is sent next ends the connection. The window opens: a server that closes waits for its last words to leave.
    fn ending(&self, wire: &Wire) {
        wire.set_window(false, 0);
        self.sent.lock().ended = true;
    }

    /// What ends a connection.
    fn odd(&mut self, script: &mut Script<'_>, wire: &Wire) {
        self.ending(wire);
        match script.below(8) {
            0 => push_frame(&mut self.out, 0x88, true, &[]),
            1 => push_frame(&mut self.out, 0x88, true, &[3, 232, b'x']),
            2 => push_frame(&mut self.out, 0x82, true, b"binary"),
            3 => push_frame(&mut self.out, 0x81, true, &[0xff]),
            4 => push_frame(&mut self.out, 0x81, false, b"{}"),
            5 => push_frame(&mut self.out, 0x01, true, b"{"),
            6 => self.over = true,
            _ => {
                let length = script.below(64);
                self.out.extend(script.take(length));
                // Whatever the server makes of that.
                self.sent.lock().free += usize::from(u8::MAX);
            }
        }
    }

    fn text(&mut self, text: &str, wire: &Wire) {
        self.sent.lock().text(text);
        let parts = self.fragments.max(1);
        let size = text.len().div_ceil(parts).max(1);
        let mut chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let last = chunks.len() - 1;
        if chunks.len() > 16 || text.len() > 16 << 10 {
            self.ending(wire);
        }
        for (at, chunk) in chunks.into_iter().enumerate() {
            let opcode = if at == 0 { 1 } else { 0 };
            push_frame(&mut self.out, opcode | if at == last { 0x80 } else { 0 }, true, chunk);
        }
    }

    /// Lets all that is under way come to its end, and ends the connection.
    fn finish(&mut self, wire: &Wire) {
        self.over = true;
        wire.set_window(false, 0);
        *GATE.lock() = None;
        let stage = stage();
        wait("the calls to end", || stage.core.pool.numbers().live == 0);
        let Some(outbox) = wire.outbox() else { return };
        outbox.flush();
        wait("the outbox to be written", || outbox.queued().1 == 0 || outbox.phase() > Phase::CloseQueued);
        let sent = self.sent.lock();
        if !sent.ended {
            // A call that ran out of time is over a moment before the timer's thread has queued its answer.
            wait("every answer", || outbox.phase() != Phase::Open || sent.is_answered(&wire.written()));
        }
        drop(sent);
        if self.at.is_multiple_of(2) {
            push_frame(&mut self.out, 0x88, true, &[3, 232]);
        }
    }
}

/// Waits, without sleeping, for what other threads are about to do.
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let by = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < by, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Waits until every call has ended or waits for the script.
fn settle() {
    let pool = &stage().core.pool;
    wait("the calls to settle", || {
        let waiting = WAITING.load(Ordering::SeqCst);
        waiting >= SHARE || pool.numbers().live <= WAITING.load(Ordering::SeqCst)
    });
}

/// Lets the slow calls that wait go on; later ones wait anew.
fn release() {
    *GATE.lock() = None;
    wait("the slow calls to go on", || WAITING.load(Ordering::SeqCst) == 0);
    *GATE.lock() = Some(bounded(0));
}

/// A message of a client that knows the protocol.
fn message(script: &mut Script<'_>) -> String {
    const REVISIONS: [&str; 6] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "1.0"];
    const TOOLS: [&str; 10] =
        ["quick", "pooled", "panics", "panics-quick", "slow", "hasty", "fails", "extra", "nothing", "asks"];
    const STATES: [&str; 4] = [
        "",
        r#","inputResponses":{"roots":{"roots":[]}}"#,
        r#","inputResponses":null"#,
        r#","requestState":"v1.e30.e30""#,
    ];
    const ANSWERS: [&str; 4] =
        [r#""result":{}"#, r#""result":{"roots":[]}"#, r#""result":5"#, r#""error":{"code":-1,"message":"no"}"#];
    const LEVELS: [&str; 4] = ["debug", "error", "info", "loud"];
    const CURSORS: [&str; 5] = ["", "AQ", "cursor", "AYEcndVh", "\\u0041"];
    let kind = script.byte();
    let id = match script.byte() {
        number @ 0..=199 => (number % 24).to_string(),
        number => format!("\"{}\"", char::from(b'a' + number % 8)),
    };
    let meta = match kind >> 5 {
        0..=2 => String::new(),
        3 => format!(r#","_meta":{{"progressToken":{id}}}"#),
        4 => r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#.to_owned(),
        high => {
            let log = if high == 6 { r#","io.modelcontextprotocol/logLevel":"debug""# } else { "" };
            let token = if high == 7 { format!(r#","progressToken":"{}""#, script.below(4)) } else { String::new() };
            format!(
                r#","_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{"sampling":{{}},"roots":{{}}}}{log}{token}}}"#
            )
        }
    };
    let request = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"x":0{params}{meta}}}}}"#)
    };
    match kind & 31 {
        0..=2 => {
            let revision = REVISIONS[script.below(6)];
            let params = format!(
                r#","protocolVersion":"{revision}","capabilities":{{"roots":{{}}}},"clientInfo":{{"name":"fuzz","version":"1"}}"#
            );
            request("initialize", &params)
        }
        3 | 4 => r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        5 => request("ping", ""),
        6 | 7 => request("tools/list", ""),
        8 => request("tools/list", &format!(r#","cursor":"{}""#, CURSORS[script.below(5)])),
        9 => {
            let cursor = crate::protocol::cursor::encode_cursor(["0 hasty", "0 ", "x", "-1 slow"][script.below(4)]);
            request("tools/list", &format!(r#","cursor":"{cursor}""#))
        }
        10 => request("logging/setLevel", &format!(r#","level":"{}""#, LEVELS[script.below(4)])),
        11 | 12 => request("subscriptions/listen", r#","notifications":{"toolsListChanged":true}"#),
        13 => request("server/discover", ""),
        14..=16 => {
            let reason = if script.byte() > 127 { r#","reason":"no more""# } else { "" };
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}{reason}}}}}"#)
        }
        17 => format!(r#"{{"jsonrpc":"2.0","id":{id},{}}}"#, ANSWERS[script.below(4)]),
        18 => format!(r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"name":"pooled"{meta}}}}}"#),
        19 => format!(r#"{{"jsonrpc":"1.0","id":{id},"method":"ping"}}"#),
        20 => request("resources/list", ""),
        _ => {
            let tool = TOOLS[script.below(10)];
            let length = script.below(12);
            let text = json_text(&String::from_utf8_lossy(script.take(length)));
            let times = script.byte();
            let arguments = match times {
                0..=9 => format!(r#","arguments":{{"text":{text},"times":"{times}"}}"#),
                10 => String::new(),
                _ => format!(r#","arguments":{{"text":{text},"times":{times}}}"#),
            };
            let state = if tool == "asks" { STATES[script.below(4)] } else { "" };
            request("tools/call", &format!(r#","name":"{tool}"{arguments}{state}"#))
        }
    }
}

fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}

pub(super) fn run(bytes: &[u8]) {
    let stage = stage();
    let core = &stage.core;
    assert_eq!((core.memory.used(), core.connected()), (0, 0), "the last run has left something");
    *GATE.lock() = Some(bounded(0));
    let sent = Arc::new(Mutex::new(Sent::default()));
    let client = Client {
        script: bytes.to_vec(),
        at: 0,
        out: Vec::new(),
        sent_out: 0,
        piece: 0,
        fragments: 1,
        started: false,
        over: false,
        sent: Arc::clone(&sent),
    };
    let wire = Arc::new(Wire::default());
    let address = ClientAddr::from(SocketAddr::from(([127, 0, 0, 1], 1)));
    opening::run(wire.link(client), address, Seat::take(&stage.door, address), Instant::now());

    *GATE.lock() = None;
    wait("the calls to end", || core.pool.numbers().live == 0);
    stage.mcp.edit(|registry| registry.remove_tool("extra"));
    wait("the memory to come back", || core.memory.used() == 0);
    assert_eq!(core.connected(), 0);
    assert_eq!(core.counters.connection_panics.load(Ordering::SeqCst), 0, "a session has panicked");
    assert!(!STRAY.load(Ordering::SeqCst), "something has panicked that is no handler");
    let written = wire.written();
    judge(&written, &sent.lock());
}

/// Looks at all that was written.
fn judge(written: &[u8], sent: &Sent) {
    assert!(written.starts_with(b"HTTP/1.1 101 "));
    let (frames, cut) = server_frames(behind_head(written));
    let mut answers: HashMap<String, usize> = HashMap::new();
    let mut reports: HashMap<String, f64> = HashMap::new();
    let mut questions = HashSet::new();
    for (at, frame) in frames.iter().enumerate() {
        match frame.opcode {
            1 => {
                let value: Value = serde_json::from_slice(&frame.payload).expect("the server sends JSON");
                match &value {
                    Value::Array(entries) => {
                        assert!(!entries.is_empty(), "an empty batch");
                        for entry in entries {
                            answer(entry, &mut answers);
                        }
                    }
                    single if single.get("method").is_some() && single.get("id").is_some() => {
                        assert_eq!(single["method"], "roots/list", "{single}");
                        let id = single["id"].as_u64().expect("a number");
                        assert!(questions.insert(id), "asked twice: {single}");
                    }
                    single if single.get("method").is_some() => {
                        notification(single, sent, &answers, &mut reports);
                    }
                    single => answer(single, &mut answers),
                }
            }
            8 => {
                assert_eq!(at + 1, frames.len(), "something follows the close frame");
                assert_eq!(cut, 0, "a part of something follows the close frame");
            }
            9 | 10 => assert!(frame.payload.len() <= 125),
            other => panic!("a frame of opcode {other}"),
        }
    }
    let asked = |id: &String| sent.requests.get(id).copied().unwrap_or(0);
    let unasked: usize = answers.iter().map(|(id, count)| count.saturating_sub(asked(id))).sum();
    assert!(unasked <= sent.free, "answers that nobody has asked for: {answers:?}, asked {:?}", sent.requests);
}

/// The frames behind the answer to the handshake.
fn behind_head(written: &[u8]) -> &[u8] {
    let end = written.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer to the handshake");
    &written[end + 4..]
}

fn answer(value: &Value, answers: &mut HashMap<String, usize>) {
    assert_eq!(value["jsonrpc"], "2.0", "{value}");
    assert!(value.get("method").is_none(), "{value}");
    // An error that belongs to no request: with `null` in older revisions, without an id in newer ones.
    let id = value.get("id").unwrap_or(&Value::Null);
    match (value.get("result"), value.get("error")) {
        (Some(result), None) => assert!(result.is_object() && !id.is_null(), "{value}"),
        (None, Some(error)) => assert!(error["code"].is_i64() && error["message"].is_string(), "{value}"),
        _ => panic!("neither result nor error, or both: {value}"),
    }
    *answers.entry(id.to_string()).or_default() += 1;
}

fn notification(value: &Value, sent: &Sent, answers: &HashMap<String, usize>, reports: &mut HashMap<String, f64>) {
    assert_eq!(value["jsonrpc"], "2.0", "{value}");
    assert!(value["method"].is_string() && value.get("id").is_none(), "{value}");
    assert!(value.get("params").is_none_or(Value::is_object), "{value}");
    assert!(value.get("result").is_none() && value.get("error").is_none(), "{value}");
    if value["method"] != "notifications/progress" {
        return;
    }
    let token = value["params"]["progressToken"].to_string();
    let progress = value["params"]["progress"].as_f64().expect("progress is a number");
    let Some(request) = sent.tokens.get(&token) else {
        assert!(sent.free > 0, "progress for nothing: {value}");
        return;
    };
    let Some(id) = request.as_ref().filter(|id| sent.requests.get(*id) == Some(&1) && sent.free == 0) else { return };
    assert!(!answers.contains_key(id), "progress behind the answer to {id}");
    assert!(
        reports.insert(token, progress).is_none_or(|last| last < progress),
        "progress that does not go up: {value}"
    );
}

//! The bytes of an HTTP connection, in any pieces: which requests are served, and what is answered. The same bytes are read once more here, all at
//! once and without a connection:
//!
//! - the same requests come out, with the same bodies, in the same order: at most one for each framing, whatever is in between;
//! - what is written is one answer for each, in their order, and at most one refusal, which is the last;
//! - an answer leaves in one write, whether it is JSON or a stream;
//! - nothing panics, and the memory budget comes back to nothing.

use super::Script;
use super::link::{Source, Wire};
use crate::engine::Core;
use crate::engine::outbox::Flush;
use crate::guard::address::ClientAddr;
use crate::http::chunked::{ChunkReader, Chunks};
use crate::http::event::Event;
use crate::http::framing::BodyLength;
use crate::http::head::Head;
use crate::http::reader::{HeadLimits, HeadReader, Progress};
use crate::limits::Limits;
use crate::principal::Principal;
use crate::service::{AnyService, ClosedBy, Message, Peer, Service};
use crate::transport::accept::{Door, Seat};
use crate::transport::gate::{Admitted, Route};
use crate::transport::http::exchange::Exchange;
use crate::transport::http::{HttpConnection, HttpService};
use crate::transport::opening;
use crossbeam_channel::{Sender, unbounded};
use parking_lot::{Condvar, Mutex};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const BODY: usize = 4 << 10;
/// What is waited for takes microseconds; something is stuck when it does not come in this time.
const PATIENCE: Duration = Duration::from_secs(10);

struct Stage {
    core: Arc<Core>,
    door: Arc<Door>,
    service: Arc<Recorder>,
}

/// Nobody comes to it: a script that opens a WebSocket is not played.
struct Nothing;

impl Service for Nothing {
    type Session = ();

    fn open(&self, _: &Peer) -> Result<(), ClosedBy> {
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Peer, _: Message) {}
}

/// Keeps the requests, and answers each in another way.
struct Recorder {
    served: Mutex<Vec<(String, Vec<u8>)>>,
    /// Requests that are with the other thread, and a signal when there is none.
    elsewhere: (Mutex<usize>, Condvar),
    others: Sender<Arc<Exchange>>,
}

struct Recording(Arc<Recorder>);

impl HttpService for Arc<Recorder> {
    fn connection(&self) -> Box<dyn HttpConnection> {
        Box::new(Recording(Arc::clone(self)))
    }
}

impl HttpConnection for Recording {
    fn request(&mut self, _: Option<Principal>, body: Vec<u8>, exchange: &Arc<Exchange>) {
        let number = {
            let mut served = self.0.served.lock();
            served.push((exchange.head().method.clone(), body));
            served.len() - 1
        };
        match status(number) {
            202 => exchange.finish(202, Flush::Later),
            203 => {
                *self.0.elsewhere.0.lock() += 1;
                self.0.others.send(Arc::clone(exchange)).expect("the other thread is there");
            }
            200 => {
                let _ = exchange.event(Event::of(b"{}"), 0, false, Flush::Later);
                exchange.answer(200, b"{}".to_vec(), Flush::Later);
            }
            status => exchange.answer(status, b"{}".to_vec(), Flush::Later),
        }
    }

    fn takes_long(&mut self, _: &Exchange) {}

    fn retire(&mut self, _: &Exchange) {}

    fn over(&mut self) {}
}

/// What the request of that number is answered with.
fn status(number: usize) -> u16 {
    [200, 400, 202, 203][number % 4]
}

impl Recorder {
    fn start() -> Arc<Self> {
        let (others, exchanges) = unbounded::<Arc<Exchange>>();
        let (served, elsewhere) = (Mutex::default(), (Mutex::new(0), Condvar::new()));
        let recorder = Arc::new(Self { served, elsewhere, others });
        let own = Arc::clone(&recorder);
        std::thread::spawn(move || {
            for exchange in exchanges {
                exchange.answer(203, b"{}".to_vec(), Flush::Now);
                drop(exchange);
                *own.elsewhere.0.lock() -= 1;
                own.elsewhere.1.notify_all();
            }
        });
        recorder
    }

    /// Waits until the other thread has answered: a client that leaves earlier gets no answer.
    fn settled(&self) {
        let mut count = self.elsewhere.0.lock();
        while *count > 0 {
            assert!(!self.elsewhere.1.wait_for(&mut count, PATIENCE).timed_out(), "an answer is stuck");
        }
    }
}

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let limits = Limits {
            message_bytes: BODY,
            head_bytes: HEAD.bytes,
            head_lines: HEAD.lines,
            memory_bytes: 1 << 20,
            ..Limits::default()
        };
        let (core, _) = Core::start(limits, None).expect("two threads");
        let service = Recorder::start();
        let websocket: Arc<dyn AnyService> = Arc::new(Nothing);
        let http: Arc<dyn HttpService> = Arc::new(Arc::clone(&service));
        let route = Route { path: "/mcp".into(), service: websocket, http: Some(http) };
        let door = super::door(&core, route);
        Stage { core, door, service }
    })
}

const HEAD: HeadLimits = HeadLimits { bytes: 1 << 10, lines: 16 };

/// The client: its bytes in pieces, and its end when it has been answered.
struct Client {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<u8>,
    turn: usize,
}

impl Source for Client {
    fn read(&mut self, _: &Wire, room: usize) -> Vec<u8> {
        let size = match self.sizes.get(self.turn % self.sizes.len().max(1)) {
            None | Some(0) => usize::MAX,
            Some(&size) => usize::from(size),
        };
        self.turn += 1;
        if self.at == self.bytes.len() {
            stage().service.settled();
        }
        // A long stream byte by byte would tell nothing that a short one does not.
        let step = room.min(size.max(self.bytes.len() / 256)).min(self.bytes.len() - self.at);
        self.at += step;
        self.bytes[self.at - step..self.at].to_vec()
    }
}

fn address() -> ClientAddr {
    ClientAddr::from(SocketAddr::from(([127, 0, 0, 1], 1)))
}

/// What there is to be served and refused.
#[derive(Default)]
struct Expected {
    requests: Vec<(String, Vec<u8>)>,
    refused: bool,
    /// A WebSocket is opened.
    upgraded: bool,
}

/// Reads the whole connection at once.
fn expected(door: &Door, mut bytes: &[u8]) -> Expected {
    let mut expected = Expected::default();
    loop {
        let (head, used) = match HeadReader::new(HEAD).push(bytes) {
            Ok(Progress::Done { head, used }) => (head, used),
            Ok(Progress::More) => return expected,
            Err(_) => {
                expected.refused = true;
                return expected;
            }
        };
        bytes = &bytes[used..];
        match opening::check(door, &head, address(), None) {
            Ok(Admitted::Http(_)) => {}
            Ok(Admitted::WebSocket(_)) => {
                expected.upgraded = expected.requests.is_empty();
                expected.refused = !expected.upgraded;
                return expected;
            }
            Ok(Admitted::Answered(_)) | Err(_) => {
                expected.refused = true;
                return expected;
            }
        }
        match body(&head, bytes) {
            Ok(Some((body, used))) => {
                bytes = &bytes[used..];
                let last = head.wants_close();
                expected.requests.push((head.method, body));
                if last {
                    return expected;
                }
            }
            Ok(None) => return expected,
            Err(()) => {
                expected.refused = true;
                return expected;
            }
        }
    }
}

/// The body at the beginning of `bytes`, and its length there; nothing if it is not complete.
fn body(head: &Head, bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ()> {
    head.expects_continue().map_err(|_| ())?;
    match head.body().expect("a head with contradicting framing does not exist") {
        BodyLength::None => Ok(Some((Vec::new(), 0))),
        BodyLength::Length(length) => {
            let length = usize::try_from(length).ok().filter(|length| *length <= BODY).ok_or(())?;
            Ok(bytes.get(..length).map(|body| (body.to_vec(), length)))
        }
        BodyLength::Chunked => {
            let mut body = Vec::new();
            let read = ChunkReader::new().push(bytes, &mut body);
            match read {
                // Seen before any error behind it, and before its end.
                _ if body.len() > BODY => Err(()),
                Err(_) => Err(()),
                Ok(Chunks::Done(used)) => Ok(Some((body, used))),
                Ok(Chunks::More) => Ok(None),
            }
        }
    }
}

pub(super) fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    let options = script.byte();
    let count = script.below(4);
    let sizes = script.take(count).to_vec();
    let stream = if options & 1 == 0 { script.0.to_vec() } else { built(&mut script) };
    let stage = stage();
    let expected = expected(&stage.door, &stream);
    if expected.upgraded {
        return;
    }
    assert_eq!((stage.core.memory.used(), stage.core.connected()), (0, 0), "the last run has left something");
    stage.service.served.lock().clear();
    let wire = Arc::new(Wire::default());
    let client = Client { bytes: stream, at: 0, sizes, turn: 0 };
    opening::run(wire.link(client), address(), Seat::take(&stage.door, address()), Instant::now());
    stage.service.settled();

    let served = std::mem::take(&mut *stage.service.served.lock());
    assert_eq!(served, expected.requests);
    let (statuses, interim) = answers(&wire.written());
    let (answered, refused) = statuses.split_at(served.len().min(statuses.len()));
    let wanted: Vec<_> = (0..served.len()).map(status).collect();
    assert_eq!(answered, wanted);
    assert_eq!(refused.len(), usize::from(expected.refused), "{refused:?}");
    assert!(refused.iter().all(|status| *status >= 400 || *status == 204));
    assert!(wire.writes() <= statuses.len() + interim, "{} writes for {statuses:?}", wire.writes());
    assert_eq!((stage.core.memory.used(), stage.core.connected()), (0, 0), "something is left");
    assert_eq!(stage.core.counters.connection_panics.load(Ordering::SeqCst), 0, "a service has panicked");
}

/// The statuses of all answers, and the number of those that are none yet (100).
fn answers(mut bytes: &[u8]) -> (Vec<u16>, usize) {
    let (mut statuses, mut interim) = (Vec::new(), 0);
    while !bytes.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(used)) = response.parse(bytes) else { panic!("no answer: {bytes:?}") };
        bytes = &bytes[used..];
        let status = response.code.expect("a status");
        if status == 100 {
            interim += 1;
            continue;
        }
        statuses.push(status);
        let field = |name: &str| {
            let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(field.value).ok()
        };
        let length = match field("transfer-encoding") {
            Some("chunked") => match ChunkReader::new().push(bytes, &mut Vec::new()) {
                Ok(Chunks::Done(used)) => used,
                other => panic!("a stream without an end: {other:?}"),
            },
            Some(other) => panic!("a coding that nobody knows: {other}"),
            None => field("content-length").map_or(0, |length| length.parse().expect("a length")),
        };
        bytes = bytes.get(length..).expect("a whole body");
    }
    (statuses, interim)
}

/// Requests that are mostly correct, so that the ones behind them are reached.
fn built(script: &mut Script<'_>) -> Vec<u8> {
    const HEADS: [&str; 6] = [
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n",
        "DELETE /mcp HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n",
        "GET /mcp HTTP/1.1\r\nHost: [::1]\r\nAccept: text/event-stream\r\n",
        "POST /mcp?x HTTP/1.1\r\nAccept: application/json\r\nHost: localhost:1\r\n",
        "\r\nPOST /mcp HTTP/1.1\r\nHost: localhost\r\n",
        "PUT /mcp HTTP/1.1\r\nHost: localhost\r\n",
    ];
    const FIELDS: [&str; 8] = [
        "",
        "",
        "Expect: 100-continue\r\n",
        "Connection: close\r\n",
        "X: y\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Origin: http://localhost\r\n",
    ];
    let mut out = Vec::new();
    while !script.is_over() && out.len() < 32 << 10 {
        // The last one is refused, so it is rare.
        let head = usize::from(script.byte()) % 64;
        out.extend_from_slice(HEADS[if head == 63 { 5 } else { head % 5 }].as_bytes());
        let field = usize::from(script.byte()) % 32;
        out.extend_from_slice(FIELDS[if field >= 24 { field - 24 } else { field % 2 }].as_bytes());
        let framing = script.byte();
        let length = script.below(200) * if framing & 0x80 == 0 { 1 } else { 23 };
        let piece = script.take(length.min(200));
        let body: Vec<u8> = piece.iter().copied().cycle().take(if piece.is_empty() { 0 } else { length }).collect();
        match framing % 8 {
            0 => out.extend_from_slice(b"\r\n"),
            1..=3 => {
                out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                out.extend_from_slice(&body);
            }
            4..=6 => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                let size = usize::from(script.byte()) + 1;
                for chunk in body.chunks(size) {
                    out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    out.extend_from_slice(chunk);
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(b"0\r\n\r\n");
            }
            _ => {
                // As the script has it.
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(&body);
            }
        }
    }
    out
}

//! The three transports, as one thing that takes messages and gives messages.

use crate::peer::{MODERN, Peer, Received};
use crate::process::Process;
use crate::web::{Head, Web};
use mcp_blocking::crossbeam_channel::{Receiver, Sender, unbounded};
use serde_json::Value;
use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    WebSocket,
    Stdio,
    Http,
}

impl Transport {
    pub const ALL: [Self; 3] = [Self::WebSocket, Self::Stdio, Self::Http];

    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "WebSocket",
            Self::Stdio => "stdio",
            Self::Http => "Streamable HTTP",
        }
    }
}

/// A message of the server; over HTTP with the head of the answer that it came in.
pub struct Arrived {
    pub message: Value,
    pub head: Option<Head>,
}

pub trait Wire {
    /// Sends a message or a batch, over HTTP with more headers.
    fn send(&mut self, message: &Value, headers: &[(&str, &str)]);

    /// The next message, if one comes in time.
    fn receive(&mut self, deadline: Instant) -> Option<Arrived>;

    /// Cancels a request in a way that the transport has of its own; false if it has none.
    fn leave(&mut self, _id: &Value) -> bool {
        false
    }

    /// Opens the stream of what belongs to no request, where it is one of its own.
    fn open_stream(&mut self) {}

    /// Says goodbye, and checks that the server does so, too; what nobody has received.
    fn end(self: Box<Self>) -> Vec<Value>;
}

impl Wire for Peer {
    fn send(&mut self, message: &Value, _headers: &[(&str, &str)]) {
        Peer::send(self, message);
    }

    fn receive(&mut self, deadline: Instant) -> Option<Arrived> {
        match Peer::receive(self, deadline) {
            Received::Message(message) => Some(Arrived { message, head: None }),
            Received::Nothing => None,
            other => panic!("the connection has ended: {other:?}"),
        }
    }

    fn end(mut self: Box<Self>) -> Vec<Value> {
        self.close(1000, "");
        assert_eq!(self.closed().map(|(code, _)| code), Some(1000));
        self.take_held()
    }
}

/// A process of its own at the other ends of two pipes.
pub struct Pipes(Process);

impl Pipes {
    pub fn start(options: &[String]) -> Self {
        let arguments: Vec<_> = ["--stdio", "--log", "warn"].into_iter().chain(options.iter().map(|s| &**s)).collect();
        Self(Process::start_with("everything", &arguments, Stdio::piped()))
    }
}

impl Wire for Pipes {
    fn send(&mut self, message: &Value, _headers: &[(&str, &str)]) {
        let input = self.0.child.stdin.as_mut().expect("open");
        // In one piece: half a line at a time would be as good, and slower.
        input.write_all(format!("{message}\n").as_bytes()).expect("written");
    }

    fn receive(&mut self, deadline: Instant) -> Option<Arrived> {
        let line = self.0.out.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        Some(Arrived { message: message_of(&line), head: None })
    }

    fn end(mut self: Box<Self>) -> Vec<Value> {
        drop(self.0.child.stdin.take());
        let (status, err) = self.0.end();
        assert_eq!(status.code(), Some(0), "{err}");
        self.0.out.iter().map(|line| message_of(&line)).collect()
    }
}

fn message_of(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| panic!("no message on standard output: {line:?}"))
}

/// Each message in a POST on a connection of its own, which a thread reads.
pub struct Posts {
    address: SocketAddr,
    revision: &'static str,
    session: Option<String>,
    arrivals: Receiver<Arrived>,
    arrived: Sender<Arrived>,
    /// What ends the connection of a request, by its id.
    open: HashMap<String, Box<dyn FnOnce()>>,
}

impl Posts {
    pub fn to(address: SocketAddr, revision: &'static str) -> Self {
        let (arrived, arrivals) = unbounded();
        Self { address, revision, session: None, arrivals, arrived, open: HashMap::new() }
    }

    fn connect(&self) -> Web {
        let mut web = Web::connect_to(self.address);
        (web.revision, web.session) = (self.revision, self.session.clone());
        web
    }

    /// Has a thread read one answer, to its end.
    fn read(&mut self, id: &Value, mut web: Web) {
        self.open.insert(id.to_string(), Box::new(web.end()));
        let arrived = self.arrived.clone();
        let read = move || {
            let head = web.more().then(|| web.head())?;
            let give = |message| arrived.send(Arrived { message, head: Some(head.clone()) }).ok();
            if head.header("content-type") == Some("application/json") {
                return give(web.messages(&head).pop()?);
            }
            assert_eq!((head.status, head.header("x-accel-buffering")), (200, Some("no")), "{head:?}");
            while web.more() {
                give(web.event()?)?;
            }
            None
        };
        std::thread::Builder::new().name("answer".into()).spawn(read).expect("a thread");
    }
}

impl Wire for Posts {
    fn send(&mut self, message: &Value, headers: &[(&str, &str)]) {
        let mut web = self.connect();
        if message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == MODERN {
            (web.revision, web.session) = (MODERN, None);
        }
        web.post(message, headers);
        let asks = |message: &Value| message.get("method").is_some() && message.get("id").is_some();
        // What is no message at all is answered, too.
        let nothing = message.as_array().is_some_and(Vec::is_empty);
        if asks(message) || nothing || message.as_array().is_some_and(|batch| batch.iter().any(asks)) {
            self.read(&message["id"], web);
        } else {
            assert_eq!(web.empty(), 202, "{message}");
        }
    }

    fn receive(&mut self, deadline: Instant) -> Option<Arrived> {
        let arrived = self.arrivals.recv_deadline(deadline).ok()?;
        if arrived.message.get("method").is_none() {
            self.open.remove(&arrived.message["id"].to_string());
        }
        if let Some(session) = arrived.head.as_ref().and_then(|head| head.header("mcp-session-id")) {
            assert!(session.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{session:?}");
            assert_ne!(self.revision, MODERN, "2026-07-28 has no sessions");
            self.session = Some(session.to_owned());
        }
        Some(arrived)
    }

    fn leave(&mut self, id: &Value) -> bool {
        if self.revision == MODERN
            && let Some(end) = self.open.remove(&id.to_string())
        {
            end();
            return true;
        }
        false
    }

    fn open_stream(&mut self) {
        let session = self.session.clone().expect("a session");
        let mut web = self.connect();
        web.ask(
            "GET",
            &[("Accept", "text/event-stream"), ("Mcp-Session-Id", &session), ("MCP-Protocol-Version", self.revision)],
            "",
        );
        self.read(&Value::Null, web);
    }

    fn end(self: Box<Self>) -> Vec<Value> {
        if let Some(session) = &self.session {
            let mut web = self.connect();
            web.ask("DELETE", &[("Mcp-Session-Id", session), ("MCP-Protocol-Version", self.revision)], "");
            assert_eq!(web.empty(), 204);
        }
        for (_, end) in self.open {
            end();
        }
        drop(self.arrived);
        // Until each of the threads has come to its end.
        self.arrivals.iter().map(|arrived| arrived.message).collect()
    }
}

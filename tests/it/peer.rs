//! The other side of a test: a server on a free port and WebSocket clients of any revision. Every read has a deadline.

use mcp_blocking::crossbeam_channel::{Receiver, Sender, unbounded};
use mcp_blocking::{Running, Server};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

/// How long anything may take on a busy machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
pub const MODERN: &str = "2026-07-28";
pub const ALL: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN];

/// Starts a server on a free port of loopback.
pub fn serve(server: Server) -> Running {
    server.bind("127.0.0.1:0").expect("binds").start().expect("starts")
}

/// Waits until something holds that no channel tells of, such as a number in `Handle::status`.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The `_meta` of a modern request, with these capabilities.
pub fn modern_meta(capabilities: Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

/// What a client talks over: a socket, or something that encrypts on one.
pub trait Wire: Read + Write + Send {
    fn socket(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

/// Where clients come from that do not say otherwise: 127.0.0.2. Whoever attacks comes from there, so that an honest
/// neighbor can have an address of its own, which is what limits for each address tell them apart by.
pub const USUAL: u8 = 2;

/// Connects a socket that never waits for longer than a test does.
pub fn dial(address: SocketAddr) -> TcpStream {
    dial_from(USUAL, address)
}

/// The same from 127.0.0.`last`; the server is on loopback.
pub fn dial_from(last: u8, address: SocketAddr) -> TcpStream {
    connect(bound_to(last, address), address)
}

/// A socket that has its own address already.
pub fn bound_to(last: u8, address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    if address.is_ipv4() {
        socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).expect("binds");
    }
    socket
}

pub fn connect(socket: Socket, address: SocketAddr) -> TcpStream {
    socket.connect_timeout(&address.into(), PATIENCE).expect("connects");
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).expect("no delay");
    stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("write timeout");
    stream
}

/// A WebSocket client.
pub struct Peer {
    socket: WebSocket<Box<dyn Wire>>,
    /// The revision it speaks in [`Peer::request`] and what is built on it; empty before any session.
    pub revision: &'static str,
    /// What it says that it can do.
    pub capabilities: Value,
    /// The subprotocol that the server chose.
    pub protocol: Option<String>,
    /// WebSocket pings that have come.
    pub pings: usize,
    /// The last message, letter by letter.
    pub text: String,
    held: VecDeque<Value>,
    last_id: i64,
}

impl Peer {
    /// Connects, and says nothing.
    pub fn connect(running: &Running) -> Self {
        Self::connect_to(running.addr(), &[])
    }

    /// Connects with more headers.
    pub fn connect_to(address: SocketAddr, headers: &[(&'static str, &str)]) -> Self {
        Self::over(Box::new(dial(address)), &address.to_string(), headers)
    }

    /// The same over something that is connected, to a server of that name.
    pub fn over(stream: Box<dyn Wire>, host: &str, headers: &[(&'static str, &str)]) -> Self {
        let mut request = format!("ws://{host}/mcp").into_client_request().expect("a request");
        request.headers_mut().insert("Sec-WebSocket-Protocol", "mcp".parse().expect("a value"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a value"));
        }
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, response) =
            tungstenite::client::client_with_config(request, stream, Some(config)).expect("a handshake");
        let protocol = response.headers().get("Sec-WebSocket-Protocol");
        let protocol = protocol.map(|value| value.to_str().expect("ASCII").to_owned());
        let (held, text) = (VecDeque::new(), String::new());
        Self { socket, revision: "", capabilities: json!({}), protocol, pings: 0, text, held, last_id: 0 }
    }

    /// Connects and speaks that revision: with a session, if the revision has sessions.
    pub fn of(running: &Running, revision: &'static str) -> Self {
        Self::able(running, revision, json!({}))
    }

    /// The same with capabilities.
    pub fn able(running: &Running, revision: &'static str, capabilities: Value) -> Self {
        let mut peer = Self::connect(running);
        peer.capabilities = capabilities;
        peer.speaking(revision)
    }

    /// Speaks that revision from here on.
    pub fn speaking(mut self, revision: &'static str) -> Self {
        if revision == MODERN {
            self.revision = revision;
        } else {
            self.initialize(revision);
        }
        self
    }

    /// Opens a legacy session; returns the result of `initialize`.
    pub fn initialize(&mut self, revision: &'static str) -> Value {
        let params = json!({
            "protocolVersion": revision, "capabilities": self.capabilities, "clientInfo": { "name": "test", "version": "1" },
        });
        let result = self.request("initialize", params)["result"].clone();
        assert_eq!(result["protocolVersion"], revision, "{result}");
        self.revision = revision;
        self.notify("notifications/initialized", json!({}));
        // The server has read it when it answers what comes behind.
        self.barrier();
        result
    }

    pub fn is_modern(&self) -> bool {
        self.revision == MODERN
    }

    pub fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// Sends, unless the connection is gone.
    pub fn try_send(&mut self, message: &Value) -> bool {
        self.socket.send(Message::text(message.to_string())).is_ok()
    }

    pub fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text));
    }

    pub fn send_message(&mut self, message: Message) {
        self.socket.send(message).expect("sends");
    }

    /// Queues a message for the next [`flush`](Self::flush): several leave in one go.
    pub fn write(&mut self, message: &Value) {
        self.socket.write(Message::text(message.to_string())).expect("writes");
    }

    pub fn flush(&mut self) {
        self.socket.flush().expect("flushes");
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// A request of this peer's revision with a new id, not sent.
    pub fn make(&mut self, method: &str, mut params: Value) -> Value {
        self.last_id += 1;
        if self.is_modern() && params["_meta"]["io.modelcontextprotocol/protocolVersion"].is_null() {
            let Value::Object(meta) = modern_meta(self.capabilities.clone()) else { unreachable!() };
            let object = params.as_object_mut().expect("an object");
            object.entry("_meta").or_insert_with(|| json!({})).as_object_mut().expect("an object").extend(meta);
        }
        json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params })
    }

    /// Sends a request; returns its id.
    pub fn start(&mut self, method: &str, params: Value) -> Value {
        let request = self.make(method, params);
        self.send(&request);
        request["id"].clone()
    }

    pub fn start_call(&mut self, tool: &str, arguments: Value) -> Value {
        self.start("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// A call that asks for progress with that token.
    pub fn start_call_with_progress(&mut self, tool: &str, arguments: Value, token: Value) -> Value {
        self.start("tools/call", json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": token } }))
    }

    pub fn cancel(&mut self, id: &Value) {
        self.notify("notifications/cancelled", json!({ "requestId": id, "reason": "no longer needed" }));
    }

    /// Sends a request and waits for its answer, the whole message. What comes before it is held.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.start(method, params);
        self.answer(&id)
    }

    /// Calls a tool; returns its result.
    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.start_call(tool, arguments);
        self.result(&id)
    }

    /// Calls a tool; returns the JSON-RPC error.
    #[track_caller]
    pub fn call_error(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.start_call(tool, arguments);
        self.error(&id)
    }

    #[track_caller]
    pub fn result(&mut self, id: &Value) -> Value {
        let answer = self.answer(id);
        assert!(answer["error"].is_null(), "an error: {answer}");
        answer["result"].clone()
    }

    #[track_caller]
    pub fn error(&mut self, id: &Value) -> Value {
        let answer = self.answer(id);
        assert!(answer["result"].is_null(), "a result: {answer}");
        answer["error"].clone()
    }

    /// Waits for the response with that id.
    #[track_caller]
    pub fn answer(&mut self, id: &Value) -> Value {
        self.find(&format!("the answer to {id}"), |message| message["method"].is_null() && message["id"] == *id)
    }

    /// Waits for a notification of that method.
    #[track_caller]
    pub fn notice(&mut self, method: &str) -> Value {
        self.find(method, |message| message["method"] == method)
    }

    #[track_caller]
    fn find(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.held.iter().position(&wanted) {
            return self.held.remove(at).expect("it is there");
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.receive(deadline) {
                Received::Message(message) if wanted(&message) => return message,
                Received::Message(message) => self.held.push_back(message),
                other => panic!("waiting for {what}: {other:?}; held: {:?}", self.held),
            }
        }
    }

    /// The next message, whatever it is.
    #[track_caller]
    pub fn next(&mut self) -> Value {
        if let Some(message) = self.held.pop_front() {
            return message;
        }
        match self.receive(Instant::now() + PATIENCE) {
            Received::Message(message) => message,
            other => panic!("waiting for a message: {other:?}"),
        }
    }

    /// All that came while something else was waited for.
    pub fn take_held(&mut self) -> Vec<Value> {
        self.held.drain(..).collect()
    }

    /// Waits until the server has read all that was sent so far, and has answered a ping behind it. A ping without a
    /// session and without `_meta` is answered, too.
    #[track_caller]
    pub fn barrier(&mut self) {
        self.last_id += 1;
        let id = json!(format!("barrier-{}", self.last_id));
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }));
        let answer = self.answer(&id);
        assert_eq!(answer["result"], json!({}), "{answer}");
    }

    /// The connection lives, and nothing has come that was not asked for.
    #[track_caller]
    pub fn assert_silent(&mut self) {
        self.barrier();
        assert!(self.held.is_empty(), "nothing should have come: {:?}", self.held);
    }

    /// Waits for the end of the connection; the code and reason of the close frame, if there was one.
    #[track_caller]
    pub fn closed(&mut self) -> Option<(u16, String)> {
        let deadline = Instant::now() + PATIENCE;
        let mut frame = None;
        loop {
            match self.receive(deadline) {
                Received::Message(message) => self.held.push_back(message),
                Received::Closed(code, reason) => frame = Some((code, reason)),
                Received::Ended => {
                    // So that the server need not wait for more.
                    let _ = self.socket.get_ref().socket().shutdown(std::net::Shutdown::Both);
                    return frame;
                }
                Received::Nothing => panic!("the connection is not closed within {PATIENCE:?}"),
            }
        }
    }

    /// Begins the closing handshake.
    pub fn close(&mut self, code: u16, reason: &str) {
        let frame = tungstenite::protocol::CloseFrame { code: code.into(), reason: reason.into() };
        self.socket.close(Some(frame)).expect("closes");
    }

    /// Leaves without a word.
    pub fn vanish(self) {
        let _ = self.socket.get_ref().socket().shutdown(std::net::Shutdown::Both);
    }

    pub fn receive(&mut self, deadline: Instant) -> Received {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Nothing;
            }
            self.socket.get_ref().socket().set_read_timeout(Some(left)).expect("read timeout");
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    self.text = text.to_string();
                    return Received::Message(serde_json::from_str(&text).expect("a server sends JSON"));
                }
                Ok(Message::Ping(_)) => self.pings += 1,
                Ok(Message::Close(Some(frame))) => {
                    return Received::Closed(frame.code.into(), frame.reason.to_string());
                }
                Ok(Message::Close(None)) => return Received::Closed(1005, String::new()),
                Ok(other) => panic!("an unexpected frame: {other:?}"),
                Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Received::Ended,
            }
        }
    }
}

/// What a read has brought.
#[derive(Debug)]
pub enum Received {
    Message(Value),
    Closed(u16, String),
    Ended,
    /// Nothing before the deadline.
    Nothing,
}

/// Stops handlers in their middle, until the test lets them go. Dropping the [`Keeper`] lets all go.
#[derive(Clone)]
pub struct Turnstile {
    entered: Sender<()>,
    go: Receiver<()>,
}

pub struct Keeper {
    entered: Receiver<()>,
    go: Sender<()>,
}

pub fn turnstile() -> (Turnstile, Keeper) {
    let (entered_in, entered_out) = unbounded();
    let (go_in, go_out) = unbounded();
    (Turnstile { entered: entered_in, go: go_out }, Keeper { entered: entered_out, go: go_in })
}

impl Turnstile {
    /// Blocks, without looking at any cancellation.
    pub fn pass(&self) {
        let _ = self.entered.send(());
        let _ = self.go.recv_timeout(PATIENCE * 2);
    }
}

impl Keeper {
    /// Waits until one more handler stands at the turnstile.
    #[track_caller]
    pub fn wait_entered(&self) {
        self.entered.recv_timeout(PATIENCE).expect("a handler enters");
    }

    /// How many have entered since the last wait.
    pub fn entered(&self) -> usize {
        self.entered.len()
    }

    /// Lets one go.
    pub fn release(&self) {
        let _ = self.go.send(());
    }
}

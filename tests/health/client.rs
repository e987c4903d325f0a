//! The other side: plain HTTP by hand, and a WebSocket client. Everything has a deadline.

use mcp_blocking::crossbeam_channel::{Receiver, Sender, unbounded};
use mcp_blocking::{NoArgs, Running, Server};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// How long anything may take on a busy machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a server with a health address.
pub fn serve(server: Server) -> Running {
    let bound = server.bind("127.0.0.1:0").expect("binds").health("127.0.0.1:0").expect("binds");
    let address = bound.health_addr().expect("an address");
    let running = bound.start().expect("starts");
    assert_eq!(running.health_addr(), Some(address));
    running
}

pub fn probe_address(running: &Running) -> SocketAddr {
    running.health_addr().expect("a health address")
}

/// Waits until something holds that no channel tells of.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}

/// A whole HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    #[track_caller]
    fn parse(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status line");
        let answer = Self { status: status.parse().expect("a number"), head: head.into(), body: body.into() };
        assert_eq!(answer.header("Connection"), Some("close"), "{head}");
        answer
    }

    /// The value of a header that there is at most once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.split("\r\n").skip(1).filter_map(|line| {
            let (field, value) = line.split_once(": ").expect("a header line");
            field.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice: {}", self.head);
        value
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.header("Content-Type"), Some("application/json"));
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Connects from 127.0.0.2, where whoever attacks is.
pub fn connect(address: SocketAddr) -> TcpStream {
    connect_from(2, address)
}

/// The same from 127.0.0.`last`.
pub fn connect_from(last: u8, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).expect("binds");
    socket.connect_timeout(&address.into(), PATIENCE).expect("connects");
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).expect("no delay");
    stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("write timeout");
    stream
}

/// Reads until the other side closes; nothing if it resets.
pub fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted) => bytes,
        Err(error) => panic!("not closed within {PATIENCE:?}: {error}"),
    }
}

/// Sends these bytes and reads all that comes back.
pub fn exchange_bytes(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(request).expect("writes");
    read_to_end(&mut stream)
}

#[track_caller]
pub fn exchange(address: SocketAddr, request: &str) -> Answer {
    Answer::parse(&exchange_bytes(address, request.as_bytes()))
}

/// A request with a correct `Host`, and more header lines.
#[track_caller]
pub fn ask(address: SocketAddr, method: &str, target: &str, headers: &[&str]) -> Answer {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    exchange(address, &format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n{lines}\r\n"))
}

#[track_caller]
pub fn get(address: SocketAddr, target: &str) -> Answer {
    ask(address, "GET", target, &[])
}

/// An honest probe, from 127.0.0.3: how long it took to be answered. One that was cut, because this thread had no turn between connecting
/// and writing, is repeated at once, as supervisors do; its time counts.
#[track_caller]
pub fn probe(address: SocketAddr) -> (Duration, usize) {
    let begun = Instant::now();
    let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n");
    for repeats in 0.. {
        let mut stream = connect_from(3, address);
        let bytes = stream.write_all(request.as_bytes()).map(|()| read_to_end(&mut stream)).unwrap_or_default();
        if !bytes.is_empty() {
            let answer = Answer::parse(&bytes);
            assert_eq!(answer.status, 200, "{answer:?}");
            return (begun.elapsed(), repeats);
        }
        assert!(begun.elapsed() < PATIENCE, "{repeats} probes were cut");
    }
    unreachable!()
}

/// An MCP client of 2025-11-25.
pub struct Client {
    socket: WebSocket<TcpStream>,
    last_id: i64,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = connect(address);
        let request = format!("ws://{address}/mcp").into_client_request().expect("a request");
        let (socket, _) = tungstenite::client(request, stream).expect("a handshake");
        let mut client = Self { socket, last_id: 0 };
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        });
        let answer = client.request("initialize", params);
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
        client
    }

    pub fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).expect("sends");
    }

    /// Sends a request; returns its id.
    pub fn start(&mut self, method: &str, params: Value) -> i64 {
        self.last_id += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params }));
        self.last_id
    }

    pub fn start_call(&mut self, tool: &str) -> i64 {
        self.start("tools/call", json!({ "name": tool, "arguments": {} }))
    }

    /// The next message.
    #[track_caller]
    pub fn read(&mut self) -> Value {
        loop {
            match self.socket.read().expect("a message") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    #[track_caller]
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.start(method, params);
        let answer = self.read();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    #[track_caller]
    pub fn call(&mut self, tool: &str) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": {} }))
    }

    /// Leaves without a word.
    pub fn leave(self) {
        let _ = self.socket.get_ref().shutdown(Shutdown::Both);
    }
}

/// A tool that says when it has begun and ends when it is told to, or cancelled.
pub fn with_gate(server: Server) -> (Server, Receiver<()>, Sender<()>) {
    let (begin, begun) = unbounded();
    let (open, opened) = unbounded::<()>();
    let server = server.tool("wait", "Waits", move |ctx, NoArgs {}| {
        let _ = begin.send(());
        mcp_blocking::crossbeam_channel::select! {
            recv(opened) -> _ => {}
            recv(ctx.cancelled()) -> _ => {}
        }
        Ok("done")
    });
    (server, begun, open)
}

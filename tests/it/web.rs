//! A client of Streamable HTTP on a plain socket: one connection, request after request. Every read has a deadline.

use crate::peer::{MODERN, PATIENCE, modern_meta};
use mcp_blocking::Running;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

pub const BOTH: &str = "application/json, text/event-stream";

pub struct Web {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
    /// The session, once there is one.
    pub session: Option<String>,
    pub revision: &'static str,
    pub capabilities: Value,
    last_id: i64,
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn is_stream(&self) -> bool {
        self.header("content-type") == Some("text/event-stream")
    }
}

impl Web {
    pub fn connect(running: &Running) -> Self {
        Self::connect_to(running.addr())
    }

    pub fn connect_to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("connects");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("write timeout");
        let (buffer, capabilities) = (Vec::new(), json!({}));
        Self { stream, address, buffer, session: None, revision: "", capabilities, last_id: 0 }
    }

    /// Speaks that revision: with a session, if it has sessions.
    pub fn of(running: &Running, revision: &'static str) -> Self {
        Self::able(running, revision, json!({}))
    }

    pub fn able(running: &Running, revision: &'static str, capabilities: Value) -> Self {
        let mut web = Self::connect(running);
        (web.revision, web.capabilities) = (revision, capabilities);
        if revision != MODERN {
            web.initialize();
        }
        web
    }

    /// One more connection of the same client.
    pub fn again(&self) -> Self {
        let mut web = Self::connect_to(self.address);
        (web.session, web.revision, web.last_id) = (self.session.clone(), self.revision, self.last_id + 1_000);
        web.capabilities = self.capabilities.clone();
        web
    }

    pub fn initialize(&mut self) -> Value {
        let params = json!({
            "protocolVersion": self.revision, "capabilities": self.capabilities, "clientInfo": { "name": "test", "version": "1" },
        });
        let message = json!({ "jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params });
        self.post(&message, &[]);
        let head = self.head();
        assert_eq!(head.status, 200, "{head:?}");
        self.session = head.header("mcp-session-id").map(str::to_owned);
        let answer: Value = serde_json::from_slice(&self.body(&head)).expect("JSON");
        self.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }), &[]);
        assert_eq!(self.empty(), 202);
        answer
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("sends");
    }

    /// Sends a request with these headers; `Host` comes of itself.
    pub fn ask(&mut self, method: &str, headers: &[(&str, &str)], body: &str) {
        let mut text = format!("{method} /mcp HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "POST" {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.send(format!("{text}\r\n{body}"));
    }

    /// Posts a message as a client of this revision does, with more headers.
    pub fn post(&mut self, message: &Value, more: &[(&str, &str)]) {
        self.post_text(message, &message.to_string(), more);
    }

    /// The same with a text of one's own for the message.
    pub fn post_text(&mut self, message: &Value, text: &str, more: &[(&str, &str)]) {
        let session = self.session.clone();
        let mut headers = vec![("Content-Type", "application/json")];
        if !more.iter().any(|(name, _)| *name == "Accept") {
            headers.push(("Accept", BOTH));
        }
        if let Some(session) = &session {
            headers.push(("Mcp-Session-Id", session));
        }
        if !self.revision.is_empty() && message["method"] != "initialize" {
            headers.push(("MCP-Protocol-Version", self.revision));
        }
        if self.revision == MODERN {
            for (name, value) in [("Mcp-Method", &message["method"]), ("Mcp-Name", &message["params"]["name"])] {
                headers.extend(value.as_str().map(|value| (name, value)));
            }
        }
        headers.extend(more);
        self.ask("POST", &headers, text);
    }

    /// A request of this revision, with an id of its own.
    pub fn make(&mut self, method: &str, mut params: Value) -> Value {
        self.last_id += 1;
        if self.revision == MODERN {
            let Value::Object(meta) = modern_meta(self.capabilities.clone()) else { unreachable!() };
            let object = params.as_object_mut().expect("an object");
            object.entry("_meta").or_insert_with(|| json!({})).as_object_mut().expect("an object").extend(meta);
        }
        json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params })
    }

    pub fn start(&mut self, method: &str, params: Value) -> Value {
        let message = self.make(method, params);
        self.post(&message, &[]);
        message["id"].clone()
    }

    /// Sends a request and reads its answer; whatever comes before it is returned, too.
    pub fn request_all(&mut self, method: &str, params: Value) -> (Head, Vec<Value>) {
        self.start(method, params);
        let head = self.head();
        let messages = self.messages(&head);
        (head, messages)
    }

    /// Sends a request and returns its answer, a whole message.
    #[track_caller]
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.request_all(method, params).1.pop().expect("an answer")
    }

    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.request("tools/call", json!({ "name": tool, "arguments": arguments }));
        assert!(answer["error"].is_null(), "an error: {answer}");
        answer["result"].clone()
    }

    /// All messages of an answer.
    pub fn messages(&mut self, head: &Head) -> Vec<Value> {
        if !head.is_stream() {
            return vec![serde_json::from_slice(&self.body(head)).expect("JSON")];
        }
        std::iter::from_fn(|| self.event()).collect()
    }

    /// The next event of a stream; `None` at its end. Comments are passed over.
    #[track_caller]
    pub fn event(&mut self) -> Option<Value> {
        loop {
            let text = String::from_utf8(self.chunk()?).expect("UTF-8");
            if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
                assert!(text.ends_with("\n\n"), "{text:?}");
                return Some(serde_json::from_str(data).expect("JSON"));
            }
        }
    }

    /// The next chunk of a body; `None` at its end.
    #[track_caller]
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.line();
        let size = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("no size: {line:?}"));
        let chunk = self.take(size);
        assert_eq!(self.line(), "");
        (size > 0).then_some(chunk)
    }

    #[track_caller]
    pub fn head(&mut self) -> Head {
        let line = self.line();
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return Head { status, headers };
            }
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    pub fn body(&mut self, head: &Head) -> Vec<u8> {
        let length = head.header("content-length").map_or(0, |length| length.parse().expect("a number"));
        self.take(length)
    }

    /// Reads an answer that has no body; its status.
    #[track_caller]
    pub fn empty(&mut self) -> u16 {
        let head = self.head();
        let body = self.body(&head);
        assert!(body.is_empty(), "{head:?} {}", String::from_utf8_lossy(&body));
        head.status
    }

    /// Reads an answer with JSON in it: its status and the message.
    #[track_caller]
    pub fn json(&mut self) -> (u16, Value) {
        let head = self.head();
        let body = self.body(&head);
        let value =
            serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{head:?} {}", String::from_utf8_lossy(&body)));
        (head.status, value)
    }

    /// Reads any answer that is not a stream; its status.
    #[track_caller]
    pub fn status(&mut self) -> u16 {
        let head = self.head();
        self.body(&head);
        head.status
    }

    /// The server closes the connection, and says nothing more.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        self.buffer.extend(rest);
        assert!(self.buffer.is_empty(), "more came: {}", String::from_utf8_lossy(&self.buffer));
    }

    pub fn vanish(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("shuts down");
    }

    #[track_caller]
    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(end + 2);
                return String::from_utf8(line[..end].to_vec()).expect("UTF-8");
            }
            self.fill();
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            self.fill();
        }
        self.buffer.drain(..count).collect()
    }

    #[track_caller]
    fn fill(&mut self) {
        let mut piece = [0; 4096];
        let count = self.stream.read(&mut piece).expect("an answer in time");
        assert!(count > 0, "closed in the middle of an answer: {}", String::from_utf8_lossy(&self.buffer));
        self.buffer.extend_from_slice(&piece[..count]);
    }
}

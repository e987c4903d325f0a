//! A client of Streamable HTTP on a plain socket: one connection, request after request. Every read has a deadline.

use crate::peer::{MODERN, Wire, dial, modern_meta};
use mcp_blocking::Running;
use serde_json::{Value, json};
use std::net::{Shutdown, SocketAddr};

pub const BOTH: &str = "application/json, text/event-stream";

pub struct Web {
    stream: Box<dyn Wire>,
    address: SocketAddr,
    buffer: Vec<u8>,
    /// The session, once there is one.
    pub session: Option<String>,
    pub revision: &'static str,
    pub capabilities: Value,
    /// What every request brings along.
    pub fields: Vec<(&'static str, String)>,
    /// The id of the last event that had one.
    pub last_event: Option<String>,
    /// What the last event that said something about it had the client wait before it comes back.
    pub retry: Option<u64>,
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
        Self::over(Box::new(dial(address)), address)
    }

    /// The same over something that is connected.
    pub fn over(stream: Box<dyn Wire>, address: SocketAddr) -> Self {
        let (buffer, capabilities) = (Vec::new(), json!({}));
        let (last_event, retry) = (None, None);
        let (fields, session, revision) = (Vec::new(), None, "");
        Self { stream, address, buffer, session, revision, capabilities, fields, last_event, retry, last_id: 0 }
    }

    /// Speaks that revision: with a session, if it has sessions.
    pub fn of(running: &Running, revision: &'static str) -> Self {
        Self::able(running, revision, json!({}))
    }

    pub fn able(running: &Running, revision: &'static str, capabilities: Value) -> Self {
        let mut web = Self::connect(running);
        web.capabilities = capabilities;
        web.speaking(revision)
    }

    /// Speaks that revision from here on.
    pub fn speaking(mut self, revision: &'static str) -> Self {
        self.revision = revision;
        if revision != MODERN {
            self.initialize();
        }
        self
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
        let always = self.fields.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in headers.iter().copied().chain(always) {
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
        if !self.revision.is_empty() && (self.revision == MODERN || message["method"] != "initialize") {
            headers.push(("MCP-Protocol-Version", self.revision));
        }
        if self.revision == MODERN {
            let (method, params) = (&message["method"], &message["params"]);
            let name = match method.as_str() {
                Some("resources/read") => &params["uri"],
                Some("tasks/get" | "tasks/update" | "tasks/cancel") => &params["taskId"],
                _ => &params["name"],
            };
            for (header, value) in [("Mcp-Method", method), ("Mcp-Name", name)] {
                let given = more.iter().any(|(name, _)| *name == header);
                headers.extend(value.as_str().filter(|_| !given).map(|value| (header, value)));
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
            let body = self.body(head);
            let shown = || format!("{head:?} {}", String::from_utf8_lossy(&body));
            return vec![serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{}", shown()))];
        }
        std::iter::from_fn(|| self.event()).collect()
    }

    /// The next message of a stream; `None` at its end. Comments, and events without a message, are passed over.
    #[track_caller]
    pub fn event(&mut self) -> Option<Value> {
        std::iter::from_fn(|| self.any_event())
            .find(|data| !data.is_empty())
            .map(|data| serde_json::from_str(&data).unwrap_or_else(|_| panic!("no JSON: {data:?}")))
    }

    /// The data of the next event of a stream, empty for one that has none; `None` at its end. Comments are passed over.
    #[track_caller]
    pub fn any_event(&mut self) -> Option<String> {
        loop {
            let text = String::from_utf8(self.chunk()?).expect("UTF-8");
            assert!(text.ends_with("\n\n"), "{text:?}");
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let id = field("id: ");
            self.retry = field("retry: ").map(|time| time.parse().expect("a number")).or(self.retry);
            let data = field("data: ").or(id.as_ref().map(|_| String::new()));
            self.last_event = id.or(self.last_event.take());
            if data.is_some() {
                return data;
            }
        }
    }

    /// One more connection of the same client, which opens the session's stream, or goes on with one behind that event.
    #[track_caller]
    pub fn listen(&self, last_event: Option<&str>) -> Self {
        let mut web = self.again();
        web.get(last_event);
        let head = web.head();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{head:?}");
        web
    }

    /// Asks for a stream of the session.
    pub fn get(&mut self, last_event: Option<&str>) {
        let session = self.session.clone().expect("a session");
        let mut headers = vec![("Accept", "text/event-stream"), ("Mcp-Session-Id", session.as_str())];
        headers.extend(last_event.map(|id| ("Last-Event-ID", id)));
        self.ask("GET", &headers, "");
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

    /// What is below, for bytes that no client sends.
    #[cfg(feature = "tls")]
    pub fn socket(&self) -> &std::net::TcpStream {
        self.stream.socket()
    }

    pub fn vanish(self) {
        let _ = self.stream.socket().shutdown(Shutdown::Both);
    }

    /// Leaves as a program does that is killed with bytes unread: the connection is reset.
    pub fn reset(self) {
        socket2::SockRef::from(self.stream.socket()).set_linger(Some(std::time::Duration::ZERO)).expect("a setting");
    }

    /// Sends, unless the server takes no more.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Ends the connection when asked to, also while it is being read.
    pub fn end(&self) -> impl FnOnce() + Send + use<> {
        let stream = self.stream.socket().try_clone().expect("a second handle");
        move || {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until there is something to read; false at the end of the connection.
    pub fn more(&mut self) -> bool {
        let mut piece = [0; 4096];
        if self.buffer.is_empty() {
            let count = self.stream.read(&mut piece).unwrap_or(0);
            self.buffer.extend_from_slice(&piece[..count]);
        }
        !self.buffer.is_empty()
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&self) {
        self.stream.socket().shutdown(Shutdown::Write).expect("shuts down");
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

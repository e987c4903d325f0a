//! What the rows of the table are written against: a client of one revision, whatever carries its messages.

use super::wire::{Arrived, Pipes, Posts, Transport, Wire};
use crate::peer::{MODERN, PATIENCE, Peer, modern_meta};
use crate::schema::Schema;
use crate::web::{Head, Web};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Where and how a client connects.
#[derive(Clone)]
pub struct Place {
    pub transport: Transport,
    pub revision: &'static str,
    /// Of the server with sockets. Over stdio each client has a process of its own.
    pub address: Option<SocketAddr>,
    /// The options of the server.
    pub options: Vec<String>,
}

pub struct Client {
    pub place: Place,
    pub capabilities: Value,
    /// The result of `initialize`, in revisions that have it.
    pub hello: Value,
    /// The head of the last answer, over HTTP.
    pub head: Option<Head>,
    wire: Box<dyn Wire>,
    ledger: Ledger,
    /// Messages that nobody has waited for yet, the oldest first.
    held: Vec<Value>,
    last_id: u64,
}

/// All that a client of that revision can say of itself.
pub fn able(revision: &str) -> Value {
    match revision {
        "2024-11-05" | "2025-03-26" => json!({ "sampling": {}, "roots": { "listChanged": true } }),
        "2025-06-18" => json!({ "sampling": {}, "roots": { "listChanged": true }, "elicitation": {} }),
        _ => json!({ "sampling": { "tools": {} }, "roots": {}, "elicitation": { "form": {}, "url": {} } }),
    }
}

impl Client {
    /// Connects, and says nothing.
    pub fn silent(place: &Place) -> Self {
        let revision = place.revision;
        let address = || place.address.expect("a server with sockets");
        let wire: Box<dyn Wire> = match place.transport {
            Transport::WebSocket => Box::new(Peer::connect_to(address(), &[])),
            Transport::Stdio => Box::new(Pipes::start(&place.options)),
            Transport::Http => Box::new(Posts::to(address(), revision)),
        };
        Self {
            place: place.clone(),
            capabilities: able(revision),
            hello: Value::Null,
            head: None,
            wire,
            ledger: Ledger { revision, open: HashMap::new(), heard: Vec::new() },
            held: Vec::new(),
            last_id: 0,
        }
    }

    /// Connects and, if the revision has sessions, opens one.
    pub fn with(place: &Place, capabilities: Value) -> Self {
        let mut client = Self::silent(place);
        client.capabilities = capabilities;
        if !client.is_modern() {
            client.initialize(place.revision);
        }
        client
    }

    /// Another client of the same server that can do something else.
    pub fn again(&self, capabilities: Value) -> Self {
        Self::with(&self.place, capabilities)
    }

    pub fn revision(&self) -> &'static str {
        self.place.revision
    }

    pub fn is_modern(&self) -> bool {
        self.place.revision == MODERN
    }

    pub fn is_over(&self, transport: Transport) -> bool {
        self.place.transport == transport
    }

    /// The handshake; its result is left in `hello`.
    #[track_caller]
    pub fn initialize(&mut self, wanted: &str) {
        let info = json!({ "name": "scenarios", "version": "1" });
        let params = json!({ "protocolVersion": wanted, "capabilities": self.capabilities, "clientInfo": info });
        self.hello = self.result("initialize", params);
        self.notify("notifications/initialized", json!({}));
        self.wire.open_stream();
    }

    /// A request that is not sent, with an id of its own.
    pub fn make(&mut self, method: &str, mut params: Value) -> Value {
        self.last_id += 1;
        if self.is_modern() {
            let own = params["_meta"].as_object().cloned().unwrap_or_default();
            params["_meta"] = modern_meta(self.capabilities.clone());
            params["_meta"].as_object_mut().expect("an object").extend(own);
        }
        json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params })
    }

    /// Sends a request; its id.
    pub fn start(&mut self, method: &str, params: Value) -> Value {
        let request = self.make(method, params);
        self.send(&request);
        request["id"].clone()
    }

    /// Sends a message or a batch.
    pub fn send(&mut self, message: &Value) {
        self.send_with(message, &[]);
    }

    /// The same, over HTTP with more headers.
    pub fn send_with(&mut self, message: &Value, headers: &[(&str, &str)]) {
        self.ledger.sent(message);
        self.wire.send(message, headers);
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request; its answer, the whole message.
    #[track_caller]
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.start(method, params);
        self.answer(&id)
    }

    #[track_caller]
    pub fn result(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params);
        assert!(answer.get("result").is_some(), "no result of {method}: {answer}");
        answer["result"].clone()
    }

    #[track_caller]
    pub fn error(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params);
        assert!(answer.get("error").is_some(), "no error of {method}: {answer}");
        answer["error"].clone()
    }

    /// Calls a tool; its result.
    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.result("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// All items of a list, page by page.
    #[track_caller]
    pub fn list(&mut self, method: &str, key: &str) -> Vec<Value> {
        let (mut all, mut params) = (Vec::new(), json!({}));
        loop {
            let page = self.result(method, params);
            all.extend(page[key].as_array().unwrap_or_else(|| panic!("no {key}: {page}")).iter().cloned());
            match page.get("nextCursor") {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => return all,
            }
        }
    }

    /// The answer to that request. What comes before it is held.
    #[track_caller]
    pub fn answer(&mut self, id: &Value) -> Value {
        self.wait_for(&format!("the answer to {id}"), |message| answers(message, id))
    }

    /// The next notification or request of that method.
    #[track_caller]
    pub fn notice(&mut self, method: &str) -> Value {
        self.wait_for(method, |message| message["method"] == method)
    }

    #[track_caller]
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.held.iter().position(&wanted) {
            return self.held.remove(at);
        }
        loop {
            let Some(Arrived { message, head }) = self.wire.receive(Instant::now() + PATIENCE) else {
                panic!("nothing comes instead of {what}; held: {:?}", self.held);
            };
            self.head = head;
            self.ledger.received(&message);
            if wanted(&message) {
                return message;
            }
            self.held.push(message);
        }
    }

    /// Takes what was held of that method.
    pub fn take(&mut self, method: &str) -> Vec<Value> {
        let (taken, held) = self.held.drain(..).partition(|message| message["method"] == method);
        self.held = held;
        taken
    }

    /// Over HTTP the last answer had that status.
    #[track_caller]
    pub fn assert_status(&self, status: u16) {
        if let Some(head) = &self.head {
            assert_eq!(head.status, status, "{head:?}");
        }
    }

    /// An answer to that request is from here on one too many.
    pub fn expect_no_answer(&mut self, id: &Value) {
        self.ledger.open.remove(&id.to_string());
    }

    /// Cancels a request in the way of its transport and revision.
    pub fn cancel(&mut self, id: &Value) {
        self.expect_no_answer(id);
        if !self.wire.leave(id) {
            self.notify("notifications/cancelled", json!({ "requestId": id, "reason": "no longer needed" }));
        }
    }

    /// Sends a request and answers the questions that come of it, in the way of the era; the last answer.
    #[track_caller]
    pub fn talk(&mut self, method: &str, mut params: Value, answer: impl Fn(&str, &Value) -> Value) -> Value {
        let mut id = self.start(method, params.clone());
        loop {
            let is_question = |message: &Value| message.get("id").is_some() && message.get("method").is_some();
            let message = self.wait_for("an answer or a question", |one| answers(one, &id) || is_question(one));
            if let Some(asked) = message["method"].as_str() {
                let result = answer(asked, &message["params"]);
                self.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }));
                continue;
            }
            let result = &message["result"];
            if result["resultType"] != "input_required" {
                return message;
            }
            answer_in(&mut params, result, &answer);
            id = self.start(method, params.clone());
        }
    }

    /// [`talk`](Self::talk) with a tool.
    #[track_caller]
    pub fn talk_to(&mut self, tool: &str, arguments: Value, answer: impl Fn(&str, &Value) -> Value) -> Value {
        let answer = self.talk("tools/call", json!({ "name": tool, "arguments": arguments }), answer);
        assert!(answer.get("result").is_some(), "no result of {tool}: {answer}");
        answer["result"].clone()
    }

    /// Says goodbye; all that it has received. What nobody has waited for is checked like everything else.
    pub fn end(self) -> Vec<Value> {
        let Self { wire, mut ledger, .. } = self;
        for message in wire.end() {
            ledger.received(&message);
        }
        ledger.heard
    }

    /// A plain connection to the server, over HTTP.
    pub fn web(&self) -> Web {
        let mut web = Web::connect_to(self.place.address.expect("a server with sockets"));
        (web.revision, web.capabilities) = (self.place.revision, self.capabilities.clone());
        web
    }
}

/// Makes of the parameters of a request those of its next round.
pub fn answer_in(params: &mut Value, result: &Value, answer: impl Fn(&str, &Value) -> Value) {
    let questions = result["inputRequests"].as_object().into_iter().flatten();
    let answered = questions.map(|(key, question)| {
        (key.clone(), answer(question["method"].as_str().expect("a method"), &question["params"]))
    });
    params["inputResponses"] = Value::Object(answered.collect());
    if let Some(state) = result.get("requestState") {
        params["requestState"] = state.clone();
    }
}

/// Whether a message is the answer to that request; that to what had no readable id has none, either.
fn answers(message: &Value, id: &Value) -> bool {
    message.get("method").is_none() && message["id"] == *id
}

/// The text of the first block of a tool's result.
#[track_caller]
pub fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"))
}

/// What was asked and has no answer yet. All that comes is checked against it: valid in its revision, an answer only to what was
/// asked, and once.
struct Ledger {
    revision: &'static str,
    /// Method and revision of each request, by its id.
    open: HashMap<String, (String, &'static str)>,
    /// All that came.
    heard: Vec<Value>,
}

impl Ledger {
    fn sent(&mut self, message: &Value) {
        if let Some(batch) = message.as_array() {
            batch.iter().for_each(|message| self.sent(message));
            return;
        }
        if let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) {
            // Both eras may come over one connection.
            let claimed = &message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
            let revision = if claimed == MODERN { MODERN } else { self.revision };
            let known = self.open.insert(id.to_string(), (method.to_owned(), revision));
            assert!(known.is_none(), "the id {id} is under way");
        }
    }

    #[track_caller]
    fn received(&mut self, message: &Value) {
        if let Some(batch) = message.as_array() {
            batch.iter().for_each(|message| self.received(message));
            return;
        }
        self.heard.push(message.clone());
        if message.get("method").is_some() {
            let asks = message.get("id").is_some();
            assert!(!asks || self.revision != MODERN, "2026-07-28 has no requests of servers: {message}");
            Schema::of(self.revision).check_message(message, None);
            return;
        }
        let asked = match message.get("id").unwrap_or(&Value::Null) {
            Value::Null => None,
            id => Some(self.open.remove(&id.to_string()).unwrap_or_else(|| panic!("an answer too many: {message}"))),
        };
        let (method, revision) = asked.unzip();
        Schema::of(revision.unwrap_or(self.revision)).check_message(message, method.as_deref());
    }
}

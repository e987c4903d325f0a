//! A caller with credentials of its own, of any revision over any transport that asks for them.

use crate::neighbor::beside_with;
use crate::peer::{ALL, Peer};
use crate::schema::Schema;
use crate::web::{Head, Web};
use mcp_blocking::{Denied, Principal, Running, Settings};
use serde_json::{Value, json};

/// A server whose tokens say what their holders may do: scopes between slashes. Everybody is `ada`; `all` may use everything.
pub fn guarded() -> Settings {
    Settings::new().authenticate(|head| match head.bearer() {
        Some("all") => Ok(Principal::new("ada")),
        Some(token) => Ok(Principal::new("ada").with_scopes(token.split('/').filter(|scope| *scope != "none"))),
        None => Err(Denied),
    })
}

pub struct Caller {
    way: Way,
    pub bearer: String,
}

enum Way {
    Peer(Box<Peer>),
    Web(Box<Web>),
}

/// Runs a test with a caller of each kind who has this token, beside somebody who may do next to nothing.
pub fn each(running: &Running, token: &str, test: impl Fn(&mut Caller)) {
    let _honest = beside_with(running, "none");
    for revision in ALL {
        test(&mut Caller::over_websocket(running, revision, token));
        if revision != "2024-11-05" {
            test(&mut Caller::over_http(running, revision, token));
        }
    }
}

impl Caller {
    pub fn over_websocket(running: &Running, revision: &'static str, token: &str) -> Self {
        let bearer = format!("Bearer {token}");
        let mut peer = Peer::connect_to(running.addr(), &[("Authorization", &bearer)]);
        peer.capabilities = json!({ "elicitation": { "form": {} } });
        Self { way: Way::Peer(Box::new(peer.speaking(revision))), bearer }
    }

    pub fn over_http(running: &Running, revision: &'static str, token: &str) -> Self {
        let mut web = Web::connect(running);
        (web.revision, web.capabilities) = (revision, json!({ "elicitation": { "form": {} } }));
        let mut caller = Self { way: Way::Web(Box::new(web)), bearer: format!("Bearer {token}") };
        if !caller.is_modern() {
            let params = json!({
                "protocolVersion": revision, "capabilities": { "elicitation": { "form": {} } },
                "clientInfo": { "name": "test", "version": "1" },
            });
            let (head, _) = caller.ask_all("initialize", params);
            let Way::Web(web) = &mut caller.way else { unreachable!() };
            web.session = head.expect("a head").header("mcp-session-id").map(str::to_owned);
            let message = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
            web.post(&message, &[("Authorization", &caller.bearer)]);
            assert_eq!(web.empty(), 202);
        }
        caller
    }

    /// Has another token from here on: over HTTP each request brings its own.
    pub fn with(&mut self, token: &str) -> &mut Self {
        self.bearer = format!("Bearer {token}");
        self
    }

    pub fn revision(&self) -> &'static str {
        match &self.way {
            Way::Peer(peer) => peer.revision,
            Way::Web(web) => web.revision,
        }
    }

    pub fn is_modern(&self) -> bool {
        self.revision() == crate::peer::MODERN
    }

    pub fn peer(&mut self) -> &mut Peer {
        match &mut self.way {
            Way::Peer(peer) => peer,
            Way::Web(_) => panic!("over HTTP there is no peer"),
        }
    }

    /// Sends a request and reads all that comes for it, the answer last, and over HTTP the head of that.
    #[track_caller]
    pub fn ask_all(&mut self, method: &str, params: Value) -> (Option<Head>, Vec<Value>) {
        match &mut self.way {
            Way::Peer(peer) => (None, vec![peer.request(method, params)]),
            Way::Web(web) => {
                let message = web.make(method, params);
                web.post(&message, &[("Authorization", &self.bearer)]);
                let head = web.head();
                let messages = web.messages(&head);
                (Some(head), messages)
            }
        }
    }

    /// Sends a request; returns the answer, a whole message that the protocol's schema allows.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask_all(method, params).1.pop().expect("an answer");
        if !method.starts_with("acme/") {
            Schema::of(self.revision()).check_message(&answer, Some(method));
        }
        answer
    }

    /// Sends a notification over HTTP.
    pub fn tell(&mut self, method: &str) {
        let Way::Web(web) = &mut self.way else { panic!("it is a peer") };
        web.post(&json!({ "jsonrpc": "2.0", "method": method, "params": {} }), &[("Authorization", &self.bearer)]);
        assert_eq!(web.empty(), 202);
    }

    /// Calls a tool without arguments; returns its text, or the message and the code of its error.
    #[track_caller]
    pub fn call(&mut self, tool: &str) -> String {
        said(&self.ask("tools/call", json!({ "name": tool, "arguments": {} })))
    }

    /// What stands in a list, page after page: each page by itself.
    #[track_caller]
    pub fn pages(&mut self, kind: &str) -> Vec<Vec<String>> {
        let (method, member, key) = match kind {
            "tools" | "prompts" => (format!("{kind}/list"), kind, "name"),
            "resources" => ("resources/list".to_owned(), kind, "uri"),
            _ => ("resources/templates/list".to_owned(), "resourceTemplates", "uriTemplate"),
        };
        let (mut pages, mut params) = (Vec::new(), json!({}));
        loop {
            let result = self.ask(&method, params)["result"].clone();
            let items = result[member].as_array().unwrap_or_else(|| panic!("no list: {result}"));
            pages.push(items.iter().map(|item| item[key].as_str().expect("a name").to_owned()).collect());
            match &result["nextCursor"] {
                Value::Null => return pages,
                cursor => params = json!({ "cursor": cursor }),
            }
        }
    }

    #[track_caller]
    pub fn list(&mut self, kind: &str) -> Vec<String> {
        self.pages(kind).concat()
    }
}

/// The text of a tool's result, or the error's code and message.
#[track_caller]
pub fn said(answer: &Value) -> String {
    match answer["result"]["content"][0]["text"].as_str() {
        Some(text) => text.to_owned(),
        None => format!("{} {}", answer["error"]["code"], answer["error"]["message"].as_str().unwrap_or_default()),
    }
}

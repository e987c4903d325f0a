//! One test for each revision over each transport that has it; every answer is checked against the protocol's schema.

use crate::neighbor::{beside, exposed};
use crate::peer::{ALL, Peer};
use crate::schema::Schema;
use crate::web::Web;
use mcp_blocking::Server;
use serde_json::{Value, json};

/// A client of some revision over some transport.
pub struct Anyone {
    way: Way,
    schema: &'static Schema,
}

enum Way {
    Peer(Box<Peer>),
    Web(Box<Web>),
}

/// Runs a test with a client of each kind, against one server, which serves somebody else beside it.
pub fn each(server: Server, capabilities: Value, test: impl Fn(&mut Anyone)) {
    let running = exposed(server);
    let _honest = beside(&running);
    for revision in ALL {
        test(&mut Anyone::of(Way::Peer(Box::new(Peer::able(&running, revision, capabilities.clone())))));
        if revision != "2024-11-05" {
            test(&mut Anyone::of(Way::Web(Box::new(Web::able(&running, revision, capabilities.clone())))));
        }
    }
}

impl Anyone {
    fn of(way: Way) -> Self {
        let schema = Schema::of(way.revision());
        Self { way, schema }
    }

    pub fn revision(&self) -> &'static str {
        self.way.revision()
    }

    /// Sends a request; returns the answer, a whole message.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.ask_with(method, params, str::to_owned)
    }

    /// The same with a change of the message's text, for what a [`Value`] cannot hold.
    #[track_caller]
    pub fn ask_with(&mut self, method: &str, params: Value, change: impl Fn(&str) -> String) -> Value {
        let answer = match &mut self.way {
            Way::Peer(peer) => {
                let message = peer.make(method, params);
                peer.send_text(&change(&message.to_string()));
                peer.answer(&message["id"])
            }
            Way::Web(web) => {
                let message = web.make(method, params);
                web.post_text(&message, &change(&message.to_string()), &[]);
                let head = web.head();
                web.messages(&head).pop().expect("an answer")
            }
        };
        self.schema.check_message(&answer, Some(method));
        answer
    }

    /// Calls a tool; returns its result.
    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({ "name": tool, "arguments": arguments }));
        assert!(answer["error"].is_null(), "an error: {answer}");
        answer["result"].clone()
    }

    /// Calls a tool that fails; returns what it says of that.
    #[track_caller]
    pub fn failure(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{}: {result}", self.revision());
        result["content"][0]["text"].as_str().expect("a text").to_owned()
    }
}

impl Way {
    fn revision(&self) -> &'static str {
        match self {
            Self::Peer(peer) => peer.revision,
            Self::Web(web) => web.revision,
        }
    }
}

//! The rounds of one request in several processes, which have nothing in common but a key.

use super::client::{Client, able, answer_in, text};
use super::questions::agreeable;
use super::wire::Transport;
use super::{Place, Servers};
use crate::peer::{LEGACY, MODERN};
use serde_json::{Value, json};
use std::path::PathBuf;

const TOOL: &str = "test_input_required_result_multi_round";

/// A file with a key in it, for as long as the test runs.
struct Key(PathBuf);

impl Key {
    fn new(name: &str, byte: u8) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::write(&path, [byte; 32]).expect("written");
        Self(path)
    }

    fn option(&self) -> [&str; 2] {
        ["--state-key-file", self.0.to_str().expect("a path in UTF-8")]
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One round with a server that nobody else talks to, and that has gone when the next one begins.
fn round(servers: &mut Servers, place: &Place, params: &Value) -> Value {
    let mut client = Client::with(place, able(MODERN));
    let answer = client.request("tools/call", params.clone());
    client.end();
    servers.0.clear();
    answer
}

#[test]
fn two_questions_in_a_row_come_to_the_same_in_one_process_and_in_three() {
    let (old, new) = (Key::new("old", 1), Key::new("new", 2));
    for transport in Transport::ALL {
        let mut servers = Servers::default();
        let place = servers.place(transport, LEGACY[3], &[]);
        let mut client = Client::with(&place, able(LEGACY[3]));
        let told = client.talk_to(TOOL, json!({}), agreeable);
        client.end();

        // The key is replaced on the way.
        let keys = [old.option().to_vec(), [new.option(), old.option()].concat(), new.option().to_vec()];
        let mut params = json!({ "name": TOOL, "arguments": {} });
        for (number, options) in keys.iter().enumerate() {
            let place = servers.place(transport, MODERN, options);
            let answer = round(&mut servers, &place, &params);
            if number == 2 {
                assert_eq!(text(&answer["result"]), text(&told), "{}", transport.name());
                break;
            }
            assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
            answer_in(&mut params, &answer["result"], agreeable);
            // One with a key of its own takes nothing over.
            let place = servers.place(transport, MODERN, &[]);
            assert_eq!(round(&mut servers, &place, &params)["error"]["code"], -32602);
        }
    }
}

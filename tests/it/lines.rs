//! A message a line: over pipes of this process, in both eras.

use crate::demo::{Echo, demo};
use crate::neighbor::beside;
use crate::peer::{ALL, MODERN, PATIENCE, modern_meta, until};
use mcp_blocking::{Answer, Bound, NoArgs, Running, Server, TextAction, TextPolicy, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe};
use std::time::Duration;

/// A client at the other ends of two pipes.
struct Lines {
    input: Option<PipeWriter>,
    output: BufReader<PipeReader>,
    revision: &'static str,
    last_id: i64,
}

fn pipes() -> (PipeReader, PipeWriter, Lines) {
    let (server_in, input) = pipe().expect("a pipe");
    let (output, server_out) = pipe().expect("a pipe");
    let client = Lines { input: Some(input), output: BufReader::new(output), revision: "", last_id: 0 };
    (server_in, server_out, client)
}

fn start(server: Server) -> (Running, Lines) {
    let (read, write, lines) = pipes();
    let running = server.unbound().map(|bound| bound.pipe(read, write)).and_then(Bound::start).expect("it starts");
    (running, lines)
}

impl Lines {
    fn speak(&mut self, revision: &'static str) {
        self.revision = revision;
        if revision != MODERN {
            let params = json!({ "protocolVersion": revision, "capabilities": { "elicitation": {} }, "clientInfo": { "name": "t", "version": "1" } });
            assert_eq!(self.request("initialize", params)["result"]["protocolVersion"], revision);
            self.write(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string());
        }
    }

    fn write(&mut self, line: impl AsRef<[u8]>) {
        let input = self.input.as_mut().expect("open");
        input.write_all(&[line.as_ref(), b"\n"].concat()).expect("written");
    }

    fn start(&mut self, method: &str, mut params: Value) -> Value {
        self.last_id += 1;
        if self.revision == MODERN {
            params["_meta"] = modern_meta(json!({ "elicitation": {} }));
        }
        self.write(json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params }).to_string());
        json!(self.last_id)
    }

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line:?}")))
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.start(method, params);
        let answer = self.next().expect("an answer");
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))["result"].clone()
    }

    fn end(&mut self) {
        self.input = None;
    }
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[test]
fn tools_are_called_in_all_revisions() {
    for revision in ALL {
        let (running, mut lines) = start(demo());
        lines.speak(revision);
        assert_eq!(lines.call("echo", json!({ "text": "a\nb" }))["content"][0]["text"], "a\nb");
        assert_eq!(lines.call("quick", json!({ "text": "q" }))["content"][0]["text"], "q");
        assert_eq!(lines.request("tools/list", json!({}))["result"]["tools"].as_array().map(Vec::len), Some(8));
        assert_eq!(running.handle().clients().len(), 1);
        // Without sockets the end of the input is the end of the server.
        lines.end();
        running.join().expect("a clean end");
        assert_eq!(lines.next(), None);
    }
}

#[test]
fn serve_on_returns_at_the_end_of_the_input() {
    let (read, write, mut lines) = pipes();
    let served = std::thread::spawn(move || demo().serve_on(read, write));
    lines.speak(MODERN);
    assert_eq!(lines.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    lines.end();
    served.join().expect("no panic").expect("a clean end");
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    for revision in ALL {
        let (running, mut lines) = start(demo().tool("nap", "Sleeps", |ctx, NoArgs| {
            ctx.sleep(Duration::from_millis(100))?;
            Ok("slept")
        }));
        lines.speak(revision);
        let id = lines.start("tools/call", json!({ "name": "nap" }));
        lines.end();
        assert_eq!(lines.next().expect("an answer")["id"], id);
        assert_eq!(lines.next(), None);
        running.join().expect("a clean end");
    }
}

#[test]
fn a_cancellation_arrives_while_a_handler_runs() {
    for revision in ["2025-11-25", MODERN] {
        let (running, mut lines) = start(demo());
        lines.speak(revision);
        let id = lines.start("tools/call", json!({ "name": "sleep" }));
        assert_eq!(lines.call("echo", json!({ "text": "beside" }))["content"][0]["text"], "beside");
        lines.write(
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }).to_string(),
        );
        let handle = running.handle();
        until("nothing is under way", || handle.status().calls_in_flight == 0);
        assert_eq!(lines.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
    }
}

#[test]
fn lines_that_are_no_messages_do_not_end_the_session() {
    // Somebody else uses the same server over a socket.
    let ((read, write, mut lines), server) = (pipes(), demo().limits(|limits| limits.message_bytes = 2_000));
    let bound = server.bind("127.0.0.1:0").map(|bound| bound.pipe(read, write));
    let running = bound.and_then(Bound::start).expect("it starts");
    let _honest = beside(&running);
    lines.speak("2025-06-18");
    for (line, code) in [
        (b"{".to_vec(), -32700),
        (b"\xff\xfe".to_vec(), -32700),
        (vec![b'x'; 2_001], -32700),
        (vec![b' '; 100_000], -32700),
        (b"5".to_vec(), -32600),
    ] {
        lines.write(&line);
        let error = lines.next().expect("an answer")["error"].clone();
        assert_eq!(error["code"], code, "{error}");
    }
    lines.write("");
    lines.write("   \r");
    let ping = r#"{"jsonrpc":"2.0","id":"crlf","method":"ping"}"#;
    lines.write(format!("{ping}\r"));
    assert_eq!(lines.next().expect("an answer")["id"], "crlf");
}

#[test]
fn a_handler_asks_over_lines() {
    let server = || {
        demo().tool("greet", "Asks", |ctx, NoArgs| {
            let Answer::Accept(Name { name }) = ctx.ask("name", "Your name?")? else { return Ok("nobody".into()) };
            Ok(format!("hello {name}"))
        })
    };
    let (_running, mut lines) = start(server());
    lines.speak("2025-11-25");
    lines.start("tools/call", json!({ "name": "greet" }));
    let question = lines.next().expect("a question");
    assert_eq!(question["method"], "elicitation/create");
    lines.write(json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "accept", "content": { "name": "Ada" } } }).to_string());
    assert_eq!(lines.next().expect("an answer")["result"]["content"][0]["text"], "hello Ada");
    let (_running, mut lines) = start(server());
    lines.speak(MODERN);
    assert_eq!(lines.call("greet", json!({}))["resultType"], "input_required");
}

#[test]
fn a_client_that_does_not_read_stops_nobody() {
    let (read, write, mut deaf) = pipes();
    let (read_two, write_two, mut other) = pipes();
    let server = demo().limits(|limits| limits.write_deadline = Duration::from_millis(200));
    let running = server
        .unbound()
        .expect("a good server")
        .pipe(read, write)
        .pipe(read_two, write_two)
        .start()
        .expect("it starts");
    deaf.speak(MODERN);
    other.speak("2025-11-25");
    let call = json!({ "name": "echo", "arguments": { "text": "x".repeat(100_000) }, "_meta": modern_meta(json!({})) });
    for id in 0..20 {
        let line = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call });
        // It may be given up before it has said all that.
        let input = deaf.input.as_mut().expect("open");
        let _ = writeln!(input, "{line}");
    }
    let handle = running.handle();
    until("it is given up", || handle.clients().len() == 1);
    assert_eq!(other.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
    until("nothing is under way", || handle.status().calls_in_flight == 0);
}

#[test]
fn streams_and_sockets_are_served_side_by_side() {
    let (read, write, mut lines) = pipes();
    let running = demo().bind("127.0.0.1:0").expect("binds").pipe(read, write).start().expect("it starts");
    lines.speak("2025-11-25");
    let mut peer = crate::peer::Peer::of(&running, "2025-06-18");
    let handle = running.handle();
    assert_eq!(handle.broadcast("acme/all", &json!({})).expect("an object"), 2);
    assert_eq!(lines.next().expect("a notice")["method"], "acme/all");
    peer.notice("acme/all");
    lines.end();
    until("the streams are gone", || handle.clients().len() == 1);
    // The sockets go on.
    assert_eq!(peer.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
    running.shutdown(PATIENCE).expect("a clean end");
}

#[test]
fn a_stop_ends_streams_that_are_open() {
    let (running, mut lines) = start(demo());
    lines.speak(MODERN);
    let id = lines.start("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
    lines.next().expect("an acknowledgement");
    let stopping = std::thread::spawn(move || running.shutdown(PATIENCE));
    assert_eq!(lines.next().expect("a result")["id"], id);
    assert_eq!(lines.next().expect("the cancellation")["method"], "notifications/cancelled");
    assert_eq!(lines.next(), None);
    stopping.join().expect("no panic").expect("a clean end");
}

#[test]
fn calls_run_side_by_side() {
    // Each waits for the other to have begun.
    let both = std::sync::Arc::new(std::sync::Barrier::new(2));
    for revision in ["2024-11-05", MODERN] {
        let both = both.clone();
        let (_running, mut lines) = start(demo().tool("meet", "Waits for another", move |_ctx, NoArgs| {
            both.wait();
            Ok("met")
        }));
        lines.speak(revision);
        let mut ids = [(); 2].map(|()| lines.start("tools/call", json!({ "name": "meet" })).as_i64());
        let mut answered = [(); 2].map(|()| lines.next().expect("an answer")["id"].as_i64());
        ids.sort_unstable();
        answered.sort_unstable();
        assert_eq!(answered, ids);
    }
}

#[test]
fn a_call_that_goes_on_behind_the_end_is_cancelled() {
    for revision in ["2025-11-25", MODERN] {
        let (running, mut lines) = start(demo());
        lines.speak(revision);
        lines.start("tools/call", json!({ "name": "sleep" }));
        let handle = running.handle();
        until("it is under way", || handle.status().calls_in_flight == 1);
        lines.end();
        // Its handler would sleep for ten minutes.
        running.join().expect("a clean end");
        assert_eq!(lines.next(), None);
    }
}

#[test]
fn a_question_that_is_open_at_the_end_holds_nobody_up() {
    let (running, mut lines) = start(demo().tool("greet", "Asks", |ctx, NoArgs| {
        let _: Answer<Name> = ctx.ask("name", "Your name?")?;
        Ok("not reached")
    }));
    lines.speak("2025-11-25");
    lines.start("tools/call", json!({ "name": "greet" }));
    assert_eq!(lines.next().expect("a question")["method"], "elicitation/create");
    lines.end();
    running.join().expect("a clean end");
}

#[test]
fn a_subscription_that_is_open_does_not_outlive_the_input() {
    let (running, mut lines) = start(demo());
    lines.speak(MODERN);
    lines.start("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
    lines.next().expect("an acknowledgement");
    lines.end();
    running.join().expect("a clean end");
}

#[test]
fn the_last_line_may_lack_its_break() {
    let (running, mut lines) = start(demo());
    let ping = r#"{"jsonrpc":"2.0","id":"last","method":"ping"}"#;
    lines.input.as_mut().expect("open").write_all(ping.as_bytes()).expect("written");
    lines.end();
    assert_eq!(lines.next().expect("an answer")["id"], "last");
    running.join().expect("a clean end");
    // Half a message is none.
    let (_running, mut lines) = start(demo());
    lines.input.as_mut().expect("open").write_all(&ping.as_bytes()[..30]).expect("written");
    lines.end();
    assert_eq!(lines.next().expect("an answer")["error"]["code"], -32700);
    assert_eq!(lines.next(), None);
}

#[test]
fn the_longest_line_is_as_long_with_either_break() {
    let most = 500;
    for end in ["", "\r"] {
        let (_running, mut lines) = start(demo().limits(|limits| limits.message_bytes = most));
        let line = |length: usize| format!("{:<length$}{end}", r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#);
        lines.write(line(most));
        assert_eq!(lines.next().expect("an answer")["id"], 7);
        lines.write(line(most + 1));
        assert_eq!(lines.next().expect("an answer")["error"]["code"], -32700);
        lines.write(line(most));
        assert_eq!(lines.next().expect("an answer")["id"], 7);
    }
}

#[test]
fn a_client_may_be_silent() {
    // Over a WebSocket it would be pinged all the time, and cut.
    let (_running, mut lines) = start(
        demo()
            .limits(|limits| {
                limits.ping_interval = Duration::from_millis(10);
                limits.missed_pings = 1;
            })
            .tool("nap", "Sleeps", |ctx, NoArgs| {
                ctx.sleep(Duration::from_millis(300))?;
                Ok("slept")
            }),
    );
    lines.speak("2025-11-25");
    assert_eq!(lines.call("nap", json!({}))["content"][0]["text"], "slept");
    assert_eq!(lines.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
}

#[test]
fn hidden_text_is_refused_here_too_and_nothing_hidden_goes_out() {
    let allowing = Tool::new("takes", "Takes all").text_in(TextPolicy::all(TextAction::Allow));
    let (_running, mut lines) = start(demo().tool_with(allowing, |_ctx, Echo { text }| Ok(text)));
    lines.speak(MODERN);
    for (tool, says) in
        [("echo", "invalid arguments: `/text`: holds a control character, U+001B"), ("takes", "red\u{200f}")]
    {
        let result = lines.call(tool, json!({ "text": "\u{1b}[31mred\u{1b}[0m\u{e0041}\u{200f}" }));
        assert_eq!(result["content"][0]["text"], says, "{result}");
    }
    assert_eq!(lines.call("echo", json!({ "text": "می\u{200c}خواهم" }))["content"][0]["text"], "می\u{200c}خواهم");
}

#[test]
fn limits_are_those_of_every_transport() {
    let (_running, mut lines) = start(demo().limits(|limits| {
        limits.calls_per_connection = 1;
        limits.json_depth = 8;
        limits.json_nodes = 100;
        limits.json_string_bytes = Some(500);
    }));
    lines.speak("2025-11-25");
    let sleeping = lines.start("tools/call", json!({ "name": "sleep" }));
    assert_eq!(
        lines.request("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }))["error"]["code"],
        -31001
    );
    lines.write(
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": sleeping } })
            .to_string(),
    );
    lines.write("[".repeat(9));
    assert_eq!(lines.next().expect("an answer")["error"]["code"], -32700);
    for (arguments, says) in
        [(json!({ "text": vec![0; 200] }), "json_nodes"), (json!({ "text": "x".repeat(600) }), "json_string_bytes")]
    {
        let refused = lines.request("tools/call", json!({ "name": "echo", "arguments": arguments }));
        assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains(says)), "{refused}");
    }
    let (_running, mut lines) = start(demo().limits(|limits| {
        limits.rate = 1;
        limits.burst = 2;
    }));
    for code in [Value::Null, Value::Null, json!(-31002)] {
        assert_eq!(lines.request("ping", json!({}))["error"]["code"], code);
    }
}

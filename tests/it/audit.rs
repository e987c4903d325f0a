//! What is in the audit log, what is not, and what is found of it that was changed.

use super::demo::demo;
use super::peer::{ALL, LEGACY, MODERN, PATIENCE, Peer, serve, until};
use super::raw::{Head, Raw};
use super::tasks::{R4, begin, knowing, reach};
use super::web::Web;
use mcp_blocking::audit::{Audit, Expect, FindingKind, Report, read_key, verify_files};
use mcp_blocking::content::ResourceLink;
use mcp_blocking::{
    Ctx, Error, NoArgs, Principal, Running, Server, Settings, TaskSupport, Token, Tool, ToolError, ToolResult,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

const TOKEN: &str = "a-token-that-is-never-written";
const KEY: [u8; 32] = [9; 32];

/// A directory of its own for each test; gone when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("audit-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit.log")
    }

    /// All files of the log.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).expect("it can be listed");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|path| !path.to_string_lossy().ends_with(".key"));
        files.sort();
        files
    }

    pub fn audit(&self) -> Audit {
        Audit::to_file(self.log()).key(KEY)
    }

    /// All lines of all files, in the order of their numbers.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let mut lines: Vec<Value> = Vec::new();
        for file in self.files() {
            let text = fs::read_to_string(&file).expect("UTF-8");
            assert!(text.is_empty() || text.ends_with('\n'), "{file:?} ends within a line");
            lines.extend(
                text.lines()
                    .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}"))),
            );
        }
        lines.sort_by_key(|line| line["seq"].as_u64());
        lines
    }

    #[track_caller]
    pub fn events(&self, name: &str) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["event"] == name);
        lines
    }

    fn verify(&self, expect: &Expect) -> Report {
        verify_files(self.files(), &[KEY.to_vec()], expect).expect("it can be read")
    }

    #[track_caller]
    pub fn assert_sound(&self) -> Report {
        let report = self.verify(&Expect::nothing());
        assert!(report.is_ok(), "{report:#?}");
        report
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Ends the server; its log is complete then.
#[track_caller]
pub fn end(running: Running) {
    running.shutdown(Duration::from_secs(5)).expect("a good end");
}

fn audit_status(running: &Running) -> mcp_blocking::audit::AuditStatus {
    running.handle().status().audit.expect("there is a log")
}

/// Waits until all that was told so far is written.
#[track_caller]
fn wait_written(running: &Running, seq: u64) {
    until("it is written", || audit_status(running).seq >= seq);
}

fn counts(lines: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line["event"].as_str().expect("an event").to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn ten_thousand_calls_of_fifty_clients_are_a_line_each_and_whatever_is_done_to_them_is_found() {
    let folder = Folder::new();
    let running = serve(demo().bearer_token("alice", TOKEN).audit(folder.audit()));
    let bearer = format!("Bearer {TOKEN}");
    std::thread::scope(|scope| {
        for client in 0..50_usize {
            let (bearer, running) = (&bearer, &running);
            scope.spawn(move || {
                let arguments = |call: usize| json!({ "text": format!("planted-{client}-{call}") });
                if client % 2 == 0 {
                    let mut peer = Peer::connect_to(running.addr(), &[("Authorization", bearer)]);
                    peer.revision = MODERN;
                    let ids: Vec<_> = (0..200)
                        .map(|call| {
                            if call >= 100 {
                                peer.call(if call % 2 == 0 { "echo" } else { "quick" }, arguments(call));
                                return None;
                            }
                            let request =
                                peer.make("tools/call", json!({ "name": "echo", "arguments": arguments(call) }));
                            peer.write(&request);
                            Some(request["id"].clone())
                        })
                        .collect();
                    peer.flush();
                    ids.iter().flatten().for_each(|id| drop(peer.result(id)));
                } else {
                    let mut web = Web::connect(running);
                    web.revision = MODERN;
                    for call in 0..200 {
                        let message = web.make("tools/call", json!({ "name": "echo", "arguments": arguments(call) }));
                        web.post(&message, &[("Authorization", bearer)]);
                        let (status, answer) = web.json();
                        assert_eq!((status, &answer["error"]), (200, &Value::Null), "{answer}");
                    }
                }
            });
        }
    });
    let status = audit_status(&running);
    assert_eq!((status.lost, status.failing), (0, false));
    end(running);

    let lines = folder.lines();
    let expected = [
        ("authentication", 50),
        ("call", 10_000),
        ("connection", 50),
        ("disconnection", 50),
        ("shutdown", 1),
        ("start", 1),
        ("stop", 1),
    ];
    assert_eq!(counts(&lines), expected.map(|(name, count)| (name.to_owned(), count)).into());
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["seq"], number + 1);
    }
    for call in lines.iter().filter(|line| line["event"] == "call") {
        assert_eq!(
            (&call["principal"], &call["outcome"], &call["method"]),
            (&json!("alice"), &json!("ok"), &json!("tools/call"))
        );
        assert!(call["tool"] == "echo" || call["tool"] == "quick", "{call}");
        assert!(call["duration_us"].is_u64() && call["arguments"].as_str().is_some_and(|digest| digest.len() == 32));
    }
    let text = fs::read_to_string(folder.log()).expect("UTF-8");
    assert!(!text.contains(TOKEN) && !text.contains("planted"));
    let report = folder.assert_sound();
    assert_eq!((report.lines, report.runs, report.notes.len()), (lines.len() as u64, 1, 0));
    assert_eq!(report.head, lines.last().expect("lines")["mac"].as_str().expect("a MAC"));
    tamper(&folder, &text, &report.head);
}

/// What may be done to a log, in its middle.
fn tamper(folder: &Folder, text: &str, head: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let place = lines.len() / 2;
    let check = |changed: String, kind: FindingKind, line: usize| {
        fs::write(folder.log(), changed).expect("written");
        let report = folder.verify(&Expect::nothing().head(head));
        assert_eq!(report.findings.len(), 1, "{report:#?}");
        assert_eq!((report.findings[0].kind, report.findings[0].line), (kind, line as u64), "{report:#?}");
    };
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut lines);
        lines.join("\n") + "\n"
    };
    check(with(&|lines| lines[place] = lines[place].replacen("\"ok\"", "\"oK\"", 1)), FindingKind::Changed, place + 1);
    check(with(&|lines| drop(lines.remove(place))), FindingKind::Missing, place + 1);
    check(with(&|lines| lines.swap(place, place + 1)), FindingKind::Reordered, place + 1);
    check(with(&|lines| lines.insert(place + 5, lines[place].clone())), FindingKind::Inserted, place + 6);
    check(with(&|lines| lines.truncate(place)), FindingKind::Cut, 0);
    fs::write(folder.log(), &text[..text.len() - 30]).expect("written");
    let kinds: Vec<_> = folder.verify(&Expect::nothing().head(head)).findings.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [FindingKind::Torn, FindingKind::Cut]);
}

#[test]
fn equal_arguments_have_equal_digests_within_a_run_and_no_others() {
    let folder = Folder::new();
    for _ in 0..2 {
        let running = serve(demo().audit(folder.audit()));
        for revision in ALL {
            let mut peer = Peer::of(&running, revision);
            peer.call("echo", json!({ "text": "same" }));
            peer.call("echo", json!({ "text": "other" }));
        }
        end(running);
    }
    let digests: Vec<_> =
        folder.events("call").iter().map(|call| call["arguments"].as_str().expect("a digest").to_owned()).collect();
    assert_eq!(digests.len(), 20);
    for run in digests.chunks(10) {
        assert!(run.chunks(2).all(|pair| pair == &run[..2]), "{run:?}");
        assert_ne!(run[0], run[1]);
    }
    assert_ne!(digests[0], digests[10]);
}

/// Begins a line of its own, colors it, turns it around, ends a string, and goes on for a long time.
fn hostile(mark: &str) -> String {
    format!(
        "{mark}\"}}\r\n{{\"seq\":1,\"event\":\"forged\"}}\u{1b}[31mred\u{7}\u{202e}dlrow\u{2066}\u{9b}\0\u{7f}\u{2028}\\\",\"mac\":\"{}",
        "A".repeat(900_000)
    )
}

#[test]
fn whatever_peers_say_stays_on_its_line_in_every_field_that_they_have_a_say_in() {
    let folder = Folder::new();
    let server = demo()
        .fallback(|_ctx, _method, _params| Ok(json!({})))
        .resource("test://one", "one", "text/plain", |_ctx| Ok("one"))
        .template("test://{name}", "some", "text/plain", |_ctx, _: Value| Ok("some"))
        .prompt("ask", "Asks", |_ctx, NoArgs| Ok("asked"))
        .authenticate(|head| {
            Ok(Principal::new(head.header("X-Who").unwrap_or("nobody").to_owned() + "\r\n\u{202e}\"}"))
        })
        .audit(folder.audit());
    let running = serve(server);
    let who = [("X-Who", "who-is\"this\\")];
    let mut peer = Peer::connect_to(running.addr(), &who);
    let info = json!({ "name": hostile("the-name").chars().take(400_000).collect::<String>(), "version": hostile("the-version").chars().take(400_000).collect::<String>() });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
    assert!(peer.request("initialize", params)["result"].is_object());
    peer.revision = "2025-11-25";
    peer.notify("notifications/initialized", json!({}));
    peer.request("tools/call", json!({ "name": hostile("the-tool"), "arguments": { "text": "planted" } }));
    peer.request("prompts/get", json!({ "name": hostile("the-prompt") }));
    peer.request(&hostile("the-method"), json!({ "planted": true }));
    peer.request("resources/read", json!({ "uri": "test://one" }));
    peer.request("resources/read", json!({ "uri": "test://planted" }));
    peer.request("resources/read", json!({ "uri": "planted:no-such-resource" }));
    let mut two = Peer::connect_to(running.addr(), &who);
    two.close(1000, "the-reason\"\r\n");
    two.closed();
    for head in [
        Head::new(running.addr()).set("Host", "evil\"\\.example"),
        Head::new(running.addr()).add("Origin", "http://evil\u{202e}\u{1b}.example"),
        Head::new(running.addr()).line("GET /planted\"\\ HTTP/1.1"),
        Head::new(running.addr()).line("PLAN\tTED / HTTP/1.1"),
    ] {
        assert!(head.ask(running.addr()).status >= 400);
    }
    drop(peer);
    end(running);
    folder.assert_sound();
    let text = fs::read_to_string(folder.log()).expect("UTF-8");
    for line in text.lines() {
        assert!(line.len() < 4_096, "{} bytes", line.len());
        let bad =
            line.chars().find(|letter| letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'));
        assert!(bad.is_none(), "{bad:?} in {line}");
        let value: Value = serde_json::from_str(line).expect("JSON");
        assert_ne!(value["event"], "forged");
    }
    assert!(!text.contains("planted"), "{text}");
    for mark in ["the-name", "the-version", "the-tool", "the-prompt", "the-method", "test://one", "who-is"] {
        assert!(text.contains(mark), "{mark} is not there: {text}");
    }
    let methods = ["tools/call", "prompts/get", "resources/read"];
    let calls = folder.events("call");
    assert_eq!(calls.iter().filter(|call| methods.contains(&call["method"].as_str().expect("a method"))).count(), 5);
}

#[test]
fn every_kind_of_event_is_there() {
    let folder = Folder::new();
    let server = demo()
        .tool("secret", "Is denied", |_ctx, NoArgs| -> ToolResult<String> { Err(ToolError::denied("not you")) })
        .bearer_token("alice", TOKEN)
        .bearer_token("bob", "another-token-of-good-length")
        .limits(|limits| (limits.rate, limits.burst, limits.connections) = (1, 20, 8))
        .audit(folder.audit());
    let running = serve(server);
    let address = running.addr();
    let alice = format!("Bearer {TOKEN}");
    let mut peer = Peer::connect_to(address, &[("Authorization", &alice)]);
    peer.initialize("2025-06-18");
    peer.call("secret", json!({}));
    peer.call_error("panic", json!({}));
    let id = peer.start_call("sleep", json!({}));
    peer.cancel(&id);
    running.handle().edit(|registry| registry.remove_tool("log"));
    // Beyond the rate, and not so far that the connection is closed for it.
    for _ in 0..28 {
        peer.start("ping", json!({}));
    }
    peer.request("ping", json!({}));
    Head::new(address).ask(address).expect(401);
    Head::new(address).set("Host", "evil.example").ask(address).expect(403);
    Head::new(address).add("Authorization", &alice).line("GET /nowhere HTTP/1.1").ask(address).expect(404);
    // A session over HTTP, and somebody else who has heard of it.
    let mut web = Web::connect(&running);
    web.revision = "2025-06-18";
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "web", "version": "2" } } });
    web.post(&hello, &[("Authorization", &alice)]);
    let head = web.head();
    web.body(&head);
    web.session = head.header("mcp-session-id").map(str::to_owned);
    let list = web.make("tools/list", json!({}));
    web.post(&list, &[("Authorization", "Bearer another-token-of-good-length")]);
    assert_eq!(web.status(), 404);
    let _silent: Vec<_> = (0..8).map(|_| Raw::connect(address)).collect();
    until("no place is free", || Head::new(address).ask(address).status == 503);
    peer.close(1000, "");
    peer.closed();
    end(running);

    folder.assert_sound();
    let has = |event: &str, members: Value| {
        let lines = folder.events(event);
        let wanted = members.as_object().expect("an object");
        assert!(
            lines.iter().any(|line| wanted.iter().all(|(key, value)| line[key] == *value)),
            "no {event} with {members} in {lines:#?}"
        );
    };
    has("start", json!({ "server": "demo", "version": "1.0.0", "prev": "0".repeat(64) }));
    has("authentication", json!({ "outcome": "ok", "principal": "alice" }));
    has("authentication", json!({ "outcome": "ok", "principal": "bob" }));
    has("authentication", json!({ "outcome": "refused", "reason": "auth", "status": 401 }));
    has("authorization", json!({ "outcome": "refused", "reason": "host", "status": 403 }));
    has("authorization", json!({ "outcome": "refused", "reason": "denied", "tool": "secret", "principal": "alice" }));
    has("authorization", json!({ "outcome": "refused", "reason": "session", "principal": "bob" }));
    has("refusal", json!({ "reason": "path", "status": 404 }));
    has("connection", json!({ "transport": "websocket", "path": "/mcp", "principal": "alice" }));
    has("connection", json!({ "transport": "http", "path": "/mcp", "principal": "alice" }));
    has("session", json!({ "client": "test", "version": "1", "revision": "2025-06-18" }));
    has("session", json!({ "client": "web", "version": "2" }));
    has("call", json!({ "tool": "secret", "outcome": "tool_error" }));
    has("call", json!({ "tool": "panic", "outcome": "error" }));
    has("call", json!({ "tool": "sleep", "outcome": "cancelled" }));
    has("limit", json!({ "limit": "rate", "principal": "alice" }));
    has("limit", json!({ "limit": "max-connections", "status": 503 }));
    has("reload", json!({ "what": "notifications/tools/list_changed" }));
    has("disconnection", json!({ "reason": "closed by the peer (1000)" }));
    has("shutdown", json!({ "grace_ms": 5_000 }));
    // What is said too often is summed up.
    let rate = folder.events("limit").into_iter().filter(|line| line["limit"] == "rate");
    let (lines, count) =
        rate.fold((0, 0), |(lines, count), line| (lines + 1, count + line["count"].as_u64().unwrap_or(1)));
    assert!(lines < 10 && count > 12, "{lines} lines for {count}");
}

#[test]
fn streams_and_the_answers_of_handlers_are_recorded_without_a_socket() {
    let folder = Folder::new();
    let client = demo().audit(folder.audit()).in_memory();
    client.call("echo", json!({ "text": "planted" })).expect("an answer");
    drop(client);
    folder.assert_sound();
    assert_eq!(folder.events("connection")[0]["transport"], "stream");
    assert_eq!(folder.events("call")[0]["tool"], "echo");
    assert_eq!(folder.events("disconnection").len(), 1);
}

#[test]
fn a_call_that_goes_on_as_a_task_is_one_call_and_one_task_however_often_its_handler_runs() {
    let folder = Folder::new();
    let tool = |name: &str| Tool::new(name, "Asks").task(TaskSupport::Optional);
    #[derive(Deserialize, JsonSchema)]
    struct Sure {
        _sure: bool,
    }
    let asks = |ctx: &Ctx| ctx.ask::<Sure>("sure", "Sure?").map(|_| "done");
    let server = demo()
        .tool_with(tool("asks"), move |ctx, NoArgs| asks(ctx))
        .tool_with(tool("detaches").detaches(), move |ctx, NoArgs| {
            ctx.detach()?;
            asks(ctx)
        })
        .tool_with(tool("fails"), |_ctx, NoArgs| -> ToolResult<String> { Err(ToolError::denied("not you")) })
        .audit(folder.audit());
    let running = serve(server);
    let mut modern = Peer::able(&running, MODERN, knowing());
    for name in ["asks", "detaches"] {
        let id = begin(&mut modern, MODERN, name, json!({}));
        reach(&mut modern, &id, "input_required");
        let answers = json!({ "sure": { "action": "decline" } });
        modern.request("tasks/update", json!({ "taskId": id, "inputResponses": answers }));
        reach(&mut modern, &id, "completed");
    }
    let waiting = begin(&mut modern, MODERN, "asks", json!({}));
    reach(&mut modern, &waiting, "input_required");
    modern.request("tasks/cancel", json!({ "taskId": waiting }));
    let mut legacy = Peer::able(&running, R4, knowing());
    let id = begin(&mut legacy, R4, "fails", json!({}));
    legacy.request("tasks/result", json!({ "taskId": id }));
    end(running);

    folder.assert_sound();
    let told = |event: &str| -> Vec<_> {
        let lines = folder.events(event);
        lines.iter().map(|line| (line["tool"].clone(), line["outcome"].clone())).collect()
    };
    let expected = |outcomes: [&str; 4]| {
        let names = ["asks", "detaches", "asks", "fails"];
        names.iter().zip(outcomes).map(|(name, outcome)| (json!(name), json!(outcome))).collect::<Vec<_>>()
    };
    assert_eq!(told("call"), expected(["ok"; 4]));
    assert_eq!(told("task"), expected(["ok", "ok", "cancelled", "tool_error"]));
    assert_eq!(folder.events("authorization").len(), 1);
    let (tasks, calls) = (folder.events("task"), folder.events("call"));
    assert_eq!(tasks[2]["task"], waiting[..8]);
    for (task, call) in tasks.iter().zip(&calls) {
        assert_eq!(task["arguments"], call["arguments"]);
        assert!(task["duration_us"].is_u64() && call["duration_us"].is_u64(), "{task} {call}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn refused_handshakes_and_new_certificates_are_recorded() {
    use super::certs::{Authority, Client, Files};
    let authority = Authority::new("server");
    let [old, new, third] = ["localhost"; 3].map(|name| authority.issue(&[name]));
    let (folder, files) = (Folder::new(), Files::new());
    let running = serve(demo().tls(files.put(&old).look_every(Duration::ZERO)).audit(folder.audit()));
    let client = Client::new(&authority);
    client.peer(&running, MODERN).barrier();
    Client::new(&Authority::new("other")).try_connect(running.addr()).map(drop).expect_err("it is not trusted");
    until("it is recorded", || folder.events("refusal").iter().any(|line| line["reason"] == "tls"));
    // Told to, and found.
    let _ = files.put(&new);
    assert_eq!(running.handle().reload_tls().expect("good files").len(), 2);
    let _ = files.put(&third);
    client.peer(&running, MODERN).barrier();
    client.peer(&running, MODERN).barrier();
    end(running);
    folder.assert_sound();
    let reloads = folder.events("reload");
    assert_eq!(reloads.iter().map(|line| line["what"].as_str()).collect::<Vec<_>>(), [Some("tls"); 2]);
}

#[test]
fn who_lacks_a_scope_is_recorded_with_what_was_wanted_and_a_flood_is_a_few_lines() {
    use super::caller::{Caller, guarded};
    let folder = Folder::new();
    let read = ResourceLink::new("a://{id}", "a").scope("files.read");
    let server = Server::new("files", "1.0.0")
        .settings(guarded().audit(folder.audit()))
        .tool_with(Tool::new("save", "Saves").scope("files.write").scope("disk"), |_ctx, NoArgs| Ok("saved"))
        .tool("copy", "Copies", |ctx, NoArgs| ctx.require_scope("files.write").map(|()| "copied"))
        .template_with(read, |_ctx, _: Value| Ok("read"));
    let running = serve(server);
    let mut caller = Caller::over_websocket(&running, MODERN, "none");
    let mut web = Caller::over_http(&running, LEGACY[3], "none");
    for _ in 0..100 {
        caller.call("save");
    }
    web.call("copy");
    web.ask("resources/read", json!({ "uri": "a://a-planted-argument" }));
    // Beside them somebody does what they may, and leaves no such line.
    assert_eq!(Caller::over_http(&running, MODERN, "files.write/disk").call("save"), "saved");
    end(running);
    folder.assert_sound();
    let refused = folder.events("authorization");
    let about = |key: &str, name: &str| -> Vec<_> { refused.iter().filter(|line| line[key] == *name).collect() };
    let saves = about("tool", "save");
    assert_eq!((&saves[0]["scope"], &saves[0]["principal"]), (&json!("files.write disk"), &json!("ada")));
    let counted = |line: &&Value| line["count"].as_u64().unwrap_or(1);
    assert_eq!(refused.iter().map(|line| counted(&line)).sum::<u64>(), 102, "{refused:?}");
    assert!(refused.len() < 20, "{}", refused.len());
    assert!(refused.iter().all(|line| line["reason"] == "scope" && line["outcome"] == "refused"), "{refused:?}");
    assert_eq!(about("tool", "copy")[0]["scope"], "files.write");
    assert_eq!(about("name", "a://{id}")[0]["method"], "resources/read");
    let all = folder.files().iter().map(|file| fs::read_to_string(file).expect("UTF-8")).collect::<String>();
    assert!(!all.contains("planted"));
}

#[test]
fn a_flood_of_refusals_is_a_few_lines() {
    let folder = Folder::new();
    let running = serve(demo().audit(folder.audit()));
    let address = running.addr();
    let evil = Head::new(address).add("Origin", "http://evil.example");
    for _ in 0..300 {
        evil.ask(address).expect(403);
    }
    end(running);
    let refused = folder.events("authorization");
    let count: u64 = refused.iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum();
    assert_eq!(count, 300);
    assert!(refused.len() < 60, "{}", refused.len());
    assert_eq!(refused.last().expect("lines")["address"], "127.0.0.2");
}

#[test]
fn a_restart_goes_on_with_the_chain_and_says_what_the_crash_before_it_left_behind() {
    let folder = Folder::new();
    for run in 0..4_u64 {
        let running = serve(demo().audit(folder.audit()));
        Peer::of(&running, LEGACY[3]).call("echo", json!({ "text": "x" }));
        end(running);
        let report = folder.assert_sound();
        assert_eq!(report.runs, run + 1);
        let torn = report.notes.iter().filter(|note| note.kind == FindingKind::Torn).count() as u64;
        assert_eq!(torn, run, "{report:#?}");
        let text = fs::read_to_string(folder.log()).expect("UTF-8");
        let rest = [&b"{\"seq\":99,\"ti"[..], b"\n", b"\xff\xfe garbage\n\nmore"][run as usize % 3];
        fs::write(folder.log(), [text.as_bytes(), rest].concat()).expect("written");
        if run == 2 {
            // What is not UTF-8 is not for this test's own reader.
            break;
        }
    }
    let running = serve(demo().audit(folder.audit()));
    end(running);
    assert!(folder.assert_sound().notes.len() >= 3);
}

#[test]
fn a_large_file_is_renamed_and_old_ones_are_deleted() {
    for keep in [usize::MAX, 3] {
        let folder = Folder::new();
        let running = serve(demo().audit(folder.audit().file_bytes(0).keep(keep)));
        let mut peer = Peer::of(&running, MODERN);
        for call in 0..200_u64 {
            peer.call("echo", json!({ "text": "x" }));
            if call % 10 == 0 {
                wait_written(&running, call);
            }
        }
        drop(peer);
        end(running);
        let files = folder.files();
        for file in &files {
            assert!(fs::metadata(file).expect("a file").len() <= 4_096 + 600, "{file:?}");
        }
        let lines = folder.lines();
        let report = folder.assert_sound();
        assert_eq!(report.lines, lines.len() as u64);
        if keep == 3 {
            assert_eq!(files.len(), 4);
            assert!(report.first > 100, "{report:?}");
        } else {
            assert!(files.len() > 10, "{}", files.len());
            assert_eq!((report.first, counts(&lines)["call"]), (1, 200));
            // One in the middle is missed.
            fs::remove_file(&files[5]).expect("deleted");
            let report = folder.verify(&Expect::nothing());
            assert_eq!(report.findings.len(), 1, "{report:#?}");
            assert_eq!(report.findings[0].kind, FindingKind::Missing);
        }
        // The chain goes on, also from a file that was renamed and not yet begun anew.
        let running = serve(demo().audit(folder.audit().file_bytes(0).keep(keep)));
        end(running);
        let before = folder.lines().len();
        fs::rename(folder.log(), folder.0.join(format!("audit.log.{:020}", 1_000_000))).expect("renamed");
        let running = serve(demo().audit(folder.audit().file_bytes(0).keep(keep)));
        end(running);
        assert!(folder.lines().len() > before);
        assert_eq!(folder.verify(&Expect::nothing()).is_ok(), keep == 3);
    }
}

#[test]
fn whenever_lines_have_to_be_on_the_disk_they_are_all_there_in_the_end() {
    use mcp_blocking::audit::SyncPolicy;
    let hour = Duration::from_secs(3_600);
    for sync in [SyncPolicy::Never, SyncPolicy::Every(Duration::ZERO), SyncPolicy::Every(hour), SyncPolicy::Always] {
        let folder = Folder::new();
        for _ in 0..2 {
            let running = serve(demo().audit(folder.audit().sync(sync).file_bytes(0)));
            let mut peer = Peer::of(&running, MODERN);
            for _ in 0..30 {
                peer.call("echo", json!({ "text": "x" }));
            }
            // With the operating system at once, whatever the policy.
            let before = audit_status(&running).seq;
            wait_written(&running, before.max(30));
            assert!(folder.lines().len() >= 30, "{sync:?}");
            drop(peer);
            end(running);
        }
        let report = folder.assert_sound();
        assert_eq!((report.runs, counts(&folder.lines())["call"]), (2, 60), "{sync:?}");
        assert!(folder.files().len() > 2 && report.notes.is_empty(), "{sync:?} {report:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_was_renamed_or_deleted_is_begun_anew() {
    let folder = Folder::new();
    let running = serve(demo().audit(folder.audit()));
    let mut peer = Peer::of(&running, MODERN);
    for round in 1..=3 {
        peer.call("echo", json!({ "text": "x" }));
        let seq = audit_status(&running).seq;
        fs::rename(folder.log(), folder.0.join(format!("old-{round}"))).expect("renamed");
        running.handle().reopen_audit();
        until("it is there again", || fs::metadata(folder.log()).is_ok_and(|file| file.len() > 0));
        wait_written(&running, seq + 2);
    }
    let report = folder.assert_sound();
    assert_eq!(folder.events("reload").len(), 3);
    // Nobody says a word.
    fs::remove_file(folder.log()).expect("deleted");
    peer.call("echo", json!({ "text": "x" }));
    until("it is there again", || fs::metadata(folder.log()).is_ok_and(|file| file.len() > 0));
    end(running);
    let after = folder.verify(&Expect::nothing().head(report.head));
    assert!(after.findings.iter().any(|found| found.kind == FindingKind::Missing), "{after:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_calls_go_on_and_what_is_lost_is_told() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("/dev/full", folder.log()).expect("a link");
    // Events that are as long as they can be fill the queue sooner.
    let long = "\u{1f642}".repeat(120);
    let principal = Principal::new(long.clone());
    let server = demo().authenticate(move |_| Ok(principal.clone())).limits(|limits| limits.rate = 0);
    let running = serve(server.audit(folder.audit()));
    until("it fails", || audit_status(&running).failing);
    let mut peer = Peer::of(&running, MODERN);
    assert_eq!(peer.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    // More than the queue holds.
    for _ in 0..90 {
        let ids: Vec<_> = (0..100).map(|_| peer.start("tools/call", json!({ "name": long }))).collect();
        ids.iter().for_each(|id| drop(peer.error(id)));
    }
    until("some are lost", || audit_status(&running).lost > 500);
    let lost = audit_status(&running).lost;
    fs::remove_file(folder.log()).expect("deleted");
    until("it works again", || !audit_status(&running).failing);
    // The queue has room again, so that the end is not lost, too.
    until("what waited is written", || audit_status(&running).events + lost > 9_000);
    drop(peer);
    end(running);
    let report = folder.assert_sound();
    assert!(report.notes.iter().any(|note| note.kind == FindingKind::Lost), "{report:#?}");
    let told: u64 = folder.events("lost").iter().filter_map(|line| line["count"].as_u64()).sum();
    assert_eq!(told, lost, "{:?}", counts(&folder.lines()));
    assert_eq!(folder.events("call").len() as u64 + lost, 9_001);
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_nothing_is_begun_if_that_is_wanted() {
    use mcp_blocking::audit::{SyncPolicy, WhenFailing};
    let folder = Folder::new();
    let server = demo().audit(folder.audit().when_failing(WhenFailing::Refuse).sync(SyncPolicy::Always));
    let bound = server.bind("127.0.0.1:0").expect("binds").health("127.0.0.1:0").expect("binds");
    let running = bound.start().expect("starts");
    let health = running.health_addr().expect("an address");
    let probe = |path: &str| Head::new(health).line(&format!("GET {path} HTTP/1.1")).without("Upgrade").ask(health);
    probe("/ready").expect(200);
    let mut peers: Vec<_> = ALL.iter().map(|revision| Peer::of(&running, revision)).collect();
    let mut web = Web::of(&running, LEGACY[3]);
    peers[0].call("echo", json!({ "text": "x" }));
    // The file goes away, and what is there instead takes nothing.
    let seq = audit_status(&running).seq;
    fs::rename(folder.log(), folder.0.join("old")).expect("renamed");
    std::os::unix::fs::symlink("/dev/full", folder.log()).expect("a link");
    running.handle().reopen_audit();
    until("it fails", || audit_status(&running).failing);
    for peer in &mut peers {
        let error = peer.call_error("echo", json!({ "text": "x" }));
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-31001), &json!("audit")), "{error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("audit log")), "{error}");
        // What is no call goes on.
        peer.barrier();
    }
    assert_eq!(
        web.request("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }))["error"]["code"],
        -31001
    );
    let answer = Head::new(running.addr()).ask(running.addr()).expect(503);
    assert!(answer.body.contains("audit log"), "{answer:?}");
    assert!(probe("/ready").expect(503).body.contains("audit"));
    assert!(probe("/health").expect(200).body.contains("\"failing\":true"));
    assert!(probe("/metrics").expect(200).body.contains("mcp_server_audit_failing 1"));
    fs::remove_file(folder.log()).expect("deleted");
    until("it works again", || !audit_status(&running).failing);
    for peer in &mut peers {
        assert_eq!(peer.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    }
    wait_written(&running, seq + 5);
    until("the head is told", || {
        let AuditStatusLine { seq, head } = AuditStatusLine::of(&running);
        probe("/metrics").expect(200).body.contains(&format!("mcp_server_audit_head{{head=\"{head}\"}} {seq}\n"))
    });
    assert_eq!(audit_status(&running).lost, 0);
    drop((peers, web));
    end(running);
    folder.assert_sound();
    let calls = folder.events("call");
    assert_eq!(calls.iter().filter(|call| call["outcome"] == "ok").count(), 6);
    let refused = folder.events("limit");
    assert_eq!((calls.len(), refused.iter().filter(|line| line["limit"] == "audit").count()), (6, 7));
}

#[cfg(target_os = "linux")]
struct AuditStatusLine {
    seq: u64,
    head: String,
}

#[cfg(target_os = "linux")]
impl AuditStatusLine {
    fn of(running: &Running) -> Self {
        let status = audit_status(running);
        Self { seq: status.seq, head: status.head }
    }
}

#[test]
fn a_directory_that_is_gone_is_waited_for() {
    let folder = Folder::new();
    let inner = folder.0.join("inner");
    fs::create_dir(&inner).expect("a directory");
    let running = serve(demo().audit(Audit::to_file(inner.join("audit.log")).key(KEY)));
    let mut peer = Peer::of(&running, MODERN);
    peer.call("echo", json!({ "text": "x" }));
    wait_written(&running, 3);
    fs::rename(&inner, folder.0.join("elsewhere")).expect("renamed");
    peer.call("echo", json!({ "text": "x" }));
    until("it fails", || audit_status(&running).failing);
    fs::create_dir(&inner).expect("a directory");
    until("it works again", || !audit_status(&running).failing);
    drop(peer);
    end(running);
    let files = [folder.0.join("elsewhere/audit.log"), inner.join("audit.log")];
    let report = verify_files(files, &[KEY.to_vec()], &Expect::nothing()).expect("it can be read");
    assert!(report.is_ok() && report.first == 1, "{report:#?}");
}

#[test]
fn a_log_that_cannot_be_kept_is_an_error_at_the_start() {
    let folder = Folder::new();
    let start = |audit: Audit| demo().audit(audit).bind("127.0.0.1:0").and_then(|bound| bound.start());
    #[track_caller]
    fn refused(result: Result<Running, Error>) -> String {
        match result {
            Err(Error::Audit { path, source }) => format!("{}: {source}", path.display()),
            other => panic!("it should be refused: {other:?}"),
        }
    }
    refused(start(Audit::to_file(folder.0.join("no/such/directory")).key(KEY)));
    refused(start(Audit::to_file(&folder.0).key(KEY)));
    refused(start(folder.audit().key_file(folder.0.join("no-such-key"))));
    fs::write(folder.0.join("bad.key"), "too short").expect("written");
    assert!(refused(start(folder.audit().key_file(folder.0.join("bad.key")))).contains("64 hexadecimal"));
    // Not in the way of the log below.
    let text = Folder::new();
    fs::write(text.log(), "a text of somebody's\n".repeat(10_000)).expect("written");
    assert!(refused(start(text.audit())).contains("no audit log"));
    match demo().audit(folder.audit().key([1; 31])).bind("127.0.0.1:0") {
        Err(Error::Setup(problems)) => assert!(problems[0].to_string().contains("31 bytes"), "{problems:?}"),
        other => panic!("it should be refused: {other:?}"),
    }
    fs::remove_file(folder.0.join("bad.key")).expect("deleted");
    // Two chains in one file would be none.
    #[cfg(unix)]
    {
        let running = start(folder.audit()).expect("starts");
        assert!(refused(start(folder.audit())).contains("another server"));
        end(running);
        folder.assert_sound();
    }
}

#[test]
fn a_key_is_made_once_and_asked_for_afterwards() {
    let folder = Folder::new();
    let audit = || demo().audit(Audit::to_file(folder.log()));
    end(serve(audit()));
    let path = folder.0.join("audit.log.key");
    let key = read_key(&path).expect("a key");
    assert_eq!(key.len(), 32);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for file in [&path, &folder.log()] {
            assert_eq!(fs::metadata(file).expect("a file").permissions().mode() & 0o777, 0o600);
        }
    }
    end(serve(audit()));
    let verified = |keys: &[Vec<u8>]| verify_files(folder.files(), keys, &Expect::nothing()).expect("it can be read");
    assert!(verified(std::slice::from_ref(&key)).is_ok());
    fs::rename(&path, folder.0.join("kept.key")).expect("renamed");
    // A new key would leave the old lines without one.
    let started = audit().bind("127.0.0.1:0").and_then(|bound| bound.start());
    assert!(matches!(started, Err(Error::Audit { .. })), "{started:?}");
    end(serve(demo().audit(Audit::to_file(folder.log()).key_file(folder.0.join("kept.key")))));
    assert!(verified(std::slice::from_ref(&key)).is_ok());
    // Another one, said aloud, begins with the next run.
    end(serve(demo().audit(folder.audit())));
    assert!(!verified(std::slice::from_ref(&key)).is_ok());
    assert!(verified(&[key, KEY.to_vec()]).is_ok());
    assert!(!format!("{:?}", folder.audit()).contains("9, 9"), "a key is shown");
}

#[test]
fn a_server_of_another_protocol_keeps_a_log_too() {
    use mcp_blocking::{ClosedBy, Listener, Message, Service, Settings};
    struct Deaf;
    impl Service for Deaf {
        type Session = ();
        fn open(&self, _peer: &mcp_blocking::Peer) -> Result<(), ClosedBy> {
            Ok(())
        }
        fn message(&self, (): &mut (), _peer: &mcp_blocking::Peer, _message: Message) {}
    }
    let folder = Folder::new();
    let listener = Listener::new().service("/deaf", Deaf).settings(Settings::new().audit(folder.audit()));
    let running = listener.bind("127.0.0.1:0").expect("binds").start().expect("starts");
    let mut raw = Raw::connect(running.addr());
    raw.send(&Head::new(running.addr()).line("GET /deaf HTTP/1.1").bytes());
    raw.answer().expect(101);
    running.handle().reopen_audit();
    assert!(running.handle().status().audit.is_some());
    drop(raw);
    running.shutdown(PATIENCE).expect("a good end");
    folder.assert_sound();
    assert_eq!(folder.events("connection")[0]["path"], "/deaf");
    assert_eq!(folder.events("reload")[0]["what"], "audit");
}

#[test]
fn it_is_told_which_token_somebody_came_with_and_when_it_ended() {
    let folder = Folder::new();
    let soon = SystemTime::now() + Duration::from_millis(500);
    let tokens = Settings::new()
        .token(Token::new("alice", TOKEN).named("laptop").expires(soon))
        .token(Token::new("bob", "another-token-of-good-length").named("desk").expires(SystemTime::UNIX_EPOCH))
        .tickets();
    let running = serve(demo().settings(tokens.allow_origin("https://app.example").audit(folder.audit())));
    let mut peer = Peer::connect_to(running.addr(), &[("Authorization", &format!("Bearer {TOKEN}"))]);
    assert_eq!(peer.closed().map(|(code, _)| code), Some(1008));
    let with = |token: &str| Head::new(running.addr()).add("Authorization", &format!("Bearer {token}"));
    with("another-token-of-good-length").ask(running.addr()).expect(401);
    let ticket = running.handle().issue_ticket(&Principal::new("carol"), "https://app.example").expect("a ticket");
    let offered = ticket.subprotocols().join(", ");
    let page = Head::new(running.addr()).add("Origin", "https://app.example").add("Sec-WebSocket-Protocol", &offered);
    page.ask(running.addr()).expect(101);
    page.ask(running.addr()).expect(401);
    running.handle().set_tokens([]).expect("none");
    end(running);
    folder.assert_sound();
    let lines = folder.lines();
    for wanted in [
        json!({ "event": "authentication", "outcome": "ok", "principal": "alice", "token": "laptop" }),
        json!({ "event": "authentication", "outcome": "ended", "reason": "expired", "principal": "alice", "token": "laptop" }),
        json!({ "event": "authentication", "outcome": "refused", "reason": "expired", "about": "bob (token desk)" }),
        json!({ "event": "authentication", "outcome": "issued", "reason": "ticket", "principal": "carol", "origin": "https://app.example" }),
        json!({ "event": "authentication", "outcome": "ok", "principal": "carol" }),
        json!({ "event": "authentication", "outcome": "refused", "reason": "ticket", "status": 401 }),
        json!({ "event": "reload", "what": "tokens" }),
    ] {
        let members = wanted.as_object().expect("an object");
        let there = lines.iter().any(|line| members.iter().all(|(key, value)| line[key] == *value));
        assert!(there, "no {wanted} in {lines:#?}");
    }
    let all = format!("{lines:?}");
    assert!(![ticket.as_str(), TOKEN, "another-token"].iter().any(|secret| all.contains(secret)), "{all}");
}

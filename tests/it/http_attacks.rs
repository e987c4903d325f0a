//! What can be done to the HTTP side over raw sockets: each time with an honest client beside it, and nothing left behind.

use crate::demo::demo;
use crate::neighbor::{HONEST, exposed};
use crate::peer::{MODERN, PATIENCE, Turnstile, dial_from, serve, turnstile, until};
use crate::raw::Raw;
use crate::web::Web;
use mcp_blocking::{NoArgs, Running, Server, ToolError};
use serde_json::{Value, json};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
const BOTH_ERAS: [&str; 2] = ["2025-11-25", MODERN];

/// A server under attack, and a client that has nothing to do with it: it comes from elsewhere.
struct Scene {
    running: Running,
    honest: Web,
}

impl Scene {
    fn of(server: Server) -> Self {
        // However long an attack takes, the honest client is not idle for too long.
        Self::on(exposed(server.limits(|limits| limits.keep_alive = PATIENCE * 10)))
    }

    fn on(running: Running) -> Self {
        let address = running.addr();
        let honest = Web::over(Box::new(dial_from(HONEST, address)), address).speaking(MODERN);
        let mut scene = Self { running, honest };
        scene.assert_serves();
        scene
    }

    /// Sends this as a whole connection.
    fn say(&self, text: impl AsRef<[u8]>) -> Web {
        let mut web = Web::connect(&self.running);
        web.send(text);
        web
    }

    /// A POST with that behind its first lines.
    fn post(&self, rest: &str) -> Web {
        self.say(format!("{}{rest}", self.head()))
    }

    /// The first lines of a POST that is served.
    fn head(&self) -> String {
        let address = self.running.addr();
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nMCP-Protocol-Version: {MODERN}\r\n\
             Mcp-Method: tools/call\r\nMcp-Name: quick\r\n"
        )
    }

    /// A call as the body of a POST.
    fn call(&mut self, text: &str) -> String {
        self.honest.make("tools/call", json!({ "name": "quick", "arguments": { "text": text } })).to_string()
    }

    /// The honest client is served, and nobody else is there any more.
    #[track_caller]
    fn assert_unharmed(&mut self) {
        self.assert_serves();
        let handle = self.running.handle();
        until("only the honest client is left", || {
            let status = handle.status();
            status.connections == 1 && status.calls_in_flight == 0 && status.memory_used == 0
        });
        assert_eq!(handle.status().workers_written_off, 0);
        assert_eq!(handle.status().panics, 0);
    }

    #[track_caller]
    fn assert_serves(&mut self) {
        let begun = Instant::now();
        assert_eq!(self.honest.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
        assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    }
}

#[test]
fn a_message_whose_length_is_open_to_question_is_refused_with_all_that_follows() {
    let mut scene = Scene::of(demo());
    let hidden = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    let chunked = format!("0\r\n\r\n{hidden}");
    for (status, fields, body) in [
        (400, "Content-Length: 5\r\nTransfer-Encoding: chunked", &chunked),
        (400, "Content-Length: 0\r\nTransfer-Encoding: chunked", &chunked),
        (400, "Transfer-Encoding: chunked\r\nContent-Length: 5", &chunked),
        (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", &chunked),
        (400, "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", &chunked),
        (400, "Transfer-Encoding: chunked, identity", &chunked),
        (400, "Transfer-Encoding: gzip, chunked", &chunked),
        (400, "Transfer-Encoding: chunked;q=1", &chunked),
        (400, "Transfer-Encoding: \"chunked\"", &chunked),
        (400, "Transfer-Encoding:", &chunked),
        (400, "Transfer-Encoding: ,", &chunked),
        (400, "Transfer-Encoding : chunked", &chunked),
        (400, "Transfer-Encoding\t: chunked", &chunked),
        (400, "Transfer-Encoding: \x0bchunked", &chunked),
        (400, "Transfer-Encoding: chunked\x0c", &chunked),
        (400, "Transfer-Encoding: chunked\0", &chunked),
        (400, "Transfer-Encoding: chun\0ked", &chunked),
        (400, "Transfer\0Encoding: chunked", &chunked),
        (400, "Transfer-Encoding:\r\n chunked", &chunked),
        (400, "X: y\r\n\tTransfer-Encoding: chunked", &chunked),
        (400, "X: y\rTransfer-Encoding: chunked", &chunked),
        (400, "X: y\nTransfer-Encoding: chunked", &chunked),
        (400, "X: y\r\r\nTransfer-Encoding: chunked", &chunked),
        (400, "X y\r\nTransfer-Encoding: chunked", &chunked),
        (400, "\u{212a}: y\r\nTransfer-Encoding: chunked", &chunked),
        (501, "Transfer-Encoding: identity", &chunked),
        (501, "Transfer-Encoding: gzip", &chunked),
        (501, "Transfer-Encoding: xchunked", &chunked),
        (501, "Transfer-Encoding: deflate\r\nContent-Length: 5", &chunked),
        (400, "Content-Length: 2\r\nContent-Length: 2", &hidden.to_owned()),
        (400, "Content-Length: 2\r\ncontent-length: 60", &hidden.to_owned()),
        (400, "Content-Length: 2, 2", &hidden.to_owned()),
        (400, "Content-Length: 2 2", &hidden.to_owned()),
        (400, "Content-Length: -2", &hidden.to_owned()),
        (400, "Content-Length: 0x2", &hidden.to_owned()),
        (400, "Content-Length: 2.0", &hidden.to_owned()),
        (400, "Content-Length: 1e0", &hidden.to_owned()),
        (400, "Content-Length: \u{662}", &hidden.to_owned()),
        (400, "Content-Length:", &hidden.to_owned()),
        (400, "Content-Length: 2\0", &hidden.to_owned()),
        (400, "Content-Length: 18446744073709551617", &hidden.to_owned()),
        (413, "Content-Length: 9223372036854775807", &hidden.to_owned()),
        (417, "Content-Length: 2\r\nExpect: 100-continue, tea", &hidden.to_owned()),
        (400, "Content-Length: 2\r\nExpect: 100-continue\r\nExpect: 100-continue", &hidden.to_owned()),
    ] {
        let mut web = scene.post(&format!("{fields}\r\n\r\n{body}"));
        assert_eq!(web.status(), status, "{fields:?}");
        web.assert_closed();
    }
    scene.assert_unharmed();
}

#[test]
fn chunks_that_two_readers_could_read_differently_are_refused_with_all_that_follows() {
    let mut scene = Scene::of(demo());
    let hidden = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    for chunks in [
        "2;x=y\r\n{}\r\n0\r\n\r\n",
        "2;\r\n{}\r\n0\r\n\r\n",
        "2 ;x\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0;x=\"\r\n\r\n\"\r\n\r\n",
        "2\n{}\n0\n\n",
        "2\r{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{}\n0\r\n\r\n",
        "2\r\n{}\r\r\n0\r\n\r\n",
        "2\r\n{}}\r\n0\r\n\r\n",
        "1\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "2 \r\n{}\r\n0\r\n\r\n",
        "\t2\r\n{}\r\n0\r\n\r\n",
        "2_0\r\n{}\r\n0\r\n\r\n",
        "\r\n2\r\n{}\r\n0\r\n\r\n",
        "2\0\r\n{}\r\n0\r\n\r\n",
        "000000002\r\n{}\r\n0\r\n\r\n",
        "100000002\r\n{}\r\n0\r\n\r\n",
        "fffffffffffffffe\r\n{}\r\n0\r\n\r\n",
        "\u{662}\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nX: y\r\n\r\n",
        "2\r\n{}\r\n0\r\nContent-Length: 3\r\n\r\n",
        "2\r\n{}\r\n0\r\n\n",
        "2\r\n{}\r\n0\n\r\n",
        "2\r\n{}\r\n0\r\n \r\n",
    ] {
        let mut web = scene.post(&format!("Transfer-Encoding: chunked\r\n\r\n{chunks}{hidden}"));
        assert_eq!(web.status(), 400, "{chunks:?}");
        web.assert_closed();
    }
    scene.assert_unharmed();
}

#[test]
fn a_header_that_decides_something_comes_once() {
    let mut scene = Scene::of(demo());
    let message = scene.call("x");
    let session = Web::of(&scene.running, "2025-11-25").session.expect("a session");
    for doubled in ["Host: localhost", "Content-Type: application/json", "Mcp-Method: tools/call", "Mcp-Name: quick"] {
        let mut web = scene.post(&format!("{doubled}\r\nContent-Length: {}\r\n\r\n{message}", message.len()));
        assert_eq!(web.status(), 400, "{doubled}");
    }
    let address = scene.running.addr();
    for doubled in ["Mcp-Session-Id", "MCP-Protocol-Version", "Last-Event-ID", "Origin"] {
        let value = if doubled == "Mcp-Session-Id" { session.as_str() } else { "x" };
        let head = format!(
            "GET /mcp HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n\
             {doubled}: {value}\r\n{doubled}: {value}\r\n\r\n"
        );
        let status = scene.say(head).status();
        assert!([400, 403].contains(&status), "{doubled}: {status}");
    }
    scene.assert_serves();
}

#[test]
fn what_follows_a_body_is_the_next_request_and_what_is_in_it_is_not() {
    let mut scene = Scene::of(demo());
    let (one, two) = (scene.call("one"), scene.call("two"));
    let request = |scene: &Scene, body: &str| format!("{}Content-Length: {}\r\n\r\n{body}", scene.head(), body.len());
    let text = |(status, answer): (u16, Value)| (status, answer["result"]["content"][0]["text"].clone());
    // Exactly as announced: two requests, two answers.
    let mut web = scene.say(request(&scene, &one) + &request(&scene, &two));
    assert_eq!(text(web.json()), (200, json!("one")));
    assert_eq!(text(web.json()), (200, json!("two")));
    // A request within a body is a part of it, whatever it looks like.
    let inner = request(&scene, &two);
    web = scene.say(request(&scene, &inner));
    assert_eq!(web.json().0, 400);
    web.send(request(&scene, &one));
    assert_eq!(text(web.json()), (200, json!("one")));
    web = scene.post(&format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()));
    assert_eq!(web.json().0, 400);
    // A body that is longer than announced begins no request.
    web = scene.post(&format!("Content-Length: {}\r\n\r\n{one}{}", one.len() - 1, request(&scene, &two)));
    assert_eq!(web.json().0, 400);
    assert_eq!(web.status(), 400);
    web.assert_closed();
    // Nor does a request without a length.
    web = scene.post(&format!("\r\n{one}"));
    assert_eq!((web.json().0, web.status()), (400, 400));
    web.assert_closed();
    // One that ends the connection is the last.
    let last = format!("{}Connection: close\r\nContent-Length: {}\r\n\r\n{one}", scene.head(), one.len());
    web = scene.say(last + &request(&scene, &two));
    assert_eq!(text(web.json()), (200, json!("one")));
    web.assert_closed();
    // A body where none belongs is read all the same, and is no request.
    let body = format!("GET /mcp HTTP/1.1\r\nHost: {0}\r\n\r\n", scene.running.addr());
    let delete = format!("DELETE /mcp HTTP/1.1\r\nHost: {}\r\nMcp-Session-Id: none\r\n", scene.running.addr());
    web = scene.say(format!("{delete}Content-Length: {}\r\n\r\n{body}", body.len()) + &request(&scene, &two));
    assert_eq!(web.json().0, 404);
    assert_eq!(text(web.json()), (200, json!("two")));
    drop(web);
    scene.assert_unharmed();
}

#[test]
fn no_second_head_of_a_connection_is_looked_at_less_closely() {
    let mut scene = Scene::of(demo().limits(|limits| limits.head_deadline = Duration::from_millis(300)));
    let message = scene.call("first");
    let first = format!("{}Content-Length: {}\r\n\r\n{message}", scene.head(), message.len());
    let many = "X-Many: y\r\n".repeat(1_000);
    let address = scene.running.addr();
    for (status, second) in [
        (431, format!("POST /mcp HTTP/1.1\r\n{many}\r\n")),
        (431, format!("POST /mcp HTTP/1.1\r\nX: {}", "y".repeat(10_000))),
        (414, format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(5_000))),
        (505, format!("GET /mcp HTTP/1.0\r\nHost: {address}\r\n\r\n")),
        (400, format!("GET http://{address}/mcp HTTP/1.1\r\nHost: {address}\r\n\r\n")),
        (400, format!("GET /mcp HTTP/1.1\nHost: {address}\n\n")),
        (403, "GET /mcp HTTP/1.1\r\nHost: evil.example\r\n\r\n".into()),
        (403, format!("GET /mcp HTTP/1.1\r\nHost: {address}\r\nOrigin: http://evil.example\r\n\r\n")),
        (404, format!("GET /other HTTP/1.1\r\nHost: {address}\r\n\r\n")),
        (408, "GET /mcp".into()),
        (400, "\r\n\r\n".into()),
        (400, "\0".into()),
    ] {
        let mut web = scene.say(&first);
        assert_eq!(web.json().0, 200);
        web.send(&second);
        assert_eq!(web.status(), status, "{second:.60?}");
        web.assert_closed();
    }
    // A WebSocket is not opened in the midst of a connection that speaks HTTP.
    let mut web = scene.say(&first);
    assert_eq!(web.json().0, 200);
    web.send(crate::raw::Head::new(address).bytes());
    assert_eq!(web.status(), 400);
    web.assert_closed();
    scene.assert_unharmed();
}

#[test]
fn bodies_have_one_deadline_however_they_drip_and_one_size_however_they_are_cut() {
    let mut scene = Scene::of(demo().limits(|limits| {
        limits.body_deadline = Duration::from_millis(300);
        limits.message_bytes = 64 << 10;
    }));
    let begun = Instant::now();
    let mut dripping = [
        scene.post("Content-Length: 60000\r\n\r\n"),
        scene.post("Transfer-Encoding: chunked\r\n\r\n"),
        scene.post("Transfer-Encoding: chunked\r\n\r\nffff\r\n"),
    ];
    let drops = [" ", "1\r\n \r\n", " "];
    let drop_in = |web: &mut Web, drop: &str| {
        web.try_send(drop);
    };
    // Far slower than the deadline allows, far faster than any pause would be noticed.
    while begun.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(10));
        dripping.iter_mut().zip(drops).for_each(|(web, drop)| drop_in(web, drop));
    }
    for web in &mut dripping {
        assert_eq!(web.status(), 408);
    }
    // One byte a chunk: six times the size on the wire, and no end.
    let mut endless = scene.post("Transfer-Encoding: chunked\r\n\r\n");
    let chunks = "1\r\n \r\n".repeat(1_024);
    for _ in 0..70 {
        if !endless.try_send(&chunks) {
            break;
        }
    }
    assert_eq!(endless.status(), 413);
    drop((dripping, endless));
    scene.assert_unharmed();
}

#[test]
fn nobody_takes_memory_by_announcing_a_body() {
    let mut scene = Scene::of(demo().limits(|limits| {
        // One client has three quarters of it.
        limits.memory_bytes = 2 << 20;
        limits.message_bytes = 1 << 20;
    }));
    let announced: Vec<_> = (0..50)
        .map(|at| match at % 2 {
            0 => scene.post("Content-Length: 1048576\r\n\r\n{"),
            _ => scene.post("Transfer-Encoding: chunked\r\n\r\n100000\r\n{"),
        })
        .collect();
    let handle = scene.running.handle();
    until("all are there", || handle.status().connections == 51);
    assert!(handle.status().memory_used < 16 << 10, "{}", handle.status().memory_used);
    scene.assert_serves();
    // Those who do send it are told when there is no room.
    let mut large = scene.post("Content-Length: 1048576\r\n\r\n");
    large.send(" ".repeat((1 << 20) - 1));
    until("it is there", || handle.status().memory_used >= 1 << 20);
    let mut beyond = scene.post("Content-Length: 1048576\r\n\r\n");
    beyond.send(" ".repeat(600 << 10));
    let head = beyond.head();
    assert_eq!((head.status, head.header("retry-after")), (503, Some("1")));
    scene.assert_serves();
    drop((announced, large, beyond));
    scene.assert_unharmed();
}

#[test]
fn a_client_that_leaves_in_whatever_way_is_noticed_while_its_handler_computes() {
    for revision in BOTH_ERAS {
        let (told, ended) = channel();
        let (turnstile, keeper) = turnstile();
        let told = std::sync::Mutex::new(told);
        let mut scene = Scene::of(demo().tool("compute", "Computes", move |ctx, NoArgs| {
            turnstile.pass();
            // Until it is told to stop, or somebody else wants it to.
            let begun = Instant::now();
            let stopped = loop {
                match ctx.check() {
                    Err(error) => break error,
                    Ok(()) if begun.elapsed() > Duration::from_millis(500) => {
                        break ToolError::new("nobody stopped it");
                    }
                    Ok(()) => std::hint::spin_loop(),
                }
            };
            told.lock().expect("no panic").send(stopped.is_cancelled()).expect("somebody listens");
            Ok("computed")
        }));
        let leaving: [fn(Web) -> Option<Web>; 3] = [
            |web| {
                web.vanish();
                None
            },
            |web| {
                web.reset();
                None
            },
            // One that says that nothing will follow is taken for one that has left: the two cannot be told apart.
            |web| {
                web.half_close();
                Some(web)
            },
        ];
        for leave in leaving {
            let mut web = Web::of(&scene.running, revision);
            web.start("tools/call", json!({ "name": "compute", "arguments": {} }));
            keeper.wait_entered();
            let rest = leave(web);
            let handle = scene.running.handle();
            until("its connection is closed", || handle.status().connections == 1);
            keeper.release();
            // With 2026-07-28 that is a cancellation, before it is none.
            assert_eq!(ended.recv_timeout(PATIENCE), Ok(revision == MODERN), "{revision}");
            if let Some(mut rest) = rest {
                rest.assert_closed();
            }
        }
        scene.assert_unharmed();
    }
}

fn speaking(server: Server, turnstile: Turnstile) -> Server {
    server.tool("speak", "Speaks, waits, answers", move |ctx, NoArgs| {
        ctx.progress(1.0, 2.0)?;
        turnstile.pass();
        Ok("done")
    })
}

#[test]
fn a_half_closed_stream_is_closed_and_can_be_resumed_where_there_are_sessions() {
    let (turnstile, keeper) = turnstile();
    let mut scene = Scene::of(speaking(demo(), turnstile));
    let call = json!({ "name": "speak", "arguments": {}, "_meta": { "progressToken": 1 } });
    for revision in LEGACY.iter().copied().chain([MODERN]) {
        let owner = Web::of(&scene.running, revision);
        let mut web = owner.again();
        web.start("tools/call", call.clone());
        web.head();
        web.event();
        keeper.wait_entered();
        web.half_close();
        let id = web.last_event.clone();
        // Not as if it were at its end: the body is cut short.
        web.assert_closed();
        keeper.release();
        if revision != MODERN {
            assert_eq!(owner.listen(id.as_deref()).event().expect("an answer")["result"]["content"][0]["text"], "done");
            let mut end = owner.again();
            end.ask("DELETE", &[("Mcp-Session-Id", owner.session.as_deref().expect("a session"))], "");
            assert_eq!(end.empty(), 204);
        }
    }
    scene.assert_unharmed();
}

#[test]
fn subscriptions_beyond_the_connections_are_refused_and_those_that_end_make_room() {
    let mut scene = Scene::of(demo().limits(|limits| limits.connections = 9));
    let listen = |scene: &Scene| {
        let mut web = Web::of(&scene.running, MODERN);
        web.start("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
        let head = web.head();
        (web, head.status)
    };
    for _ in 0..3 {
        let mut open: Vec<_> = (0..8).map(|_| listen(&scene)).collect();
        assert!(open.iter().all(|(_, status)| *status == 200));
        let mut beyond = Web::connect(&scene.running);
        assert_eq!(beyond.status(), 503);
        beyond.assert_closed();
        scene.running.handle().tools_changed();
        for (web, _) in &mut open {
            assert_eq!(web.event().expect("an acknowledgement")["method"], "notifications/subscriptions/acknowledged");
            assert_eq!(web.event().expect("a notice")["method"], "notifications/tools/list_changed");
        }
        drop(open);
        scene.assert_unharmed();
    }
}

#[test]
fn a_session_has_one_connection_for_each_stream() {
    let (turnstile, keeper) = turnstile();
    let server = demo().limits(|limits| limits.keep_alive = Duration::from_millis(50));
    let mut scene = Scene::on(serve(speaking(server, turnstile)));
    for revision in LEGACY {
        let owner = Web::of(&scene.running, revision);
        let mut call = owner.again();
        let params = json!({ "name": "speak", "arguments": {}, "_meta": { "progressToken": 1 } });
        call.start("tools/call", params);
        call.head();
        call.event();
        let id = call.last_event.clone();
        let (mut general, mut resumed): (Vec<_>, Vec<_>) =
            (0..20).map(|_| (owner.listen(None), owner.listen(id.as_deref()))).unzip();
        let (mut last, mut live) = (general.pop().expect("one"), resumed.pop().expect("one"));
        for old in general.iter_mut().chain(&mut resumed).chain([&mut call]) {
            while old.event().is_some() {}
            old.assert_closed();
        }
        let handle = scene.running.handle();
        // The two streams; the honest client may have been idle for too long.
        until("the others are closed", || handle.status().connections <= 3);
        keeper.release();
        assert_eq!(live.event().expect("an answer")["result"]["content"][0]["text"], "done");
        assert_eq!(handle.broadcast("acme/news", &json!({})).expect("an object"), 1);
        assert_eq!(last.event().expect("an event")["method"], "acme/news");
        let mut end = owner.again();
        end.ask("DELETE", &[("Mcp-Session-Id", owner.session.as_deref().expect("a session"))], "");
        assert_eq!(end.empty(), 204);
    }
    scene.honest = Web::of(&scene.running, MODERN);
    scene.assert_unharmed();
}

#[test]
fn a_client_that_sends_ahead_and_reads_nothing_is_held_up_and_then_cut() {
    let mut scene = Scene::of(demo().limits(|limits| {
        limits.write_deadline = Duration::from_millis(200);
        limits.outbox_bytes = 256 << 10;
        limits.rate = 0;
    }));
    let message = scene.call(&"x".repeat(8_000));
    let request = format!("{}Content-Length: {}\r\n\r\n{message}", scene.head(), message.len());
    let mut raw = Raw::connect_narrow(scene.running.addr());
    let mut sent = 0;
    while raw.try_send(request.as_bytes()) {
        sent += 1;
        assert!(sent < 20_000, "nobody stops it");
    }
    scene.assert_serves();
    drop(raw);
    scene.assert_unharmed();
}

#[test]
fn requests_that_wait_behind_a_slow_one_take_no_more_than_their_buffer() {
    let (turnstile, keeper) = turnstile();
    let mut scene = Scene::of(demo().tool("held", "Waits to be let go", move |_ctx, NoArgs| {
        turnstile.pass();
        Ok("let go")
    }));
    let mut web = Web::of(&scene.running, MODERN);
    let held = web.start("tools/call", json!({ "name": "held", "arguments": {} }));
    keeper.wait_entered();
    let mut ids = vec![held];
    for at in 0..100 {
        ids.push(web.start(
            "tools/call",
            json!({ "name": "echo", "arguments": { "text": format!("{at} {}", "x".repeat(1_000)) } }),
        ));
    }
    // None of them has begun.
    assert_eq!(scene.running.handle().status().calls_in_flight, 1);
    scene.assert_serves();
    keeper.release();
    for id in ids {
        let (status, answer) = web.json();
        assert_eq!((status, &answer["id"]), (200, &id));
    }
    drop(web);
    scene.assert_unharmed();
}

#[test]
fn a_stream_that_is_not_read_is_cut_and_goes_on_when_its_client_is_back() {
    let mut scene = Scene::of(demo().limits(|limits| {
        limits.write_deadline = Duration::from_millis(200);
        limits.outbox_bytes = 64 << 10;
        limits.event_bytes_per_session = 4 << 20;
    }));
    let owner = Web::of(&scene.running, "2025-11-25");
    let (handle, address) = (scene.running.handle(), scene.running.addr());
    let mut deaf = Web::over(Box::new(Raw::connect_narrow(address).stream), address);
    deaf.session = owner.session.clone();
    deaf.get(None);
    deaf.head();
    assert_eq!(deaf.any_event().as_deref(), Some(""));
    // As much as the sockets and the queues hold; what was taken is kept.
    let text = "x".repeat(32 << 10);
    let mut taken = 0;
    while handle.broadcast("acme/news", &json!({ "n": taken, "text": text })).expect("an object") == 1 {
        taken += 1;
        assert!(taken < 10_000, "nobody stops it");
    }
    until("it is cut", || handle.status().connections == 2);
    scene.assert_serves();
    // In a queue of this size it goes out by and by, and each time the client goes on behind what it has had.
    let mut id = deaf.last_event.clone();
    let mut next = 0;
    while next < taken.min(10) {
        let mut back = owner.listen(id.as_deref());
        assert_eq!(back.event().expect("an event")["params"]["n"], next);
        (id, next) = (back.last_event.clone(), next + 1);
    }
    drop((owner, deaf));
    scene.running.handle().clients().iter().for_each(|client| client.close(1000, ""));
    scene.assert_unharmed();
}

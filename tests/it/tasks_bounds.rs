//! Tasks and who may see them, how many there may be, how long they are there, who is told, and what ends them.

use crate::demo::{Echo, demo};
use crate::neighbor::{beside, beside_with, exposed};
use crate::peer::{MODERN, PATIENCE, Peer, Turnstile, serve, turnstile, until};
use crate::schema::Schema;
use crate::tasks::{Client, R4, begin, call, code, get, knowing, reach};
use crate::web::Web;
use mcp_blocking::{Limits, NoArgs, Running, Server, TaskSupport, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Size {
    bytes: usize,
}

fn tool(name: &str) -> Tool {
    Tool::new(name, "A task").task(TaskSupport::Optional)
}

/// Tools that end at once, at a turnstile, or when they are answered.
fn server(turnstile: Turnstile) -> Server {
    demo()
        .tool_with(tool("forward"), |_ctx, Echo { text }| Ok(text))
        .tool_with(tool("held"), move |_ctx, Echo { text }| {
            turnstile.pass();
            Ok(text)
        })
        .tool_with(tool("naps"), |ctx, NoArgs| {
            ctx.sleep(Duration::from_secs(600))?;
            Ok("slept")
        })
        .tool_with(tool("asks"), |ctx, NoArgs| {
            let Name { name } = ctx.ask("name", "Who?")?.accepted()?;
            Ok(name)
        })
        .tool_with(tool("large"), |_ctx, Size { bytes }| Ok("x".repeat(bytes)))
}

fn plain() -> Server {
    server(turnstile().0)
}

fn limited(change: impl FnOnce(&mut Limits)) -> Running {
    serve(plain().limits(change))
}

fn modern(running: &Running) -> Peer {
    Peer::able(running, MODERN, knowing())
}

fn start(client: &mut (impl Client + ?Sized), tool: &str) -> String {
    begin(client, MODERN, tool, json!({ "text": "x" }))
}

#[test]
fn a_task_belongs_to_its_principal_and_to_nobody_else() {
    let running =
        exposed(plain().bearer_token("ada", "0123456789abcdef-ada").bearer_token("bob", "0123456789abcdef-bob"));
    let _honest = beside_with(&running, "0123456789abcdef-ada");
    let of = |name: &str| {
        let header = format!("Bearer 0123456789abcdef-{name}");
        let mut peer = Peer::connect_to(running.addr(), &[("Authorization", &header)]);
        (peer.revision, peer.capabilities) = (MODERN, knowing());
        peer
    };
    let (mut ada, mut bob) = (of("ada"), of("bob"));
    let id = start(&mut ada, "asks");
    reach(&mut ada, &id, "input_required");
    for (method, params) in [
        ("tasks/get", json!({ "taskId": id })),
        ("tasks/cancel", json!({ "taskId": id })),
        ("tasks/update", json!({ "taskId": id, "inputResponses": { "name": { "action": "decline" } } })),
    ] {
        let foreign = bob.request(method, params);
        let mut unknown = bob.request("tasks/get", json!({ "taskId": "x".repeat(id.len()) }));
        assert_eq!(code(&foreign), -32602);
        // There is nothing to tell it from one that does not exist.
        let message = |answer: &Value| answer["error"]["message"].as_str().expect("a message").replace(&id, "it");
        unknown["error"]["message"] = json!(message(&unknown).replace(&"x".repeat(id.len()), "it"));
        assert_eq!(message(&foreign), message(&unknown));
    }
    // Another connection of the same principal is as good as the first.
    assert_eq!(get(&mut of("ada"), &id)["status"], "input_required");
    bob.start("subscriptions/listen", json!({ "notifications": { "taskIds": [id] } }));
    let acknowledged = bob.notice("notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"], json!({}));
    ada.request("tasks/cancel", json!({ "taskId": id }));
    bob.assert_silent();
}

#[test]
fn without_authentication_the_id_is_all_that_is_needed() {
    let running = serve(plain());
    let id = start(&mut modern(&running), "forward");
    assert_eq!(
        reach(&mut Web::able(&running, MODERN, knowing()), &id, "completed")["result"]["content"][0]["text"],
        "x"
    );
    let ids: Vec<_> = (0..20).map(|_| start(&mut modern(&running), "forward")).collect();
    for (place, id) in ids.iter().enumerate() {
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{id}");
        // 24 random bytes have nothing in common.
        assert!(ids.iter().skip(place + 1).all(|other| other[..6] != id[..6]), "{ids:?}");
    }
}

#[test]
fn a_task_of_2025_11_25_belongs_to_its_session() {
    let running = serve(plain());
    let mut owner = Peer::of(&running, R4);
    let id = begin(&mut owner, R4, "forward", json!({ "text": "x" }));
    let mut web = Web::of(&running, R4);
    let mut others: [&mut dyn Client; 3] = [&mut Peer::of(&running, R4), &mut web, &mut modern(&running)];
    for other in &mut others {
        for method in ["tasks/get", "tasks/cancel"] {
            assert_eq!(code(&other.ask(method, json!({ "taskId": id }))), -32602);
        }
    }
    assert_eq!(others[0].ask("tasks/list", json!({}))["result"]["tasks"], json!([]));
    assert_eq!(code(&others[1].ask("tasks/result", json!({ "taskId": id }))), -32602);
    // Nor is it one of the extension, over the very same connection.
    owner.capabilities = knowing();
    owner.revision = MODERN;
    assert_eq!(code(&owner.request("tasks/get", json!({ "taskId": id }))), -32602);
    let modern = start(&mut owner, "forward");
    owner.revision = R4;
    assert_eq!(get(&mut owner, &id)["taskId"], id.as_str());
    assert_eq!(code(&owner.request("tasks/get", json!({ "taskId": modern }))), -32602);
}

#[test]
fn tasks_are_listed_page_by_page_in_the_order_they_began() {
    let running = limited(|limits| limits.page_size = 2);
    let mut peer = Peer::of(&running, R4);
    let begun: Vec<_> = (0..5).map(|_| begin(&mut peer, R4, "forward", json!({ "text": "x" }))).collect();
    let (mut listed, mut params) = (Vec::new(), json!({}));
    loop {
        let page = peer.request("tasks/list", params)["result"].clone();
        Schema::of(R4).check("ListTasksResult", &page);
        let tasks = page["tasks"].as_array().expect("tasks");
        assert!(tasks.len() <= 2);
        listed.extend(tasks.iter().map(|task| task["taskId"].as_str().expect("an id").to_owned()));
        match page.get("nextCursor") {
            Some(cursor) => params = json!({ "cursor": cursor }),
            None => break,
        }
    }
    let sorted = |mut ids: Vec<String>| {
        ids.sort_unstable();
        ids
    };
    // Those of the same millisecond may have changed places.
    assert_eq!(sorted(listed), sorted(begun));
    for wrong in ["garbage", "AQ"] {
        assert_eq!(code(&peer.request("tasks/list", json!({ "cursor": wrong }))), -32602);
    }
}

#[test]
fn one_task_too_many_is_refused_as_busy_until_there_is_room() {
    for per_client in [true, false] {
        let running = limited(|limits| {
            if per_client {
                limits.tasks_per_client = 2
            } else {
                limits.tasks = 2
            }
            limits.task_ttl_max = Duration::from_millis(300);
        });
        let _honest = beside(&running);
        let mut peer = modern(&running);
        let mut session = Peer::of(&running, R4);
        let begun = Instant::now();
        let ids = [(); 2].map(|()| start(&mut peer, "forward"));
        let refused = peer.request("tools/call", call(MODERN, "forward", json!({ "text": "x" })));
        if begun.elapsed() < Duration::from_millis(250) {
            assert_eq!(code(&refused), -31001, "{refused}");
            assert!(refused["error"]["data"]["retryAfterMs"].is_u64());
            let other = session.request("tools/call", call(R4, "forward", json!({ "text": "x" })));
            assert_eq!(code(&other), -31001, "the same address: {other}");
            // None was forgotten for it.
            assert!(ids.iter().all(|id| get(&mut peer, id)["taskId"] == id.as_str()));
        }
        // A call that is no task needs no place among them.
        assert_eq!(peer.call("echo", json!({ "text": "x" }))["resultType"], "complete");
        until("there is room again", || {
            running.handle().status().tasks < 2 || begun.elapsed() > Duration::from_secs(2)
        });
        start(&mut peer, "forward");
        assert_eq!(code(&peer.request("tasks/get", json!({ "taskId": ids[0] }))), -32602, "it is forgotten");
    }
}

#[test]
fn a_task_is_kept_for_as_long_as_it_says() {
    let running = limited(|limits| limits.task_ttl_max = Duration::from_secs(7_000));
    let mut old = Peer::of(&running, R4);
    for (asked, granted) in
        [(json!(60_000), 60_000), (json!(1), 1_000), (json!(1e12), 7_000_000), (json!(null), 3_600_000)]
    {
        let mut params = call(R4, "forward", json!({ "text": "x" }));
        params["task"]["ttl"] = asked;
        assert_eq!(old.request("tools/call", params)["result"]["task"]["ttl"], granted);
    }
    // A tool that takes long has time left behind it.
    let running = serve(demo().tool_with(tool("long").deadline(Duration::from_secs(9_000)), |_ctx, NoArgs| Ok("done")));
    let id = begin(&mut modern(&running), MODERN, "long", json!({}));
    assert_eq!(get(&mut modern(&running), &id)["ttlMs"], 18_000_000);
}

#[test]
fn what_nobody_fetches_is_forgotten_and_its_memory_given_back() {
    let running = limited(|limits| limits.task_ttl_max = Duration::from_millis(100));
    let mut peer = modern(&running);
    let (done, asking) = (begin(&mut peer, MODERN, "large", json!({ "bytes": 100_000 })), start(&mut peer, "asks"));
    until("it is there", || running.handle().status().memory_used > 100_000);
    // One that waits for an answer fails when its time is over, before it is forgotten.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = peer.request("tasks/get", json!({ "taskId": asking }));
        match answer["result"]["status"].as_str() {
            Some("working" | "input_required") => {}
            Some("failed") => assert_eq!(answer["result"]["error"]["code"], -32603, "{answer}"),
            None => break assert_eq!(code(&answer), -32602),
            other => panic!("{other:?}"),
        }
        assert!(Instant::now() < deadline, "it is not forgotten");
        std::thread::sleep(Duration::from_millis(5));
    }
    until("nothing is left of them", || {
        let status = running.handle().status();
        (status.tasks, status.memory_used) == (0, 0)
    });
    assert_eq!(code(&peer.request("tasks/get", json!({ "taskId": done }))), -32602);
}

#[test]
fn a_task_that_runs_is_not_forgotten_and_its_result_is_kept_for_a_while() {
    let (turnstile, keeper) = turnstile();
    let running = serve(server(turnstile).limits(|limits| limits.task_ttl_max = Duration::from_millis(50)));
    let mut peer = modern(&running);
    let id = start(&mut peer, "held");
    keeper.wait_entered();
    let begun = Instant::now();
    until("its time is over", || begun.elapsed() > Duration::from_millis(200));
    assert_eq!(get(&mut peer, &id)["status"], "working");
    keeper.release();
    reach(&mut peer, &id, "completed");
}

#[test]
fn a_result_without_a_place_is_a_task_that_has_failed() {
    let server = plain().limits(|limits| limits.task_bytes = 512 << 10);
    let running = serve(server.bearer_token("ada", "0123456789abcdef-ada").bearer_token("bob", "0123456789abcdef-bob"));
    let of =
        |name: &str| Peer::connect_to(running.addr(), &[("Authorization", &format!("Bearer 0123456789abcdef-{name}"))]);
    let mut peer = of("ada");
    (peer.revision, peer.capabilities) = (MODERN, knowing());
    let small = begin(&mut peer, MODERN, "large", json!({ "bytes": 60_000 }));
    reach(&mut peer, &small, "completed");
    let large = begin(&mut peer, MODERN, "large", json!({ "bytes": 100_000 }));
    let failed = reach(&mut peer, &large, "failed");
    assert_eq!(failed["error"]["code"], -32603);
    // Another client has its own share.
    let mut other = of("bob");
    other.initialize(R4);
    let id = begin(&mut other, R4, "large", json!({ "bytes": 100_000 }));
    assert_eq!(
        other.request("tasks/result", json!({ "taskId": id }))["result"]["content"][0]["text"].as_str().map(str::len),
        Some(100_000)
    );
    // What would hold too much from the beginning is not begun.
    let refused = peer.request("tools/call", call(MODERN, "forward", json!({ "text": "x".repeat(140_000) })));
    assert_eq!(code(&refused), -31001);
    assert_eq!(get(&mut peer, &small)["status"], "completed");
}

#[test]
fn a_task_has_a_time_of_its_own() {
    let running = limited(|limits| {
        limits.handler_deadline = Duration::from_millis(50);
        limits.task_deadline = Duration::from_millis(400);
    });
    let begun = Instant::now();
    let mut peer = modern(&running);
    let mut old = Peer::of(&running, R4);
    let (new, id) = (start(&mut peer, "naps"), begin(&mut old, R4, "naps", json!({})));
    let stopped = reach(&mut peer, &new, "completed");
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!(stopped["result"]["isError"], true);
    let text = stopped["result"]["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains("did not finish within 400ms"), "{text}");
    let result = old.request("tasks/result", json!({ "taskId": id }))["result"].clone();
    assert_eq!(result["isError"], true);
    assert_eq!(get(&mut old, &id)["status"], "failed");
    assert_eq!(running.handle().status().timeouts, 2);
}

#[test]
fn tasks_leave_calls_their_threads() {
    let (turnstile, keeper) = turnstile();
    let running = serve(server(turnstile).limits(|limits| {
        limits.workers = 1;
        limits.task_workers = 1;
    }));
    let mut peer = modern(&running);
    let ids: Vec<_> = (0..10).map(|_| start(&mut peer, "held")).collect();
    keeper.wait_entered();
    assert_eq!(peer.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
    assert_eq!((running.handle().status().tasks_in_flight, keeper.entered()), (10, 0));
    for _ in 1..10 {
        keeper.release();
        keeper.wait_entered();
    }
    keeper.release();
    for id in &ids {
        reach(&mut peer, id, "completed");
    }
}

#[test]
fn who_waits_for_results_holds_no_thread() {
    let (turnstile, keeper) = turnstile();
    let running = serve(server(turnstile).limits(|limits| {
        limits.workers = 1;
        limits.calls_per_connection = 20;
    }));
    let mut peer = Peer::of(&running, R4);
    let id = begin(&mut peer, R4, "held", json!({ "text": "there" }));
    keeper.wait_entered();
    let waiting: Vec<_> = (0..20).map(|_| peer.start("tasks/result", json!({ "taskId": id }))).collect();
    assert_eq!(code(&peer.request("tasks/result", json!({ "taskId": id }))), -31001, "one too many");
    assert_eq!(peer.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
    // One of them is cancelled: it is not answered, and the task goes on.
    peer.cancel(&waiting[7]);
    let held = peer.make("ping", json!({}));
    peer.send(&json!({ "jsonrpc": "2.0", "id": waiting[3], "method": "ping" }));
    assert_eq!(code(&peer.answer(&waiting[3])), -32600, "its id is taken");
    peer.send(&held);
    peer.answer(&held["id"]);
    keeper.release();
    for (place, waiting) in waiting.iter().enumerate().filter(|(place, _)| *place != 7) {
        assert_eq!(peer.result(waiting)["content"][0]["text"], "there", "{place}");
    }
    peer.take_held();
    peer.assert_silent();
}

#[test]
fn who_hangs_up_does_not_wait_any_more_unless_it_can_come_back() {
    let (turnstile, keeper) = turnstile();
    let running = serve(server(turnstile));
    let mut web = Web::of(&running, R4);
    let id = begin(&mut web, R4, "held", json!({ "text": "there" }));
    keeper.wait_entered();
    // A client that reads no streams cannot come back for its answer. Its id is free again.
    let message = web.make("tasks/result", json!({ "taskId": id }));
    for _ in 0..3 {
        let mut waiting = web.again();
        waiting.post(&message, &[("Accept", "application/json")]);
        waiting.half_close();
        waiting.assert_closed();
    }
    // One that reads them may.
    let mut waiting = web.again();
    waiting.post(&message, &[]);
    assert_eq!(waiting.head().status, 200);
    assert_eq!(waiting.any_event().as_deref(), Some(""));
    let last = waiting.last_event.clone().expect("an id");
    waiting.vanish();
    until("its connection is gone", || running.handle().status().connections == 1);
    let mut back = web.listen(Some(&last));
    keeper.release();
    assert_eq!(back.event().expect("an answer")["result"]["content"][0]["text"], "there");
    assert!(back.event().is_none(), "the stream ends with its answer");
    // A client that reads no streams is answered all the same.
    let message = web.make("tasks/result", json!({ "taskId": id }));
    web.post(&message, &[("Accept", "application/json")]);
    assert_eq!(web.json().1["result"]["content"][0]["text"], "there");
}

#[test]
fn a_session_with_tasks_is_not_given_up_for_its_silence() {
    let running = limited(|limits| {
        limits.session_idle = Duration::from_millis(50);
        limits.task_ttl = Duration::from_secs(60);
    });
    let mut web = Web::of(&running, R4);
    let mut idle = Web::of(&running, R4);
    let id = begin(&mut web, R4, "forward", json!({ "text": "x" }));
    until("the other one is given up", || running.handle().clients().len() == 1);
    assert_eq!(web.request("tasks/result", json!({ "taskId": id }))["result"]["content"][0]["text"], "x");
    let ping = idle.make("ping", json!({}));
    idle.post(&ping, &[]);
    assert_eq!(idle.status(), 404);
}

/// The next notice of a task.
fn told(peer: &mut Peer, subscription: &Value) -> Value {
    let message = peer.notice("notifications/tasks");
    Schema::of("ext-tasks").check("TaskStatusNotification", &message);
    assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], *subscription, "{message}");
    message["params"].clone()
}

#[test]
fn subscribers_are_told_what_becomes_of_a_task() {
    let running = serve(plain());
    let mut peer = modern(&running);
    let id = start(&mut peer, "asks");
    reach(&mut peer, &id, "input_required");
    let subscription =
        peer.start("subscriptions/listen", json!({ "notifications": { "taskIds": [id, "unknown", id] } }));
    let acknowledged = peer.next();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"], json!({ "taskIds": [id] }));
    // What has changed before is told at once.
    let first = told(&mut peer, &subscription);
    assert_eq!(
        (&first["status"], &first["inputRequests"]["name"]["method"]),
        (&json!("input_required"), &json!("elicitation/create"))
    );
    let answer = json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
    peer.request("tasks/update", json!({ "taskId": id, "inputResponses": answer }));
    let mut last = told(&mut peer, &subscription);
    if last["status"] == "working" {
        // Otherwise a newer notice has taken its place.
        last = told(&mut peer, &subscription);
    }
    assert_eq!((&last["status"], &last["result"]["content"][0]["text"]), (&json!("completed"), &json!("Ada")));
    let mut same = last;
    let mut fetched = get(&mut peer, &id);
    for task in [&mut same, &mut fetched] {
        let task = task.as_object_mut().expect("a task");
        for key in ["_meta", "resultType", "pollIntervalMs"] {
            task.remove(key);
        }
    }
    assert_eq!(same, fetched, "it is what `tasks/get` tells");
    // Who comes late is told how it has ended, over HTTP as well.
    let mut web = Web::able(&running, MODERN, knowing());
    web.start("subscriptions/listen", json!({ "notifications": { "taskIds": [id] } }));
    web.head();
    web.event().expect("an acknowledgement");
    assert_eq!(web.event().expect("a notice")["params"]["status"], "completed");
    // Who has not asked is not told.
    let mut other = modern(&running);
    let quiet = start(&mut other, "forward");
    reach(&mut other, &quiet, "completed");
    other.assert_silent();
    peer.assert_silent();
}

fn shut_down(running: Running, grace: Duration) -> std::thread::JoinHandle<Duration> {
    std::thread::spawn(move || {
        let begun = Instant::now();
        running.shutdown(grace).expect("a clean end");
        begun.elapsed()
    })
}

#[test]
fn a_shutdown_cancels_the_tasks_that_are_left() {
    let (events, ended) = channel();
    let running = serve(plain().tool_with(tool("told"), move |ctx, NoArgs| {
        let stopped = ctx.sleep(Duration::from_secs(600));
        let _ = events.send(stopped.is_err());
        stopped.map(|()| "slept")
    }));
    let mut peer = modern(&running);
    let mut old = Peer::able(&running, R4, knowing());
    let id = begin(&mut peer, MODERN, "told", json!({}));
    let asking = start(&mut peer, "asks");
    reach(&mut peer, &asking, "input_required");
    let subscription = peer.start("subscriptions/listen", json!({ "notifications": { "taskIds": [id] } }));
    let first = begin(&mut old, R4, "told", json!({}));
    begin(&mut old, R4, "asks", json!({}));
    old.notice("elicitation/create");
    let waiting = old.start("tasks/result", json!({ "taskId": first }));
    old.barrier();
    let stopping = shut_down(running, Duration::ZERO);
    assert_eq!(old.error(&waiting)["code"], -31001);
    let last = told(&mut peer, &subscription);
    assert_eq!((&last["status"], &last["error"]["data"]["reason"]), (&json!("failed"), &json!("shutting down")));
    assert_eq!(peer.result(&subscription)["resultType"], "complete");
    peer.closed();
    old.closed();
    assert!(stopping.join().expect("no panic") < PATIENCE);
    assert_eq!([(); 2].map(|()| ended.recv_timeout(PATIENCE)), [Ok(true), Ok(true)]);
}

#[test]
fn a_task_may_finish_while_the_server_stops() {
    let (turnstile, keeper) = turnstile();
    let running = serve(server(turnstile));
    let handle = running.handle();
    let mut old = Peer::of(&running, R4);
    let id = begin(&mut old, R4, "held", json!({ "text": "in time" }));
    keeper.wait_entered();
    let waiting = old.start("tasks/result", json!({ "taskId": id }));
    old.barrier();
    let stopping = shut_down(running, PATIENCE);
    let refused = loop {
        let answer = old.request("tools/call", call(R4, "forward", json!({ "text": "x" })));
        if answer["error"].is_object() {
            break answer;
        }
    };
    assert_eq!(code(&refused), -31001);
    keeper.release();
    assert_eq!(old.result(&waiting)["content"][0]["text"], "in time");
    old.closed();
    stopping.join().expect("no panic");
    assert_eq!(handle.status().tasks_in_flight, 0);
}

#[test]
fn the_end_of_a_pair_of_streams_is_the_end_of_its_tasks() {
    for revision in [R4, MODERN] {
        let client = plain().in_memory().in_revision(mcp_blocking::Revision::parse(revision).expect("a revision"));
        let mut client = client.capabilities(knowing());
        begin(&mut client, revision, "naps", json!({}));
        let begun = Instant::now();
        drop(client);
        assert!(begun.elapsed() < Duration::from_secs(4), "{revision}: {:?}", begun.elapsed());
    }
}

#[test]
fn an_answer_that_finds_no_thread_can_be_given_again() {
    let (turnstile, keeper) = turnstile();
    let running = serve(server(turnstile).limits(|limits| {
        limits.task_workers = 1;
        limits.queued_calls = 1;
    }));
    let mut peer = modern(&running);
    let asking = start(&mut peer, "asks");
    reach(&mut peer, &asking, "input_required");
    start(&mut peer, "held");
    keeper.wait_entered();
    start(&mut peer, "held");
    // One waits, and there may be no more; nor can a task begin.
    assert_eq!(code(&peer.request("tools/call", call(MODERN, "forward", json!({ "text": "x" })))), -31001);
    let answer =
        json!({ "taskId": asking, "inputResponses": { "name": { "action": "accept", "content": { "name": "Ada" } } } });
    assert_eq!(code(&peer.request("tasks/update", answer.clone())), -31001);
    let task = get(&mut peer, &asking);
    assert_eq!(
        (&task["status"], task["inputRequests"].as_object().map(|open| open.len())),
        (&json!("input_required"), Some(1))
    );
    keeper.release();
    keeper.wait_entered();
    peer.request("tasks/update", answer);
    keeper.release();
    assert_eq!(reach(&mut peer, &asking, "completed")["result"]["content"][0]["text"], "Ada");
    assert_eq!(running.handle().status().tasks, 3, "what was refused has left nothing");
}

#[test]
fn an_answer_that_was_refused_holds_no_memory() {
    let (turnstile, keeper) = turnstile();
    let running = serve(
        demo()
            .tool_with(tool("one").in_flight(1), move |ctx, Echo { text }| {
                if text == "held" {
                    turnstile.pass();
                }
                let Name { name } = ctx.ask("name", "Who?")?.accepted()?;
                Ok(name.len().to_string())
            })
            .limits(|limits| limits.task_bytes = 1 << 20),
    );
    let mut peer = modern(&running);
    let update = |id: &str, responses: Value| json!({ "taskId": id, "inputResponses": responses });
    let name = json!({ "name": { "action": "accept", "content": { "name": "x".repeat(60_000) } } });
    let asking = begin(&mut peer, MODERN, "one", json!({ "text": "asks" }));
    reach(&mut peer, &asking, "input_required");
    // Another has the only place, so that the answer cannot be used.
    let held = begin(&mut peer, MODERN, "one", json!({ "text": "held" }));
    keeper.wait_entered();
    for _ in 0..50 {
        assert_eq!(code(&peer.request("tasks/update", update(&asking, name.clone()))), -31001);
    }
    keeper.release();
    reach(&mut peer, &held, "input_required");
    for id in [&asking, &held] {
        let before = running.handle().status().memory_used;
        // What answers nothing is not remembered.
        for nothing in [json!({}), json!({ "who": "x".repeat(60_000) })].iter().cycle().take(50) {
            assert!(peer.request("tasks/update", update(id, nothing.clone()))["error"].is_null());
        }
        until("nothing is held for that", || running.handle().status().memory_used <= before);
        assert!(peer.request("tasks/update", update(id, name.clone()))["error"].is_null());
        if *id == held {
            // Its handler begins at its top.
            keeper.wait_entered();
            keeper.release();
        }
        assert_eq!(reach(&mut peer, id, "completed")["result"]["content"][0]["text"], "60000");
    }
    // All that is left is what they have come to.
    until("the answers are forgotten", || running.handle().status().memory_used < 20_000);
}

#[test]
fn tasks_that_are_answered_and_cancelled_at_once_all_end_and_leave_nothing() {
    let running = limited(|limits| limits.task_ttl_max = Duration::from_millis(400));
    std::thread::scope(|scope| {
        for number in 0..4_usize {
            let running = &running;
            scope.spawn(move || {
                let (mut new, mut other, mut old) =
                    (modern(running), modern(running), Peer::able(running, R4, knowing()));
                for turn in 0..40_usize {
                    let id = start(&mut new, "asks");
                    let session = begin(&mut old, R4, "asks", json!({ "text": "x" }));
                    let waiting = old.start("tasks/result", json!({ "taskId": session }));
                    let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
                    let update = json!({ "taskId": id, "inputResponses": { "name": answer } });
                    // Three connections, in all orders: what comes first depends on the threads.
                    let (first, second) =
                        if (number + turn).is_multiple_of(2) { (&mut new, &mut other) } else { (&mut other, &mut new) };
                    let updating = first.start("tasks/update", update);
                    let cancelling = second.start("tasks/cancel", json!({ "taskId": id }));
                    old.start("tasks/cancel", json!({ "taskId": session }));
                    first.answer(&updating);
                    second.answer(&cancelling);
                    let ended = get(first, &id);
                    assert!(matches!(ended["status"].as_str(), Some("cancelled" | "completed")), "{ended}");
                    assert_eq!(old.error(&waiting)["code"], -32603);
                }
            });
        }
    });
    until("nothing is left of them", || {
        let status = running.handle().status();
        (status.tasks, status.tasks_in_flight, status.workers_parked, status.memory_used) == (0, 0, 0, 0)
    });
    running.shutdown(PATIENCE).expect("a clean end");
}

#[test]
fn a_tool_that_detaches_has_to_be_one_that_can_be_a_task() {
    let problem = demo().tool_with(Tool::new("odd", "Odd").detaches(), |_ctx, NoArgs| Ok("odd")).bind("127.0.0.1:0");
    assert!(problem.expect_err("refused").to_string().contains("tool `odd`"));
}

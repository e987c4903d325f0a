//! When the server says that it is ready, and when it does not.

use super::client::{Client, PATIENCE, ask, connect, get, probe_address, serve, until, with_gate};
use mcp_blocking::crossbeam_channel::unbounded;
use mcp_blocking::{NoArgs, Server, ToolError};
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_failing_check_turns_it_red_with_its_name_and_text() {
    let fine = Arc::new(AtomicBool::new(false));
    let database = Arc::clone(&fine);
    let server = Server::new("notes", "1").ready_check("disk", || Ok(())).ready_check("database", move || {
        database.load(Ordering::Relaxed).then_some(()).ok_or_else(|| "no answer\non port 5432".to_owned())
    });
    let running = serve(server);
    let address = probe_address(&running);
    let red = get(address, "/ready");
    assert_eq!((red.status, red.header("Retry-After")), (503, Some("1")));
    assert_eq!(red.json(), json!({ "ready": false, "reasons": [r"database: no answer\non port 5432"] }));
    let text = ask(address, "GET", "/ready", &["Accept: text/plain"]);
    assert_eq!((text.status, text.body.as_str()), (503, "not ready\ndatabase: no answer\\non port 5432\n"));
    assert_eq!(get(address, "/health").status, 200, "it lives all the same");
    fine.store(true, Ordering::Relaxed);
    until("it is ready again", || get(address, "/ready").status == 200);
}

#[test]
fn a_check_that_panics_is_a_failing_check() {
    let running = serve(Server::new("notes", "1").ready_check("database", || panic!("on purpose")));
    let address = probe_address(&running);
    let red = get(address, "/ready");
    assert_eq!((red.status, &red.json()["reasons"][0]), (503, &"database: the check panicked".into()));
    assert_eq!(get(address, "/health").status, 200);
    running.shutdown(Duration::from_secs(5)).expect("ends well");
}

#[test]
fn many_probes_ask_the_check_once_a_second() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let running = serve(Server::new("notes", "1").ready_check("database", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }));
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(get(probe_address(&running), "/ready").status, 200);
    }
    let most = begun.elapsed().as_secs() as usize + 1;
    let asked = count.load(Ordering::Relaxed);
    assert!(asked <= most, "asked {asked} times, should be {most} at most");
}

#[test]
fn a_check_that_does_not_return_delays_no_other_probe() {
    let (begin, begun) = unbounded();
    let (release, released) = unbounded::<()>();
    let running = serve(Server::new("notes", "1").ready_check("database", move || {
        let _ = begin.send(());
        let _ = released.recv_timeout(PATIENCE);
        Ok(())
    }));
    let address = probe_address(&running);
    let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let first = send(connect(address), &request);
    begun.recv_timeout(PATIENCE).expect("the check runs");
    let _crowd: Vec<_> = (0..40).map(|_| send(connect(address), &request)).collect();
    let (took, _) = super::client::probe(address);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let red = get(address, "/ready");
    assert_eq!(red.status, 503);
    let reason = red.json()["reasons"][0].to_string();
    assert!(reason.contains("database: the check has not returned for "), "{reason}");
    drop(release);
    until("the check has returned", || get(address, "/ready").status == 200);
    drop(first);
}

fn send(mut stream: TcpStream, request: &str) -> TcpStream {
    // One of many may be turned away before it has said anything.
    let _ = stream.write_all(request.as_bytes());
    stream
}

#[test]
fn it_is_red_while_the_server_drains_and_answers_to_the_end() {
    let (server, begun, open) = with_gate(Server::new("notes", "1"));
    let running = serve(server);
    let (address, main) = (probe_address(&running), running.addr());
    let mut client = Client::connect(main);
    client.start_call("wait");
    begun.recv_timeout(PATIENCE).expect("the call runs");
    assert_eq!(get(address, "/ready").status, 200);
    assert_eq!(get(address, "/health").json()["inFlight"], 1);
    let ending = std::thread::spawn(move || running.shutdown(PATIENCE));
    until("it is red", || get(address, "/ready").status == 503);
    let ready = get(address, "/ready").json();
    assert_eq!(ready["reasons"], json!(["draining: the server is stopping"]));
    let health = get(address, "/health");
    assert_eq!((health.status, &health.json()["status"]), (200, &"draining".into()));
    assert_eq!(health.json()["clients"], 1);
    assert!(get(address, "/health?format=text").body.starts_with("draining\n"));
    drop(open);
    assert_eq!(client.read()["result"]["content"][0]["text"], "done");
    client.leave();
    ending.join().expect("no panic").expect("ends well");
    assert!(TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_err(), "the address is closed");
}

#[test]
fn the_end_waits_for_no_silent_probe() {
    let running = serve(Server::new("notes", "1"));
    let address = probe_address(&running);
    let _silent: Vec<_> = (0..10).map(|_| connect(address)).collect();
    assert_eq!(get(address, "/health").status, 200);
    let begun = Instant::now();
    running.shutdown(Duration::from_secs(1)).expect("ends well");
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(1_500), "{took:?}");
}

#[test]
fn it_is_red_while_the_queue_is_full() {
    let (server, begun, open) = with_gate(Server::new("notes", "1"));
    let running = serve(server.limits(|limits| (limits.workers, limits.queued_calls) = (1, 2)));
    let address = probe_address(&running);
    let mut client = Client::connect(running.addr());
    client.start_call("wait");
    begun.recv_timeout(PATIENCE).expect("the call runs");
    client.start_call("wait");
    client.start_call("wait");
    until("it is red", || get(address, "/ready").status == 503);
    let reasons = get(address, "/ready").json();
    assert!(reasons["reasons"][0].as_str().expect("text").starts_with("overloaded: 2 calls wait"), "{reasons}");
    assert_eq!(get(address, "/health").json()["queueDepth"], 2);
    drop(open);
    until("it is ready again", || get(address, "/ready").status == 200);
}

#[test]
fn tools_that_fail_do_not_turn_it_red() {
    let server = Server::new("notes", "1")
        .tool("fail", "Fails", |_ctx, NoArgs {}| -> Result<&str, ToolError> { Err(ToolError::new("no")) });
    let running = serve(server);
    Client::connect(running.addr()).call("fail");
    assert_eq!(get(probe_address(&running), "/ready").status, 200);
}

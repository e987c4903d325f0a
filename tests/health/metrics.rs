//! What `/metrics` says agrees with what has happened.

use super::client::{Client, PATIENCE, ask, exchange, get, probe_address, serve, until, with_gate};
use super::exposition::Metrics;
use mcp_blocking::{NoArgs, Running, Server, ToolError};
use serde_json::json;
use std::time::Duration;

const REQUESTS: &str = "mcp_server_requests_total";
const DURATION: &str = "mcp_server_operation_duration_seconds";

#[track_caller]
fn metrics(running: &Running) -> Metrics {
    Metrics::parse(&get(probe_address(running), "/metrics").body)
}

/// How many requests of that method had that outcome.
#[track_caller]
fn requests(metrics: &Metrics, method: &str, outcome: &str) -> f64 {
    metrics.find(REQUESTS, &[("mcp_method_name", method), ("outcome", outcome)]).unwrap_or(0.0)
}

fn tools() -> Server {
    Server::new("a \"quoted\\ name\"\n", "1.2.3")
        .tool("fine", "Succeeds", |_ctx, NoArgs {}| Ok("fine"))
        .tool("fail", "Fails", |_ctx, NoArgs {}| -> Result<&str, ToolError> { Err(ToolError::new("no")) })
        .tool("panic", "Panics", |_ctx, NoArgs {}| -> Result<&str, ToolError> { panic!("on purpose") })
}

#[test]
fn a_server_that_nobody_has_asked_has_all_families_and_no_methods() {
    let running = serve(tools());
    let metrics = metrics(&running);
    let build =
        [("name", "a \"quoted\\ name\"\n"), ("version", "1.2.3"), ("library_version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(metrics.value("mcp_server_build_info", &build), 1.0);
    for (name, kind) in [
        ("mcp_server_uptime_seconds", "gauge"),
        ("mcp_server_draining", "gauge"),
        ("mcp_server_connections", "gauge"),
        ("mcp_server_connections_accepted_total", "counter"),
        ("mcp_server_refusals_total", "counter"),
        ("mcp_server_probes_total", "counter"),
        (REQUESTS, "counter"),
        (DURATION, "histogram"),
        ("mcp_server_calls_in_flight", "gauge"),
        ("mcp_server_queue_depth", "gauge"),
        ("mcp_server_outbox_bytes", "gauge"),
        ("mcp_server_workers", "gauge"),
        ("mcp_server_workers_parked", "gauge"),
        ("mcp_server_workers_written_off", "gauge"),
        ("mcp_server_workers_written_off_total", "counter"),
        ("mcp_server_memory_used_bytes", "gauge"),
        ("mcp_server_memory_limit_bytes", "gauge"),
        ("mcp_server_panics_total", "counter"),
    ] {
        assert_eq!(metrics.kind(name), Some(kind), "{name}");
    }
    assert!(metrics.names().all(|name| name.starts_with("mcp_server_")));
    assert!(metrics.all(REQUESTS).is_empty());
    assert_eq!(metrics.value("mcp_server_refusals_total", &[("reason", "host")]), 0.0);
}

#[test]
fn requests_are_counted_by_method_and_outcome() {
    let (server, begun, _open) = with_gate(tools());
    let running = serve(server);
    let mut client = Client::connect(running.addr());
    for _ in 0..3 {
        client.call("fine");
    }
    client.call("fail");
    client.call("fail");
    client.call("panic");
    client.call("no-such-tool");
    client.request("ping", json!({}));
    client.request("tools/list", json!({}));
    client.request("acme/unheard-of", json!({}));
    client.request("acme/another", json!({}));
    client.request("resources/list", json!({}));
    let id = client.start_call("wait");
    begun.recv_timeout(PATIENCE).expect("the call runs");
    assert_eq!(metrics(&running).value("mcp_server_calls_in_flight", &[]), 1.0);
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }));
    client.request("ping", json!({}));

    let metrics = metrics(&running);
    for (method, outcome, count) in [
        ("initialize", "ok", 1.0),
        ("ping", "ok", 2.0),
        ("tools/list", "ok", 1.0),
        ("tools/call", "ok", 3.0),
        ("tools/call", "tool_error", 2.0),
        // A panic, and a tool that does not exist.
        ("tools/call", "error", 2.0),
        ("tools/call", "cancelled", 1.0),
        ("tools/call", "timeout", 0.0),
        ("tools/call", "busy", 0.0),
        ("resources/list", "error", 1.0),
        ("other", "error", 2.0),
    ] {
        assert_eq!(requests(&metrics, method, outcome), count, "{method} {outcome}");
    }
    let sum: f64 = metrics.all(REQUESTS).iter().map(|(_, count)| count).sum();
    assert_eq!(sum, 15.0, "and nothing else");
    assert_eq!(running.handle().status().requests, 15);
    assert_eq!(metrics.value(&format!("{DURATION}_count"), &[("mcp_method_name", "tools/call")]), 8.0);
    assert_eq!(metrics.value("mcp_server_panics_total", &[]), 1.0);
    assert_eq!(metrics.value("mcp_server_connections", &[]), 1.0);
    assert_eq!(metrics.value("mcp_server_connections_accepted_total", &[]), 1.0);
    assert!(metrics.value("mcp_server_workers", &[]) >= 1.0);
}

#[test]
fn calls_stopped_at_their_deadline_and_those_of_clients_that_leave_are_told_apart() {
    let (server, begun, _open) = with_gate(tools());
    let running = serve(server.limits(|limits| limits.handler_deadline = Duration::from_millis(150)));
    let mut client = Client::connect(running.addr());
    let answer = client.call("wait");
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    begun.recv_timeout(PATIENCE).expect("the call ran");
    let timed_out = metrics(&running);
    assert_eq!(requests(&timed_out, "tools/call", "timeout"), 1.0);
    let sum = timed_out.value(&format!("{DURATION}_sum"), &[("mcp_method_name", "tools/call")]);
    assert!((0.15..20.0).contains(&sum), "{sum}");
    let quick = timed_out.value(&format!("{DURATION}_bucket"), &[("mcp_method_name", "tools/call"), ("le", "0.1")]);
    assert_eq!(quick, 0.0);
}

#[test]
fn a_client_that_leaves_cancels_its_calls() {
    let (server, begun, _open) = with_gate(tools());
    let running = serve(server);
    let mut client = Client::connect(running.addr());
    client.start_call("wait");
    begun.recv_timeout(PATIENCE).expect("the call runs");
    client.leave();
    until("the call is cancelled", || requests(&metrics(&running), "tools/call", "cancelled") == 1.0);
    until("nobody is connected", || metrics(&running).value("mcp_server_connections", &[]) == 0.0);
}

#[test]
fn what_is_turned_away_for_the_load_counts_but_not_its_time() {
    let (server, begun, open) = with_gate(tools());
    let running = serve(server.limits(|limits| {
        limits.calls_per_connection = 1;
        (limits.rate, limits.burst) = (1, 4);
    }));
    // initialize, and three more.
    let mut client = Client::connect(running.addr());
    client.start_call("wait");
    begun.recv_timeout(PATIENCE).expect("the call runs");
    assert_eq!(client.call("fine")["error"]["code"], -31001);
    let mut limited = 0.0;
    until("the rate is used up", || {
        let answer = client.request("ping", json!({}));
        limited += f64::from(answer["error"]["code"] == -31002);
        limited >= 2.0
    });
    let metrics = metrics(&running);
    assert_eq!(requests(&metrics, "tools/call", "busy"), 1.0);
    assert_eq!(requests(&metrics, "ping", "rate_limited"), limited);
    let answered = requests(&metrics, "ping", "ok");
    let timed = metrics.find(&format!("{DURATION}_count"), &[("mcp_method_name", "ping")]).unwrap_or(0.0);
    assert_eq!(timed, answered);
    assert_eq!(metrics.value("mcp_server_rate_limited_messages_total", &[]), limited);
    drop(open);
}

#[test]
fn refusals_are_counted_by_reason_and_probes_apart() {
    let running = serve(tools().limits(|limits| limits.connections = 1));
    let (main, address) = (running.addr(), probe_address(&running));
    for _ in 0..2 {
        exchange(main, "GET /mcp HTTP/1.1\r\nHost: attacker.example\r\n\r\n");
    }
    // A seat is given back a moment after the answer is out.
    let free = || until("the seat is free", || get(main, "/elsewhere").status == 404);
    free();
    let seen = metrics(&running);
    let paths = seen.value("mcp_server_refusals_total", &[("reason", "path")]);
    assert!(paths >= 1.0);
    let host = seen.value("mcp_server_refusals_total", &[("reason", "host")]);
    let crowded = seen.value("mcp_server_refusals_total", &[("reason", "max-connections")]);
    // One of the two above may have come while the other was still in its seat.
    assert!(host >= 1.0 && host + crowded >= 2.0, "{host} {crowded}");
    let total: f64 = seen.all("mcp_server_refusals_total").iter().map(|(_, count)| count).sum();
    assert_eq!(running.handle().status().connections_refused as f64, total);

    let before = seen.value("mcp_server_probes_total", &[("outcome", "refused")]);
    ask(address, "GET", "/health", &["Origin: https://attacker.example"]);
    exchange(address, "nonsense\r\n\r\n");
    let seen = metrics(&running);
    assert_eq!(seen.value("mcp_server_probes_total", &[("outcome", "refused")]), before + 2.0);
    assert!(seen.value("mcp_server_probes_total", &[("outcome", "answered")]) >= 2.0);
    let after: f64 = seen.all("mcp_server_refusals_total").iter().map(|(_, count)| count).sum();
    assert_eq!(after, total, "probes are not the main port's refusals");
}

#[test]
fn many_calls_are_counted_exactly() {
    let running = serve(tools().limits(|limits| limits.rate = 0));
    const CLIENTS: usize = 4;
    const CALLS: usize = 250;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::connect(running.addr());
                for _ in 0..CALLS {
                    client.call("fine");
                }
            });
        }
    });
    let metrics = metrics(&running);
    let calls = (CLIENTS * CALLS) as f64;
    assert_eq!(requests(&metrics, "tools/call", "ok"), calls);
    assert_eq!(metrics.value(&format!("{DURATION}_count"), &[("mcp_method_name", "tools/call")]), calls);
}

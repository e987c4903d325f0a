//! Messages as they travel: in fragments, cut anywhere, large, and many at once.

use super::demo::demo;
use super::peer::{MODERN, Peer, modern_meta, serve};
use super::raw::{CONTINUATION, FIN, PING, PONG, Raw, TEXT, masked};
use serde_json::{Value, json};

const PING_TEXT: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[test]
fn a_message_in_fragments_with_pings_between_them_is_one_message() {
    let running = serve(demo());
    let mut raw = Raw::upgraded(running.addr());
    for size in [10, 4 << 10, 20 << 10, 20 << 10, 9 << 10] {
        let text = "é".repeat(size);
        let params = json!({ "name": "echo", "arguments": { "text": text }, "_meta": modern_meta(json!({})) });
        let request = json!({ "jsonrpc": "2.0", "id": size, "method": "tools/call", "params": params }).to_string();
        let (first, rest) = request.as_bytes().split_at(request.len() / 2);
        raw.frame(TEXT, first);
        raw.frame(FIN | PING, b"between");
        assert_eq!(raw.read_frame(), Some((FIN | PONG, b"between".to_vec())));
        raw.frame(FIN | CONTINUATION, rest);
        let (_, answer) = raw.read_frame().expect("an answer");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(size), &json!(text)));
    }
    // All of it in one go, twice.
    let request = format!("{PING_TEXT}{}", " ".repeat(40 << 10));
    let (first, rest) = request.as_bytes().split_at(20 << 10);
    let bytes = [masked(TEXT, first), masked(FIN | PING, b"a"), masked(FIN | CONTINUATION, rest)].concat();
    raw.send(&bytes.repeat(2));
    let kinds: Vec<u8> = (0..4).map(|_| raw.read_frame().expect("a frame").0).collect();
    assert_eq!(kinds, [FIN | PONG, FIN | TEXT, FIN | PONG, FIN | TEXT]);
    raw.text(PING_TEXT);
    assert!(raw.read_frame().is_some());
}

#[test]
fn every_way_to_cut_the_bytes_gives_the_same_messages() {
    let running = serve(demo());
    let bytes = [
        masked(FIN | TEXT, PING_TEXT.as_bytes()),
        masked(TEXT, &PING_TEXT.as_bytes()[..7]),
        masked(FIN | PING, b"x"),
        masked(FIN | CONTINUATION, &PING_TEXT.as_bytes()[7..]),
        masked(FIN | TEXT, format!("{PING_TEXT}{}", " ".repeat(200)).as_bytes()),
    ]
    .concat();
    for step in [1, 2, 3, 5, 7, 13, 64] {
        let mut raw = Raw::upgraded(running.addr());
        for part in bytes.chunks(step) {
            raw.send(part);
        }
        let kinds: Vec<u8> = (0..4).map(|_| raw.read_frame().expect("a frame").0).collect();
        assert_eq!(kinds, [FIN | TEXT, FIN | PONG, FIN | TEXT, FIN | TEXT], "{step} bytes at once");
    }
}

#[test]
fn a_message_of_a_mebibyte_goes_there_and_back() {
    let running = serve(demo());
    for revision in ["2025-06-18", MODERN] {
        let mut peer = Peer::of(&running, revision);
        let text: String = "0123456789abcdef".repeat(((1 << 20) - 1_024) / 16);
        for tool in ["echo", "quick", "echo"] {
            let result = peer.call(tool, json!({ "text": text }));
            assert!(result["content"][0]["text"].as_str() == Some(&text), "not the same text");
            peer.barrier();
        }
    }
}

#[test]
fn five_hundred_pings_in_one_go_are_answered_in_order() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, "2025-06-18");
    let pings: Vec<_> = (0..500).map(|_| peer.make("ping", json!({}))).collect();
    pings.iter().for_each(|ping| peer.write(ping));
    peer.flush();
    for ping in pings {
        assert_eq!(peer.next()["id"], ping["id"]);
    }
    peer.assert_silent();
}

/// Sends calls of a quick tool in one go, each to be answered once; whether they were answered in order.
fn quick_calls_are_in_order(revision: &'static str, count: usize) -> bool {
    let running = serve(demo());
    let mut peer = Peer::of(&running, revision);
    let calls: Vec<_> = (0..count)
        .map(|at| peer.make("tools/call", json!({ "name": "quick", "arguments": { "text": format!("{at}") } })))
        .collect();
    calls.iter().for_each(|call| peer.write(call));
    peer.flush();
    let answers: Vec<_> = calls.iter().map(|_| peer.next()).collect();
    for (at, call) in calls.iter().enumerate() {
        let mut of = answers.iter().filter(|answer| answer["id"] == call["id"]);
        let answer = of.next().expect("each is answered");
        // On a slow machine, what is beyond the calls that may be under way is busy.
        assert!(
            answer["result"]["content"][0]["text"].as_str() == Some(at.to_string().as_str())
                || answer["error"]["code"] == -31001,
            "{answer}"
        );
        assert!(of.next().is_none(), "{call} is answered twice");
    }
    peer.assert_silent();
    calls.iter().zip(&answers).all(|(call, answer)| call["id"] == answer["id"])
}

#[test]
fn five_hundred_calls_of_a_quick_tool_in_one_go_are_each_answered_once() {
    for revision in ["2025-06-18", MODERN] {
        quick_calls_are_in_order(revision, 500);
    }
}

#[test]
fn calls_of_a_quick_tool_in_one_go_are_answered_in_order() {
    for revision in ["2025-06-18", MODERN] {
        // A tool that once took 5 ms, as happens when its thread has to wait for a core, is run by the pool from then
        // on, in no order; a new server tries again.
        assert!((0..50).any(|_| quick_calls_are_in_order(revision, 10)), "{revision}: never in order");
    }
}

#[test]
fn pipelined_calls_of_pooled_tools_are_each_answered_once() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, "2025-11-25");
    let calls: Vec<_> = (0..100)
        .map(|at| peer.make("tools/call", json!({ "name": "echo", "arguments": { "text": format!("{at}") } })))
        .collect();
    calls.iter().for_each(|call| peer.write(call));
    peer.flush();
    for (at, call) in calls.iter().enumerate() {
        assert_eq!(peer.result(&call["id"])["content"][0]["text"], at.to_string());
    }
    peer.assert_silent();
}

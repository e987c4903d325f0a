//! Settings as large as their types: "as much as you like" must not break anything.

use super::demo::demo;
use super::peer::{LEGACY, MODERN, Peer, serve, until};
use mcp_blocking::{Limits, NoArgs, Tool};
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// A limit by name, and its change.
type Change = (&'static str, fn(&mut Limits));

/// Starts a server with one limit changed and uses it; which limits break it.
fn broken_by(limits: &[Change]) -> Vec<&'static str> {
    let breaks = |change: fn(&mut Limits)| {
        let used = catch_unwind(AssertUnwindSafe(|| {
            let running = serve(demo().limits(change));
            for revision in [LEGACY[3], MODERN] {
                let mut peer = Peer::of(&running, revision);
                for tool in ["echo", "quick"] {
                    assert_eq!(peer.call(tool, json!({ "text": "x" }))["content"][0]["text"], "x");
                }
                peer.close(1000, "");
                assert_eq!(peer.closed().map(|(code, _)| code), Some(1000));
            }
            running.shutdown(Duration::from_secs(1)).expect("a good end");
        }));
        used.is_err()
    };
    limits.iter().filter(|(_, change)| breaks(*change)).map(|(name, _)| *name).collect()
}

#[test]
fn times_may_be_endless() {
    let broken = broken_by(&[
        ("head_deadline", |limits| limits.head_deadline = Duration::MAX),
        ("ping_interval", |limits| limits.ping_interval = Duration::MAX),
        ("frame_deadline", |limits| limits.frame_deadline = Duration::MAX),
        ("write_deadline", |limits| limits.write_deadline = Duration::MAX),
        ("close_deadline", |limits| limits.close_deadline = Duration::MAX),
        ("handler_deadline", |limits| limits.handler_deadline = Duration::MAX),
        ("handler_deadline_extended", |limits| limits.handler_deadline_extended = Duration::MAX),
    ]);
    assert!(broken.is_empty(), "Duration::MAX breaks {broken:?}");
}

#[test]
fn counts_may_be_as_large_as_their_types() {
    let broken = broken_by(&[
        ("message_bytes", |limits| limits.message_bytes = usize::MAX),
        ("frame_bytes", |limits| limits.frame_bytes = Some(usize::MAX)),
        ("fragments", |limits| limits.fragments = usize::MAX),
        ("control_frames_per_second", |limits| limits.control_frames_per_second = u32::MAX),
        ("head_bytes", |limits| limits.head_bytes = usize::MAX),
        ("head_lines", |limits| limits.head_lines = usize::MAX),
        ("connections", |limits| limits.connections = usize::MAX),
        ("connections_per_address", |limits| limits.connections_per_address = usize::MAX),
        ("half_open", |limits| limits.half_open = usize::MAX),
        ("missed_pings", |limits| limits.missed_pings = u32::MAX),
        ("outbox_bytes", |limits| limits.outbox_bytes = usize::MAX),
        ("outbox_frames", |limits| limits.outbox_frames = usize::MAX),
        ("calls_per_connection", |limits| limits.calls_per_connection = usize::MAX),
        ("queued_calls", |limits| limits.queued_calls = usize::MAX),
        ("listens_per_connection", |limits| limits.listens_per_connection = usize::MAX),
        ("json_depth", |limits| limits.json_depth = usize::MAX),
        ("rate", |limits| (limits.rate, limits.burst) = (u32::MAX, u32::MAX)),
        ("log_rate", |limits| limits.log_rate = u32::MAX),
        ("workers", |limits| limits.workers = usize::MAX),
        ("memory_bytes", |limits| limits.memory_bytes = usize::MAX),
        ("page_size", |limits| limits.page_size = usize::MAX),
    ]);
    assert!(broken.is_empty(), "its largest value breaks {broken:?}");
}

#[test]
fn a_tool_may_take_and_sleep_for_ever() {
    let endless = Tool::new("endless", "Sleeps for ever").deadline(Duration::MAX);
    let running = serve(demo().tool_with(endless, |ctx, NoArgs| {
        ctx.sleep(Duration::MAX)?;
        Ok("slept")
    }));
    let mut peer = Peer::of(&running, "2025-06-18");
    let id = peer.start_call("endless", json!({}));
    let handle = running.handle();
    until("it is under way", || handle.status().calls_in_flight == 1);
    peer.cancel(&id);
    until("it is over", || handle.status().calls_in_flight == 0);
    peer.assert_silent();
    assert_eq!(handle.status().panics, 0);
}

#[test]
fn a_grace_may_be_endless() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, "2025-06-18");
    let stopping = std::thread::spawn(move || running.shutdown(Duration::MAX));
    until("the shutdown is over", || stopping.is_finished());
    stopping.join().expect("no panic").expect("a good end");
    assert_eq!(peer.closed().map(|(code, _)| code), Some(1001));
}

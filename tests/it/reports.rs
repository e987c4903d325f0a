//! What a handler says while it works: progress and log messages, to those who want them, and never after the answer.

use super::demo::demo;
use super::peer::{ALL, LEGACY, MODERN, PATIENCE, Peer, modern_meta, serve, turnstile};
use super::schema::Schema;
use mcp_blocking::{LogLevel, NoArgs, Tool};
use serde_json::{Value, json};
use std::time::Duration;

fn values(messages: &[Value]) -> Vec<f64> {
    messages.iter().map(|message| message["params"]["progress"].as_f64().expect("a number")).collect()
}

#[test]
fn progress_comes_before_the_answer_with_its_token_and_as_the_revision_has_it() {
    let running = serve(demo());
    for revision in ALL {
        let schema = Schema::of(revision);
        for token in [json!("a token"), json!(7), json!(0), json!(""), json!(-3)] {
            let mut peer = Peer::of(&running, revision);
            let id = peer.start_call_with_progress("count", json!({ "to": 4 }), token.clone());
            assert_eq!(peer.result(&id)["content"][0]["text"], "counted to 4");
            let reports = peer.take_held();
            assert_eq!(values(&reports), [1.0, 2.0, 3.0, 4.0], "{revision}: {reports:?}");
            for report in &reports {
                schema.check_message(report, None);
                assert_eq!(report["params"]["progressToken"], token);
                assert_eq!(report["params"]["total"].as_f64(), Some(4.0));
                let words = (revision != LEGACY[0]).then_some("counting");
                assert_eq!(report["params"]["message"].as_str(), words, "{revision}");
            }
            peer.assert_silent();
        }
    }
}

#[test]
fn without_a_token_there_is_no_progress_and_a_wrong_token_is_refused() {
    let running = serve(demo());
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        peer.call("count", json!({ "to": 4 }));
        peer.assert_silent();
        for token in [json!(1.5), json!(true), json!({}), json!([1])] {
            let id = peer.start_call_with_progress("count", json!({ "to": 1 }), token.clone());
            assert_eq!(peer.error(&id)["code"], -32602, "{revision} {token}");
        }
    }
}

#[test]
fn progress_only_ever_increases() {
    let running = serve(demo().tool("odd", "Reports oddly", |ctx, NoArgs| {
        for done in [1.0, 1.0, 0.5, f64::NAN, f64::INFINITY, -1.0, 1.25, f64::NEG_INFINITY, 1.25, 7.0] {
            ctx.progress(done, f64::NAN)?;
        }
        Ok("done")
    }));
    let mut peer = Peer::of(&running, "2025-11-25");
    let id = peer.start_call_with_progress("odd", json!({}), json!("t"));
    peer.result(&id);
    let reports = peer.take_held();
    assert_eq!(values(&reports), [1.0, 1.25, 7.0], "{reports:?}");
    assert!(reports.iter().all(|report| report["params"].get("total").is_none()), "{reports:?}");
}

#[test]
fn progress_of_many_threads_increases_too() {
    let running = serve(demo().tool("crowd", "Reports from threads", |ctx, NoArgs| {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || (0..50).for_each(|step| drop(ctx.progress(f64::from(step * 4 + thread), 200.0))));
            }
        });
        Ok("done")
    }));
    let mut peer = Peer::of(&running, MODERN);
    let id = peer.start_call_with_progress("crowd", json!({}), json!(1));
    peer.result(&id);
    let reports = values(&peer.take_held());
    assert!(reports.windows(2).all(|pair| pair[0] < pair[1]), "{reports:?}");
    assert_eq!(reports.last(), Some(&199.0));
}

#[test]
fn nothing_follows_the_answer_though_the_handler_goes_on_reporting() {
    let (turnstile, keeper) = turnstile();
    let stubborn = Tool::new("stubborn", "Does not stop").deadline(Duration::from_millis(100));
    let running = serve(demo().tool_with(stubborn, move |ctx, NoArgs| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut done = 0.0;
                while ctx.check().is_ok() {
                    done += 1.0;
                    let _ = ctx.progress(done, 1e9);
                    std::thread::sleep(Duration::from_millis(1));
                }
                // The answer is out: all this is for nobody.
                for step in 0..100 {
                    let _ = ctx.progress(1e9 + f64::from(step), 2e9);
                    ctx.log(LogLevel::Emergency, "after the end");
                }
                turnstile.pass();
            });
        });
        Ok("done")
    }));
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let mut meta = json!({ "progressToken": "t" });
        if peer.is_modern() {
            meta = modern_meta(json!({}));
            meta["progressToken"] = json!("t");
            meta["io.modelcontextprotocol/logLevel"] = json!("debug");
        }
        let id = peer.start("tools/call", json!({ "name": "stubborn", "_meta": meta }));
        assert_eq!(peer.result(&id)["isError"], true, "{revision}");
        // A log message may have slipped in between the cancellation and the answer.
        let mut before = peer.take_held();
        before.retain(|message| message["method"] == "notifications/progress");
        assert!(!before.is_empty() && values(&before).windows(2).all(|pair| pair[0] < pair[1]), "{before:?}");
        keeper.wait_entered();
        peer.assert_silent();
        keeper.release();
    }
}

#[test]
fn log_messages_follow_the_level_of_the_session() {
    let running = serve(demo());
    let names: Vec<&str> = LogLevel::ALL.iter().map(|level| level.as_str()).collect();
    for revision in LEGACY {
        let mut peer = Peer::of(&running, revision);
        let mut logged = |level: Option<&str>| {
            if let Some(level) = level {
                assert_eq!(peer.request("logging/setLevel", json!({ "level": level }))["result"], json!({}));
            }
            peer.call("log", json!({}));
            let messages = peer.take_held();
            messages.iter().map(|message| message["params"]["level"].as_str().expect("a level").to_owned()).collect()
        };
        let found: Vec<String> = logged(None);
        assert_eq!(found, names[1..], "{revision}: info is where it begins");
        for (from, name) in names.iter().enumerate() {
            let found: Vec<String> = logged(Some(name));
            assert_eq!(found, names[from..], "{revision}");
        }
        for params in [json!({ "level": "warn" }), json!({ "level": "INFO" }), json!({})] {
            assert_eq!(peer.request("logging/setLevel", params)["error"]["code"], -32602);
        }
        // A wrong level changes nothing: emergency holds.
        peer.call("log", json!({}));
        assert_eq!(peer.take_held().len(), 1);
    }
}

#[test]
fn log_messages_of_a_modern_request_follow_its_own_level() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, MODERN);
    for (at, level) in LogLevel::ALL.iter().enumerate() {
        let mut meta = modern_meta(json!({}));
        meta["io.modelcontextprotocol/logLevel"] = json!(level.as_str());
        let id = peer.start("tools/call", json!({ "name": "log", "_meta": meta }));
        peer.result(&id);
        assert_eq!(peer.take_held().len(), 8 - at);
        peer.call("log", json!({}));
        peer.assert_silent();
    }
    for level in [json!("warn"), json!(5), json!({})] {
        let mut meta = modern_meta(json!({}));
        meta["io.modelcontextprotocol/logLevel"] = level.clone();
        let id = peer.start("tools/call", json!({ "name": "log", "_meta": meta }));
        assert_eq!(peer.error(&id)["code"], -32602, "{level}");
    }
}

#[test]
fn reports_of_a_fast_handler_never_overtake_its_answer_under_load() {
    let running = serve(demo());
    let peers: Vec<_> = ALL
        .into_iter()
        .map(|revision| {
            let mut peer = Peer::of(&running, revision);
            std::thread::spawn(move || {
                for round in 0..20 {
                    let id = peer.start_call_with_progress("count", json!({ "to": 20 }), json!(round));
                    let answer = loop {
                        let message = peer.next();
                        if message["id"] == id {
                            break message;
                        }
                        assert_eq!(message["params"]["progressToken"], round, "a report after its answer");
                    };
                    assert!(answer["result"].is_object(), "{answer}");
                }
                peer.assert_silent();
            })
        })
        .collect();
    peers.into_iter().for_each(|peer| peer.join().expect("no panic"));
    running.shutdown(PATIENCE).expect("a good end");
}

//! Recorded exchanges: does a conversation go on word by word as it stands in `tests/stories`?
//!
//! `> ` is what the client sends, `< ` what the server has to send next, `* ` what the server's author does, `# ` a
//! comment. Run with `UPDATE_STORIES=1` to write down what the server says now in the place of each `< ` line; the
//! difference is for review.

use super::demo::demo;
use super::peer::{ALL, PATIENCE, Peer, Received, serve};
use super::schema::Schema;
use mcp_blocking::{NoArgs, Tool};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[test]
fn the_story_of_2024_11_05_goes_as_recorded() {
    play(ALL[0]);
}

#[test]
fn the_story_of_2025_03_26_goes_as_recorded() {
    play(ALL[1]);
}

#[test]
fn the_story_of_2025_06_18_goes_as_recorded() {
    play(ALL[2]);
}

#[test]
fn the_story_of_2025_11_25_goes_as_recorded() {
    play(ALL[3]);
}

#[test]
fn the_story_of_2026_07_28_goes_as_recorded() {
    play(ALL[4]);
}

fn play(revision: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/stories/{revision}.txt"));
    let story = std::fs::read_to_string(&path).expect("a story");
    let schema = Schema::of(revision);
    let running = serve(demo().title("Demo").instructions("Add, count and echo."));
    let handle = running.handle();
    let mut running = Some(running);
    let mut stopping = None;
    let mut peer = Peer::connect(running.as_ref().expect("it runs"));
    let mut asked: HashMap<String, String> = HashMap::new();
    let (mut told, mut number) = (String::new(), 0);
    for line in story.lines() {
        number += 1;
        let mut said = line.to_owned();
        if let Some(text) = line.strip_prefix("> ") {
            if let Ok(message) = serde_json::from_str::<Value>(text)
                && let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str())
            {
                asked.insert(id.to_string(), method.to_owned());
            }
            peer.send_text(text);
        } else if line.starts_with('<') {
            said = match peer.receive(Instant::now() + PATIENCE) {
                Received::Message(message) => {
                    let method = message.get("id").and_then(|id| asked.get(&id.to_string()));
                    schema.check_message(&message, method.map(String::as_str));
                    format!("< {}", peer.text)
                }
                Received::Closed(code, reason) => format!("< close {code} {reason}"),
                other => panic!("{revision}:{number}: {other:?} instead of {line}"),
            };
        } else if let Some(action) = line.strip_prefix("* ") {
            match action {
                "add a tool" => handle
                    .edit(|registry| registry.add_tool(Tool::new("another", "Comes later"), |_ctx, NoArgs| Ok("here")))
                    .expect("a good tool"),
                "remove a tool" => assert!(handle.edit(|registry| registry.remove_tool("another"))),
                "stop" => {
                    let running = running.take().expect("it is stopped once");
                    stopping = Some(std::thread::spawn(move || running.shutdown(Duration::from_secs(5))));
                }
                other => panic!("{revision}:{number}: what is `{other}`?"),
            }
        }
        told.push_str(&said);
        told.push('\n');
    }
    stopping.expect("a story ends with a stop").join().expect("no panic").expect("a good end");
    if std::env::var_os("UPDATE_STORIES").is_some() {
        std::fs::write(&path, told).expect("the story is written");
    } else {
        compare(revision, &story, &told);
    }
}

fn compare(revision: &str, story: &str, told: &str) {
    for (number, (expected, said)) in story.lines().zip(told.lines()).enumerate() {
        assert_eq!(
            said,
            expected,
            "{revision}.txt:{} has changed (UPDATE_STORIES=1 records what is said now)",
            number + 1
        );
    }
}

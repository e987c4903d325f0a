//! The README's table of what is supported is what the scenarios have shown.

use super::wire::Transport;
use super::{OUTCOMES, rows};
use crate::peer::ALL;
use std::path::PathBuf;

const BEGIN: &str = "<!-- what the scenarios have shown -->\n";
const END: &str = "<!-- -->\n";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn readme() -> String {
    std::fs::read_to_string(path()).expect("a README")
}

/// It is compiled and run with the documentation; here it is only looked at.
#[test]
fn the_readmes_server_is_short_and_has_all_that_an_author_needs() {
    let readme = readme();
    let (_, section) = readme.split_once("\n## Write a server\n").expect("the section");
    let (_, code) = section.split_once("```rust\n").expect("the server");
    let (code, _) = code.split_once("```").expect("its end");
    assert!(code.lines().count() <= 80, "{} lines", code.lines().count());
    for part in
        [".tool(", ".resource(", ".prompt(", "ctx.progress(", "ctx.sleep(", "ctx.ask(", "ctx.sample(", "in_memory("]
    {
        assert!(code.contains(part), "{part}");
    }
}

#[test]
fn the_readme_says_what_the_scenarios_have_shown() {
    let readme = readme();
    let (before, rest) = readme.split_once(BEGIN).expect("the place of the table");
    let (said, behind) = rest.split_once(END).expect("the end of the table");
    let shown = table();
    if std::env::var_os("UPDATE_README").is_some() {
        // What fails is no news for the README.
        assert!(OUTCOMES.iter().all(|outcome| outcome.problem.is_none()), "not every scenario passes");
        std::fs::write(path(), format!("{before}{BEGIN}{shown}{END}{behind}")).expect("it is written");
    } else {
        assert_eq!(said, shown, "UPDATE_README=1 writes the table as it is now");
    }
}

/// A line for each feature, a column for each transport, and in it the revisions in which all its rows have passed.
fn table() -> String {
    let mut features: Vec<_> = Vec::new();
    for feature in rows().filter_map(|row| row.feature) {
        if !features.contains(&feature) {
            features.push(feature);
        }
    }
    let heads = Transport::ALL.map(Transport::name).join(" | ");
    let mut table = format!("| | {heads} |\n| --- |{}\n", " --- |".repeat(Transport::ALL.len()));
    for feature in features {
        let cells = Transport::ALL.map(|transport| revisions(feature, transport));
        table.push_str(&format!("| {feature} | {} |\n", cells.join(" | ")));
    }
    table
}

fn revisions(feature: &str, transport: Transport) -> String {
    let passed = ALL.map(|revision| {
        let mut of = OUTCOMES.iter().filter(|outcome| {
            outcome.row.feature == Some(feature) && outcome.transport == transport && outcome.revision == revision
        });
        let any = of.clone().next().is_some();
        any && of.all(|outcome| outcome.problem.is_none())
    });
    spans(&passed).join(", ")
}

/// Neighbors together: "2025-03-26 to 2025-11-25", "from 2025-06-18", "all".
fn spans(passed: &[bool; ALL.len()]) -> Vec<String> {
    let last = ALL.len() - 1;
    let (mut spans, mut at) = (Vec::new(), 0);
    while at <= last {
        let begin = at;
        while at <= last && passed[at] {
            at += 1;
        }
        match (begin, at) {
            (begin, end) if begin == end => at += 1,
            (0, end) if end == ALL.len() => spans.push("all".to_owned()),
            (begin, end) if end - begin == 1 => spans.push(ALL[begin].to_owned()),
            (begin, end) if end == ALL.len() => spans.push(format!("from {}", ALL[begin])),
            (0, end) => spans.push(format!("to {}", ALL[end - 1])),
            (begin, end) => spans.push(format!("{} to {}", ALL[begin], ALL[end - 1])),
        }
    }
    if spans.is_empty() {
        spans.push("–".to_owned());
    }
    spans
}

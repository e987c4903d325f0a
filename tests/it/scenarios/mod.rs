//! The protocol behaves the same over every transport: one row for each scenario of the official conformance suite, and some of
//! our own, run with the example `everything` over WebSocket, stdio and HTTP in each revision that has it.
//!
//! A row is a function over a [`Client`]; to add one, write it and name it in the `ROWS` of its module. What passes is what the
//! README says is supported.

mod batches;
mod client;
mod headers;
mod lavish;
mod library;
mod lifecycle;
mod notices;
mod processes;
mod questions;
mod readme;
mod rounds;
mod stateless;
mod tools;
mod wire;

use crate::peer::{ALL, LEGACY, MODERN};
use crate::process::Process;
use client::{Client, Place, able};
use std::any::Any;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use wire::Transport;

/// One scenario.
#[derive(Clone, Copy)]
pub struct Row {
    /// As in the official suite, if it is one of that; behind a colon, which part of it.
    name: &'static str,
    /// The line of the README's table that it stands for, if it does.
    feature: Option<&'static str>,
    since: &'static str,
    until: &'static str,
    over: &'static [Transport],
    /// The options of the server.
    options: &'static [&'static str],
    run: fn(&mut Client),
}

/// A row for all revisions and transports.
const fn row(name: &'static str, run: fn(&mut Client)) -> Row {
    Row { name, feature: None, since: ALL[0], until: MODERN, over: &Transport::ALL, options: &[], run }
}

impl Row {
    const fn shows(mut self, feature: &'static str) -> Self {
        self.feature = Some(feature);
        self
    }

    const fn since(mut self, revision: &'static str) -> Self {
        self.since = revision;
        self
    }

    const fn until(mut self, revision: &'static str) -> Self {
        self.until = revision;
        self
    }

    const fn legacy(self) -> Self {
        self.until(LEGACY[3])
    }

    const fn modern(self) -> Self {
        self.since(MODERN)
    }

    const fn over(mut self, transports: &'static [Transport]) -> Self {
        self.over = transports;
        self
    }

    const fn with(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    fn is_for(&self, transport: Transport, revision: &str) -> bool {
        self.over.contains(&transport) && self.since <= revision && revision <= self.until
    }
}

/// All rows, in the order in which they run.
fn rows() -> impl Iterator<Item = &'static Row> {
    [lifecycle::ROWS, tools::ROWS, library::ROWS, notices::ROWS, questions::ROWS]
        .into_iter()
        .chain([rounds::ROWS, stateless::ROWS, batches::ROWS, headers::ROWS])
        .flatten()
}

/// What has come of a row in one place.
struct Outcome {
    row: &'static Row,
    transport: Transport,
    revision: &'static str,
    problem: Option<String>,
}

/// Run once, for all tests that look at them.
static OUTCOMES: LazyLock<Vec<Outcome>> = LazyLock::new(|| {
    let columns = Transport::ALL.into_iter().flat_map(|transport| ALL.map(|revision| (transport, revision)));
    let threads: Vec<_> = columns
        .map(|(transport, revision)| {
            let name = format!("{} {revision}", transport.name());
            std::thread::Builder::new().name(name).spawn(move || column(transport, revision)).expect("a thread")
        })
        .collect();
    threads.into_iter().flat_map(|thread| thread.join().expect("rows are caught when they panic")).collect()
});

/// Runs all rows over one transport in one revision, each with a client of its own.
fn column(transport: Transport, revision: &'static str) -> Vec<Outcome> {
    let mut servers = Servers::default();
    let rows = rows().filter(|row| row.is_for(transport, revision));
    let outcomes = rows.map(|row| {
        let place = servers.place(transport, revision, row.options);
        let run = || {
            let mut client = Client::with(&place, able(revision));
            (row.run)(&mut client);
            client.end();
        };
        let problem = catch_unwind(AssertUnwindSafe(run)).err().map(|panic| said(&*panic));
        Outcome { row, transport, revision, problem }
    });
    outcomes.collect()
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// One server with sockets for each set of options.
#[derive(Default)]
struct Servers(HashMap<Vec<String>, (Process, SocketAddr)>);

impl Servers {
    /// Where a server with these options is; over stdio it is started by its client.
    fn place(&mut self, transport: Transport, revision: &'static str, options: &[&str]) -> Place {
        let start = || {
            let arguments = ["--listen", "127.0.0.1:0", "--log", "warn"];
            let process = Process::start("everything", &[&arguments, options].concat());
            let address = process.address();
            (process, address)
        };
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let address = (transport != Transport::Stdio).then(|| self.0.entry(options.clone()).or_insert_with(start).1);
        Place { transport, revision, address, options }
    }
}

#[test]
fn every_scenario_passes_over_every_transport_in_every_revision() {
    let failed = OUTCOMES.iter().filter_map(|Outcome { row, transport, revision, problem }| {
        problem.as_ref().map(|problem| format!("{} over {}, {revision}: {problem}", row.name, transport.name()))
    });
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), OUTCOMES.len(), failed.join("\n"));
}

#[test]
fn every_server_scenario_of_the_official_suite_has_its_row() {
    let is_of = |row: &Row, name: &str| row.name.split(':').next() == Some(name);
    let missing: Vec<_> = SUITE.iter().filter(|name| !rows().any(|row| is_of(row, name))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let mut names: Vec<_> = rows().map(|row| row.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a name is given twice");
}

/// The suite's scenarios for servers, but for those of extensions and of resumption.
const SUITE: [&str; 51] = [
    "caching",
    "completion-complete",
    "dns-rebinding-protection",
    "elicitation-sep1034-defaults",
    "elicitation-sep1330-enums",
    "http-custom-header-server-validation",
    "http-header-validation",
    "input-required-result-basic-elicitation",
    "input-required-result-basic-list-roots",
    "input-required-result-basic-sampling",
    "input-required-result-capability-check",
    "input-required-result-ignore-extra-params",
    "input-required-result-missing-input-response",
    "input-required-result-multi-round",
    "input-required-result-multiple-input-requests",
    "input-required-result-non-tool-request",
    "input-required-result-request-state",
    "input-required-result-result-type",
    "input-required-result-tampered-state",
    "input-required-result-unsupported-methods",
    "input-required-result-validate-input",
    "json-schema-2020-12",
    "logging-set-level",
    "ping",
    "prompts-get-embedded-resource",
    "prompts-get-simple",
    "prompts-get-with-args",
    "prompts-get-with-image",
    "prompts-list",
    "resources-list",
    "resources-read-binary",
    "resources-read-text",
    "resources-subscribe",
    "resources-templates-read",
    "resources-unsubscribe",
    "sep-2164-resource-not-found",
    "server-initialize",
    "server-session-lifecycle",
    "server-sse-multiple-streams",
    "server-stateless",
    "tools-call-audio",
    "tools-call-elicitation",
    "tools-call-embedded-resource",
    "tools-call-error",
    "tools-call-image",
    "tools-call-mixed-content",
    "tools-call-sampling",
    "tools-call-simple-text",
    "tools-call-with-logging",
    "tools-call-with-progress",
    "tools-list",
];

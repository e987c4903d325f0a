//! What do `/health` and `/ready` say?

use super::Identity;
use super::answer::Answer;
use crate::engine::Core;
use crate::guard::text::Escaped;
use crate::http::head::Head;
use crate::status::Status;
use serde::Serialize;
use std::fmt::Write as _;

/// How much of a reason is shown: a failing check may quote a whole page.
const REASON: usize = 300;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthReport<'a> {
    status: &'static str,
    server: ServerReport<'a>,
    uptime_seconds: f64,
    clients: usize,
    in_flight: usize,
    queue_depth: usize,
    workers: usize,
    workers_written_off: usize,
    memory: MemoryReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<AuditReport>,
}

#[derive(Serialize)]
struct AuditReport {
    failing: bool,
    lost: u64,
}

#[derive(Serialize)]
struct ServerReport<'a> {
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemoryReport {
    used_bytes: usize,
    limit_bytes: usize,
}

#[derive(Serialize)]
struct ReadyReport {
    ready: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// `/health`: 200 for as long as there is somebody to answer, also while the server is stopping.
pub(super) fn health(core: &Core, identity: &Identity, text: bool) -> Answer {
    let status = Status::of(core);
    let report = HealthReport {
        status: if core.stopping() { "draining" } else { "ok" },
        server: ServerReport { name: &identity.name, version: &identity.version },
        uptime_seconds: (status.uptime.as_secs_f64() * 1_000.0).round() / 1_000.0,
        clients: status.connections,
        in_flight: status.calls_in_flight,
        queue_depth: status.calls_waiting,
        workers: status.workers,
        workers_written_off: status.workers_written_off,
        memory: MemoryReport { used_bytes: status.memory_used, limit_bytes: status.memory_limit },
        audit: status.audit.map(|audit| AuditReport { failing: audit.failing, lost: audit.lost }),
    };
    if text { Answer::text(200, health_text(&report)) } else { json(200, &report) }
}

fn health_text(report: &HealthReport<'_>) -> String {
    let HealthReport { status, server, uptime_seconds, clients, in_flight, queue_depth, .. } = report;
    let mut text = format!("{status}\n");
    let (name, version) = (Escaped::short(server.name), Escaped::short(server.version));
    // A string takes everything.
    let _ = write!(
        text,
        "server: {name} {version}\nuptime: {uptime_seconds:.3} s\nclients: {clients}\nin flight: {in_flight}\n\
         queue depth: {queue_depth}\nworkers: {}\nworkers written off: {}\nmemory: {} of {} bytes\n",
        report.workers, report.workers_written_off, report.memory.used_bytes, report.memory.limit_bytes
    );
    if let Some(AuditReport { failing, lost }) = &report.audit {
        let _ = writeln!(text, "audit log: {}, {lost} events lost", if *failing { "failing" } else { "ok" });
    }
    text
}

/// `/ready`: 200 if there is no reason against it, 503 with the reasons otherwise.
pub(super) fn ready(reasons: &[String], text: bool) -> Answer {
    let reasons: Vec<_> = reasons.iter().map(|reason| Escaped::new(reason, REASON).to_string()).collect();
    let ready = reasons.is_empty();
    let status = if ready { 200 } else { 503 };
    let answer = match (text, ready) {
        (true, true) => Answer::text(status, "ready\n".into()),
        (true, false) => Answer::text(status, format!("not ready\n{}\n", reasons.join("\n"))),
        (false, _) => json(status, &ReadyReport { ready, reasons }),
    };
    if ready { answer } else { answer.header("Retry-After", "1") }
}

/// Plain text if `?format=text` or `Accept` asks for it: there, whichever of the two kinds comes first.
pub(super) fn wants_text(head: &Head) -> bool {
    if let Some(format) = head.query().into_iter().flat_map(|query| query.split('&')).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        (name == "format").then_some(value)
    }) {
        return format == "text";
    }
    let kinds = head.list("accept").map(|entry| entry.split_once(';').map_or(entry, |(kind, _)| kind).trim_end());
    let known = |kind: &&str| ["text/plain", "application/json"].iter().any(|known| known.eq_ignore_ascii_case(kind));
    kinds.into_iter().find(known).is_some_and(|kind| kind.eq_ignore_ascii_case("text/plain"))
}

fn json(status: u16, report: &impl Serialize) -> Answer {
    // Strings and numbers: nothing in there can fail.
    let mut body = serde_json::to_vec(report).unwrap_or_default();
    body.push(b'\n');
    Answer::json(status, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::tests::head;

    #[test]
    fn text_is_for_those_who_ask_for_it() {
        for (target, accept, text) in [
            ("/health", "*/*", false),
            ("/health", "text/plain", true),
            ("/health", "Text/Plain;charset=utf-8, */*", true),
            ("/health", "text/html, text/plain;q=0.5, application/json;q=0.1", true),
            ("/health", "application/json, text/plain", false),
            ("/health?format=text", "application/json", true),
            ("/health?a=b&format=text", "*/*", true),
            ("/health?format=json", "text/plain", false),
            ("/health?formats=text", "*/*", false),
        ] {
            let request = format!("GET {target} HTTP/1.1");
            let accept = format!("Accept: {accept}");
            assert_eq!(wants_text(&head(&[&request, &accept])), text, "{request} {accept}");
        }
        assert!(!wants_text(&head(&["GET /health HTTP/1.1"])));
    }

    #[test]
    fn reasons_stay_on_their_line_and_are_cut() {
        let reasons = ["one\ntwo".to_owned(), "x".repeat(10_000)];
        let text = String::from_utf8(ready(&reasons, true).to_bytes()).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.lines().count(), 3, "{body}");
        assert!(body.len() < 500 && body.contains(r"one\ntwo"), "{body}");
    }
}

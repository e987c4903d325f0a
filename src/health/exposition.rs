//! What does `/metrics` say? The text format 0.0.4 of Prometheus.
//!
//! Names follow the OpenTelemetry conventions for MCP where these have one (`mcp.server.operation.duration`, attribute
//! `mcp.method.name`), written the way OpenTelemetry's own exporter for Prometheus writes them.

use super::Identity;
use super::answer::Answer;
use crate::engine::Core;
use crate::metrics::{BOUNDS_MS, MethodNumbers, OUTCOMES};
use crate::status::Status;
use std::fmt::{Display, Write as _};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of this moment.
pub(super) fn metrics(core: &Core, identity: &Identity) -> Answer {
    Answer::new(200, CONTENT_TYPE, render(core, identity).into_bytes())
}

/// The kinds of metrics.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Writes families one after the other. Formatting into a string cannot fail.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if number == 0 { '{' } else { ',' });
            for letter in text.chars() {
                match letter {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    letter => self.0.push(letter),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A family of one number.
    fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A counter for each value of a label.
    fn counters(&mut self, name: &str, help: &str, label: &str, values: impl Iterator<Item = (&'static str, u64)>) {
        self.family(name, Kind::Counter, help);
        for (text, value) in values {
            self.sample(name, &[(label, text)], value);
        }
    }
}

fn render(core: &Core, identity: &Identity) -> String {
    use Kind::{Counter, Gauge};
    let (status, counters) = (Status::of(core), &core.counters);
    let mut page = Page(String::with_capacity(8 << 10));
    page.family("mcp_server_build_info", Gauge, "The server and the library it is built with; always 1.");
    let build = [
        ("name", identity.name.as_str()),
        ("version", identity.version.as_str()),
        ("library_version", env!("CARGO_PKG_VERSION")),
    ];
    page.sample("mcp_server_build_info", &build, 1);
    let uptime = format!("{:.3}", status.uptime.as_secs_f64());
    page.single("mcp_server_uptime_seconds", Gauge, "Time since the start.", uptime);
    let draining = u8::from(core.stopping());
    page.single("mcp_server_draining", Gauge, "1 while the server is stopping.", draining);

    page.single("mcp_server_connections", Gauge, "Clients that are connected.", status.connections);
    let accepted = status.connections_accepted;
    page.single("mcp_server_connections_accepted_total", Counter, "Connections that came in.", accepted);
    page.counters(
        "mcp_server_refusals_total",
        "Connections that were turned away, by reason.",
        "reason",
        counters.refusals(),
    );
    page.counters(
        "mcp_server_probes_total",
        "Probes on the health address, by what became of them.",
        "outcome",
        counters.probes(),
    );

    let methods: Vec<_> = counters.methods().collect();
    page.family(REQUESTS, Counter, "Requests, by method and by what became of them.");
    for method in &methods {
        for (outcome, count) in OUTCOMES.iter().zip(method.outcomes) {
            page.sample(REQUESTS, &[(METHOD, method.method), ("outcome", outcome)], count);
        }
    }
    page.family(
        DURATION,
        Kind::Histogram,
        "Time from a request to its answer; without those answered busy or rate limited.",
    );
    for method in &methods {
        histogram(&mut page, method);
    }

    page.single("mcp_server_calls_in_flight", Gauge, "Calls under way, waiting or running.", status.calls_in_flight);
    page.single("mcp_server_tasks", Gauge, "Tasks that are under way or kept for their clients.", status.tasks);
    let running = status.tasks_in_flight;
    page.single("mcp_server_tasks_in_flight", Gauge, "Tasks whose handler runs or waits for a thread.", running);
    page.single("mcp_server_queue_depth", Gauge, "Calls that wait for a worker.", status.calls_waiting);
    let outbox = core.outbox_bytes();
    page.single("mcp_server_outbox_bytes", Gauge, "Bytes that wait for clients to read them.", outbox);
    page.single("mcp_server_workers", Gauge, "Worker threads.", status.workers);
    page.single("mcp_server_workers_idle", Gauge, "Worker threads with nothing to do.", status.workers_idle);
    page.single(
        "mcp_server_workers_parked",
        Gauge,
        "Threads whose handler waits for a client's answer.",
        status.workers_parked,
    );
    page.single(
        "mcp_server_workers_written_off",
        Gauge,
        "Threads whose handler ignores its deadline.",
        status.workers_written_off,
    );
    page.single(
        "mcp_server_workers_written_off_total",
        Counter,
        "Threads whose handler ignored its deadline.",
        status.workers_written_off_ever,
    );
    page.single("mcp_server_memory_used_bytes", Gauge, "Bytes of queued requests and answers.", status.memory_used);
    page.single("mcp_server_memory_limit_bytes", Gauge, "The bound of that.", status.memory_limit);
    page.single("mcp_server_panics_total", Counter, "Handlers that panicked.", status.panics);
    page.single(
        "mcp_server_rate_limited_messages_total",
        Counter,
        "Messages beyond their client's rate, requests among them.",
        status.rate_limited,
    );
    page.single(
        "mcp_server_forbidden_requests_total",
        Counter,
        "Requests whose sender lacks a scope.",
        status.forbidden,
    );
    if let Some(audit) = &status.audit {
        page.single("mcp_server_audit_events_total", Counter, "Events in the audit log.", audit.events);
        page.single("mcp_server_audit_lost_total", Counter, "Events that could not be written to it.", audit.lost);
        let failing = u8::from(audit.failing);
        page.single("mcp_server_audit_failing", Gauge, "1 while it cannot be written.", failing);
        // A series for each head that is seen: that is the price of having it kept by somebody else.
        page.family("mcp_server_audit_head", Gauge, "The number of its last line, labeled with the MAC of that line.");
        page.sample("mcp_server_audit_head", &[("head", &audit.head)], audit.seq);
    }
    page.0
}

const REQUESTS: &str = "mcp_server_requests_total";
const DURATION: &str = "mcp_server_operation_duration_seconds";
const METHOD: &str = "mcp_method_name";

fn histogram(page: &mut Page, numbers: &MethodNumbers) {
    let bucket = format!("{DURATION}_bucket");
    let mut count = 0;
    for (number, more) in numbers.buckets.into_iter().enumerate() {
        count += more;
        let bound = BOUNDS_MS.get(number).map_or("+Inf".to_owned(), |bound| seconds(*bound));
        page.sample(&bucket, &[(METHOD, numbers.method), ("le", &bound)], count);
    }
    let labels = [(METHOD, numbers.method)];
    page.sample(&format!("{DURATION}_sum"), &labels, numbers.total.as_secs_f64());
    page.sample(&format!("{DURATION}_count"), &labels, count);
}

/// Milliseconds as seconds, without the rounding of binary fractions.
fn seconds(milliseconds: u64) -> String {
    let (whole, part) = (milliseconds / 1_000, milliseconds % 1_000);
    if part == 0 {
        return whole.to_string();
    }
    format!("{whole}.{part:03}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut page = Page(String::new());
        page.sample("m", &[("a", "x\"y\\z\n"), ("b", "ü")], 3);
        assert_eq!(page.0, "m{a=\"x\\\"y\\\\z\\n\",b=\"ü\"} 3\n");
    }

    #[test]
    fn bounds_are_written_in_seconds() {
        let bounds: Vec<_> = BOUNDS_MS.iter().map(|bound| seconds(*bound)).collect();
        assert_eq!(bounds[..6], ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05"]);
        assert_eq!(bounds[6..], ["0.1", "0.2", "0.5", "1", "2", "5", "10", "30", "60"]);
    }
}

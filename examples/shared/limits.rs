//! An option for each of the library's limits.

use super::{parsed, seconds};
use mcp_blocking::Limits;
use std::time::Duration;

/// Sets a limit to the value of an option; `Err` holds what is wrong with it, and that it is a complaint.
type Set = fn(&mut Limits, option: &str, value: &str) -> Result<(), (String, bool)>;

/// The option of a limit.
#[derive(Debug)]
pub struct Limit {
    pub option: &'static str,
    meaning: &'static str,
    pub set: Set,
    default: fn(&Limits) -> String,
}

macro_rules! limit {
    ($option:literal, $field:ident, $meaning:literal) => {
        Limit {
            option: $option,
            meaning: $meaning,
            set: |limits, option, value| Value::read(option, value).map(|value| limits.$field = value),
            default: |limits| limits.$field.show(),
        }
    };
}

/// Counts and sizes.
const NUMBERS: &[Limit] = &[
    limit!("--memory-bytes", memory_bytes, "bytes of all queues together"),
    limit!("--message-bytes", message_bytes, "bytes of one message"),
    limit!("--frame-bytes", frame_bytes, "bytes of one frame"),
    limit!("--fragments", fragments, "fragments of one message"),
    limit!("--control-frames-per-second", control_frames_per_second, "pings and pongs of one client"),
    limit!("--head-bytes", head_bytes, "bytes of a request head"),
    limit!("--head-lines", head_lines, "lines of a request head"),
    limit!("--max-connections", connections, "connections in all"),
    limit!("--max-connections-per-address", connections_per_address, "connections from one address beyond loopback"),
    limit!("--connect-rate", connect_rate, "new connections a second from one address beyond loopback; 0: no limit"),
    limit!("--connect-burst", connect_burst, "connections that may come at once before that"),
    limit!("--max-half-open", half_open, "connections that have not finished their handshake"),
    limit!("--max-tickets", tickets, "tickets of pages that nobody has used so far, in all"),
    limit!("--max-tickets-per-principal", tickets_per_principal, "tickets of one principal"),
    limit!("--missed-pings", missed_pings, "unanswered pings until a client counts as gone"),
    limit!("--outbox-bytes", outbox_bytes, "bytes queued for one client"),
    limit!("--outbox-frames", outbox_frames, "frames queued for one client"),
    limit!("--calls-per-connection", calls_per_connection, "requests of one client under way at once"),
    limit!("--queued-calls", queued_calls, "requests that wait for a worker, in all"),
    limit!("--listens-per-connection", listens_per_connection, "open subscriptions of one client"),
    limit!("--json-depth", json_depth, "nesting of one message"),
    limit!("--json-nodes", json_nodes, "values and names of members in one message"),
    limit!("--json-string-bytes", json_string_bytes, "bytes of one string in a message"),
    limit!("--rate", rate, "messages a second of one client, 0 for no limit"),
    limit!("--burst", burst, "messages at once before the rate applies"),
    limit!(
        "--principal-rate",
        principal_rate,
        "messages a second of one principal, over all its connections; 0: no limit"
    ),
    limit!("--principal-burst", principal_burst, "messages of one principal at once before that"),
    limit!("--address-rate", address_rate, "messages a second from one address beyond loopback; 0: no limit"),
    limit!("--address-burst", address_burst, "messages from one address at once before that"),
    limit!(
        "--failed-logins",
        failed_logins,
        "attempts to log in that may fail from one address before it has to wait; 0: no limit"
    ),
    limit!("--calls-per-day", calls_per_day, "calls of tools of one client in a day (UTC); 0: no limit"),
    limit!("--log-rate", log_rate, "log messages a second to one client, 0 for no limit"),
    limit!("--workers", workers, "threads for handlers"),
    limit!("--max-sessions", sessions, "HTTP sessions"),
    limit!("--events-per-session", events_per_session, "events of an HTTP session kept for a lost connection"),
    limit!("--event-bytes-per-session", event_bytes_per_session, "bytes of these"),
    limit!("--parked-calls", parked_calls, "handlers that wait for clients, in all"),
    limit!("--questions-per-client", questions_per_client, "unanswered questions to one client"),
    limit!("--max-tasks", tasks, "tasks that are under way or kept, in all"),
    limit!("--max-tasks-per-client", tasks_per_client, "tasks of one client"),
    limit!("--task-bytes", task_bytes, "bytes that tasks and their results hold"),
    limit!("--task-workers", task_workers, "threads for tasks"),
    limit!("--page-size", page_size, "items on a page of a list"),
];

/// Times in seconds, fractions allowed.
const TIMES: &[Limit] = &[
    limit!("--head-deadline", head_deadline, "for the whole handshake"),
    limit!("--ping-interval", ping_interval, "of silence until a ping is sent"),
    limit!("--frame-deadline", frame_deadline, "for a frame once begun"),
    limit!("--write-deadline", write_deadline, "a frame may wait in a full socket"),
    limit!("--close-deadline", close_deadline, "for the answer to a close frame"),
    limit!("--failed-login-wait", failed_login_wait, "that failed logins cost at once, at the most"),
    limit!("--handler-deadline", handler_deadline, "for a handler"),
    limit!("--handler-deadline-extended", handler_deadline_extended, "for a handler that reports progress"),
    limit!("--body-deadline", body_deadline, "for the body of an HTTP request"),
    limit!("--connection-lifetime", connection_lifetime, "a connection lives at the most, 0 for no limit"),
    limit!("--ticket-lifetime", ticket_lifetime, "a page's ticket can be used"),
    limit!("--keep-alive", keep_alive, "an HTTP connection without a request stays open"),
    limit!("--session-idle", session_idle, "an HTTP session that nobody uses is kept"),
    limit!("--event-lifetime", event_lifetime, "an HTTP stream can be resumed after its end"),
    limit!("--reconnect-delay", reconnect_delay, "an HTTP client is told to wait before it comes back"),
    limit!("--question-deadline", question_deadline, "for a client's answer to a question"),
    limit!("--state-lifetime", state_lifetime, "for a client to come back with an answer (2026-07-28)"),
    limit!("--task-deadline", task_deadline, "for a handler that runs as a task"),
    limit!("--task-ttl", task_ttl, "a task is kept"),
    limit!("--task-ttl-max", task_ttl_max, "a task is kept at the most, whoever asks"),
];

/// The limit that has this option.
pub fn find(option: &str) -> Option<&'static Limit> {
    NUMBERS.iter().chain(TIMES).find(|limit| limit.option == option)
}

/// All of them with their defaults, which are the library's own on this machine.
pub fn help() -> String {
    let defaults = Limits::default();
    let list = |heading: &str, letter: char, limits: &[Limit]| {
        let lines = limits.iter().map(|Limit { option, meaning, default, .. }| {
            format!("  {:<30} {meaning} (default {})\n", format!("{option} {letter}"), default(&defaults))
        });
        format!("\n{heading}:\n{}", lines.collect::<String>())
    };
    list("Sizes and counts", 'N', NUMBERS) + &list("Times in seconds", 'S', TIMES)
}

/// What a limit is measured in.
trait Value: Sized {
    fn read(option: &str, value: &str) -> Result<Self, (String, bool)>;
    fn show(&self) -> String;
}

macro_rules! number {
    ($($number:ty)*) => {$(
        impl Value for $number {
            fn read(option: &str, value: &str) -> Result<Self, (String, bool)> {
                parsed(option, value)
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

number!(usize u32 u64);

/// What is as large as a message may be, unless it is given.
impl Value for Option<usize> {
    fn read(option: &str, value: &str) -> Result<Self, (String, bool)> {
        parsed(option, value).map(Some)
    }

    fn show(&self) -> String {
        self.map_or_else(|| "as --message-bytes".to_owned(), |number| number.to_string())
    }
}

impl Value for Duration {
    fn read(option: &str, value: &str) -> Result<Self, (String, bool)> {
        seconds(option, value)
    }

    fn show(&self) -> String {
        self.as_secs_f64().to_string()
    }
}

//! What stands in the log when a peer does its worst? A binary of its own, for the logger is one for the process.

#[cfg(feature = "tls")]
#[allow(dead_code, reason = "likewise")]
#[path = "../it/certs.rs"]
mod certs;
#[allow(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "../it/peer.rs"]
mod peer;
#[allow(dead_code, reason = "likewise")]
#[path = "../it/raw.rs"]
mod raw;

#[cfg(feature = "jwt")]
#[allow(dead_code, reason = "likewise")]
#[path = "../it/issuer.rs"]
mod issuer;

mod answers;
mod corpus;
mod fields;
mod handshake;
#[cfg(feature = "jwt")]
mod issuers;
mod secrets;
mod session;
#[cfg(feature = "tls")]
mod tls;

use log::kv::{Key, Value as Field, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use mcp_blocking::content::ToolOutput;
use mcp_blocking::{NoArgs, Running, Server, Settings, TextAction, TextPolicy, Tool, ToolResult};
use peer::PATIENCE;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use simplelog::{Config, WriteLogger};
use std::io::Write;
use std::sync::{LazyLock, Mutex, Once};
use std::time::Duration;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What simplelog makes of the same.
static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SIMPLE: LazyLock<Box<WriteLogger<Written>>> =
    LazyLock::new(|| WriteLogger::new(LevelFilter::Trace, Config::default(), Written));

struct Written;

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        WRITTEN.lock().expect("no panic under the lock").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps the lines of the library, with their key-values.
struct Capture;

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mcp_blocking")
    }

    fn log(&self, record: &Record<'_>) {
        struct Append<'a>(&'a mut String);
        impl<'kvs> VisitSource<'kvs> for Append<'_> {
            fn visit_pair(&mut self, key: Key<'kvs>, value: Field<'kvs>) -> Result<(), log::kv::Error> {
                self.0.push_str(&format!(" {key}={value}"));
                Ok(())
            }
        }
        if self.enabled(record.metadata()) {
            let mut line = format!("{} {}: {}", record.level(), record.target(), record.args());
            record.key_values().visit(&mut Append(&mut line)).expect("it never fails");
            LINES.lock().expect("no panic under the lock").push(line);
            SIMPLE.log(record);
        }
    }

    fn flush(&self) {}
}

fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Capture).expect("the first logger");
        log::set_max_level(LevelFilter::Trace);
    });
}

fn lines() -> Vec<String> {
    LINES.lock().expect("no panic under the lock").clone()
}

/// Ends the server, so that all is logged, and looks at every line so far.
#[track_caller]
fn check(running: Running, wanted: &[&str]) {
    running.shutdown(Duration::from_millis(100)).expect("a good end");
    let lines = lines();
    for line in &lines {
        let bad = line.chars().find(|letter| is_dangerous(*letter));
        assert!(bad.is_none(), "{bad:?} in {line:?}");
        assert!(line.len() < 2_000, "{} bytes: {}…", line.len(), line.chars().take(200).collect::<String>());
    }
    let written = WRITTEN.lock().expect("no panic under the lock").clone();
    let written = String::from_utf8(written).expect("UTF-8");
    // The last one may not be whole yet.
    for line in written.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let line = line.trim_end_matches('\n');
        let time = line.get(..8).is_some_and(|time| time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'));
        assert!(time && line.get(8..10) == Some(" ["), "it does not begin as a line of the log: {line:?}");
        assert!(!line.contains(is_dangerous) && line.len() < 2_000, "{line:?}");
    }
    for words in wanted {
        assert!(lines.iter().any(|line| line.contains(words)), "nothing says {words:?} in {lines:#?}");
    }
}

/// Whether a terminal or a log reader could be misled by it.
fn is_dangerous(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Begins a line of its own, colors it, turns it around, and goes on for a long time.
fn hostile(mark: &str) -> String {
    format!(
        "{mark}\r\n2026-01-01 ERROR forged\u{1b}[31mred\u{1b}]0;title\u{7}\u{202e}dlrow\u{2066}\u{9b}\0\u{7f}\u{2028}{}",
        "A".repeat(100_000)
    )
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

/// A tool whose result has to be what nobody sends, with a name that some clients cannot take.
fn promising() -> Tool {
    let schema = json!({ "type": "object", "properties": { "one": true }, "additionalProperties": false });
    Tool::new(format!("promise-{}", "x".repeat(60)), "Sends its arguments back").output_schema(schema)
}

/// What all of these servers are set to.
fn settings() -> Settings {
    // All of it is to reach the handlers, and what they make of it.
    let open = TextPolicy::all(TextAction::Allow);
    Settings::new().text_in(open).text_out(open).redact_key("pin").redact_pattern("acme_live_*")
}

fn server() -> Server {
    server_with(settings())
}

fn server_with(settings: Settings) -> Server {
    Server::new("logged", "1")
        .settings(settings)
        .limits(|limits| limits.close_deadline = Duration::from_millis(200))
        .tool("panic", "Panics with the text", |_ctx, Text { text }| -> ToolResult<String> { panic!("{text}") })
        .tool("fail", "Fails with the text", |_ctx, Text { text }| -> ToolResult<String> {
            Err(mcp_blocking::ToolError::new(text))
        })
        .tool_raw(promising(), &json!({ "type": "object" }), |_ctx, arguments| Ok(ToolOutput::structured(&arguments)?))
        .tool("sleep", "Sleeps", |ctx, NoArgs| {
            ctx.sleep(PATIENCE)?;
            Ok("slept")
        })
        .template("x://{+text}", "any", "text/plain", |_ctx, Text { text }| Ok(text))
        .fallback(|_ctx, _method, _params| Ok(json!({})))
        .tool_with(Tool::new("late", "Is late").deadline(Duration::from_millis(50)), |ctx, NoArgs| {
            ctx.sleep(PATIENCE)?;
            Ok("slept")
        })
}

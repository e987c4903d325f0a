//! A server as others may reach it: TLS, tokens with scopes and an end, rates, questions before something is destroyed, an audit log, and a doctor
//! who looks at all of it before it starts.
//!
//! Make its files in a folder of its own, which nobody else can read:
//!
//! ```sh
//! umask 077; mkdir secure; cd secure
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -keyout key.pem -out cert.pem \
//!   -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1
//! openssl rand -hex 32 > audit.key
//! TOKEN=$(openssl rand -base64 24)
//! echo "ada sha256:$(printf %s "$TOKEN" | sha256sum | cut -d' ' -f1) name=laptop scopes=notes:read expires=$(date -u -d '+90 days' +%FT%TZ)" > tokens
//! ```
//!
//! Run it there with `cargo run --example secure -- 127.0.0.1:8443`, and ask it from elsewhere:
//!
//! ```sh
//! curl --cacert cert.pem -H "Authorization: Bearer $TOKEN" https://localhost:8443/mcp -H 'Content-Type: application/json' \
//!   -H 'Accept: application/json, text/event-stream' -d '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",
//!   "capabilities":{},"clientInfo":{"name":"curl","version":"1"}}}'
//! ```

#[path = "shared/signals.rs"]
mod signals;

use mcp_blocking::audit::{Audit, WhenFailing};
use mcp_blocking::doctor::Severity;
use mcp_blocking::{NoArgs, Server, Settings, TlsConfig, Tool};
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static NOTES: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8443".to_owned());
    // The log of the program is where the head of the audit log is told: have it kept elsewhere (by a journal), and give the last one to
    // `audit_verify --expect-head`. Whoever cuts off the end of the audit log cannot change what it says.
    let config = simplelog::ConfigBuilder::new().add_filter_allow_str("mcp_blocking").set_time_format_rfc3339().build();
    simplelog::WriteLogger::init(log::LevelFilter::Info, config, std::io::stderr())?;
    NOTES.lock().unwrap_or_else(PoisonError::into_inner).extend(["buy milk", "call Ada"]);

    let settings = Settings::new()
        // wss:// and https:// alone. New files are taken while it runs.
        .tls(TlsConfig::files("cert.pem", "key.pem"))
        // What clients call it, if that is more than localhost:
        // .allow_host("mcp.example.com")
        // Who comes without one of these tokens is refused; one that ends takes its connections along.
        .token_file("tokens")
        .scope_implies("notes", ["notes:read", "notes:write"])
        // The user is asked before anything is destroyed, whatever a model has been talked into.
        .confirm_destructive()
        // Who has called what, in a file that nobody can change without being found out.
        .audit(Audit::to_file("audit.log").key_file("audit.key").when_failing(WhenFailing::Refuse))
        // The other limits are as good as they are.
        .limits(|limits| limits.calls_per_day = 10_000);

    let server = Server::new("secure", env!("CARGO_PKG_VERSION"))
        .settings(settings)
        // Whoever lacks the scope does not see the tool. 60 calls a minute for each principal.
        .tool_with(
            Tool::new("list", "List all notes").read_only().scope("notes:read").rate(60, Duration::from_secs(60)),
            |_ctx, NoArgs| Ok(NOTES.lock().unwrap_or_else(PoisonError::into_inner).join("\n")),
        )
        .tool_with(
            // A client of 2026-07-28 comes once for the question and once with its answer: each is a call.
            Tool::new("wipe", "Delete all notes").destructive().scope("notes:write").rate(10, Duration::from_secs(60)),
            |_ctx, NoArgs| {
                NOTES.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Ok("deleted")
            },
        );

    let bound = server.bind(address.as_str())?;
    // What is weak is told; with anything open it does not start.
    let diagnosis = bound.doctor();
    eprint!("{diagnosis}");
    if diagnosis.worst() >= Some(Severity::Open) {
        return Err("this server would be open: mend what the doctor has found".into());
    }
    let running = bound.start()?;
    println!("websocket wss://{0}/mcp\nhttp https://{0}/mcp", running.addr());
    // SIGINT and SIGTERM let calls finish, and end the audit log as it should end; SIGHUP has tokens and certificates read again, and the audit log reopened.
    let handle = running.handle();
    let renewed = running.handle();
    // What is wrong with a file is in the log; what was there before stays.
    signals::on_hangup(move || drop(renewed.reload()))?;
    signals::stop_on_signals(move || handle.stop(Duration::from_secs(2)))?;
    Ok(running.join()?)
}

//! What an example does as a process: read its options, log to standard error, say when it is ready, end on SIGINT and
//! SIGTERM.

#[path = "signals.rs"]
mod signals;

use crate::options::Options;
use mcp_blocking::doctor::{Diagnosis, Severity};
use mcp_blocking::{Bound, Handle, Peers};
use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

pub use signals::stop_on_signals;

/// How long calls that are under way may take when the process is told to end.
pub const GRACE: Duration = Duration::from_secs(2);

/// The `main` of an example: status 0 if all went well, 1 if not, 2 for wrong options.
pub fn main(name: &str, run: impl FnOnce(&Options) -> Result<(), Box<dyn Error>>) -> ExitCode {
    let options = match Options::parse(name, std::env::args().skip(1)) {
        Ok(options) => options,
        Err((text, true)) => {
            eprintln!("{name}: {text}");
            return ExitCode::from(2);
        }
        Err((text, false)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
    };
    let result = log_to_stderr(options.log, name).map_err(Into::into).and_then(|()| run(&options));
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("{name}: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprintln!("  {error}");
        source = error.source();
    }
    ExitCode::FAILURE
}

/// Logs to standard error, and only what this library and the example say: the WebSocket library below prints peers'
/// text as it is at its trace level.
fn log_to_stderr(level: log::LevelFilter, example: &str) -> Result<(), log::SetLoggerError> {
    let config = simplelog::ConfigBuilder::new()
        .add_filter_allow_str("mcp_blocking")
        .add_filter_allow(example.to_owned())
        .set_time_format_rfc3339()
        .build();
    simplelog::WriteLogger::init(level, config, io::stderr())
}

/// Opens these addresses, and that for probes if one was asked for.
pub fn open<H>(bound: Bound<H>, addresses: &[&str], options: &Options) -> Result<Bound<H>, mcp_blocking::Error> {
    let bound = addresses.iter().try_fold(bound, |bound, address| bound.and_bind(*address))?;
    options.health().into_iter().try_fold(bound, |bound, address| bound.health(address))
}

/// What a server reads again while it runs.
pub trait Renew: Clone + Send + 'static {
    /// Reads all of it; certificates if there are some.
    fn renew(&self, certificates: bool);
}

macro_rules! renew {
    ($handle:ty) => {
        impl Renew for $handle {
            fn renew(&self, certificates: bool) {
                // What was taken is in the log, and what is wrong; only that nothing has changed is not.
                if self.reload().is_ok_and(|reloaded| certificates && reloaded.certificates.is_empty()) {
                    log::info!("certificates have not changed");
                }
            }
        }
    };
}

renew!(Handle);
renew!(Peers);

/// Has SIGHUP do that, as logrotate expects, and what renews certificates and tokens; nothing is done with it where there is nothing to renew.
pub fn renew_on_hangup(options: &Options, handle: &impl Renew) -> io::Result<()> {
    if options.audits() || options.tls() || options.has_token_files() {
        let (handle, certificates) = (handle.clone(), options.tls());
        signals::on_hangup(move || handle.renew(certificates))?;
    }
    Ok(())
}

/// Prints what the doctor finds, at the addresses that were asked for and are not opened for it.
///
/// Fails if that is more than notes.
pub fn examine(
    options: &Options,
    doctor: impl FnOnce(&[SocketAddr], Option<SocketAddr>) -> Diagnosis,
) -> Result<(), Box<dyn Error>> {
    let resolve = |address: &str| -> io::Result<Vec<SocketAddr>> { Ok(address.to_socket_addrs()?.collect()) };
    let mut addresses = Vec::new();
    for address in options.addresses() {
        addresses.extend(resolve(address).map_err(|error| format!("{address}: {error}"))?);
    }
    let health = options.health().map(resolve).transpose()?.and_then(|all| all.first().copied());
    let diagnosis = doctor(&addresses, health);
    print!("{diagnosis}");
    io::stdout().flush()?;
    match diagnosis.count(Severity::Weak) {
        0 => Ok(()),
        1 => Err("1 finding to mend".into()),
        count => Err(format!("{count} findings to mend").into()),
    }
}

/// Says on standard output that the server is ready, a line for each endpoint.
pub fn announce(lines: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

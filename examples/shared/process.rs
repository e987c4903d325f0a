//! What an example does as a process: log to standard error, end on SIGINT and SIGTERM.

use mcp_blocking::Handle;
use std::io;
use std::time::Duration;

/// Logs to standard error, and only what this library and the example say: the WebSocket library below prints peers'
/// text as it is at its trace level.
pub fn log_to_stderr(level: log::LevelFilter, example: &str) -> Result<(), log::SetLoggerError> {
    let config = simplelog::ConfigBuilder::new()
        .add_filter_allow_str("mcp_blocking")
        .add_filter_allow(example.to_owned())
        .set_time_format_rfc3339()
        .build();
    simplelog::WriteLogger::init(level, config, io::stderr())
}

/// Has SIGINT and SIGTERM stop the server, with a grace for what is under way.
pub fn stop_on_signals(handle: Handle, grace: Duration) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        if signals.forever().next().is_some() {
            handle.stop(grace);
        }
    })?;
    Ok(())
}

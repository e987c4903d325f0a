//! How a program is told to end, and to read again what may have changed.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::io;

/// Calls that on a thread of its own at the first SIGINT (Ctrl-C) or SIGTERM.
pub fn stop_on_signals(stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut wait = waiting()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        wait();
        stop();
    })?;
    Ok(())
}

/// Calls that on a thread of its own at each SIGHUP, where there is such a signal.
pub fn on_hangup(again: impl FnMut() + Send + 'static) -> io::Result<()> {
    #[cfg(unix)]
    {
        let (mut signals, mut again) = (signal_hook::iterator::Signals::new([signal_hook::consts::SIGHUP])?, again);
        std::thread::Builder::new().name("hangup".into()).spawn(move || signals.forever().for_each(|_| again()))?;
    }
    #[cfg(not(unix))]
    drop(again);
    Ok(())
}

/// Takes the signals from here on; what it returns waits for the first.
#[cfg(unix)]
fn waiting() -> io::Result<impl FnMut() + Send> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    Ok(move || {
        let _ = signals.forever().next();
    })
}

/// The same where a signal can only set a flag, so that it has to be looked at: on Windows.
#[cfg(not(unix))]
fn waiting() -> io::Result<impl FnMut() + Send> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let came = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&came))?;
    }
    Ok(move || {
        while !came.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    })
}

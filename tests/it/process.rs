//! The examples as processes.

use crate::peer::PATIENCE;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Instant, SystemTime};

/// Where an example is. `cargo test` builds all of them beside the tests; a test that is built alone may find none, or that
/// of an earlier state, and has it built.
pub fn example(name: &str) -> PathBuf {
    // One at a time, and once for each: the tests of a binary run side by side.
    static LOOKED_AT: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let exe = std::env::current_exe().expect("a path");
    let profile = exe.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    let path = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    let mut looked_at = LOOKED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    if !looked_at.iter().any(|other| other == name) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = changed(&root.join("src")).max(changed(&root.join("examples")));
        if path.metadata().and_then(|file| file.modified()).map_or(true, |built| built < sources) {
            build(name, profile);
        }
        looked_at.push(name.to_owned());
    }
    path
}

fn build(name: &str, profile: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.env("CARGO_TARGET_DIR", profile.parent().expect("target"));
    // What cargo tells this test of its package would have some dependencies built anew.
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "{name} is not built");
}

/// When a file in that folder was last changed.
fn changed(folder: &Path) -> SystemTime {
    let files = folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry"));
    let times = files.map(|file| match file.metadata().expect("its metadata") {
        data if data.is_dir() => changed(&file.path()),
        data => data.modified().expect("a time"),
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A running example; killed at the latest when dropped.
pub struct Process {
    pub child: Child,
    /// What it writes to standard output, line by line.
    pub out: mpsc::Receiver<String>,
    pub err: Option<std::thread::JoinHandle<String>>,
}

impl Process {
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_with(name, arguments, Stdio::null())
    }

    pub fn start_with(name: &str, arguments: &[&str], input: Stdio) -> Self {
        Self::spawn(Command::new(example(name)).args(arguments), input)
    }

    /// Starts it in that folder.
    pub fn start_in(folder: &Path, name: &str, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(example(name)).args(arguments).current_dir(folder), Stdio::null())
    }

    fn spawn(command: &mut Command, input: Stdio) -> Self {
        let mut child = command
            // A handler that panics is meant to; finding the names of its callers takes a second.
            .env("RUST_BACKTRACE", "0")
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let (lines, out) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        let mut stderr = child.stderr.take().expect("a pipe");
        let err = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Self { child, out, err: Some(err) }
    }

    #[track_caller]
    pub fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("a line on standard output")
    }

    /// Waits for the line that names the endpoint; its address.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.address_of("ws", "http")
    }

    #[track_caller]
    pub fn address_of(&self, websocket: &str, http: &str) -> SocketAddr {
        let line = self.line();
        let address = line.strip_prefix(&format!("websocket {websocket}://"));
        let address = address.and_then(|rest| rest.strip_suffix("/mcp"));
        let address =
            address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("not an endpoint: {line}"));
        // The same over HTTP.
        assert_eq!(self.line(), format!("http {http}://{address}/mcp"));
        address
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// Waits for the end; the status and what was said on standard error.
    #[track_caller]
    pub fn end(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(Instant::now() < deadline, "it has not ended within {PATIENCE:?}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        let err = self.err.take().map(|err| err.join().expect("no panic")).unwrap_or_default();
        (status, err)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The examples' option `--health`.
#![cfg(unix)]

use super::client::{PATIENCE, get, until};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `cargo test` builds the examples beside the tests; a test that is built alone has them built.
fn example(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a path");
    let profile = exe.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    let path = profile.join("examples").join(name);
    if !path.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.env("CARGO_TARGET_DIR", profile.parent().expect("target"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "{name} is not built");
    }
    path
}

#[test]
fn examples_say_where_they_answer_probes() {
    for (name, endpoints) in
        [("everything", ["websocket ws://", "http http://"]), ("custom_messages", ["websocket ws://"; 2])]
    {
        let mut child = Command::new(example(name))
            .args(["--listen", "127.0.0.1:0", "--health=127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut process = Process(child);
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let line = || lines.recv_timeout(PATIENCE).expect("a line");
        for endpoint in endpoints {
            assert!(line().starts_with(endpoint));
        }
        let line = line();
        let address = line.strip_prefix("health http://").and_then(|rest| rest.strip_suffix("/health"));
        let address: SocketAddr = address.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(get(address, "/health").json()["status"], "ok");
        assert_eq!(get(address, "/ready").status, 200);
        kill_process(Pid::from_child(&process.0), Signal::TERM).expect("a signal");
        until("it has ended", || process.0.try_wait().expect("it is ours").is_some());
    }
}

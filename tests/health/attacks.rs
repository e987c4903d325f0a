//! Whatever others do to the health address, an honest probe from elsewhere is answered within a second.

use super::client::{connect, get, probe, probe_address, read_to_end, serve, until};
use mcp_blocking::Server;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Probes for as long as `attack` runs, at least ten times.
#[track_caller]
fn probes_stay_quick_during(address: SocketAddr, attack: impl FnOnce() + Send) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| {
            attack();
            over.store(true, Ordering::Release);
        });
        let (mut slowest, mut count, mut repeated) = (Duration::ZERO, 0, 0);
        while count < 10 || !(over.load(Ordering::Acquire) || attack.is_finished()) {
            let (took, repeats) = probe(address);
            assert!(took < SECOND, "probe {count} took {took:?} with {repeats} repeats");
            repeated += repeats;
            slowest = slowest.max(took);
            count += 1;
        }
        println!("{count} probes, {repeated} of them repeated, the slowest took {slowest:?}");
        assert!(repeated * 10 <= count, "{repeated} of {count} probes had to be repeated");
    });
}

#[test]
fn silent_connections_delay_nobody() {
    let running = serve(Server::new("notes", "1"));
    let address = probe_address(&running);
    let silent: Vec<_> = (0..200).map(|_| connect(address)).collect();
    probes_stay_quick_during(address, || {});
    drop(silent);
    // And when they keep coming.
    probes_stay_quick_during(address, || {
        let mut crowd = Vec::new();
        let end = Instant::now() + SECOND;
        while Instant::now() < end {
            crowd.push(connect(address));
            if crowd.len() > 100 {
                crowd.drain(..50);
            }
        }
    });
}

#[test]
fn silent_connections_are_cut_at_their_deadline() {
    let running = serve(Server::new("notes", "1"));
    let begun = Instant::now();
    let answer = read_to_end(&mut connect(probe_address(&running)));
    let took = begun.elapsed();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    assert!((Duration::from_millis(1_900)..Duration::from_secs(6)).contains(&took), "{took:?}");
}

#[test]
fn dripped_heads_delay_nobody() {
    let running = serve(Server::new("notes", "1"));
    let address = probe_address(&running);
    let sent = AtomicUsize::new(0);
    probes_stay_quick_during(address, || {
        let mut drips: Vec<TcpStream> = Vec::new();
        let end = Instant::now() + Duration::from_millis(2_500);
        while Instant::now() < end {
            while drips.len() < 32 {
                let mut stream = connect(address);
                let _ = stream.write_all(b"GET /health HTTP/1.1\r\nX: ");
                drips.push(stream);
            }
            drips.retain_mut(|stream| stream.write_all(b"a").is_ok());
            sent.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(sent.load(Ordering::Relaxed) > 0);
}

#[test]
fn endless_heads_are_refused_and_delay_nobody() {
    let running = serve(Server::new("notes", "1"));
    let address = probe_address(&running);
    probes_stay_quick_during(address, || {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut stream = connect(address);
                    let _ = stream.write_all(b"GET /health HTTP/1.1\r\n");
                    let line = format!("X: {}\r\n", "a".repeat(1_000));
                    let mut written = 0;
                    while stream.write_all(line.as_bytes()).is_ok() {
                        written += line.len();
                        assert!(written < 64 << 20, "an endless head is read without end");
                    }
                });
            }
        });
    });
    let mut stream = connect(address);
    let head = format!("GET /health HTTP/1.1\r\nX: {}", "a".repeat(8 << 10));
    stream.write_all(head.as_bytes()).expect("writes");
    assert!(read_to_end(&mut stream).starts_with(b"HTTP/1.1 431 "));
    let mut stream = connect(address);
    let head = format!("GET /health HTTP/1.1\r\n{}", "X: a\r\n".repeat(70));
    stream.write_all(head.as_bytes()).expect("writes");
    assert!(read_to_end(&mut stream).starts_with(b"HTTP/1.1 431 "));
}

#[test]
fn those_who_do_not_take_their_answer_or_do_not_leave_delay_nobody() {
    let running = serve(Server::new("notes", "1"));
    let address = probe_address(&running);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut lingering: Vec<_> = (0..64).map(|_| connect(address)).collect();
    for stream in &mut lingering {
        let _ = stream.write_all(request.as_bytes());
    }
    probes_stay_quick_during(address, || {});
}

#[test]
fn a_full_main_port_leaves_the_probes_alone() {
    let running = serve(Server::new("notes", "1").limits(|limits| {
        (limits.connections, limits.half_open) = (4, 4);
    }));
    let address = probe_address(&running);
    let _full: Vec<_> = (0..20).map(|_| connect(running.addr())).collect();
    probes_stay_quick_during(address, || {});
    assert_eq!(get(address, "/ready").status, 200);
}

#[test]
fn after_all_of_it_no_probe_is_left() {
    let running = serve(Server::new("notes", "1"));
    let address = probe_address(&running);
    let silent: Vec<_> = (0..50).map(|_| connect(address)).collect();
    drop(silent);
    until("the threads have ended", || threads("mcp-probe") <= 16 && get(address, "/health").status == 200);
    assert_eq!(get(address, "/health").json()["clients"], 0, "probes are no clients");
}

/// Threads of that name in this process; none where nobody can say.
fn threads(name: &str) -> usize {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0 };
    let named = |task: std::io::Result<std::fs::DirEntry>| {
        task.ok()
            .and_then(|task| std::fs::read_to_string(task.path().join("comm")).ok())
            .is_some_and(|comm| comm.trim_end() == name)
    };
    tasks.filter_map(|task| named(task).then_some(())).count()
}

//! Calls a second of an echo tool over WebSocket, beside the least that can be done with the same crates: a thread for each
//! connection that reads with tungstenite, parses with serde_json and sends its answer at once.
//!
//! `cargo bench --bench echo` takes about a minute, with `-- --quick` some seconds. Each server is a process of its own, so that
//! its processor time can be read (Linux); rounds are interleaved and their median is printed, as other programs disturb
//! them all alike. Compare ratios within one run, not rates between runs.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mcp_blocking::serde::{Deserialize, Serialize};
use mcp_blocking::serde_json::{self, value::RawValue};
use mcp_blocking::{Server, Tool, schemars};
use rustix::event::{PollFd, PollFlags, poll};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, accept_with_config};

type Failure = Box<dyn std::error::Error>;

/// What is called: 16 bytes of text.
const TEXT: &str = "sixteen bytes !!";
/// Threads that make the load.
const LOADERS: usize = 2;

#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    connections: usize,
    /// Calls that are out at once on each of them.
    depth: usize,
}

const LOADS: [Load; 3] = [
    Load { name: "1 connection", connections: 1, depth: 1 },
    Load { name: "64 connections", connections: 64, depth: 1 },
    Load { name: "4 x 64 pipelined", connections: 4, depth: 64 },
];

/// A server and the tool to call in it.
struct Candidate {
    name: &'static str,
    server: usize,
    tool: &'static str,
}

const CANDIDATES: [Candidate; 3] = [
    Candidate { name: "plain", server: 0, tool: "echo" },
    Candidate { name: "quick", server: 1, tool: "echo" },
    Candidate { name: "pooled", server: 1, tool: "echo_pooled" },
];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().position(|argument| argument == "--serve").and_then(|at| arguments.get(at + 1)) {
        Some(kind) if kind == "plain" => return serve_plain(),
        Some(_) => return serve_ours(),
        None => {}
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let only = arguments.iter().position(|argument| argument == "--load").and_then(|at| arguments.get(at + 1));
    let (rounds, time) = if quick { (3, Duration::from_millis(300)) } else { (5, Duration::from_secs(2)) };
    let mut servers = [Process::start("plain")?, Process::start("ours")?];

    println!("{:<18} {:<8} {:>10} {:>8} {:>14}", "load", "server", "calls/s", "ratio", "CPU us a call");
    for load in LOADS.iter().filter(|load| only.is_none_or(|only| load.name.contains(only.as_str()))) {
        let mut measured: Vec<Vec<(f64, f64)>> = CANDIDATES.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (candidate, results) in CANDIDATES.iter().zip(&mut measured) {
                results.push(run(&mut servers[candidate.server], candidate.tool, *load, time)?);
            }
        }
        let base: Vec<f64> = measured[0].iter().map(|round| round.0).collect();
        for (candidate, results) in CANDIDATES.iter().zip(&measured) {
            let rate = median(results.iter().map(|round| round.0));
            // Round by round, for these are neighbors in time.
            let ratio = median(results.iter().zip(&base).map(|(round, base)| round.0 / base));
            let cpu = median(results.iter().map(|round| round.1));
            println!("{:<18} {:<8} {rate:>10.0} {ratio:>8.2} {cpu:>14.2}", load.name, candidate.name);
        }
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A server that runs as a process of its own.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(kind: &str) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse()? })
    }

    /// Processor time so far, in seconds; not a number where there is no `/proc`.
    fn cpu(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let ticks = std::fs::read_to_string(path).ok().and_then(|text| {
            // Behind the name in parentheses, which may hold anything: user and system time are the fields 14 and 15.
            let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
            Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
        });
        ticks.map_or(f64::NAN, |ticks| ticks / 100.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its input ends: it ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// One round: calls a second, and the server's processor time for one in microseconds.
fn run(server: &mut Process, tool: &str, load: Load, time: Duration) -> Result<(f64, f64), Failure> {
    let loaders = LOADERS.min(load.connections);
    let mut shares: Vec<Vec<Caller>> = (0..loaders).map(|_| Vec::new()).collect();
    for number in 0..load.connections {
        shares[number % loaders].push(Caller::open(server.address, tool)?);
    }
    let (begin, cpu) = (Instant::now(), server.cpu());
    let calls: Result<Vec<u64>, String> = std::thread::scope(|scope| {
        let running: Vec<_> = shares
            .iter_mut()
            .map(|share| scope.spawn(move || drive(share, load.depth, time).map_err(|error| error.to_string())))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a loader has panicked".into())))
            .collect()
    });
    let calls = calls?.iter().sum::<u64>() as f64;
    Ok((calls / begin.elapsed().as_secs_f64(), (server.cpu() - cpu) * 1e6 / calls))
}

/// Keeps `depth` calls out on each connection for that time; returns how many were answered.
fn drive(callers: &mut [Caller], depth: usize, time: Duration) -> Result<u64, Failure> {
    let end = Instant::now() + time;
    let mut answered = 0;
    for caller in callers.iter_mut() {
        caller.call(depth)?;
    }
    while Instant::now() < end {
        if let [caller] = callers {
            // Nothing to choose from: wait in the read.
            let count = caller.receive()?;
            answered += count as u64;
            caller.call(count)?;
            continue;
        }
        let ready: Vec<bool> = {
            let mut fds: Vec<_> = callers.iter().map(|caller| PollFd::new(&caller.stream, PollFlags::IN)).collect();
            poll(&mut fds, None)?;
            fds.iter().map(|fd| !fd.revents().is_empty()).collect()
        };
        for (caller, _) in callers.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            let count = caller.receive()?;
            answered += count as u64;
            caller.call(count)?;
        }
    }
    Ok(answered)
}

/// A client that costs next to nothing: its calls are one text with another id each, masked with zeros.
struct Caller {
    stream: TcpStream,
    call: Vec<u8>,
    /// Where the eight digits of the id are.
    id_at: usize,
    id: u64,
    out: Vec<u8>,
    buffer: Vec<u8>,
    filled: usize,
    /// The length of every answer; all ids have eight digits.
    answer: usize,
}

impl Caller {
    fn open(address: SocketAddr, tool: &str) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "GET /mcp HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(String::from_utf8_lossy(&head).into());
        }
        let call = masked(&format!(
            r#"{{"jsonrpc":"2.0","id":10000000,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"text":"{TEXT}"}}}}}}"#
        ));
        let id_at = call.windows(8).position(|part| part == b"10000000").ok_or("no id")?;
        let buffer = vec![0; 64 << 10];
        let mut caller = Self { stream, call, id_at, id: 10_000_000, out: Vec::new(), buffer, filled: 0, answer: 0 };
        let hello = r#"{"jsonrpc":"2.0","id":10000000,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
        caller.stream.write_all(&masked(hello))?;
        caller.receive()?;
        caller.stream.write_all(&masked(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#))?;
        caller.call(1)?;
        caller.answer = 0;
        caller.receive()?;
        let text = String::from_utf8_lossy(&caller.buffer[..caller.answer]).into_owned();
        if !text.contains(TEXT) || text.contains("rror") || !text.contains("10000000") {
            return Err(text.into());
        }
        Ok(caller)
    }

    /// Sends so many calls in one write.
    fn call(&mut self, count: usize) -> Result<(), Failure> {
        self.out.clear();
        for _ in 0..count {
            let start = self.out.len() + self.id_at;
            self.out.extend_from_slice(&self.call);
            write!(&mut self.out[start..start + 8], "{}", self.id)?;
            self.id += 1;
        }
        self.stream.write_all(&self.out)?;
        Ok(())
    }

    /// Reads at least one answer; returns how many.
    fn receive(&mut self) -> Result<usize, Failure> {
        loop {
            let count = self.stream.read(&mut self.buffer[self.filled..])?;
            if count == 0 {
                return Err("the server has gone".into());
            }
            self.filled += count;
            let (mut at, mut frames) = (0, 0);
            while let Some(length) = frame_length(&self.buffer[at..self.filled]) {
                if self.answer == 0 || self.id == 10_000_000 {
                    self.answer = length;
                }
                if length != self.answer {
                    let text = String::from_utf8_lossy(&self.buffer[at..at + length]).into_owned();
                    return Err(format!("another answer: {text}").into());
                }
                at += length;
                frames += 1;
            }
            self.buffer.copy_within(at..self.filled, 0);
            self.filled -= at;
            if frames > 0 {
                return Ok(frames);
            }
        }
    }
}

/// The length of the first frame, if it is there whole. A server does not mask.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let length = match *bytes.get(1)? {
        126 => 4 + usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
        short => 2 + usize::from(short),
    };
    (bytes.len() >= length).then_some(length)
}

fn masked(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Says where it is and waits until its parent has gone.
fn ready(address: SocketAddr) -> Result<(), Failure> {
    println!("{address}");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(crate = "mcp_blocking::serde")]
struct EchoArguments {
    text: String,
}

fn serve_ours() -> Result<(), Failure> {
    let running = Server::new("echo", "1")
        .tool_with(Tool::new("echo", "Says what it hears").quick(), |_ctx, arguments: EchoArguments| Ok(arguments.text))
        .tool("echo_pooled", "The same on a worker", |_ctx, arguments: EchoArguments| Ok(arguments.text))
        // The limiter stays on; it only has no limit.
        .limits(|limits| limits.rate = 0)
        .bind("127.0.0.1:0")?
        .start()?;
    ready(running.addr())?;
    running.shutdown(Duration::ZERO)?;
    Ok(())
}

#[derive(Deserialize)]
#[serde(crate = "mcp_blocking::serde")]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(crate = "mcp_blocking::serde")]
struct CallParams<'a> {
    #[serde(borrow)]
    arguments: TextArgument<'a>,
}

#[derive(Deserialize)]
#[serde(crate = "mcp_blocking::serde")]
struct TextArgument<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(crate = "mcp_blocking::serde")]
struct Answer<'a, R> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    result: R,
}

#[derive(Serialize)]
#[serde(crate = "mcp_blocking::serde")]
struct CallResult<'a> {
    content: [TextContent<'a>; 1],
}

#[derive(Serialize)]
#[serde(crate = "mcp_blocking::serde")]
struct TextContent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

fn serve_plain() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || echo(stream).map_err(|error| error.to_string()));
        }
    });
    ready(address)
}

fn echo(stream: TcpStream) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(8 << 10);
    let mut socket = accept_with_config(stream, Some(config))?;
    loop {
        let Message::Text(message) = socket.read()? else { continue };
        let envelope: Envelope<'_> = serde_json::from_str(&message)?;
        let Some(id) = envelope.id else { continue };
        let answer = match (&*envelope.method, envelope.params) {
            ("tools/call", Some(params)) => {
                let params: CallParams<'_> = serde_json::from_str(params.get())?;
                let content = [TextContent { kind: "text", text: &params.arguments.text }];
                serde_json::to_string(&Answer { jsonrpc: "2.0", id, result: CallResult { content } })?
            }
            _ => serde_json::to_string(&Answer { jsonrpc: "2.0", id, result: serde_json::json!({}) })?,
        };
        socket.send(Message::text(answer))?;
    }
}

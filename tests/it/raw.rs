//! A client that may do everything wrong: bytes on a socket, heads and frames of its own making. Every read has a
//! deadline.

use super::peer::{PATIENCE, USUAL, bound_to, connect, dial, dial_from};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;
/// The bit of a message's last frame.
pub const FIN: u8 = 0x80;

/// The head of a handshake, correct until it is changed.
#[derive(Clone)]
pub struct Head {
    pub line: String,
    fields: Vec<(String, String)>,
}

impl Head {
    pub fn new(address: SocketAddr) -> Self {
        let host = address.to_string();
        let fields = [
            ("Host", host.as_str()),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { line: "GET /mcp HTTP/1.1".into(), fields }
    }

    pub fn line(mut self, line: &str) -> Self {
        self.line = line.into();
        self
    }

    /// Adds a field, also a second one of the same name.
    pub fn add(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
        self
    }

    pub fn set(self, name: &str, value: &str) -> Self {
        self.without(name).add(name, value)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// Sends it over a new connection and reads the answer.
    #[track_caller]
    pub fn ask(&self, address: SocketAddr) -> Answer {
        self.ask_over(Raw::connect(address))
    }

    /// The same from 127.0.0.`last`.
    #[track_caller]
    pub fn ask_from(&self, last: u8, address: SocketAddr) -> Answer {
        self.ask_over(Raw::connect_from(last, address))
    }

    #[track_caller]
    fn ask_over(&self, mut raw: Raw) -> Answer {
        // A connection may be turned away before anything is read.
        let _ = raw.try_send(&self.bytes());
        raw.answer()
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// A connection of bytes.
pub struct Raw {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        Self::with(dial(address))
    }

    /// Connects from 127.0.0.`last`.
    pub fn connect_from(last: u8, address: SocketAddr) -> Self {
        Self::with(dial_from(last, address))
    }

    /// Connects with a small receive buffer, so that a server notices soon that nobody reads.
    pub fn connect_narrow(address: SocketAddr) -> Self {
        let socket = bound_to(USUAL, address);
        socket.set_recv_buffer_size(4 << 10).expect("a small buffer");
        Self::with(connect(socket, address))
    }

    fn with(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// A WebSocket over which everything can be sent.
    #[track_caller]
    pub fn upgraded(address: SocketAddr) -> Self {
        Self::connect(address).upgrade(address)
    }

    #[track_caller]
    pub fn upgrade(mut self, address: SocketAddr) -> Self {
        self.send(&Head::new(address).bytes());
        self.answer().expect(101);
        self
    }

    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sends");
    }

    /// Sends, unless the server has gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends one whole frame, masked.
    #[track_caller]
    pub fn frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&masked(first, payload));
    }

    #[track_caller]
    pub fn text(&mut self, text: &str) {
        self.frame(FIN | TEXT, text.as_bytes());
    }

    /// Reads an HTTP answer, with as much body as it says.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            let shown = String::from_utf8_lossy(&self.buffer).into_owned();
            assert!(self.fill(deadline), "the connection ended within the head of the answer: {shown:?}");
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).expect("an ASCII head");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: String::new() };
        if let Some(length) = answer.field("Content-Length") {
            let length: usize = length.parse().expect("a length");
            while self.buffer.len() < length {
                assert!(self.fill(deadline), "the connection ended within the body of {answer:?}");
            }
            answer.body = String::from_utf8(self.buffer.drain(..length).collect()).expect("a text");
        }
        answer
    }

    /// The next frame of the server: its first byte and its payload. `None` at the end of the connection.
    #[track_caller]
    pub fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        self.read_frame_by(Instant::now() + PATIENCE)
    }

    #[track_caller]
    pub fn read_frame_by(&mut self, deadline: Instant) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((head, length)) = frame_length(&self.buffer)
                && self.buffer.len() >= head + length
            {
                let frame: Vec<u8> = self.buffer.drain(..head + length).collect();
                return Some((frame[0], frame[head..].to_vec()));
            }
            if !self.fill(deadline) {
                return None;
            }
        }
    }

    /// Reads frames up to the close frame; its code. `None` if the connection ended without one.
    #[track_caller]
    pub fn close_code(&mut self) -> Option<u16> {
        loop {
            let (first, payload) = self.read_frame()?;
            if first == FIN | CLOSE {
                return Some(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)));
            }
        }
    }

    /// Waits for the end of the connection, reading whatever comes.
    #[track_caller]
    pub fn wait_end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.fill(deadline) {
            self.buffer.clear();
        }
    }

    /// Nothing more will be sent.
    pub fn end_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads more; false at the end of the connection. Panics at the deadline.
    #[track_caller]
    fn fill(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).expect("read timeout");
        let mut bytes = [0; 16 << 10];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => {
                    self.buffer.extend_from_slice(&bytes[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("nothing came before the deadline")
                }
                Err(_) => return false,
            }
        }
    }
}

/// One frame as a client sends it.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = head(first, payload.len() as u64, true);
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The head of a frame, without the mask.
pub fn head(first: u8, length: u64, masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let mut head = vec![first];
    match length {
        0..126 => head.push(bit | length as u8),
        126..0x1_0000 => {
            head.push(bit | 126);
            head.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            head.push(bit | 127);
            head.extend_from_slice(&length.to_be_bytes());
        }
    }
    head
}

/// The length of a server's frame: of its head, and of its payload.
fn frame_length(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes.get(1)? {
        126 => Some((4, u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into())),
        127 => Some((10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize)),
        length => Some((2, (*length).into())),
    }
}

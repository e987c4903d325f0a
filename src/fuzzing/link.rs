//! A connection without a socket: what a script says is read, what is written is kept.

use crate::engine::link::{Endpoint, Link, ReadHalf, WriteHalf};
use crate::engine::outbox::Outbox;
use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// What the peer sends.
pub(super) trait Source: Send {
    /// Bytes for a read that takes `room` at the most; none is the end.
    fn read(&mut self, wire: &Wire, room: usize) -> Vec<u8>;
}

/// Both directions of the connection, as the peer has them.
#[derive(Default)]
pub(super) struct Wire {
    written: Mutex<Vec<u8>>,
    writes: AtomicUsize,
    /// Bytes that one write takes; 0 for as many as there are.
    piece: AtomicUsize,
    blocked: AtomicBool,
    /// The server reads no more, writes no more.
    ends: [AtomicBool; 2],
    outbox: OnceLock<Weak<Outbox>>,
}

impl Wire {
    pub(super) fn link(self: &Arc<Self>, source: impl Source + 'static) -> Link {
        Link {
            read: Box::new(Read { wire: Arc::clone(self), source }),
            write: Box::new(Write(Arc::clone(self))),
            endpoint: Arc::clone(self) as Arc<dyn Endpoint>,
        }
    }

    /// All that the server has written so far.
    pub(super) fn written(&self) -> Vec<u8> {
        self.written.lock().clone()
    }

    /// How often it has written.
    pub(super) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// Whether the peer's window is shut, and how many bytes a write takes when it is not.
    pub(super) fn set_window(&self, blocked: bool, piece: usize) {
        self.piece.store(piece, Ordering::SeqCst);
        self.blocked.store(blocked, Ordering::SeqCst);
    }

    /// The server's side of the queue, as long as there is one.
    pub(super) fn outbox(&self) -> Option<Arc<Outbox>> {
        self.outbox.get().and_then(Weak::upgrade)
    }
}

struct Read<S> {
    wire: Arc<Wire>,
    source: S,
}

impl<S: Source> ReadHalf for Read<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "a read without room looks like the end");
        if self.wire.ends[0].load(Ordering::SeqCst) {
            return Ok(0);
        }
        let bytes = self.source.read(&self.wire, buffer.len());
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn set_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn attach(&mut self, outbox: &Arc<Outbox>) {
        let _ = self.wire.outbox.set(Arc::downgrade(outbox));
    }
}

struct Write(Arc<Wire>);

impl WriteHalf for Write {
    fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let wire = &self.0;
        if wire.ends[1].load(Ordering::SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if wire.blocked.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut room = match wire.piece.load(Ordering::SeqCst) {
            0 => usize::MAX,
            piece => piece,
        };
        wire.writes.fetch_add(1, Ordering::SeqCst);
        let mut written = wire.written.lock();
        let before = written.len();
        for part in parts {
            let step = part.len().min(room);
            written.extend_from_slice(&part[..step]);
            room -= step;
        }
        Ok(written.len() - before)
    }
}

impl Endpoint for Wire {
    fn shutdown(&self, how: Shutdown) {
        let [read, write] = &self.ends;
        if how != Shutdown::Write {
            read.store(true, Ordering::SeqCst);
        }
        if how != Shutdown::Read {
            write.store(true, Ordering::SeqCst);
        }
    }

    /// One that can always be written to: so the drain tries again at once, however long this connection is blocked.
    fn socket(&self) -> Option<&TcpStream> {
        static WRITABLE: OnceLock<(TcpStream, TcpStream)> = OnceLock::new();
        let pair = || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
            let one = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
            (one, listener.accept().expect("its other end").0)
        };
        Some(&WRITABLE.get_or_init(pair).0)
    }
}

/// One frame of the server's, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerFrame {
    pub(super) opcode: u8,
    pub(super) payload: Vec<u8>,
}

/// Reads what the server wrote behind its answer to the handshake; gives the whole frames and what is left of a cut one.
pub(super) fn server_frames(mut bytes: &[u8]) -> (Vec<ServerFrame>, usize) {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!(first & 0xf0, 0x80, "the server sends whole messages, without extensions");
        assert!(second & 0x80 == 0, "the server does not mask");
        let (length, rest) = match second {
            126 if rest.len() >= 2 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 if rest.len() >= 8 => {
                (usize::try_from(u64::from_be_bytes(rest[..8].try_into().unwrap())).unwrap(), &rest[8..])
            }
            126 | 127 => break,
            length => (usize::from(*length), rest),
        };
        if rest.len() < length {
            break;
        }
        frames.push(ServerFrame { opcode: first & 0x0f, payload: rest[..length].to_vec() });
        bytes = &rest[length..];
    }
    (frames, bytes.len())
}

/// Appends one frame of a client: masked, unless a test wants it to be wrong.
pub(super) fn push_frame(out: &mut Vec<u8>, first: u8, masked: bool, payload: &[u8]) {
    const MASK: [u8; 4] = [0x11, 0x00, 0xa5, 0xff];
    let mask = if masked { 0x80 } else { 0 };
    out.push(first);
    match payload.len() {
        length @ 0..126 => out.push(mask | length as u8),
        length @ 126..65_536 => {
            out.push(mask | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(mask | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    if masked {
        out.extend(MASK);
        out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        out.extend(payload);
    }
}

//! Bytes of a client behind its upgrade, through the stream of `half.rs` and tungstenite to messages.
//!
//! The same bytes go to a bare tungstenite, all at once: what comes out must be the same messages and, unless one of our own
//! bounds was passed, the same kind of end. The frame tracker is compared with a count of the frames that looks at all bytes.

use super::Script;
use super::link::{Source, Wire, push_frame, server_frames};
use crate::engine::Core;
use crate::engine::connection::Connection;
use crate::engine::link::Link;
use crate::guard::address::ClientAddr;
use crate::limits::Limits;
use crate::service::{AnyService, ClosedBy, Ended, Message, MessageLimits, Peer, Service};
use crate::transport::websocket;
use crate::transport::websocket::frames::WebSocketFraming;
use crate::transport::websocket::tracker::{Excess, FrameTracker, TrackerLimits};
use parking_lot::Mutex;
use std::io::{self, Cursor, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tungstenite::Error;
use tungstenite::error::CapacityError;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

const MESSAGE: usize = 24 << 10;
const FRAGMENTS: usize = 6;
const READ_BUFFER: usize = 8 << 10;

/// Keeps the messages.
struct Keep(Arc<Mutex<Vec<Message>>>);

impl Service for Keep {
    type Session = ();

    fn open(&self, _: &Peer) -> Result<(), ClosedBy> {
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Peer, message: Message) {
        self.0.lock().push(message);
    }
}

/// The stream, in pieces.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<u8>,
    turn: usize,
    core: Arc<Core>,
}

impl Source for Pieces {
    fn read(&mut self, wire: &Wire, room: usize) -> Vec<u8> {
        // tungstenite's buffer: one read on top of the frame that is being read, with what an allocator rounds up.
        assert!(room <= READ_BUFFER, "asked for {room} bytes at once");
        let queued = wire.outbox().map_or(0, |outbox| outbox.queued().0);
        assert!(self.core.memory.used() <= MESSAGE + queued, "{} of the budget", self.core.memory.used());
        let size = match self.sizes.get(self.turn % self.sizes.len().max(1)) {
            None | Some(0) => usize::MAX,
            Some(&size) if size > 200 => usize::from(size - 200) * 300,
            Some(&size) => usize::from(size),
        };
        self.turn += 1;
        // A long stream byte by byte would tell nothing that a short one does not.
        let size = size.max(self.bytes.len() / 512);
        let step = room.min(size).min(self.bytes.len() - self.at);
        self.at += step;
        self.bytes[self.at - step..self.at].to_vec()
    }
}

fn core() -> &'static Arc<Core> {
    static CORE: OnceLock<Arc<Core>> = OnceLock::new();
    CORE.get_or_init(|| {
        let limits =
            Limits { memory_bytes: 4 << 20, outbox_bytes: 1 << 20, outbox_frames: 1 << 16, ..Limits::default() };
        Core::start(limits, None).expect("two threads").0
    })
}

pub(super) fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    let options = script.byte();
    let count = script.below(4);
    let sizes = script.take(count).to_vec();
    let limits = MessageLimits {
        message_bytes: MESSAGE,
        frame_bytes: if options & 1 == 0 { MESSAGE } else { 10 << 10 },
        fragments: if options & 2 == 0 { FRAGMENTS } else { 1 << 20 },
        control_frames_per_second: if options & 4 == 0 { u32::MAX } else { 5 },
    };
    let stream = if options & 8 == 0 { script.0.to_vec() } else { built(&mut script) };

    let (messages, ended) = serve(&stream, sizes.clone(), &limits);
    let (expected, end) = bare(&stream, &limits);
    let counted = count_frames(&stream);
    let excess = match ended {
        Ended::TooManyFragments => {
            assert!(counted.fragments > limits.fragments);
            true
        }
        Ended::TooManyControlFrames => {
            assert!(counted.control > limits.control_frames_per_second as usize);
            true
        }
        Ended::Overloaded => panic!("one message fits into the budget"),
        _ => false,
    };
    assert!(messages.len() <= expected.len(), "{} messages where tungstenite has {}", messages.len(), expected.len());
    assert!(messages[..] == expected[..messages.len()], "a message that is not the one that was sent");
    if !excess {
        assert_eq!(messages.len(), expected.len(), "messages are missing: {ended}");
        assert_eq!(ended, end);
    }
    track(&stream, &sizes, &limits, &counted);
}

/// Frames that are correct but for what the script wants wrong, so that the interesting ones are reached.
fn built(script: &mut Script<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    while !script.is_over() && out.len() < 64 << 10 {
        let first = script.byte();
        // Rarely reserved bits, and rarely an unmasked frame.
        let shape = script.byte();
        let first = if shape & 0x38 == 0x38 { first } else { first & 0x8f };
        let masked = shape & 0xc0 != 0xc0 || shape & 7 != 7;
        let length = script.byte();
        let (length, repeat) = match length {
            0..=199 => (usize::from(length), 1),
            _ => (usize::from(length - 199), usize::from(script.byte()) * 16 + 1),
        };
        let piece = script.take(length);
        let payload = piece.repeat(repeat);
        push_frame(&mut out, first, masked, &payload[..payload.len().min(40 << 10)]);
    }
    if script.byte() & 1 == 1 {
        out.pop();
    }
    out
}

fn serve(stream: &[u8], sizes: Vec<u8>, limits: &MessageLimits) -> (Vec<Message>, Ended) {
    let core = core();
    let before = core.memory.used();
    assert_eq!(before, 0, "the last run has left something");
    let wire = Arc::new(Wire::default());
    let source = Pieces { bytes: stream.to_vec(), at: 0, sizes, turn: 0, core: Arc::clone(core) };
    let Link { mut read, write, endpoint } = wire.link(source);
    let outbox = core.outbox(write, endpoint);
    read.attach(&outbox);
    let address = ClientAddr::from(SocketAddr::from(([127, 0, 0, 1], 1)));
    let connection = Connection::new(Arc::clone(core), &WebSocketFraming, outbox, address, None, "/".into());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let service = Arc::new(Keep(Arc::clone(&kept)));
    let Ok(mut session) = AnyService::open(service, &Peer::new(&connection)) else { panic!("it opens") };
    let ended = websocket::serve(read, &connection, limits, &mut session);
    connection.end();
    session.close(ended);
    let written = wire.written();
    let (frames, cut) = server_frames(&written);
    assert_eq!(cut, 0, "the peer reads all, so nothing is cut");
    for (at, frame) in frames.iter().enumerate() {
        match frame.opcode {
            8 => {
                assert_eq!(at + 1, frames.len(), "something follows the close frame");
                assert!(frame.payload.len() != 1 && frame.payload.len() <= 125);
                assert!(frame.payload.get(2..).is_none_or(|reason| std::str::from_utf8(reason).is_ok()));
            }
            10 => assert!(frame.payload.len() <= 125),
            other => panic!("a frame of opcode {other} that nobody has sent"),
        }
    }
    assert_eq!(connection.outbox.queued(), (0, 0));
    assert_eq!(core.memory.used(), 0, "memory is not given back");
    (std::mem::take(&mut *kept.lock()), ended)
}

/// The bytes with nothing to write to.
struct Deaf<'a>(Cursor<&'a [u8]>);

impl Read for Deaf<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Deaf<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite alone makes of it.
fn bare(stream: &[u8], limits: &MessageLimits) -> (Vec<Message>, Ended) {
    let config = WebSocketConfig::default()
        .write_buffer_size(0)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.frame_bytes));
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let mut stream = Deaf(Cursor::new(stream));
    let mut messages = Vec::new();
    let end = loop {
        match context.read(&mut stream) {
            Ok(tungstenite::Message::Text(text)) => messages.push(Message::from_text(text)),
            Ok(tungstenite::Message::Binary(bytes)) => messages.push(Message::from_binary(bytes)),
            Ok(tungstenite::Message::Close(frame)) => break Ended::ByPeer(frame.map(|frame| frame.code.into())),
            Ok(_) => {}
            Err(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => break Ended::Lost,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => break Ended::TooLarge,
            Err(Error::Utf8(_)) => break Ended::NotUtf8,
            Err(Error::Protocol(_)) => break Ended::Protocol,
            Err(error) => panic!("nothing else can fail: {error}"),
        }
    };
    (messages, end)
}

/// What the heads of the frames say, up to the first that makes no sense.
#[derive(Debug, Default)]
struct Counted {
    /// The most fragments that one message has.
    fragments: usize,
    control: usize,
    /// Whole frames.
    finished: usize,
    /// The stream ends within a frame.
    in_frame: bool,
    /// A head that cannot be read: what follows has no meaning.
    nonsense: bool,
}

fn count_frames(mut bytes: &[u8]) -> Counted {
    let mut counted = Counted::default();
    let mut fragments = 0;
    while !bytes.is_empty() {
        let mut cursor = Cursor::new(bytes);
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(head)) => head,
            Ok(None) => {
                counted.in_frame = true;
                return counted;
            }
            Err(_) => {
                counted.nonsense = true;
                return counted;
            }
        };
        match header.opcode {
            OpCode::Control(_) => counted.control += 1,
            OpCode::Data(Data::Continue) => fragments += 1,
            OpCode::Data(_) => fragments = 1,
        }
        counted.fragments = counted.fragments.max(fragments);
        let rest = &bytes[cursor.position() as usize..];
        let Some(behind) = usize::try_from(length).ok().and_then(|length| rest.get(length..)) else {
            counted.in_frame = true;
            return counted;
        };
        counted.finished += 1;
        bytes = behind;
    }
    counted
}

/// The tracker alone, in pieces and at once: it stands where the frames say.
fn track(stream: &[u8], sizes: &[u8], limits: &MessageLimits, counted: &Counted) {
    let bounds =
        TrackerLimits { fragments: limits.fragments, control_frames_per_second: limits.control_frames_per_second };
    let follow = |step: usize| -> Result<(bool, u64, bool), Excess> {
        let mut tracker = FrameTracker::new(bounds);
        let mut finished = false;
        for piece in stream.chunks(step.max(1)) {
            finished |= tracker.follow(piece, 0)?.frame.finished;
            assert!(tracker.allowance() > 0);
        }
        Ok((tracker.in_frame(), tracker.message(), finished))
    };
    let whole = follow(stream.len());
    let step = usize::from(sizes.first().copied().unwrap_or(1)).max(stream.len() / 512);
    assert_eq!(follow(step), whole, "in pieces of {step}");
    if counted.nonsense {
        return;
    }
    match whole {
        Ok((in_frame, _, finished)) => {
            assert_eq!(in_frame, counted.in_frame);
            assert_eq!(finished, counted.finished > 0);
            assert!(
                counted.fragments <= limits.fragments && counted.control <= limits.control_frames_per_second as usize
            );
        }
        Err(Excess::Fragments) => assert!(counted.fragments > limits.fragments),
        Err(Excess::ControlFrames) => assert!(counted.control > limits.control_frames_per_second as usize),
        Err(Excess::Memory) => panic!("the tracker knows no budget"),
    }
}

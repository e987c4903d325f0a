//! One WebSocket connection after its upgrade: from bytes to messages, and the closing handshake.

pub(crate) mod frames;
mod half;
pub(crate) mod tracker;

use crate::engine::connection::{Connection, Mark};
use crate::engine::link::ReadHalf;
use crate::engine::outbox::{Flush, Outbox, Phase};
use crate::engine::pool::Abandon;
use crate::service::{Ended, Message, MessageLimits, SessionBox};
use half::Half;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracker::{Excess, FrameTracker, TrackerLimits};
use tungstenite::Error;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

/// tungstenite's read buffer: the default of 128 KiB is zeroed at each read and kept by each connection.
const READ_BUFFER: usize = 8 << 10;
/// What is read and thrown away of a peer that goes on sending after the end.
const LINGER_BYTES: usize = 64 << 10;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Serves the connection until it ends. Blocks for as long as that takes.
pub(crate) fn serve(
    read: Box<dyn ReadHalf>,
    connection: &Arc<Connection>,
    limits: &MessageLimits,
    session: &mut SessionBox,
) -> Ended {
    let tracker = FrameTracker::new(TrackerLimits {
        fragments: limits.fragments,
        control_frames_per_second: limits.control_frames_per_second,
    });
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.frame_bytes));
    let mut half = Half::new(read, Arc::clone(connection), tracker, config);
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let ended = loop {
        let read = context.read(&mut half);
        // Only behind a whole message: behind a ping, the fragments of another may be waiting in the context.
        if let Ok(tungstenite::Message::Text(_) | tungstenite::Message::Binary(_)) = read
            && let Some(renewed) = half.renewed()
        {
            context = renewed;
        }
        match read {
            Ok(tungstenite::Message::Text(_) | tungstenite::Message::Binary(_)) if !connection.may_begin() => {}
            Ok(tungstenite::Message::Text(text)) => session.message(connection, Message::from_text(text)),
            Ok(tungstenite::Message::Binary(bytes)) => session.message(connection, Message::from_binary(bytes)),
            Ok(tungstenite::Message::Close(frame)) => {
                // Before the next read, which queues the answer and then reports the end. By the outbox: our own frame is there
                // before anybody can have answered it.
                let ours = connection.outbox.phase() != Phase::Open;
                while context.read(&mut half).is_ok() {}
                break match ours {
                    true => Ended::ByServer,
                    false => Ended::ByPeer(frame.map(|frame| frame.code.into())),
                };
            }
            // tungstenite answers pings itself.
            Ok(_) => {}
            Err(error) => break failed(&error, half.excess(), connection),
        }
        if connection.is_flooded() {
            // No polite end: as long as it lasts, all that comes would have to be read.
            break Ended::TooManyMessages;
        }
    };
    // Nobody will read answers any more: handlers may stop before the last frames are out.
    connection.lane.abandon(Abandon::Disconnected);
    let read = half.into_read();
    match ended.close_code() {
        Some((code, reason)) => {
            connection.close(code, reason, Flush::Now);
        }
        None if matches!(ended, Ended::Lost | Ended::Silent) => connection.outbox.abort(),
        None => {}
    }
    finish(read, &connection.outbox, connection.core.limits.close_deadline);
    ended
}

/// Why reading has failed.
fn failed(error: &Error, excess: Option<Excess>, connection: &Connection) -> Ended {
    match connection.mark() {
        Mark::FrameDeadline => return Ended::FrameDeadline,
        Mark::MessageDeadline => return Ended::MessageDeadline,
        Mark::Silent => return Ended::Silent,
        Mark::CloseDeadline => return Ended::ByServer,
        Mark::None | Mark::RightEnded => {}
    }
    match excess {
        Some(Excess::Fragments) => return Ended::TooManyFragments,
        Some(Excess::ControlFrames) => return Ended::TooManyControlFrames,
        Some(Excess::Memory) => return Ended::Overloaded,
        None => {}
    }
    let ours = connection.outbox.phase() != Phase::Open;
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Ended::ByServer,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) if ours => Ended::ByServer,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => Ended::Lost,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Ended::TooLarge,
        Error::Utf8(_) => Ended::NotUtf8,
        _ => Ended::Protocol,
    }
}

/// The end of a connection: lets what is queued be written, then reads away what the peer still sends, for closing a
/// socket with unread bytes would reset it and lose the last answer.
pub(crate) fn finish(mut read: Box<dyn ReadHalf>, outbox: &Outbox, linger: Duration) {
    let written = outbox.wait_written(Instant::now() + outbox.write_deadline());
    if written == Phase::Draining {
        let until = Instant::now() + LINGER_TIME.min(linger);
        let mut buffer = [0; 4 << 10];
        let mut left = LINGER_BYTES;
        loop {
            let time = until.saturating_duration_since(Instant::now());
            if time.is_zero() || left == 0 || read.set_timeout(Some(time)).is_err() {
                break;
            }
            match read.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => left = left.saturating_sub(count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }
    outbox.close();
}

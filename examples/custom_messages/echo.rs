//! Sends every message back as it came.

use mcp_blocking::{ClosedBy, Message, MessageLimits, Peer, Service};

pub struct Echo;

impl Service for Echo {
    type Session = ();

    fn open(&self, _peer: &Peer) -> Result<(), ClosedBy> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Peer, message: Message) {
        // A peer that has gone, or does not read, is the listener's business.
        let _ = match message {
            Message::Text(text) => peer.send(&*text),
            Message::Binary(bytes) => peer.send_binary(&*bytes),
        };
    }

    fn message_limits(&self, limits: &mut MessageLimits) {
        // Large messages in very many pieces are what this path is for.
        limits.message_bytes = 64 << 20;
        limits.frame_bytes = 64 << 20;
        limits.fragments = usize::MAX;
    }
}

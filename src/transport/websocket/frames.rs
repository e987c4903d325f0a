//! Outgoing frames. A server's frames carry no mask, so the bytes are the same for every client.

use crate::engine::framing::Framing;
use crate::engine::outbox::{Body, Frame};
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, FrameHeader, Utf8Bytes};

/// WebSocket, as seen by the engine.
pub(crate) struct WebSocketFraming;

impl Framing for WebSocketFraming {
    fn text(&self, body: Body) -> Frame {
        data(Data::Text, body)
    }

    fn binary(&self, body: Body) -> Frame {
        data(Data::Binary, body)
    }

    fn ping(&self) -> Option<Frame> {
        Some(framed(OpCode::Control(Control::Ping), Body::Owned(Vec::new())))
    }

    fn close(&self, code: u16, reason: &str) -> Option<Frame> {
        Some(close(code, reason))
    }
}

/// A close frame. The reason is cut to what fits into a control frame; a code that may not be sent (RFC 6455, 7.4.1) is replaced
/// by 1000.
fn close(code: u16, reason: &str) -> Frame {
    const ROOM: usize = 123;
    let mut end = reason.len().min(ROOM);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let code = match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => code,
        _ => 1000,
    };
    let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from(&reason[..end]) };
    let payload = tungstenite::protocol::frame::Frame::close(Some(frame)).into_payload();
    framed(OpCode::Control(Control::Close), Body::Owned(payload.to_vec()))
}

fn data(kind: Data, body: Body) -> Frame {
    framed(OpCode::Data(kind), body)
}

fn framed(opcode: OpCode, body: Body) -> Frame {
    let length = match &body {
        Body::Owned(bytes) => bytes.len(),
        Body::Shared(bytes) => bytes.len(),
    };
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let mut head = [0_u8; 14];
    let mut rest = &mut head[..];
    // Ten bytes are the most for an unmasked head, so that this cannot fail.
    let written = if header.format(length as u64, &mut rest).is_ok() { 14 - rest.len() } else { 0 };
    Frame::new(&head[..written], body)
}

//! Outgoing frames. A server's frames carry no mask, so the bytes are the same for every client.

use crate::engine::outbox::{Body, Frame};
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, FrameHeader, Utf8Bytes};

/// A text message in one frame.
pub(crate) fn text(body: Body) -> Frame {
    data(Data::Text, body)
}

/// A binary message in one frame.
pub(crate) fn binary(body: Body) -> Frame {
    data(Data::Binary, body)
}

/// A ping without content.
pub(crate) fn ping() -> Frame {
    framed(OpCode::Control(Control::Ping), Body::Owned(Vec::new()))
}

/// A close frame; the reason is cut to what fits into a control frame.
pub(crate) fn close(code: u16, reason: &str) -> Frame {
    const ROOM: usize = 123;
    let mut end = reason.len().min(ROOM);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
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

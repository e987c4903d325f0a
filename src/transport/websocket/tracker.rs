//! Follows the frames in the bytes that pass to tungstenite, which hides them: where a frame ends, how many fragments a
//! message has, how many control frames come in a second.

use crate::engine::connection::Standing;
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// A frame longer than this is read by itself: never a byte of the next one, so that the buffer that grew for it can
/// be given back.
const LARGE: u64 = 8 << 10;

/// The bounds that a tracker enforces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrackerLimits {
    pub(crate) fragments: usize,
    pub(crate) control_frames_per_second: u32,
}

/// What a peer may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Fragments,
    ControlFrames,
    /// The process's memory budget has no room for its message.
    Memory,
}

/// Where the stream stands between two reads.
#[derive(Debug)]
pub(crate) struct FrameTracker {
    limits: TrackerLimits,
    /// The head of the frame that has begun, as far as it has come.
    head: [u8; 14],
    head_len: usize,
    /// Bytes of the payload that are still to come.
    rest: u64,
    large: bool,
    /// A large frame has passed since the buffer was last renewed.
    grown: bool,
    fragments: usize,
    /// Bytes of the data message under way, as announced by the heads of its frames.
    message: u64,
    /// The frame under way is one of data: control frames may stand between those of a message.
    data: bool,
    /// A data message has begun and not ended.
    in_message: bool,
    /// The message's last frame has begun.
    last: bool,
    /// A head could not be read: where the next frame would begin is unknown.
    lost: bool,
    window: u64,
    control: u32,
}

impl FrameTracker {
    pub(crate) fn new(limits: TrackerLimits) -> Self {
        Self {
            limits,
            head: [0; 14],
            head_len: 0,
            rest: 0,
            large: false,
            grown: false,
            fragments: 0,
            message: 0,
            data: false,
            in_message: false,
            last: false,
            lost: false,
            window: 0,
            control: 0,
        }
    }

    /// How many bytes the next read may take.
    pub(crate) fn allowance(&self) -> usize {
        if !(self.large || self.grown) {
            return usize::MAX;
        }
        if self.rest > 0 {
            return usize::try_from(self.rest).unwrap_or(usize::MAX);
        }
        // Up to the end of the head, which its first two bytes tell.
        head_length(&self.head[..self.head_len]).saturating_sub(self.head_len).max(1)
    }

    /// Bytes of the message that has begun and not ended, as far as the heads of its frames tell.
    pub(crate) fn message(&self) -> u64 {
        if self.in_message { self.message } else { 0 }
    }

    /// The buffer grows, or has grown.
    pub(crate) fn grown(&self) -> bool {
        self.grown
    }

    /// The buffer has grown, and at the end of a message nothing of the next one has been read: it can be renewed.
    pub(crate) fn renewable(&self) -> bool {
        self.grown && !self.in_frame()
    }

    pub(crate) fn renewed(&mut self) {
        self.grown = false;
    }

    /// A frame is begun and not finished.
    pub(crate) fn in_frame(&self) -> bool {
        self.head_len > 0 || self.rest > 0
    }

    /// Takes note of bytes that were read at that time (milliseconds).
    pub(crate) fn follow(&mut self, mut bytes: &[u8], now: u64) -> Result<Standing, Excess> {
        let mut standing = Standing::default();
        while !bytes.is_empty() && !self.lost {
            if self.rest > 0 {
                let step = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
                self.rest -= step as u64;
                bytes = bytes.get(step..).unwrap_or_default();
                if self.rest == 0 {
                    self.large = false;
                    self.ended(&mut standing);
                }
                continue;
            }
            let wanted = head_length(&self.head[..self.head_len]);
            let step = wanted.saturating_sub(self.head_len).min(bytes.len());
            self.head[self.head_len..self.head_len + step].copy_from_slice(&bytes[..step]);
            self.head_len += step;
            bytes = &bytes[step..];
            if self.head_len == head_length(&self.head[..self.head_len]) {
                self.begin(now)?;
                if self.rest == 0 && !self.lost {
                    self.ended(&mut standing);
                }
            }
        }
        standing.frame.under_way = self.in_frame();
        standing.message.under_way = self.in_message;
        Ok(standing)
    }

    /// The frame under way has ended.
    fn ended(&mut self, standing: &mut Standing) {
        standing.frame.finished = true;
        if self.in_message && self.data && self.last {
            standing.message.finished = true;
            self.in_message = false;
        }
    }

    /// A head is complete.
    fn begin(&mut self, now: u64) -> Result<(), Excess> {
        let parsed = FrameHeader::parse(&mut Cursor::new(&self.head[..self.head_len]));
        self.head_len = 0;
        // What cannot be parsed is refused by tungstenite, at this very head. It says so when it comes to it: what follows in
        // the same read must not be taken for frames, and for an excess of them.
        let Ok(Some((header, length))) = parsed else {
            self.lost = true;
            return Ok(());
        };
        self.data = matches!(header.opcode, OpCode::Data(_));
        match header.opcode {
            OpCode::Control(_) => {
                if now / 1_000 != self.window {
                    self.window = now / 1_000;
                    self.control = 0;
                }
                self.control += 1;
                if self.control > self.limits.control_frames_per_second {
                    return Err(Excess::ControlFrames);
                }
            }
            OpCode::Data(kind) => {
                self.fragments = if kind == Data::Continue { self.fragments + 1 } else { 1 };
                self.message = if kind == Data::Continue { self.message.saturating_add(length) } else { length };
                self.last = header.is_final;
                self.in_message = true;
                if self.fragments > self.limits.fragments {
                    return Err(Excess::Fragments);
                }
            }
        }
        self.rest = length;
        self.large = length > LARGE;
        self.grown |= self.large;
        Ok(())
    }
}

/// How long a frame's head is, as far as its first bytes tell.
fn head_length(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else { return 2 };
    let extra = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    2 + extra + mask
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TrackerLimits = TrackerLimits { fragments: 3, control_frames_per_second: 2 };

    fn masked(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match length {
            0..126 => bytes.push(0x80 | length as u8),
            126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.resize(bytes.len() + length, 0);
        bytes
    }

    #[test]
    fn frames_end_where_they_end_however_the_bytes_are_cut() {
        let mut stream = Vec::new();
        for length in [0, 1, 125, 126, 8_192, 8_193, 70_000, 5] {
            stream.extend(masked(0x81, length));
        }
        for step in [1, 2, 3, 7, 100, 4_096, stream.len()] {
            let mut tracker = FrameTracker::new(LIMITS);
            for chunk in stream.chunks(step) {
                tracker.follow(chunk, 0).unwrap();
            }
            assert!(!tracker.in_frame(), "chunks of {step}");
            assert!(tracker.renewable());
        }
    }

    #[test]
    fn nothing_behind_a_large_frame_is_read_with_it() {
        let mut stream = masked(0x81, 9_000);
        let first = stream.len();
        stream.extend(masked(0x81, 3));
        let mut tracker = FrameTracker::new(LIMITS);
        let mut at = 0;
        while at < stream.len() {
            let step = tracker.allowance().min(4_096).min(stream.len() - at);
            tracker.follow(&stream[at..at + step], 0).unwrap();
            at += step;
            if at == first {
                assert!(tracker.renewable());
                tracker.renewed();
                assert_eq!(tracker.allowance(), usize::MAX);
                return;
            }
            assert!(at < first);
        }
    }

    #[test]
    fn behind_a_head_that_cannot_be_read_nothing_is_taken_for_frames() {
        let mut tracker = FrameTracker::new(LIMITS);
        let mut stream = masked(0x01, 0);
        // A reserved opcode: tungstenite ends the connection there, with 1002, and what follows must not make another code of it.
        stream.extend(masked(0x03, 0));
        stream.extend(masked(0x00, 0).repeat(9));
        stream.extend(masked(0x89, 0).repeat(9));
        assert!(tracker.follow(&stream, 0).unwrap().frame.finished);
        assert!(!tracker.follow(&masked(0x81, 70_000), 0).unwrap().frame.finished);
        assert_eq!(tracker.message(), 0);
    }

    #[test]
    fn a_message_is_under_way_from_its_first_frame_to_its_last_whatever_stands_between() {
        let mut tracker = FrameTracker::new(TrackerLimits { control_frames_per_second: 9, ..LIMITS });
        let mut message = |bytes: &[u8]| {
            let Standing { message, .. } = tracker.follow(bytes, 0).unwrap();
            (message.finished, message.under_way, tracker.message())
        };
        assert_eq!(message(&masked(0x89, 5)), (false, false, 0));
        assert_eq!(message(&masked(0x01, 3)), (false, true, 3));
        assert_eq!(message(&masked(0x89, 5)), (false, true, 3));
        assert_eq!(message(&masked(0x80, 4)[..8]), (false, true, 7));
        assert_eq!(message(&masked(0x80, 4)[8..]), (true, false, 0));
        // Nor does what has ended count for a control frame behind it.
        assert_eq!(message(&masked(0x89, 5)[..8]), (false, false, 0));
        assert_eq!(
            message(&[masked(0x89, 5)[8..].to_vec(), masked(0x81, 2), masked(0x01, 0)].concat()),
            (true, true, 0)
        );
        assert_eq!(message(&masked(0x80, 0)), (true, false, 0));
    }

    #[test]
    fn fragments_and_control_frames_are_counted() {
        let mut tracker = FrameTracker::new(LIMITS);
        tracker.follow(&masked(0x01, 0), 0).unwrap();
        tracker.follow(&masked(0x00, 0), 0).unwrap();
        tracker.follow(&masked(0x89, 0), 0).unwrap();
        tracker.follow(&masked(0x00, 0), 0).unwrap();
        assert_eq!(tracker.follow(&masked(0x00, 0), 0).err(), Some(Excess::Fragments));

        let mut tracker = FrameTracker::new(LIMITS);
        tracker.follow(&masked(0x89, 0), 0).unwrap();
        tracker.follow(&masked(0x89, 0), 999).unwrap();
        tracker.follow(&masked(0x8a, 0), 1_000).unwrap();
        tracker.follow(&masked(0x8a, 0), 1_500).unwrap();
        assert_eq!(tracker.follow(&masked(0x89, 0), 1_900).err(), Some(Excess::ControlFrames));
    }
}

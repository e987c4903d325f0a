//! How a transport wraps messages, as far as the engine has to know.

use super::outbox::{Body, Frame};

/// The frames of a transport. One value for each transport, shared by all its connections.
pub(crate) trait Framing: Send + Sync {
    /// A text message.
    fn text(&self, body: Body) -> Frame;
    /// A binary message.
    fn binary(&self, body: Body) -> Frame;
    /// A sign of life that the peer has to answer, where the transport has one.
    fn ping(&self) -> Option<Frame>;
    /// Whether callers pass a gate that may ask who they are.
    fn is_guarded(&self) -> bool {
        true
    }
    /// The last frame of a connection, where the transport has one.
    fn close(&self, code: u16, reason: &str) -> Option<Frame>;
}

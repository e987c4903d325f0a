//! What of the library may be moved to another thread, and what shared with one? A change here is a breaking one.

use mcp_blocking::{
    Bound, Client, ClientAddr, Ctx, Error, Handle, Limits, Listener, Peer, Peers, Principal, Registry, Running, Server,
    Settings, Status, Task, Token, ToolError,
};

fn moves<T: Send>() {}
fn is_shared<T: Send + Sync>() {}
fn is_kept<T: Send + Sync + Clone + 'static>() {}

#[test]
fn everything_moves_and_handles_are_shared() {
    moves::<Server>();
    moves::<Listener>();
    moves::<Bound>();
    moves::<Running>();
    is_shared::<Ctx>();
    is_shared::<Task>();
    is_shared::<Settings>();
    is_shared::<Registry>();
    is_shared::<Error>();
    is_shared::<ToolError>();
    is_kept::<Handle>();
    is_kept::<Peers>();
    is_kept::<Client>();
    is_kept::<Peer>();
    is_kept::<Principal>();
    is_kept::<Token>();
    is_kept::<Limits>();
    is_kept::<ClientAddr>();
    is_kept::<Status>();
}

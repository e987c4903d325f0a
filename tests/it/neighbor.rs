//! The honest client beside an attack: another connection from another address, there before the attack and behind it.

use crate::peer::{MODERN, Peer, dial_from, serve};
use crate::rates::local;
use mcp_blocking::{Running, Server};
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Where it comes from; whoever attacks comes from 127.0.0.2 ([`crate::peer::dial`]).
pub const HONEST: u8 = 3;

/// Starts a server that limits each address of loopback as it does those beyond.
pub fn exposed(server: Server) -> Running {
    serve(local(server))
}

/// Is served when the attack begins, and looks again when it is dropped, at the end of a test: over the connection that it
/// has, and over a new one.
#[must_use = "it looks again when it is dropped"]
pub struct Neighbor {
    connect: Box<dyn Fn() -> Peer>,
    peer: Peer,
}

/// Connects the honest client, which speaks 2026-07-28.
#[track_caller]
pub fn beside(running: &Running) -> Neighbor {
    let address = running.addr();
    Neighbor::by(move || from_there(address, &[]))
}

/// The same with a token.
#[track_caller]
pub fn beside_with(running: &Running, token: &str) -> Neighbor {
    let (address, bearer) = (running.addr(), format!("Bearer {token}"));
    Neighbor::by(move || from_there(address, &[("Authorization", &bearer)]))
}

/// A WebSocket of that client.
pub fn from_there(address: SocketAddr, headers: &[(&'static str, &str)]) -> Peer {
    Peer::over(Box::new(dial_from(HONEST, address)), &address.to_string(), headers)
}

/// The same over TLS.
#[cfg(feature = "tls")]
#[track_caller]
pub fn beside_over_tls(running: &Running, client: &crate::certs::Client) -> Neighbor {
    let (address, client) = (running.addr(), client.clone());
    Neighbor::by(move || Peer::over(Box::new(client.over(dial_from(HONEST, address))), "localhost", &[]))
}

impl Neighbor {
    /// By a way of one's own to connect.
    #[track_caller]
    pub fn by(connect: impl Fn() -> Peer + 'static) -> Self {
        let peer = connect().speaking(MODERN);
        let mut neighbor = Self { connect: Box::new(connect), peer };
        neighbor.assert_served();
        neighbor
    }

    /// Looks over the connection that it has.
    #[track_caller]
    pub fn assert_served(&mut self) {
        serves(&mut self.peer);
    }
}

/// It is told of the tools, if there are any, and the usual one does what it should.
#[track_caller]
fn serves(peer: &mut Peer) {
    let begun = Instant::now();
    let answer = peer.request("tools/list", json!({}));
    assert!(answer["result"].is_object() || answer["error"]["code"] == -32601, "{answer}");
    let tools = answer["result"]["tools"].as_array();
    if tools.into_iter().flatten().any(|tool| tool["name"] == "echo") {
        assert_eq!(peer.call("echo", json!({ "text": "honest" }))["content"][0]["text"], "honest");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
}

impl Drop for Neighbor {
    fn drop(&mut self) {
        // A test that has failed says why by itself.
        if !std::thread::panicking() {
            self.assert_served();
            serves(&mut (self.connect)().speaking(MODERN));
        }
    }
}

//! Two message protocols at once in one process: MCP on one port, an author's own on another.

use crate::demo::demo;
use crate::peer::{LEGACY, PATIENCE, Peer, serve};
use mcp_blocking::{Bound, ClosedBy, Listener, Message, Service};
use serde_json::json;
use std::net::TcpStream;
use std::thread::scope;
use tungstenite::WebSocket;
use tungstenite::stream::MaybeTlsStream;

const CLIENTS: usize = 100;

/// Sends each text back.
struct Echo;

impl Service for Echo {
    type Session = ();

    fn open(&self, _peer: &mcp_blocking::Peer) -> Result<(), ClosedBy> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &mcp_blocking::Peer, message: Message) {
        if let Message::Text(text) = message {
            let _ = peer.send(&*text);
        }
    }
}

type Custom = WebSocket<MaybeTlsStream<TcpStream>>;

fn next(client: &mut Custom) -> String {
    loop {
        match client.read().expect("a message") {
            tungstenite::Message::Text(text) => return text.to_string(),
            tungstenite::Message::Ping(_) => {}
            other => panic!("not a text: {other:?}"),
        }
    }
}

#[test]
fn a_hundred_clients_of_each_are_served_side_by_side_and_told_apart() {
    let mcp = serve(demo());
    let custom = Listener::new().service("/", Echo).bind("127.0.0.1:0").and_then(Bound::start).expect("it starts");
    let mut peers: Vec<_> = (0..CLIENTS).map(|number| Peer::of(&mcp, LEGACY[number % LEGACY.len()])).collect();
    let connect = |_| {
        let (client, _) = tungstenite::connect(format!("ws://{}/", custom.addr())).expect("let in");
        if let MaybeTlsStream::Plain(stream) = client.get_ref() {
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        }
        client
    };
    let mut clients: Vec<_> = (0..CLIENTS).map(connect).collect();
    assert_eq!((mcp.handle().clients().len(), custom.handle().all().len()), (CLIENTS, CLIENTS));

    scope(|scope| {
        scope.spawn(|| {
            for (number, peer) in peers.iter_mut().enumerate() {
                let text = format!("mcp {number}");
                assert_eq!(peer.call("echo", json!({ "text": text }))["content"][0]["text"], text);
            }
        });
        scope.spawn(|| {
            for (number, client) in clients.iter_mut().enumerate() {
                let text = format!("custom {number}");
                client.send(tungstenite::Message::text(text.as_str())).expect("sent");
                // A broadcast may come first.
                let mut first = next(client);
                if first == "to all" {
                    first = next(client);
                    client.send(tungstenite::Message::text("to all")).expect("sent");
                }
                assert_eq!(first, text);
            }
        });
        scope.spawn(|| assert_eq!(mcp.handle().broadcast("acme/all", &json!({})).expect("an object"), CLIENTS));
        scope.spawn(|| assert_eq!(custom.handle().broadcast("to all"), CLIENTS));
    });
    for peer in &mut peers {
        assert_eq!(peer.notice("acme/all")["params"], json!({}));
        peer.assert_silent();
    }
    for client in &mut clients {
        assert_eq!(next(client), "to all");
        client.send(tungstenite::Message::text("nothing else")).expect("sent");
        assert_eq!(next(client), "nothing else");
    }
}

//! How many connections may there be, and are their places given back?

use super::demo::demo;
use super::neighbor::{HONEST, exposed, from_there};
use super::peer::{MODERN, Peer, serve, until};
use super::raw::{Head, Raw};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};

fn status(address: SocketAddr) -> u16 {
    Head::new(address).ask(address).status
}

/// Connects as soon as there is a place: one is given back a moment after the connection has left the client table.
fn connected(address: SocketAddr) -> Raw {
    let found = std::cell::Cell::new(None);
    until("there is a place", || {
        let mut raw = Raw::connect(address);
        raw.send(&Head::new(address).bytes());
        let let_in = raw.answer().status == 101;
        found.set(let_in.then_some(raw));
        let_in
    });
    found.take().expect("it is let in")
}

#[test]
fn connections_beyond_the_cap_are_turned_away_and_a_place_that_is_free_is_given_again() {
    let running = exposed(demo().limits(|limits| limits.connections = 2));
    let address = running.addr();
    let handle = running.handle();
    let mut first = from_there(address, &[]).speaking("2025-06-18");
    for _ in 0..5 {
        let second = connected(address);
        let mut third = Raw::connect(address);
        third.send(&Head::new(address).bytes());
        let answer = third.answer().expect(503);
        assert_eq!(answer.field("Retry-After"), Some("1"));
        assert!(answer.body.contains("limits.connections"), "{answer:?}");
        assert_eq!(first.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
        drop(second);
        until("the second is gone", || handle.status().connections == 1);
    }
}

#[test]
fn a_crowd_of_silent_ones_keeps_nobody_out() {
    let running = exposed(demo().limits(|limits| limits.half_open = 3));
    let address = running.addr();
    let mut talking: Vec<_> = (0..5).map(|_| from_there(address, &[]).speaking("2025-06-18")).collect();
    let silent: Vec<_> = (0..3).map(|_| Raw::connect(address)).collect();
    until("the silent ones have their places", || running.handle().status().connections_accepted >= 8);
    // Whoever comes then is let in, and the one that has been silent for longest makes room.
    Head::new(address).ask_from(HONEST, address).expect(101);
    let mut silent = silent.into_iter();
    silent.next().expect("three").wait_end();
    talking.iter_mut().for_each(Peer::barrier);
    // The others have their time still.
    let mut second = silent.next().expect("three").upgrade(address);
    second.text(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    assert!(second.read_frame().is_some());
    assert!(running.handle().status().connections_refused >= 1);
}

#[test]
fn who_has_most_handshakes_open_makes_room() {
    let running = exposed(demo().limits(|limits| limits.half_open = 4));
    let address = running.addr();
    let patient = Raw::connect_from(2, address);
    until("it has its place", || running.handle().status().connections_accepted == 1);
    let mut crowd: Vec<_> = (0..3).map(|_| Raw::connect_from(3, address)).collect();
    until("the crowd has its places", || running.handle().status().connections_accepted == 4);
    let mut more = Vec::new();
    for cut in &mut crowd {
        Head::new(address).ask_from(4, address).expect(101);
        cut.wait_end();
        let accepted = running.handle().status().connections_accepted;
        more.push(Raw::connect_from(3, address));
        until("it has the place of the one that was cut", || running.handle().status().connections_accepted > accepted);
    }
    // The first is older than all of them, and alone.
    patient.upgrade(address);
}

#[test]
fn refused_handshakes_give_their_places_back() {
    let running = serve(demo().limits(|limits| (limits.connections, limits.half_open) = (2, 2)));
    let address = running.addr();
    for round in 0..30 {
        until("a place for the refused one", || {
            Head::new(address).set("Host", "evil.example").ask(address).status == 403
        });
        if round % 3 == 0 {
            drop(Raw::connect(address));
        }
    }
    until("a place for a good one", || status(address) == 101);
    let handle = running.handle();
    until("nobody is left", || handle.status().connections == 0);
    assert!(handle.status().connections_refused >= 30);
}

#[test]
fn loopback_is_not_counted_by_address() {
    let running = serve(demo().limits(|limits| limits.connections_per_address = 1));
    let address = running.addr();
    let _first = [Raw::upgraded(address), Raw::upgraded(address)];
    let _second = [3, 3].map(|from| Raw::connect_from(from, address).upgrade(address));
    let handle = running.handle();
    until("all are in the client table", || handle.clients().len() == 4);
    let clients = handle.clients();
    assert_eq!(clients.iter().filter(|client| client.address().ip() == IpAddr::from([127, 0, 0, 3])).count(), 2);
}

#[test]
fn two_hundred_connections_come_and_go_without_a_trace() {
    let running = serve(demo());
    let handle = running.handle();
    let before = handle.status().memory_used;
    let crowd: Vec<_> = (0..4)
        .map(|_| {
            let address = running.addr();
            std::thread::spawn(move || {
                let peers: Vec<_> = (0..50).map(|_| Peer::connect_to(address, &[])).collect();
                for (at, mut peer) in peers.into_iter().enumerate() {
                    peer.barrier();
                    match at % 3 {
                        0 => peer.vanish(),
                        1 => drop(peer),
                        _ => {
                            peer.close(1000, "bye");
                            assert_eq!(peer.closed().map(|(code, _)| code), Some(1000));
                        }
                    }
                }
            })
        })
        .collect();
    crowd.into_iter().for_each(|thread| thread.join().expect("no panic"));
    until("all are gone", || handle.status().connections == 0);
    until("their memory is given back", || handle.status().memory_used == before);
    assert_eq!(handle.status().connections_accepted, 200);
    assert!(handle.clients().is_empty());
    Peer::of(&running, MODERN).barrier();
}

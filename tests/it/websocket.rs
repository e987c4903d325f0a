//! Frames: which end the connection and with which code, which do not, and who keeps it alive.

use super::demo::demo;
use super::neighbor::{beside, exposed, from_there};
use super::peer::{PATIENCE, Peer, serve, until};
use super::raw::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Raw, TEXT, head, masked};
use mcp_blocking::{Limits, Running};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PING_TEXT: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn limited(change: impl FnOnce(&mut Limits)) -> Running {
    exposed(demo().limits(change))
}

/// Does something wrong on a new connection; the close code it is answered with. The server lives on.
#[track_caller]
fn code_for(running: &Running, wrong: impl FnOnce(&mut Raw)) -> Option<u16> {
    let mut raw = Raw::upgraded(running.addr());
    raw.text(PING_TEXT);
    raw.read_frame().expect("it works at first");
    wrong(&mut raw);
    let code = raw.close_code();
    // Behind the close frame there is the end.
    assert!(raw.read_frame().is_none());
    Peer::connect(running).barrier();
    code
}

#[test]
fn a_binary_message_is_not_for_this_protocol() {
    let running = serve(demo());
    assert_eq!(code_for(&running, |raw| raw.frame(FIN | BINARY, PING_TEXT.as_bytes())), Some(1003));
    assert_eq!(code_for(&running, |raw| raw.frame(FIN | BINARY, b"")), Some(1003));
}

#[test]
fn text_has_to_be_utf_8() {
    let running = exposed(demo());
    let _honest = beside(&running);
    for bytes in [&b"\xff"[..], b"{\"a\":\"\xc3\x28\"}", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"]
    {
        assert_eq!(code_for(&running, |raw| raw.frame(FIN | TEXT, bytes)), Some(1007), "{bytes:?}");
    }
    let split = code_for(&running, |raw| {
        raw.frame(TEXT, b"\xe2\x82");
        raw.frame(FIN | CONTINUATION, b"\x28");
    });
    assert_eq!(split, Some(1007));
    // A letter may be split between frames.
    let mut raw = Raw::upgraded(running.addr());
    let text = "{\"jsonrpc\":\"2.0\",\"id\":\"é\",\"method\":\"ping\"}".as_bytes();
    let middle = text.iter().position(|byte| *byte == 0xc3).expect("it is there") + 1;
    raw.frame(TEXT, &text[..middle]);
    raw.frame(FIN | CONTINUATION, &text[middle..]);
    let (_, answer) = raw.read_frame().expect("an answer");
    assert_eq!(serde_json::from_slice::<Value>(&answer).expect("JSON")["id"], "é");
}

#[test]
fn breaches_of_the_framing_are_protocol_errors() {
    let running = exposed(demo());
    let _honest = beside(&running);
    let breaches: Vec<(&str, Vec<u8>)> = vec![
        ("unmasked", [head(FIN | TEXT, 2, false), b"{}".to_vec()].concat()),
        ("reserved bit 1", masked(FIN | 0x40 | TEXT, b"{}")),
        ("reserved bit 2", masked(FIN | 0x20 | TEXT, b"{}")),
        ("reserved bit 3", masked(FIN | 0x10 | TEXT, b"{}")),
        ("reserved bit on a ping", masked(FIN | 0x40 | PING, b"")),
        ("opcode 3", masked(FIN | 0x3, b"{}")),
        ("opcode 7", masked(FIN | 0x7, b"{}")),
        ("opcode 11", masked(FIN | 0xb, b"")),
        ("opcode 15", masked(FIN | 0xf, b"")),
        ("a ping in fragments", masked(PING, b"a")),
        ("a close in fragments", masked(CLOSE, b"")),
        ("a long ping", masked(FIN | PING, &[b'x'; 126])),
        ("a long close", masked(FIN | CLOSE, &[3, 232].repeat(70))),
        ("a continuation of nothing", masked(FIN | CONTINUATION, b"{}")),
        ("a text within a text", [masked(TEXT, b"{"), masked(FIN | TEXT, b"}")].concat()),
        ("a binary within a text", [masked(TEXT, b"{"), masked(FIN | BINARY, b"}")].concat()),
        ("a close frame of one byte", masked(FIN | CLOSE, &[3])),
        ("http", b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in breaches {
        assert_eq!(code_for(&running, |raw| raw.send(&bytes)), Some(1002), "{what}");
    }
}

#[test]
fn close_codes_that_must_not_be_sent_are_protocol_errors() {
    let running = serve(demo());
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000, 65535] {
        let answer = code_for(&running, |raw| raw.frame(FIN | CLOSE, &code.to_be_bytes()));
        assert_eq!(answer, Some(1002), "{code}");
    }
    let reason = code_for(&running, |raw| raw.frame(FIN | CLOSE, b"\x03\xe8\xff\xfe"));
    assert_eq!(reason, Some(1007));
}

#[test]
fn a_closing_handshake_of_the_client_is_answered_with_its_code() {
    let running = serve(demo());
    for code in [1000_u16, 1001, 1011, 3000, 4999] {
        let payload = [&code.to_be_bytes()[..], b"bye"].concat();
        assert_eq!(code_for(&running, |raw| raw.frame(FIN | CLOSE, &payload)), Some(code));
    }
    assert_eq!(code_for(&running, |raw| raw.frame(FIN | CLOSE, b"")), Some(1005));
    // What comes behind a close frame is not looked at.
    let mut raw = Raw::upgraded(running.addr());
    raw.send(&[masked(FIN | CLOSE, &1000_u16.to_be_bytes()), masked(FIN | TEXT, PING_TEXT.as_bytes())].concat());
    assert_eq!(raw.read_frame(), Some((FIN | CLOSE, 1000_u16.to_be_bytes().to_vec())));
    assert_eq!(raw.read_frame(), None);
    let handle = running.handle();
    until("all are gone", || handle.status().connections == 0);
}

#[test]
fn a_client_that_ends_its_sending_side_is_let_go() {
    let running = serve(demo());
    let handle = running.handle();
    let mut raw = Raw::upgraded(running.addr());
    raw.text(PING_TEXT);
    raw.read_frame().expect("an answer");
    raw.end_sending();
    raw.wait_end();
    until("it is gone", || handle.status().connections == 0);
}

#[test]
fn a_closing_handshake_of_the_server_waits_for_its_answer_but_not_for_ever() {
    let running = limited(|limits| {
        limits.close_deadline = Duration::from_millis(100);
        limits.write_deadline = Duration::from_millis(300);
    });
    let handle = running.handle();
    let mut polite = Peer::of(&running, "2025-06-18");
    handle.clients()[0].close(4001, "enough");
    assert_eq!(polite.closed(), Some((4001, "enough".into())));
    until("the polite one is gone", || handle.status().connections == 0);
    let mut rude = Raw::upgraded(running.addr());
    until("the rude one is known", || handle.status().connections == 1);
    handle.clients()[0].close(4002, &"é".repeat(200));
    let (first, payload) = rude.read_frame().expect("a close frame");
    assert_eq!((first, payload[..2].to_vec(), payload.len()), (FIN | CLOSE, 4002_u16.to_be_bytes().to_vec(), 124));
    // It goes on as if nothing were: neither pings nor requests are answered, and then it is cut off.
    rude.try_send(&masked(FIN | PING, b"?"));
    rude.try_send(&masked(FIN | TEXT, PING_TEXT.as_bytes()));
    assert_eq!(rude.read_frame(), None);
    until("the rude one is gone", || handle.status().connections == 0);
}

#[test]
fn a_message_over_the_limit_is_refused() {
    let running = limited(|limits| (limits.message_bytes, limits.frame_bytes) = (20_000, Some(15_000)));
    let _honest = beside(&running);
    let just = format!("{PING_TEXT}{}", " ".repeat(15_000 - PING_TEXT.len()));
    let mut raw = Raw::upgraded(running.addr());
    raw.text(&just);
    assert!(raw.read_frame().is_some_and(|(first, _)| first == FIN | TEXT));
    assert_eq!(code_for(&running, |raw| raw.frame(FIN | TEXT, &[b' '; 15_001])), Some(1009));
    let in_parts = code_for(&running, |raw| {
        raw.frame(TEXT, &[b' '; 10_000]);
        raw.frame(CONTINUATION, &[b' '; 10_000]);
        raw.frame(FIN | CONTINUATION, b" ");
    });
    assert_eq!(in_parts, Some(1009));
    // The announcement is enough: a head with its mask, and nothing behind it.
    let announced = |length| [head(FIN | TEXT, length, true), vec![1, 2, 3, 4]].concat();
    for length in [20_001, 1 << 32, 1 << 62] {
        assert_eq!(code_for(&running, |raw| raw.send(&announced(length))), Some(1009), "{length}");
    }
    let sixty_four_bits = code_for(&running, |raw| raw.send(&announced(u64::MAX)));
    assert!([Some(1009), Some(1002)].contains(&sixty_four_bits), "{sixty_four_bits:?}");
}

#[test]
fn fragments_over_the_limit_are_refused() {
    let running = limited(|limits| limits.fragments = 4);
    let _honest = beside(&running);
    let mut raw = Raw::upgraded(running.addr());
    for _ in 0..3 {
        raw.frame(TEXT, &PING_TEXT.as_bytes()[..10]);
        raw.frame(CONTINUATION, b"");
        raw.frame(CONTINUATION, &PING_TEXT.as_bytes()[10..]);
        raw.frame(FIN | CONTINUATION, b"");
        assert!(raw.read_frame().is_some_and(|(first, _)| first == FIN | TEXT));
    }
    let endless = code_for(&running, |raw| {
        raw.frame(TEXT, b"");
        (0..20).for_each(|_| _ = raw.try_send(&masked(CONTINUATION, b"")));
    });
    assert_eq!(endless, Some(1008));
}

#[test]
fn a_flood_of_control_frames_is_refused() {
    let running = limited(|limits| limits.control_frames_per_second = 20);
    let _honest = beside(&running);
    for kind in [PING, PONG] {
        let flood = code_for(&running, |raw| _ = raw.try_send(&masked(FIN | kind, b"x").repeat(200)));
        assert_eq!(flood, Some(1008), "{kind}");
    }
    // What is within the limit is answered, each with its own payload.
    let mut raw = Raw::upgraded(running.addr());
    for at in 0..10_u8 {
        raw.frame(FIN | PING, &[at; 125]);
        assert_eq!(raw.read_frame(), Some((FIN | PONG, vec![at; 125])));
    }
}

#[test]
fn a_frame_once_begun_is_finished_in_time() {
    let running = limited(|limits| limits.frame_deadline = Duration::from_millis(300));
    let _honest = beside(&running);
    let whole = masked(FIN | TEXT, &[b' '; 1_000]);
    for part in [1, 3, 6, 500, whole.len() - 1] {
        let begun = Instant::now();
        assert_eq!(code_for(&running, |raw| raw.send(&whole[..part])), Some(1008), "{part} bytes");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(5), "{part} bytes: {took:?}");
    }
    // Dripping does not help.
    let begun = Instant::now();
    let mut raw = Raw::upgraded(running.addr());
    for byte in &whole {
        if !raw.try_send(&[*byte]) || begun.elapsed() > Duration::from_secs(5) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        let _ = raw.stream.set_read_timeout(Some(Duration::from_millis(1)));
        if raw.stream.peek(&mut [0]).is_ok() {
            break;
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(raw.close_code(), Some(1008));
    // Whoever finishes each frame in time may take his time between them.
    let mut raw = Raw::upgraded(running.addr());
    for _ in 0..3 {
        raw.frame(TEXT, b" ");
        std::thread::sleep(Duration::from_millis(150));
        raw.frame(CONTINUATION, b" ");
        std::thread::sleep(Duration::from_millis(150));
        raw.frame(FIN | CONTINUATION, PING_TEXT.as_bytes());
        assert!(raw.read_frame().is_some_and(|(first, _)| first == FIN | TEXT));
    }
}

#[test]
fn silence_is_broken_by_pings_and_who_does_not_answer_is_dropped() {
    let running = limited(|limits| {
        limits.ping_interval = Duration::from_millis(150);
        limits.missed_pings = 2;
    });
    let begun = Instant::now();
    let mut deaf = Raw::upgraded(running.addr());
    let mut pings = 0;
    while let Some((first, _)) = deaf.read_frame() {
        assert_eq!(first, FIN | PING);
        pings += 1;
    }
    assert!((2..=3).contains(&pings), "{pings} pings");
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    let handle = running.handle();
    until("it is gone", || handle.status().connections == 0);
    // Any sign of life counts: requests without a single pong.
    let mut busy = Raw::upgraded(running.addr());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_000) {
        busy.text(PING_TEXT);
        while busy.read_frame().expect("it lives").0 != FIN | TEXT {}
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_client_that_answers_each_ping_at_once_is_never_dropped() {
    let running = limited(|limits| {
        limits.ping_interval = Duration::from_millis(100);
        limits.missed_pings = 2;
    });
    let address = running.addr();
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let mut raw = Raw::upgraded(address);
            std::thread::spawn(move || {
                for answered in 0..15 {
                    match raw.read_frame() {
                        Some((first, payload)) if first == FIN | PING => raw.frame(FIN | PONG, &payload),
                        other => return Err(format!("{other:?} after {answered} pings, each of them answered")),
                    }
                }
                Ok(())
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().expect("no panic"), Ok(()));
    }
}

#[test]
fn a_client_that_never_reads_is_closed_while_others_are_served() {
    let running = limited(|limits| {
        limits.outbox_bytes = 256 << 10;
        limits.write_deadline = Duration::from_millis(500);
        limits.close_deadline = Duration::from_millis(200);
        limits.rate = 0;
    });
    let handle = running.handle();
    let mut reader = from_there(running.addr(), &[]).speaking("2025-11-25");
    let mut deaf = Raw::connect_narrow(running.addr()).upgrade(running.addr());
    until("both are known", || handle.status().connections == 2);
    let meta = super::peer::modern_meta(json!({}));
    let text = "x".repeat(32 << 10);
    let params = json!({ "name": "echo", "arguments": { "text": text }, "_meta": meta });
    let begun = Instant::now();
    let mut id = 0;
    while handle.status().connections == 2 {
        id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        if !deaf.try_send(&masked(FIN | TEXT, request.to_string().as_bytes())) {
            break;
        }
        let asked = Instant::now();
        assert_eq!(reader.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
        assert!(begun.elapsed() < PATIENCE, "{:?}", handle.status());
    }
    until("the deaf one is gone", || handle.status().connections == 1);
    until("its memory is given back", || handle.status().memory_used < 64 << 10);
    reader.barrier();
}

//! What a request's head and a frame say.

use super::{capture, check, server};
use crate::peer::serve;
use crate::raw::{BINARY, CLOSE, FIN, Head, Raw, TEXT};

#[test]
fn what_a_handshake_or_a_frame_says_stays_on_its_line() {
    capture();
    let running = serve(server().bearer_token("alice\r\nroot\u{1b}[31m", "a-token-of-good-length"));
    let address = running.addr();
    let head = || Head::new(address).add("Authorization", "Bearer a-token-of-good-length");
    // What no line of a head can hold is refused; what it can hold is tried everywhere.
    for value in ["\u{202e}evil.example", "evil.example\u{9b}31m", "evil.example\t", "%0d%0aevil", "\u{feff}"] {
        for name in [
            "Host",
            "Origin",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Key",
            "User-Agent",
            "Upgrade",
            "X-Forwarded-For",
        ] {
            let _ = head().set(name, value).ask(address);
        }
        let _ = head().line(&format!("GET /{value} HTTP/1.1")).ask(address);
        let _ = head().line(&format!("{value} /mcp HTTP/1.1")).ask(address);
    }
    let _ = head().set("Host", &"a".repeat(250)).ask(address);
    for bytes in [
        &b"\x16\x03\x01\x00"[..],
        b"\x1b[31mGET / HTTP/1.1\r\n\r\n",
        b"GET /mcp HTTP/1.1\r\nX\x1b[31m: a\r\n\r\n",
        b"\n\n\n\n",
    ] {
        let mut raw = Raw::connect(address);
        raw.send(bytes);
        raw.answer();
    }
    let upgraded = || {
        let mut raw = Raw::connect(address);
        raw.send(&head().bytes());
        raw.answer().expect(101);
        raw
    };
    let frames = |first: u8, payload: &[u8]| {
        let mut raw = upgraded();
        raw.frame(first, payload);
        raw.wait_end();
    };
    frames(FIN | CLOSE, b"\x03\xe8the-close\r\n\x1b[31m\xe2\x80\xae");
    frames(FIN | BINARY, b"\r\n\x1b[31m");
    frames(FIN | TEXT, b"\xff\r\n\x1b[31m");
    frames(FIN | 0x40 | TEXT, b"\r\n\x1b[31m");
    check(
        running,
        &["refused with 403", "refused with 400", "speaks TLS", "opened by", "ended: closed by the peer (1000)"],
    );
}

//! Broken input must never panic, whatever it is. A small deterministic mutator over good
//! requests; the fuzz targets go deeper, this one runs with every `cargo test`.

use crate::guard::authority::Authority;
use crate::guard::bearer::{Tokens, bearer};
use crate::guard::origin::{HostPolicy, Origin, OriginPolicy};
use crate::guard::text::Escaped;
use crate::http::head::Head;
use crate::http::reader::{HeadLimits, HeadReader, Progress};
use crate::http::upgrade;

const SEEDS: [&[u8]; 4] = [
    b"GET /mcp HTTP/1.1\r\nHost: localhost:8080\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nOrigin: http://localhost:8080\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mcp, mcp.auth.abc\r\n\r\n\x81\x00",
    b"POST /mcp?x=y HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 42\r\nAuthorization: Bearer alice-token-0123456789\r\nOrigin: null\r\n\r\n{}",
    b"\r\nPOST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nX: \xc3\xa9\t y\r\n\r\n0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nhost: xn--mnchen-3ya.de:443\r\nOrigin: https://a.b_c.example\r\n\r\n",
];

const PIECES: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b"@",
    b"[",
    b"]",
    b"%",
    b".",
    b"*",
    b"\x16",
    b"\xff",
    b"\xe2\x84\xaa",
    b"Host: localhost\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0x7f",
    b"://",
    b"=",
    b"HTTP/1.0",
];

struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] = self.next().to_le_bytes()[0],
                1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 if !bytes.is_empty() => drop(bytes.remove(at)),
                3 => drop(bytes.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied())),
                4 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    drop(bytes.splice(to..to, copy));
                }
                _ => bytes.truncate(at.max(bytes.len() / 2)),
            }
        }
    }
}

/// What must hold for every head that was let through.
fn examine(head: &Head, tokens: &Tokens) {
    assert!(head.body().is_ok(), "{head:?}");
    assert!(head.target.starts_with('/') || head.target == "*");
    assert!(head.headers.len() <= 64);
    for (name, value) in &head.headers {
        assert!(!name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase() || byte <= b' '));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        let _ = head.single(name).map(|text| text.map(Authority::parse));
    }
    let _ = (head.path(), head.query(), head.wants_upgrade(), head.wants_close(), head.expects_continue());
    for refusal in [
        tokens.check(bearer(head), &super::challenge::Challenge::default(), std::time::SystemTime::UNIX_EPOCH).err(),
        bearer(head).err(),
        upgrade::check(head).err(),
        HostPolicy::default().check_host(head).err(),
        Authority::parse("localhost:8080")
            .ok()
            .and_then(|host| OriginPolicy::default().check_origin(head, &host).err()),
    ]
    .into_iter()
    .flatten()
    {
        assert!((400..600).contains(&refusal.status));
        let bytes = refusal.to_response().to_bytes();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        assert_eq!(&bytes[end + 4..], format!("{}\n", refusal.reason).as_bytes());
        assert!(!refusal.reason.chars().any(char::is_control));
    }
}

#[test]
fn mutated_requests_never_panic() {
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut tokens = Tokens::new();
    tokens.add(&crate::token::Token::new("alice", "alice-token-0123456789")).unwrap();
    let mut passed = 0_u32;
    for round in 0..200_000_usize {
        let mut bytes = SEEDS[round % SEEDS.len()].to_vec();
        random.mutate(&mut bytes);
        let whole = Head::parse(&bytes, HeadLimits::default());
        if let Ok(Some((head, used))) = &whole {
            assert!(*used <= bytes.len());
            examine(head, &tokens);
            passed += 1;
        }
        // Arriving in two pieces, the same bytes mean the same.
        if round % 8 == 0 {
            let (first, second) = bytes.split_at(random.below(bytes.len()));
            let mut reader = HeadReader::new(HeadLimits::default());
            let split = match reader.push(first) {
                Ok(Progress::More) => reader.push(second).map(|progress| match progress {
                    Progress::More => None,
                    Progress::Done { head, used } => Some((head, used + first.len())),
                }),
                Ok(Progress::Done { head, used }) => Ok(Some((head, used))),
                Err(error) => Err(error),
            };
            assert_eq!(split, whole);
        }
    }
    assert!(passed > 10_000, "the mutator hardly made a good head: {passed}");
}

#[test]
fn mutated_authorities_never_panic_and_read_back() {
    let mut random = Xorshift(0x1234_5678_9abc_def1);
    let seeds: [&[u8]; 5] =
        [b"localhost:8080", b"127.0.0.1", b"[::ffff:127.0.0.1]:80", b"http://a.example.com:443", b"https://[::1]"];
    for round in 0..200_000_usize {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        random.mutate(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(authority) = Authority::parse(&text) {
            assert_eq!(Authority::parse(&authority.to_string()).as_ref(), Ok(&authority));
        }
        if let Ok(origin) = Origin::parse(&text) {
            assert_eq!(Origin::parse(&origin.to_string()).as_ref(), Ok(&origin));
        }
        let limit = random.below(30);
        let shown = Escaped::new(&bytes, limit).to_string();
        assert!(!shown.chars().any(char::is_control));
        assert!(shown.split('…').next().unwrap().chars().count() <= limit);
    }
}

//! Mutated messages: nothing panics, every answer is well formed, and no wrong kind of message is answered.

use crate::protocol::exercise::exercise;
use crate::protocol::revision::Revision;

const SEEDS: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"h\u00e9\ud83d\ude00"},"_meta":{"progressToken":"p"}}}"#,
    r#"{"jsonrpc":"2.0","id":"a","method":"tools/list","params":{"cursor":"AYEcndVh","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"extensions":{"a.b/c":{}}},"io.modelcontextprotocol/logLevel":"info"}}}"#,
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true}},"clientInfo":{"name":"c","version":"1"}}}"#,
    r#"{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://b"]},"_meta":{}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"reason":"why"}}"#,
    r#"{"jsonrpc":"2.0","id":18446744073709551615,"result":{"action":"accept","content":{"x":[1,2,{"y":-1.5e3}]}}}"#,
    r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"x"},[],null]"#,
];

const PIECES: &[&str] = &[
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "1e400",
    "-0",
    "1.5",
    "\"id\":null,",
    "\"id\":1,",
    "\"method\":\"x\",",
    "\"result\":{},",
    "\"params\":[],",
    "\"_meta\":5,",
    "\"name\":7,",
    "[[[[[[[[[[[[[[[[",
    "é",
    "\u{0}",
    " ",
    "\"jsonrpc\":\"2.0\",",
    "18446744073709551616",
];

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below.max(1)
    }
}

fn mutate(text: &str, random: &mut Random) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=random.next(4) {
        let at = random.next(chars.len() + 1);
        let to = (at + random.next(12)).min(chars.len());
        match random.next(5) {
            0 => drop(chars.drain(at..to)),
            1 => drop(chars.splice(at..at, PIECES[random.next(PIECES.len())].chars())),
            2 => drop(chars.splice(at..to, PIECES[random.next(PIECES.len())].chars())),
            3 => {
                let copy = chars[at..to].to_vec();
                drop(chars.splice(at..at, copy));
            }
            _ => chars.truncate(if random.next(20) == 0 { at } else { chars.len() }),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn mutated_messages_do_no_harm() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let sessions = [None, Some(Revision::R2024_11_05), Some(Revision::R2025_11_25)];
    for _ in 0..200_000 {
        let seed = SEEDS[random.next(SEEDS.len())];
        exercise(&mutate(seed, &mut random), sessions[random.next(3)]);
    }
}

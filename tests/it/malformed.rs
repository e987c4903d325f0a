//! Messages that are wrong in every way: each request gets an error, and the connection lives on.

use super::demo::demo;
use super::neighbor::{beside, exposed};
use super::peer::{MODERN, Peer, serve};
use mcp_blocking::{NoArgs, Running};
use serde_json::{Value, json};

/// What a text is answered with.
enum Expected {
    /// An error with this code and no id, for it could not be read.
    Nobody(i64),
    /// An error with this code and the id of the request.
    Id(i64, Value),
    /// A result.
    Result(Value),
    Silence,
}
use Expected::{Id, Nobody, Result, Silence};

/// Sends each text in a session, without one, and in the modern way of life; each time the next request is answered.
fn check(running: &Running, peers: &mut [Peer], text: &str, expected: &Expected) {
    let shown: String = text.chars().take(200).collect();
    for peer in peers {
        peer.send_text(text);
        if !matches!(expected, Silence) {
            let answer = peer.next();
            match expected {
                Nobody(code) => {
                    assert_eq!(answer["error"]["code"], *code, "{shown}: {answer}");
                    assert!(answer["id"].is_null(), "{shown}: {answer}");
                }
                Id(code, id) => {
                    assert_eq!(answer["error"]["code"], *code, "{shown}: {answer}");
                    assert_eq!(answer["id"], *id, "{shown}: {answer}");
                }
                Result(id) => {
                    assert!(answer["result"].is_object(), "{shown}: {answer}");
                    assert_eq!(answer["id"], *id, "{shown}: {answer}");
                }
                Silence => {}
            }
            assert_eq!(answer["jsonrpc"], "2.0");
        }
        let mark = peer.request(if peer.is_modern() { "server/discover" } else { "ping" }, json!({}));
        assert!(mark["result"].is_object(), "{shown}: {mark}");
        assert!(peer.take_held().is_empty(), "{shown}: more than one answer");
    }
    assert!(running.handle().status().panics == 0);
}

fn check_all(cases: &[(&str, Expected)]) {
    let running = exposed(demo());
    let _honest = beside(&running);
    let mut peers = [Peer::of(&running, "2024-11-05"), Peer::of(&running, "2025-11-25"), Peer::of(&running, MODERN)];
    for (text, expected) in cases {
        check(&running, &mut peers, text, expected);
    }
}

#[test]
fn what_is_not_json_is_a_parse_error_without_id() {
    check_all(&[
        ("", Nobody(-32700)),
        ("   ", Nobody(-32700)),
        ("hello", Nobody(-32700)),
        ("{", Nobody(-32700)),
        ("[", Nobody(-32700)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, Nobody(-32700)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}}"#, Nobody(-32700)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {"jsonrpc":"2.0","id":2,"method":"ping"}"#, Nobody(-32700)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#, Nobody(-32700)),
        (r#"{'jsonrpc':'2.0','id':1,'method':'ping'}"#, Nobody(-32700)),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\nng\"}", Nobody(-32700)),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\u{0}ng\"}", Nobody(-32700)),
        (r#"{"jsonrpc":"2.0","id":01,"method":"ping"}"#, Nobody(-32700)),
        (r#"{"jsonrpc":"2.0","id":+1,"method":"ping"}"#, Nobody(-32700)),
        (r#"{"jsonrpc":"2.0","id":NaN,"method":"ping"}"#, Nobody(-32700)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} // comment"#, Nobody(-32700)),
        ("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", Nobody(-32700)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, Nobody(-32700)),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"\udc00"}}}"#,
            Nobody(-32700),
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"\udfff":1}}"#, Nobody(-32700)),
        (r#"{"jsonrpc":"2.0","id":"\ud800\ud800","method":"ping"}"#, Nobody(-32700)),
    ]);
}

#[test]
fn json_that_is_no_message_is_an_invalid_request() {
    check_all(&[
        ("1", Nobody(-32600)),
        ("null", Nobody(-32600)),
        ("true", Nobody(-32600)),
        ("\"ping\"", Nobody(-32600)),
        ("1e400", Nobody(-32600)),
        ("{}", Nobody(-32600)),
        (r#"{"jsonrpc":"2.0"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":1}"#, Id(-32600, json!(1))),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, Id(-32600, json!(1))),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, Id(-32600, json!(1))),
        (r#"{"jsonrpc":null,"id":1,"method":"ping"}"#, Id(-32600, json!(1))),
        (r#"{"JSONRPC":"2.0","id":1,"method":"ping"}"#, Id(-32600, json!(1))),
        (r#"{"id":"a","method":"ping"}"#, Id(-32600, json!("a"))),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, Id(-32600, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, Id(-32600, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":["ping"]}"#, Id(-32600, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, Id(-32600, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{"code":1,"message":"x"}}"#, Id(-32600, json!(1))),
    ]);
}

#[test]
fn an_id_is_a_string_or_an_integer() {
    check_all(&[
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":1e3,"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":-9223372036854775809,"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":1e400,"method":"ping"}"#, Nobody(-32600)),
    ]);
}

#[test]
fn a_negative_zero_is_answered() {
    // Either as an id like others, or as no id: never with silence.
    let running = serve(demo());
    let mut peer = Peer::of(&running, "2025-06-18");
    peer.send_text(r#"{"jsonrpc":"2.0","id":-0,"method":"ping"}"#);
    let answer = peer.next();
    assert!(answer["result"].is_object() && answer["id"] == 0 || answer["error"]["code"] == -32600, "{answer}");
    peer.assert_silent();
}

#[test]
fn members_that_matter_come_once() {
    check_all(&[
        (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}"#, Id(-32600, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#, Id(-32600, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":1,"\u0069d":2,"method":"ping"}"#, Nobody(-32600)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}"#, Id(-32600, json!(1))),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"panic"}}"#,
            Id(-32602, json!(1)),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{},"arguments":{"text":"x"}}}"#,
            Id(-32602, json!(1)),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":{},"_meta":{}}}"#,
            Id(-32602, json!(1)),
        ),
    ]);
}

#[test]
fn params_are_an_object_of_the_right_types() {
    check_all(&[
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, Id(-32602, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":5}"#, Id(-32602, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#, Id(-32602, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":5}}"#, Id(-32602, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":5}}"#, Id(-32602, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":[]}}"#, Id(-32602, json!(1))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":7}}"#, Id(-32602, json!(1))),
    ]);
}

#[test]
fn unanswerable_nonsense_is_passed_over_in_silence() {
    check_all(&[
        (r#"{"jsonrpc":"2.0","method":"no/such"}"#, Silence),
        (r#"{"jsonrpc":"2.0","method":"ping","params":[]}"#, Silence),
        (r#"{"jsonrpc":"1.0","method":"ping"}"#, Silence),
        (r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#, Silence),
        (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":null}}"#, Silence),
        (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{"a":1},"reason":5}}"#, Silence),
        (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"never asked"}}"#, Silence),
        (r#"{"jsonrpc":"2.0","method":"initialize","params":{}}"#, Silence),
        (r#"{"jsonrpc":"2.0","id":5,"result":{}}"#, Silence),
        (r#"{"jsonrpc":"2.0","id":"x","error":{"code":-1,"message":"no"}}"#, Silence),
        (r#"{"jsonrpc":"2.0","id":5,"result":{},"error":{}}"#, Silence),
        (r#"{"jsonrpc":"2.0","result":{}}"#, Silence),
    ]);
}

#[test]
fn deep_nesting_is_refused_before_it_is_parsed() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{open}{close}}}}}"#)
    };
    let (fits, deep) = (nested(62), nested(63));
    let very = nested(200_000);
    let only_brackets = "[".repeat(900_000);
    let objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let running = exposed(demo());
    let _honest = beside(&running);
    let mut peers = [Peer::of(&running, "2025-06-18")];
    check(&running, &mut peers, &fits, &Result(json!(1)));
    check(&running, &mut peers, &deep, &Id(-32600, json!(1)));
    check(&running, &mut peers, &very, &Id(-32600, json!(1)));
    for text in [only_brackets, objects] {
        peers[0].send_text(&text);
        let code = peers[0].next()["error"]["code"].clone();
        assert!(code == -32600 || code == -32700, "{code}");
        peers[0].assert_silent();
    }
}

#[test]
fn odd_numbers_in_arguments_do_no_harm() {
    let running = exposed(demo().tool("any", "Takes anything", |_ctx, NoArgs| Ok("taken")));
    let _honest = beside(&running);
    let mut peer = Peer::of(&running, "2025-11-25");
    for number in ["1e400", "-1e400", "-0", "0.1e-999999", "123456789012345678901234567890", "1E+2"] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":"n","method":"tools/call","params":{{"name":"add","arguments":{{"a":{number},"b":1}}}}}}"#
        );
        peer.send_text(&text);
        let answer = peer.answer(&json!("n"));
        assert!(answer["result"].is_object() || answer["error"].is_object(), "{number}: {answer}");
        peer.send_text(&text.replace("\"add\"", "\"any\""));
        let answer = peer.answer(&json!("n"));
        assert!(answer["result"].is_object() || answer["error"].is_object(), "{number}: {answer}");
    }
    peer.assert_silent();
}

#[test]
fn an_id_that_is_under_way_is_refused_and_the_first_request_unharmed() {
    let (turnstile, keeper) = super::peer::turnstile();
    let running = serve(demo().tool("held", "Waits to be let go", move |_ctx, NoArgs| {
        turnstile.pass();
        Ok("let go")
    }));
    for revision in super::peer::ALL {
        let mut peer = Peer::of(&running, revision);
        let request = peer.make("tools/call", json!({ "name": "held", "arguments": {} }));
        let mut again = peer.make("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
        again["id"] = request["id"].clone();
        peer.send(&request);
        keeper.wait_entered();
        peer.send(&again);
        assert_eq!(peer.error(&request["id"])["code"], -32600, "{revision}");
        keeper.release();
        assert_eq!(peer.result(&request["id"])["content"][0]["text"], "let go", "{revision}");
        // Answered, the id may be used again; and the string "1" is another id than the number 1.
        peer.send(&again);
        assert_eq!(peer.result(&request["id"])["content"][0]["text"], "x", "{revision}");
    }
}

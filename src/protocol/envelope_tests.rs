use super::*;
use crate::protocol::params::raw_params;

fn read(text: &str) -> Result<Incoming<'_>, Malformed> {
    parse(text, &ParseLimits::default())
}

fn request(text: &str) -> Request<'_> {
    match read(text) {
        Ok(Incoming::Request(request)) => request,
        other => panic!("{text}: {other:?}"),
    }
}

/// Code, id as JSON text, whether to answer.
fn malformed(text: &str) -> (i64, Option<String>, bool) {
    let Err(malformed) = read(text) else { panic!("accepted: {text}") };
    (malformed.error.code, malformed.id.map(|id| serde_json::to_string(&id).unwrap()), malformed.answer)
}

fn message_of(text: &str) -> String {
    read(text).unwrap_err().error.message.into_owned()
}

#[test]
fn a_request_is_borrowed_from_its_text() {
    let text = r#" {"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"},"_meta":{"progressToken":7,"x":[1]}},"extra":{}} "#;
    let request = request(text);
    assert_eq!((request.id, &*request.method), (RequestId::from("a"), "tools/call"));
    assert!(matches!(request.method, Cow::Borrowed(_)) && matches!(request.params.name, Some(Cow::Borrowed("echo"))));
    assert_eq!(request.params.arguments.unwrap().get(), r#"{"text":"hi"}"#);
    assert_eq!(request.params.progress_token().unwrap(), Some(RequestId::from(7_u64)));
    let others: Vec<_> = request.params.meta.iter().flat_map(|meta| &meta.others).collect();
    assert!(matches!(others.as_slice(), [(Cow::Borrowed("x"), value)] if value.get() == "[1]"));
    assert!(raw_params(text).unwrap().get().starts_with(r#"{"name":"echo""#));
}

#[test]
fn escapes_are_resolved_in_names_and_values() {
    let request = request(r#"{"\u006asonrpc":"2.0","id":1,"m\u0065thod":"tools\/call","params":{"n\u0061me":"a\nb"}}"#);
    assert_eq!((&*request.method, request.params.name.as_deref()), ("tools/call", Some("a\nb")));
}

#[test]
fn all_parameters_have_their_place() {
    let request = request(
        r#"{"jsonrpc":"2.0","id":1,"method":"acme/x","params":{"name":"1","uri":"2","cursor":"3","level":"4","reason":"5",
        "protocolVersion":"6","requestState":"7","taskId":"8","arguments":9,"requestId":10,"capabilities":11,"clientInfo":12,
        "notifications":13,"inputResponses":14,"ref":15,"argument":16,"context":17,"task":18,"progressToken":19,
        "_meta":{"io.modelcontextprotocol/protocolVersion":20,"io.modelcontextprotocol/clientCapabilities":21,
        "io.modelcontextprotocol/clientInfo":22,"io.modelcontextprotocol/logLevel":23,"progressToken":24,"traceparent":25,
        "tracestate":26,"baggage":27}}}"#,
    );
    let params = request.params;
    let texts = [
        params.name,
        params.uri,
        params.cursor,
        params.level,
        params.reason,
        params.protocol_version,
        params.request_state,
        params.task_id,
    ];
    assert_eq!(texts.map(|text| text.unwrap().into_owned()), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    let meta = params.meta.unwrap();
    let raws = [
        params.arguments,
        params.request_id,
        params.capabilities,
        params.client_info,
        params.notifications,
        params.input_responses,
        params.reference,
        params.argument,
        params.context,
        params.task,
        params.progress_token,
        meta.protocol_version,
        meta.client_capabilities,
        meta.client_info,
        meta.log_level,
        meta.progress_token,
        meta.traceparent,
        meta.tracestate,
        meta.baggage,
    ];
    assert_eq!(raws.map(|raw| raw.unwrap().get().parse::<u8>().unwrap()), std::array::from_fn(|n| 9 + n as u8));
}

#[test]
fn null_counts_as_absent_where_it_may() {
    let request = request(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":null,"arguments":null,"cursor":null,"task":null,"_meta":null,"inputResponses":null}}"#,
    );
    let params = request.params;
    assert!(params.name.is_none() && params.arguments.is_none() && params.cursor.is_none() && params.task.is_none());
    assert!(params.meta.is_none());
    assert_eq!(params.input_responses.unwrap().get(), "null");
    let request = self::request(
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":null,"progressToken":null,"io.modelcontextprotocol/clientCapabilities":null}}}"#,
    );
    let meta = request.params.meta.unwrap();
    assert!(meta.protocol_version.is_some() && meta.client_capabilities.is_some() && meta.progress_token.is_none());
    assert!(self::request(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":null}"#).params.name.is_none());
    assert!(raw_params(r#"{"params":null}"#).is_none() && raw_params("[]").is_none());
}

#[test]
fn notifications_and_responses_are_told_apart() {
    let Ok(Incoming::Notification(note)) =
        read(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7","reason":"x"}}"#)
    else {
        panic!()
    };
    assert_eq!(
        (note.params.cancelled_id(), note.params.reason.as_deref()),
        (Ok(Some(RequestId::from("7"))), Some("x"))
    );
    let Ok(Incoming::Response(response)) = read(r#"{"jsonrpc":"2.0","id":3,"result":{"a":1}}"#) else { panic!() };
    assert_eq!((response.id, response.outcome.unwrap().get()), (RequestId::from(3_u64), r#"{"a":1}"#));
    let Ok(Incoming::Response(response)) = read(r#"{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":"no"}}"#)
    else {
        panic!()
    };
    assert_eq!(response.outcome.unwrap_err().get(), r#"{"code":-1,"message":"no"}"#);
    let Ok(Incoming::Response(response)) = read(r#"{"jsonrpc":"2.0","id":3,"result":null}"#) else { panic!() };
    assert_eq!(response.outcome.unwrap().get(), "null");
}

#[test]
fn what_is_not_json_has_no_id() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "nul",
        "{]",
        "[",
        "[1,",
        "\u{feff}{}",
        "{'a':1}",
        "{\"a\":1,}",
        "01",
        "\"\n\"",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\"",
        r#"{"jsonrpc":"2.0","id":1,"method":"x"} {}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x"}x"#,
        r#"[]]"#,
        "[1] x",
        "NaN",
        r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"arguments":{"a":"\udc00"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","\ud800":1}"#,
        "{\"a\":\"\u{0}\"}",
        "{\"a\":\"\\x\"}",
    ] {
        assert_eq!(malformed(text), (-32700, None, true), "{text}");
    }
    assert_eq!(malformed(&format!("{}1", "[".repeat(100_000))), (-32700, None, true));
}

#[test]
fn json_that_is_no_message_is_an_invalid_request() {
    for text in [
        "1",
        "null",
        "true",
        "\"x\"",
        "1e400",
        "{}",
        "[]",
        " [ ] ",
        r#"{"foo":"bar"}"#,
        r#"{"jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"2.0","method":1,"params":"bar"}"#,
    ] {
        assert_eq!(malformed(text), (-32600, None, true), "{text}");
    }
}

#[test]
fn the_id_is_recovered_where_it_is_valid() {
    for (text, id) in [
        (r#"{"id":1,"method":"x"}"#, Some("1")),
        (r#"{"jsonrpc":"1.0","id":"a","method":"x"}"#, Some("\"a\"")),
        (r#"{"jsonrpc":2.0,"id":-5,"method":"x"}"#, Some("-5")),
        (r#"{"JSONRPC":"2.0","id":1,"method":"x"}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"Method":"x"}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"method":["x"]}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x","method":"y"}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"x"}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{},"p\u0061rams":{}}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x","result":{}}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#, None),
        (r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"x"}"#, None),
        (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, None),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#, None),
        (r#"{"jsonrpc":"2.0","id":true,"method":"x"}"#, None),
        (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, None),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"x"}"#, None),
        (r#"{"jsonrpc":"2.0","id":1e400,"method":"x"}"#, None),
        (r#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"x"}"#, None),
    ] {
        assert_eq!(malformed(text), (-32600, id.map(str::to_owned), true), "{text}");
    }
}

#[test]
fn responses_and_notifications_are_never_answered() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"result":{}}"#,
        r#"{"jsonrpc":"1.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}"#,
        r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":null,"result":{}}"#,
        r#"{"result":1}"#,
        r#"{"jsonrpc":"1.0","method":"x"}"#,
        r#"{"method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"x","method":"x"}"#,
    ] {
        let (code, _, answer) = malformed(text);
        assert_eq!((code, answer), (-32600, false), "{text}");
    }
    for text in [
        r#"{"jsonrpc":"2.0","method":"x","params":[1]}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":5}}"#,
        r#"{"jsonrpc":"2.0","method":"x","params":{"_meta":5}}"#,
    ] {
        assert_eq!(malformed(text), (-32602, None, false), "{text}");
    }
}

#[test]
fn a_parameter_of_the_wrong_type_is_named() {
    for (method, params, message) in [
        ("tools/call", r#"{"name":5}"#, "params.name must be a string"),
        ("tools/call", r#"{"arguments":{},"name":{"a":1}}"#, "params.name must be a string"),
        ("tools/list", r#"{"cursor":1.5}"#, "params.cursor must be a string"),
        ("resources/read", r#"{"uri":["a"]}"#, "params.uri must be a string"),
        ("logging/setLevel", r#"{"level":true}"#, "params.level must be a string"),
        ("initialize", r#"{"protocolVersion":20251125}"#, "params.protocolVersion must be a string"),
        ("tools/call", r#"{"name":"x","requestState":{}}"#, "params.requestState must be a string"),
        ("tools/call", r#"{"name":"a","name":"b"}"#, "params.name appears twice"),
        ("tools/call", r#"{"name":"a","arguments":{},"arguments":{}}"#, "params.arguments appears twice"),
        ("acme/x", r#"{"_meta":[]}"#, "params._meta must be an object"),
        ("acme/x", r#"{"_meta":"x"}"#, "params._meta must be an object"),
        ("acme/x", r#"{"_meta":{},"_meta":{}}"#, "params._meta appears twice"),
        ("acme/x", r#"{"_meta":{"progressToken":1,"progressToken":2}}"#, "params._meta has a member twice"),
        ("x", "[]", "params must be an object"),
        ("x", "[\"a\"]", "params must be an object"),
        ("x", "5", "params must be an object"),
        ("x", "\"a\"", "params must be an object"),
        ("x", "false", "params must be an object"),
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","params":{params},"method":"{method}","id":"q"}}"#);
        assert_eq!(malformed(&text), (-32602, Some("\"q\"".into()), true), "{text}");
        assert_eq!(message_of(&text), message);
    }
}

#[test]
fn parameters_that_the_method_does_not_have_may_be_anything() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"acme/search","params":{"name":5,"cursor":{"a":1},"level":[],"uri":5,"arguments":1}}"#;
    let request = request(text);
    assert!(request.params.name.is_none() && request.params.cursor.is_none());
    assert!(raw_params(text).unwrap().get().contains(r#""name":5"#));
    let request = self::request(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","level":5,"uri":1,"_meta":{"progressToken":2}}}"#,
    );
    assert_eq!(request.params.name.as_deref(), Some("t"));
    assert!(request.params.progress_token().unwrap().is_some());
}

#[test]
fn a_progress_token_is_checked_when_it_is_used() {
    let request = request(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":1.5}}}"#);
    assert_eq!(request.params.progress_token().unwrap_err().code, -32602);
    assert!(Params::default().progress_token().unwrap().is_none());
}

#[test]
fn nesting_is_limited_but_the_id_is_still_echoed() {
    let nested = |depth: usize| {
        let inner = depth - 2;
        format!(
            r#"{{"jsonrpc":"2.0","id":9,"method":"x","params":{{"arguments":{}{}}}}}"#,
            "[".repeat(inner),
            "]".repeat(inner)
        )
    };
    assert!(read(&nested(64)).is_ok());
    assert_eq!(malformed(&nested(65)), (-32600, Some("9".into()), true));
    assert_eq!(malformed(&nested(100_000)), (-32600, Some("9".into()), true));
    let response = format!(r#"{{"jsonrpc":"2.0","id":9,"result":{}{}}}"#, "[".repeat(99), "]".repeat(99));
    assert_eq!(malformed(&response), (-32600, Some("9".into()), false));
    let array = format!("{}{}", "[".repeat(99), "]".repeat(99));
    assert_eq!(malformed(&array), (-32600, None, true));
    let limits = ParseLimits { max_depth: 1, ..ParseLimits::default() };
    assert!(parse(r#"{"jsonrpc":"2.0","id":9,"method":"x"}"#, &limits).is_ok());
    assert!(parse(r#"{"jsonrpc":"2.0","id":9,"method":"x","params":{}}"#, &limits).is_err());
}

#[test]
fn a_batch_is_taken_apart_entry_by_entry() {
    let text = r#" [ {"jsonrpc":"2.0","id":1,"method":"ping"}, 1, [], {"jsonrpc":"2.0","method":"x"} ] "#;
    let Ok(Incoming::Batch(entries)) = read(text) else { panic!() };
    assert_eq!(entries.len(), 4);
    assert!(matches!(parse_single(entries[0].get()), Ok(Incoming::Request(_))));
    for entry in &entries[1..3] {
        let malformed = parse_single(entry.get()).unwrap_err();
        assert_eq!((malformed.error.code, malformed.id, malformed.answer), (-32600, None, true));
    }
    assert!(matches!(parse_single(entries[3].get()), Ok(Incoming::Notification(_))));
    let many = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert!(matches!(read(&many(MAX_BATCH)), Ok(Incoming::Batch(entries)) if entries.len() == MAX_BATCH));
    assert_eq!(malformed(&many(MAX_BATCH + 1)), (-32600, None, true));
}

#[test]
fn both_ways_of_reading_agree() {
    let params = [
        "",
        r#","params":null"#,
        r#","params":{}"#,
        r#","params":{"name":"a","arguments":{"x":[1,2.50]},"cursor":""}"#,
        r#","params":{"_meta":{"progressToken":"t","traceparent":"00-a","io.modelcontextprotocol/protocolVersion":null}}"#,
        r#","params":{"inputResponses":null,"requestState":"s","uri":"\u00e9","ref":{},"unknown":[null]}"#,
    ];
    for id in ["", r#","id":1"#, r#","id":"\u0041""#, r#","id":-7"#] {
        for params in params {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"tools/call"{id}{params}}}"#);
            let quick = Envelope::read(&text);
            let slow = parse_slowly(&text).unwrap();
            assert_eq!(format!("{:?}", quick.unwrap()), format!("{slow:?}"), "{text}");
        }
    }
}

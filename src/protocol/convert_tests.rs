use super::*;
use crate::protocol::content::{Role, Theme};
use serde_json::json;

fn block(content: &Content, revision: Revision) -> Value {
    let mut out = Vec::new();
    encode_content(&mut out, content, revision);
    serde_json::from_slice(&out).unwrap()
}

fn tool(info: &ToolInfo, revision: Revision) -> Value {
    let mut out = Vec::new();
    encode_tool_info(&mut out, info, revision);
    serde_json::from_slice(&out).unwrap()
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn kinds(content: &Content) -> Vec<String> {
    Revision::ALL.iter().map(|&revision| block(content, revision)["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_block_that_a_revision_lacks_becomes_a_text() {
    assert_eq!(kinds(&Content::text("a")), ["text"; 5]);
    assert_eq!(kinds(&Content::image(b"a", "image/png")), ["image"; 5]);
    assert_eq!(kinds(&Content::audio(b"a", "audio/wav")), ["audio", "audio", "audio", "audio", "text"]);
    let link = Content::from(ResourceLink::new("a://b", "b").title("B").description("what it is"));
    assert_eq!(kinds(&link), ["resource_link", "resource_link", "resource_link", "text", "text"]);
    assert_eq!(block(&link, R2)["text"], "B: a://b\nwhat it is");
    assert_eq!(
        block(&Content::audio(b"abc", "audio/wav"), Revision::R2024_11_05)["text"],
        "[audio of type audio/wav, 3 bytes]"
    );
    assert_eq!(kinds(&Content::resource(ResourceContents::text("a://b", "c"))), ["resource"; 5]);
}

#[test]
fn binary_data_is_base64() {
    for (bytes, text) in
        [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (&[0xff, 0xfe, 0xfd], "//79")]
    {
        assert_eq!(block(&Content::image(bytes, "x/y"), R5)["data"], text);
        let blob = Content::resource(ResourceContents::blob("a://b", bytes).mime_type("x/y"));
        assert_eq!(block(&blob, R5)["resource"], json!({"uri": "a://b", "mimeType": "x/y", "blob": text}));
    }
}

#[test]
fn hints_and_metadata_appear_where_the_revision_has_them() {
    let content = Content::text("t")
        .audience([Role::User, Role::Assistant])
        .priority(0.5)
        .last_modified("2025-01-12T15:00:58Z")
        .meta("a/b", 1);
    let new = json!({"type": "text", "text": "t", "_meta": {"a/b": 1},
        "annotations": {"audience": ["user", "assistant"], "priority": 0.5, "lastModified": "2025-01-12T15:00:58Z"}});
    let old = json!({"type": "text", "text": "t", "annotations": {"audience": ["user", "assistant"], "priority": 0.5}});
    for &revision in Revision::ALL {
        assert_eq!(block(&content, revision), if revision >= R3 { new.clone() } else { old.clone() });
    }
    assert_eq!(block(&Content::text("t").last_modified("x"), R2), json!({"type": "text", "text": "t"}));
    let mut odd = Content::text("t");
    odd.annotations_mut().priority = Some(f64::NAN);
    assert_eq!(block(&odd, R5), json!({"type": "text", "text": "t"}));
    odd.annotations_mut().priority = Some(f64::INFINITY);
    assert_eq!(block(&odd, R5)["annotations"]["priority"], 1);
}

fn full_tool() -> ToolInfo {
    let mut info =
        ToolInfo::new("t", raw(r#"{"type":"object","properties":{"any":true,"s":{"type":"string"},"none":false}}"#));
    info.title = Some("T".into());
    info.description = Some("d".into());
    info.output_schema = Some(raw(r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object"}"#));
    info.annotations.read_only = Some(true);
    info.icons.push(Icon::new("https://a/b.png").mime_type("image/png").size("48x48").theme(Theme::Dark));
    info.meta = Some(MetaMap::from_iter([("a/b".to_owned(), json!(1))]));
    info
}

#[test]
fn a_tool_shows_what_the_revision_knows() {
    let keys = |revision| {
        tool(&full_tool(), revision).as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    let all = ["_meta", "annotations", "description", "icons", "inputSchema", "name", "outputSchema", "title"];
    let without = |gone: &[&str]| all.iter().filter(|key| !gone.contains(key)).map(|key| (*key).to_owned()).collect();
    assert_eq!(keys(R5), without(&[]));
    assert_eq!(keys(R4), without(&[]));
    assert_eq!(keys(R3), without(&["icons"]));
    assert_eq!(keys(R2), without(&["icons", "title", "outputSchema", "_meta"]));
    assert_eq!(keys(Revision::R2024_11_05), without(&["icons", "title", "outputSchema", "_meta", "annotations"]));
    assert_eq!(tool(&full_tool(), R2)["annotations"], json!({"title": "T", "readOnlyHint": true}));
    assert_eq!(tool(&full_tool(), R3)["annotations"], json!({"readOnlyHint": true}));
    assert_eq!(
        tool(&full_tool(), R5)["icons"],
        json!([{"src": "https://a/b.png", "mimeType": "image/png", "sizes": ["48x48"], "theme": "dark"}])
    );
}

#[test]
fn an_output_schema_of_no_object_is_for_the_newest_revision_only() {
    for (schema, newest) in [
        (r#"{"type":"array"}"#, true),
        (r#"{"anyOf":[{"type":"object"}]}"#, true),
        (r#"{"type":["object","null"]}"#, true),
        ("true", false),
    ] {
        let mut info = full_tool();
        info.output_schema = Some(raw(schema));
        for &revision in Revision::ALL {
            assert_eq!(
                tool(&info, revision).get("outputSchema").is_some(),
                newest && revision == R5,
                "{schema} {revision}"
            );
        }
    }
}

#[test]
fn schemas_stay_as_written_except_for_boolean_properties_before_the_newest_revision() {
    let info = full_tool();
    let mut out = Vec::new();
    encode_tool_info(&mut out, &info, R5);
    assert!(String::from_utf8(out).unwrap().contains(info.input_schema.get()));
    for revision in [R4, R3, R2] {
        let expected = json!({"any": {}, "s": {"type": "string"}, "none": {"not": {}}});
        assert_eq!(tool(&info, revision)["inputSchema"]["properties"], expected);
    }
    let plain = ToolInfo::new("t", raw(r#"{"type" : "object", "$defs":{"x":true},"properties":{"p":{"const":1.50}}}"#));
    let mut out = Vec::new();
    encode_tool_info(&mut out, &plain, R2);
    assert!(String::from_utf8(out).unwrap().contains(plain.input_schema.get()));
}

#[test]
fn a_program_shows_what_the_revision_knows() {
    let mut server = Implementation::new("n", "1");
    server.title = Some("N".into());
    server.description = Some("d".into());
    server.website_url = Some("https://a".into());
    server.icons.push(Icon::new("data:x"));
    let members = Revision::ALL.iter().map(|&revision| {
        let mut out = Vec::new();
        encode_implementation(&mut out, &server, revision);
        serde_json::from_slice::<Value>(&out).unwrap().as_object().unwrap().len()
    });
    assert_eq!(members.collect::<Vec<_>>(), [6, 6, 3, 2, 2]);
}

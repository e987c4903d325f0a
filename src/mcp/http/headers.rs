//! What the headers of a modern request say again, for proxies that do not read bodies (2026-07-28,
//! basic/transports/streamable-http): do they say the same?

use crate::http::head::Head;
use crate::mcp::keywords;
use crate::protocol::classify::{Claim, Handling, ModernClaim, claim, classify_request};
use crate::protocol::envelope::Request;
use crate::protocol::error::RpcError;
use crate::protocol::method;
use crate::protocol::params::Params;
use crate::protocol::revision::Revision;
use data_encoding::BASE64;
use serde_json::Value;
use std::borrow::Cow;

const VERSION: &str = "mcp-protocol-version";
/// Integers beyond this are not exact in every reader.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// Decides how to serve a request that came over HTTP.
///
/// # Errors
/// In this order: a required `_meta` key (-32602), the version header (-32020), the version (-32022), the other headers (-32020).
pub(crate) fn classify<'a>(
    request: &Request<'a>,
    head: &Head,
    session: Option<Revision>,
) -> Result<Handling, RpcError> {
    if !is_modern(&request.params, head) {
        return classify_request(request, session);
    }
    let claimed = ModernClaim::read(&request.params)?;
    match single(head, VERSION)? {
        Some(version) if *version == *claimed.version => {}
        Some(_) => return Err(mismatch("MCP-Protocol-Version and params._meta name different versions")),
        None => return Err(mismatch("the header MCP-Protocol-Version is missing")),
    }
    let modern = claimed.resolve()?;
    match single(head, "mcp-method")? {
        Some(named) if *named == *request.method => {}
        Some(_) => return Err(mismatch("Mcp-Method and the method differ")),
        None => return Err(mismatch("the header Mcp-Method is missing")),
    }
    if let Some(wanted) = name_of(&request.method, &request.params) {
        match single(head, "mcp-name")? {
            Some(named) if decoded(named)? == wanted => {}
            Some(_) => return Err(mismatch("Mcp-Name and the name in params differ")),
            None => return Err(mismatch("the header Mcp-Name is missing")),
        }
    }
    Ok(Handling::Modern(modern))
}

/// Whether a message belongs to the modern era: by what it claims, or by its header alone.
pub(crate) fn is_modern(params: &Params<'_>, head: &Head) -> bool {
    match claim(params) {
        Claim::Modern(_) | Claim::Unreadable => true,
        // Whoever reads the header alone takes it for a modern one, too: that the two differ is an error of that era.
        Claim::Legacy(_) | Claim::None => head_is_modern(head),
    }
}

/// Whether the version header names a modern revision.
pub(crate) fn head_is_modern(head: &Head) -> bool {
    let named = head.header(VERSION).and_then(|value| std::str::from_utf8(value).ok());
    named.and_then(Revision::parse).is_some_and(Revision::is_modern)
}

/// The version header of a request in a session: absent, or one that is served.
///
/// # Errors
/// -32022 for any other (2025-06-18 and 2025-11-25, basic/transports, say 400).
pub(crate) fn check_legacy_version(head: &Head) -> Result<(), RpcError> {
    match single(head, VERSION)? {
        Some(version) if Revision::parse(version).is_none() => Err(RpcError::unsupported_version(version)),
        _ => Ok(()),
    }
}

fn single<'h>(head: &'h Head, name: &str) -> Result<Option<&'h str>, RpcError> {
    head.single(name).map_err(|_| mismatch(&format!("the header {name} has to come once, in ASCII")))
}

fn mismatch(what: &str) -> RpcError {
    RpcError::header_mismatch(what)
}

/// What `Mcp-Name` has to say for that method.
fn name_of<'p>(name: &str, params: &'p Params<'_>) -> Option<&'p str> {
    match name {
        method::TOOLS_CALL | method::PROMPTS_GET => params.name.as_deref(),
        method::RESOURCES_READ => params.uri.as_deref(),
        method::TASKS_GET | method::TASKS_CANCEL | method::TASKS_UPDATE => params.task_id.as_deref(),
        _ => None,
    }
}

/// A value as it was meant: `=?base64?…?=` stands for text that a header cannot carry.
fn decoded(value: &str) -> Result<Cow<'_, str>, RpcError> {
    let Some(inner) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Ok(Cow::Borrowed(value));
    };
    BASE64
        .decode(inner.as_bytes())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(Cow::Owned)
        .ok_or_else(|| mismatch("a header's base64 cannot be read"))
}

/// An argument of a tool that is said again in a header (`x-mcp-header` in its schema).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirrored {
    /// In lower case, `mcp-param-` included.
    header: String,
    /// The members that lead to it.
    path: Vec<String>,
}

impl Mirrored {
    /// The mirrored arguments of a schema.
    ///
    /// # Errors
    /// What is wrong with an annotation, and what to change (2026-07-28, server/tools).
    pub(crate) fn of_schema(schema: &Value) -> Result<Vec<Self>, String> {
        let mut found: Vec<Self> = Vec::new();
        collect(schema, Some(&mut Vec::new()), &mut found)?;
        if schema.get(ANNOTATION).is_some() {
            return Err(format!(
                "`{ANNOTATION}` stands at the root of its schema, and belongs to one of its properties"
            ));
        }
        for (place, one) in found.iter().enumerate() {
            if found.iter().take(place).any(|other| other.header == one.header) {
                return Err(format!(
                    "two of its arguments have the same `{ANNOTATION}`, `{}`: give each its own",
                    one.header
                ));
            }
        }
        Ok(found)
    }
}

/// The keyword of a schema that names a header.
const ANNOTATION: &str = "x-mcp-header";

/// Finds the annotations of a schema. `path` leads to the argument, if there is a way by properties alone.
fn collect(schema: &Value, mut path: Option<&mut Vec<String>>, found: &mut Vec<Mirrored>) -> Result<(), String> {
    for sub in keywords::subschemas(schema) {
        let mut below = path.as_deref_mut().filter(|_| sub.keyword == "properties");
        let name = sub.member.as_deref().unwrap_or(sub.keyword);
        if let Some(path) = &mut below {
            path.push(name.to_owned());
        }
        if let Some(header) = sub.schema.get(ANNOTATION) {
            let Some(path) = &below else {
                return Err(format!(
                    "`{ANNOTATION}` stands under `{}` of its schema, and may stand only in properties, and in properties of those",
                    sub.keyword
                ));
            };
            let token = header.as_str().filter(|text| crate::http::head::is_token(text.as_bytes()));
            let token = token.ok_or_else(|| {
                format!("the `{ANNOTATION}` of `{name}` has to be the name of a header, say `Region`, and is {header}")
            })?;
            let kind = sub.schema.get("type").and_then(Value::as_str);
            if !matches!(kind, Some("string" | "integer" | "boolean")) {
                return Err(format!(
                    "`{name}` has an `{ANNOTATION}`, so its type has to be string, integer or boolean"
                ));
            }
            found.push(Mirrored { header: format!("mcp-param-{}", token.to_ascii_lowercase()), path: path.to_vec() });
        }
        let way = below.is_some();
        collect(sub.schema, below, found)?;
        if let (true, Some(path)) = (way, &mut path) {
            path.pop();
        }
    }
    Ok(())
}

/// Has an argument mirrored: writes the annotation into the schema.
///
/// # Errors
/// There is no such argument.
pub(crate) fn annotate(schema: &mut Value, argument: &str, header: &str) -> Result<(), String> {
    let mut property = Some(schema);
    for name in argument.split('/') {
        property = property.and_then(|schema| schema.get_mut("properties")?.get_mut(name));
    }
    let property = property.and_then(Value::as_object_mut);
    let property = property
        .ok_or_else(|| format!("it has no argument `{argument}` that could be said again in the header `{header}`"))?;
    property.insert(ANNOTATION.into(), header.into());
    Ok(())
}

/// Compares the headers of a call with its arguments.
///
/// # Errors
/// -32020 for a header that is missing or differs.
pub(crate) fn check_params(head: &Head, mirrored: &[Mirrored], arguments: Option<&str>) -> Result<(), RpcError> {
    if mirrored.is_empty() {
        return Ok(());
    }
    let arguments: Value = arguments.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    for one in mirrored {
        let argument =
            one.path.iter().try_fold(&arguments, |value, name| value.get(name)).filter(|value| !value.is_null());
        if let Some(Value::Number(number)) = argument
            && number.as_f64().is_some_and(|number| number.abs() > EXACT)
        {
            return Err(mismatch(&format!("the argument for {} is beyond what a header can say exactly", one.header)));
        }
        let named = single(head, &one.header)?;
        match (argument, named) {
            // A header for an argument that is not there says nothing.
            (None, _) => {}
            (Some(argument), Some(named)) if says_same(argument, &decoded(named)?) => {}
            (Some(_), Some(_)) => return Err(mismatch(&format!("{} and its argument differ", one.header))),
            (Some(_), None) => return Err(mismatch(&format!("the header {} is missing", one.header))),
        }
    }
    Ok(())
}

fn says_same(argument: &Value, named: &str) -> bool {
    match argument {
        Value::String(text) => text == named,
        Value::Bool(yes) => named == if *yes { "true" } else { "false" },
        Value::Number(number) => {
            number.to_string() == named
                || matches!(
                    (number.as_f64(), named.parse::<f64>()),
                    (Some(number), Ok(named)) if number == named
                )
        }
        // Wrong by its type, which is for the tool to say.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::tests::head;
    use serde_json::json;

    fn schema() -> Value {
        json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "deep": { "type": "object", "properties": { "count": { "type": "integer", "x-mcp-header": "Count" } } },
            "x-mcp-header": { "type": "boolean" },
        } })
    }

    #[test]
    fn annotations_are_found_and_checked() {
        let found = Mirrored::of_schema(&schema()).unwrap();
        let headers: Vec<_> = found.iter().map(|one| one.header.as_str()).collect();
        assert_eq!(headers.len(), 2);
        assert!(headers.contains(&"mcp-param-region") && headers.contains(&"mcp-param-count"));
        let field = |field: Value| json!({ "type": "object", "properties": { "a": field } });
        for wrong in [
            field(json!({ "type": "number", "x-mcp-header": "A" })),
            field(json!({ "type": "string", "x-mcp-header": "" })),
            field(json!({ "type": "string", "x-mcp-header": "a b" })),
            field(json!({ "type": "array", "items": { "type": "string", "x-mcp-header": "A" } })),
            json!({ "type": "object", "properties": {
                "a": { "type": "string", "x-mcp-header": "A" }, "b": { "type": "string", "x-mcp-header": "a" } } }),
        ] {
            assert!(Mirrored::of_schema(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_have_to_say_what_the_arguments_say() {
        let mirrored = Mirrored::of_schema(&schema()).unwrap();
        let check = |lines: &[&str], arguments: &str| {
            let mut all = vec!["POST /mcp HTTP/1.1", "Host: localhost"];
            all.extend(lines);
            check_params(&head(&all), &mirrored, Some(arguments)).is_ok()
        };
        assert!(check(&[], "{}") && check(&[], r#"{"region":null}"#));
        assert!(check(&["Mcp-Param-Region: unasked"], "{}"));
        assert!(check(&["mcp-param-REGION:  eu "], r#"{"region":"eu"}"#));
        assert!(check(&["Mcp-Param-Region: =?base64?w6Q=?="], r#"{"region":"ä"}"#));
        assert!(check(&["Mcp-Param-Region: =?base64?eu"], r#"{"region":"=?base64?eu"}"#));
        assert!(check(&["Mcp-Param-Count: 42.0"], r#"{"deep":{"count":42}}"#));
        for (lines, arguments) in [
            (vec![], r#"{"region":"eu"}"#),
            (vec!["Mcp-Param-Region: EU"], r#"{"region":"eu"}"#),
            (vec!["Mcp-Param-Region: =?base64?w6Q?="], r#"{"region":"ä"}"#),
            (vec!["Mcp-Param-Region: eu", "Mcp-Param-Region: eu"], r#"{"region":"eu"}"#),
            (vec!["Mcp-Param-Count: 43"], r#"{"deep":{"count":42}}"#),
            (vec!["Mcp-Param-Count: 9007199254740993"], r#"{"deep":{"count":9007199254740993}}"#),
        ] {
            assert!(!check(&lines, arguments), "{lines:?} {arguments}");
        }
    }
}

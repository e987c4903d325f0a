//! The policy `confirm`: does the user want this tool to run, with these arguments?
//!
//! Asked behind the layers and the checks of the arguments, right before the handler: what the user sees is what would be done.

use super::ask::form::{Answer, Form};
use super::ask::question::{Question, Rendered, Sealed};
use super::ctx::Ctx;
use super::tool_error::{ToolError, ToolResult};
use crate::guard::text::Escaped;
use crate::protocol::content::ToolInfo;
use crate::protocol::revision::Revision;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What the question is known by. Whoever gives a question of their own this key is told that there are two.
const KEY: &str = "mcp-blocking/confirm";
/// Arguments that are shown, or as many as the tool itself knows, …
const SHOWN: usize = 20;
/// … characters of each, …
const VALUE: usize = 2_000;
/// … and of its name.
const NAME: usize = 64;

/// What the user fills in.
#[derive(Deserialize, JsonSchema)]
struct Consent {
    /// Without this nothing is done.
    #[schemars(title = "Let it run")]
    run: bool,
}

/// The question. Only an answer to it counts, and none that a client has brought before it was asked.
struct Confirmation(Form<Consent>);

impl Sealed for Confirmation {}

impl Question for Confirmation {
    type Answer = Answer<Consent>;

    fn key(&self) -> &str {
        self.0.key()
    }

    fn render(&self, revision: Revision) -> ToolResult<Rendered> {
        self.0.render(revision).map(Rendered::solicited)
    }

    fn read(&self, answer: &RawValue) -> Result<Self::Answer, String> {
        self.0.read(answer)
    }
}

/// Goes on if the user need not be asked about this call, or has agreed to it. `arguments` is the JSON of what the handler would be given.
pub(super) fn obtained(ctx: &Ctx, arguments: &str) -> ToolResult<()> {
    let call = ctx.call();
    let Some(tool) = call.asks_first() else { return Ok(()) };
    let name = tool.name();
    if !ctx.capabilities().elicitation_form && !ctx.revision().is_modern() {
        // Later revisions have a word for it.
        return Err(ToolError::denied(format!(
            "the user has to agree to {name} first, and this client cannot ask: it did not declare elicitation"
        )));
    }
    // Nobody agrees to what they have not seen.
    let question = message(&tool.info, arguments).map_err(|TooMuch(what)| {
        ToolError::denied(format!(
            "the user has to agree to {name} first, and {what}: too much to be shown to the user"
        ))
    })?;
    match ctx.put(Confirmation(Form::new(KEY, question)))? {
        // What was agreed to is done once, whatever the client repeats.
        Answer::Accept(Consent { run: true }) => ctx.once(),
        Answer::Accept(Consent { run: false }) | Answer::Decline => {
            Err(ToolError::denied(format!("the user declined, and {name} was not run")))
        }
        Answer::Cancel => Err(ToolError::denied(format!("the user did not answer, and {name} was not run"))),
    }
}

/// What of the arguments cannot be shown.
#[derive(Debug, PartialEq, Eq)]
struct TooMuch(String);

/// The same text for the same arguments, in whatever order they come. Secrets are shown, too: it goes to whoever has sent them, and what looks
/// like one could hide what would be done.
fn message(tool: &ToolInfo, arguments: &str) -> Result<String, TooMuch> {
    let mut text = format!("Let the tool {} run?", tool.name);
    if tool.annotations.destructive == Some(true) {
        text.push_str(" It may destroy something.");
    }
    // It was read before. By name, whatever a map of serde_json keeps to.
    let arguments: BTreeMap<String, Value> = serde_json::from_str(arguments).unwrap_or_default();
    if arguments.is_empty() {
        return Ok(text);
    }
    let schema: Value = serde_json::from_str(tool.input_schema.get()).unwrap_or_default();
    let known = |name: &str| schema.pointer("/properties").is_some_and(|members| members.get(name).is_some());
    let mut members: Vec<_> = arguments.iter().collect();
    // What the tool uses comes before what nobody has asked for.
    members.sort_by_key(|(name, _)| Reverse(known(name)));
    let most = SHOWN.max(members.iter().filter(|(name, _)| known(name)).count());
    if members.len() > most {
        return Err(TooMuch(format!("there are {} arguments, more than {most}", members.len())));
    }
    text.push_str("\nArguments:");
    for (name, value) in members {
        let shown = whole(name, NAME).ok_or_else(|| {
            TooMuch(format!("the name of the argument {} is longer than {NAME} characters", Escaped::new(name, NAME)))
        })?;
        let value = match value {
            Value::String(value) => whole(value, VALUE).map(|value| format!("\"{value}\"")),
            value => whole(&value.to_string(), VALUE),
        };
        let value = value.ok_or_else(|| TooMuch(format!("the argument {shown} is longer than {VALUE} characters")))?;
        let _ = write!(text, "\n{shown}: {value}");
    }
    Ok(text)
}

/// The text escaped, if that takes no more than `most` characters.
fn whole(text: &str, most: usize) -> Option<String> {
    // Escaped it is no shorter.
    let fits = |text: &str| text.chars().nth(most).is_none();
    fits(text).then(|| Escaped::new(text, usize::MAX).in_full().to_string()).filter(|shown| fits(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::registry::raw_entry;
    use crate::mcp::tool::Tool;
    use serde_json::{Map, json};

    fn question(tool: Tool, arguments: &str) -> Result<String, TooMuch> {
        let properties: Map<String, Value> = (0..25).map(|n| (format!("z{n}"), json!({}))).collect();
        let schema = json!({ "type": "object", "properties": properties });
        message(&raw_entry(tool, &schema, |_, _| Ok("")).unwrap().info, arguments)
    }

    fn shown(arguments: &Value) -> Result<String, TooMuch> {
        question(Tool::new("wipe", "Deletes").destructive(), &arguments.to_string())
    }

    fn lines(arguments: &Value) -> Vec<String> {
        shown(arguments).unwrap().lines().skip(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_question_shows_each_argument_whole_and_escaped() {
        assert_eq!(shown(&json!({})).unwrap(), "Let the tool wipe run? It may destroy something.");
        assert_eq!(
            lines(&json!({ "path": "/home\n\u{202e}", "deep": { "a": [1, null] } })),
            [r#"deep: {"a":[1,null]}"#, r#"path: "/home\n\u{202e}""#]
        );
        let long = "x".repeat(VALUE);
        assert_eq!(lines(&json!({ "pad": long })), [format!("pad: \"{long}\"")]);
    }

    #[test]
    fn nothing_hides_behind_what_looks_like_a_secret() {
        assert_eq!(lines(&json!({ "command": "cookie: x; rm -rf ~" })), [r#"command: "cookie: x; rm -rf ~""#]);
        assert_eq!(
            lines(&json!({ "authorization: Bearer x": "token=abcdefghijkl; y" })),
            [r#"authorization: Bearer x: "token=abcdefghijkl; y""#]
        );
    }

    #[test]
    fn what_the_tool_uses_comes_first_and_nobody_is_asked_about_more_than_is_shown() {
        let dummies = |count: usize| (0..count).map(|n| (format!("a{n:03}"), json!(n))).collect::<Map<_, _>>();
        let mut arguments = dummies(19);
        arguments.insert("z0".into(), json!("/"));
        let seen = lines(&arguments.clone().into());
        assert_eq!((seen.len(), &*seen[0]), (20, r#"z0: "/""#));
        arguments.insert("a999".into(), json!(1));
        assert_eq!(shown(&arguments.into()), Err(TooMuch("there are 21 arguments, more than 20".into())));
        // All that the tool itself has a name for.
        let own: Map<_, _> = (0..25).map(|n| (format!("z{n}"), json!(n))).collect();
        assert_eq!(lines(&own.into()).len(), 25);
    }

    #[test]
    fn nobody_is_asked_about_what_would_be_cut() {
        for value in [json!("x".repeat(VALUE + 1)), json!("\u{1b}".repeat(VALUE / 2)), json!(["x".repeat(VALUE)])] {
            let refused = shown(&json!({ "path": value })).unwrap_err();
            assert_eq!(refused.0, "the argument path is longer than 2000 characters");
        }
        let refused = shown(&json!({ "n\n".repeat(40): 1 })).unwrap_err();
        assert!(refused.0.contains("longer than 64 characters") && !refused.0.contains('\n'), "{}", refused.0);
    }

    #[test]
    fn the_order_of_arguments_makes_no_other_question() {
        let message = |arguments: &str| question(Tool::new("mail", "Mails"), arguments).unwrap();
        assert!(message("{}").ends_with("mail run?"));
        assert_eq!(message(r#"{"x":1,"y":2}"#), message(r#"{ "y": 2, "x": 1 }"#));
        assert_ne!(message(r#"{"x":1}"#), message(r#"{"x":2}"#));
    }
}

//! The policy `confirm`: does the user want this tool to run, with these arguments?
//!
//! Asked behind the layers and the checks of the arguments, right before the handler: what the user sees is what would be done.

use super::ask::form::{Answer, Form};
use super::ask::question::{Question, Rendered, Sealed};
use super::ctx::Ctx;
use super::tool_error::{ToolError, ToolResult};
use crate::guard::text::Escaped;
use crate::protocol::revision::Revision;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt::Write;

/// What the question is known by. Whoever gives a question of their own this key is told that there are two.
const KEY: &str = "mcp-blocking/confirm";
/// Arguments that are shown, …
const SHOWN: usize = 20;
/// … characters of each, …
const VALUE: usize = 200;
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
    let destroys = tool.info.annotations.destructive == Some(true);
    match ctx.put(Confirmation(Form::new(KEY, message(name, destroys, arguments))))? {
        // What was agreed to is done once, whatever the client repeats.
        Answer::Accept(Consent { run: true }) => ctx.once(),
        Answer::Accept(Consent { run: false }) | Answer::Decline => {
            Err(ToolError::denied(format!("the user declined, and {name} was not run")))
        }
        Answer::Cancel => Err(ToolError::denied(format!("the user did not answer, and {name} was not run"))),
    }
}

/// The same text for the same arguments, in whatever order they come.
fn message(tool: &str, destroys: bool, arguments: &str) -> String {
    let mut text = format!("Let the tool {tool} run?");
    if destroys {
        text.push_str(" It may destroy something.");
    }
    // It was read before.
    let arguments: Map<String, Value> = serde_json::from_str(arguments).unwrap_or_default();
    if arguments.is_empty() {
        return text;
    }
    text.push_str("\nArguments:");
    for (name, value) in arguments.iter().take(SHOWN) {
        // Each is cut by itself, so that no long one hides another.
        let _ = write!(text, "\n{}: ", Escaped::new(name, NAME));
        let _ = match value {
            Value::String(value) => write!(text, "\"{}\"", Escaped::new(value, VALUE)),
            value => write!(text, "{}", Escaped::new(&value.to_string(), VALUE)),
        };
    }
    let more = arguments.len().saturating_sub(SHOWN);
    if more > 0 {
        let _ = write!(text, "\nand {more} more that are not shown");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_shows_each_argument_escaped_and_cut() {
        assert_eq!(message("wipe", true, "{}"), "Let the tool wipe run? It may destroy something.");
        assert_eq!(message("mail", false, "{}"), "Let the tool mail run?");
        let long = format!(r#"{{"pad":"{}","path":"/home\n\u202e","deep":{{"a":[1,null]}}}}"#, "x".repeat(10_000));
        let shown = message("wipe", true, &long);
        let lines: Vec<_> = shown.lines().skip(1).collect();
        assert_eq!(lines[..2], ["Arguments:", r#"deep: {"a":[1,null]}"#]);
        assert!(lines[2].starts_with("pad: \"xxx") && lines[2].contains("…(+"), "{}", lines[2]);
        assert_eq!(lines[3], r#"path: "/home\n\u{202e}""#);
        assert!(shown.len() < 500);
    }

    #[test]
    fn more_arguments_than_are_shown_are_counted() {
        let many: Map<String, Value> =
            (0..100).map(|n| (format!("{n:03}\u{1b}{}", "n".repeat(500)), n.into())).collect();
        let shown = message("wipe", true, &Value::Object(many).to_string());
        assert!(shown.ends_with("\nand 80 more that are not shown"), "{shown}");
        assert!(shown.len() < 3_000 && !shown.contains('\u{1b}'));
    }

    #[test]
    fn the_order_of_arguments_makes_no_other_question() {
        assert_eq!(message("a", true, r#"{"x":1,"y":2}"#), message("a", true, r#"{ "y": 2, "x": 1 }"#));
        assert_ne!(message("a", true, r#"{"x":1}"#), message("a", true, r#"{"x":2}"#));
    }
}

//! The command line, the same as that of the other clients.

use serde_json::{Map, Value};
use std::time::Duration;

const USAGE: &str = "usage: rmcp [options] URL | rmcp [options] -- COMMAND [ARG...]   (ws://, http:// or stdio)
  --tool NAME (default: the first listed)  --args JSON  --expect TEXT  --calls N  --then JSON
  --resource URI  --prompt NAME  --prompt-args JSON  --idle SECONDS  --timeout SECONDS (30)
  --custom  --cancel  --revision auto|legacy|2026-07-28
";

pub struct Options {
    pub target: Vec<String>,
    pub revision: String,
    /// `None` stands for the first tool that is listed.
    pub tool: Option<String>,
    pub args: Map<String, Value>,
    pub expect: Option<String>,
    pub calls: usize,
    /// What to call after that.
    pub then: Vec<Call>,
    pub resource: Option<String>,
    pub prompt: Option<String>,
    pub prompt_args: Map<String, Value>,
    pub custom: bool,
    pub cancel: bool,
    pub idle: Duration,
    pub timeout: Duration,
}

#[derive(Clone)]
pub struct Call {
    pub tool: String,
    pub args: Map<String, Value>,
    pub expect: Option<String>,
}

impl Options {
    /// Reads the command line; `Err` holds what to print, and whether it is a complaint.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, (String, bool)> {
        let mut options = Self {
            target: Vec::new(),
            revision: "auto".into(),
            tool: None,
            args: Map::new(),
            expect: None,
            calls: 1,
            then: Vec::new(),
            resource: None,
            prompt: None,
            prompt_args: Map::new(),
            custom: false,
            cancel: false,
            idle: Duration::ZERO,
            timeout: Duration::from_secs(30),
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| (format!("{word} needs a value"), true));
            let complaint = |why| (format!("{word}: {why}"), true);
            match &*word {
                "--help" => return Err((USAGE.into(), false)),
                "--tool" => options.tool = Some(value()?),
                "--args" => options.args = object(&value()?).map_err(complaint)?,
                "--expect" => options.expect = Some(value()?),
                "--calls" => options.calls = value()?.parse().map_err(|_| complaint("takes a number".into()))?,
                "--then" => options.then.push(object(&value()?).and_then(call).map_err(complaint)?),
                "--resource" => options.resource = Some(value()?),
                "--prompt" => options.prompt = Some(value()?),
                "--prompt-args" => options.prompt_args = object(&value()?).map_err(complaint)?,
                "--custom" => options.custom = true,
                "--cancel" => options.cancel = true,
                "--idle" => options.idle = seconds(&value()?).map_err(complaint)?,
                "--timeout" => options.timeout = seconds(&value()?).map_err(complaint)?,
                "--revision" => {
                    options.revision = value()?;
                    if !["auto", "legacy", "2026-07-28"].contains(&&*options.revision) {
                        return Err(complaint("takes auto, legacy or 2026-07-28".into()));
                    }
                }
                "--" => options.target.extend(words.by_ref()),
                other if other.starts_with("--") => return Err((format!("no option {other}\n{USAGE}"), true)),
                _ => options.target.push(word),
            }
        }
        if options.target.is_empty() { Err((USAGE.into(), true)) } else { Ok(options) }
    }

    pub fn url(&self) -> Option<&str> {
        match &*self.target {
            [only] if only.contains("://") => Some(only),
            _ => None,
        }
    }
}

fn object(json: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(json).map_err(|error| format!("not a JSON object: {error}"))
}

fn call(mut from: Map<String, Value>) -> Result<Call, String> {
    let Some(Value::String(tool)) = from.remove("tool") else { return Err("no \"tool\" in it".into()) };
    let args = match from.remove("args") {
        None => Map::new(),
        Some(Value::Object(args)) => args,
        Some(_) => return Err("\"args\" is no object".into()),
    };
    let expect = match from.remove("expect") {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => return Err("\"expect\" is no text".into()),
    };
    Ok(Call { tool, args, expect })
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().ok().and_then(|number| Duration::try_from_secs_f64(number).ok()).ok_or("takes seconds".into())
}

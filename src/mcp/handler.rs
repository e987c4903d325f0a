//! From a closure to something that can be called with JSON text, and what is checked on the way in and out.

use super::conform::Conformity;
use super::ctx::Ctx;
use super::fault::{Fault, Faults};
use super::outline::Outline;
use super::output::IntoToolOutput;
use super::tool::Tool;
use super::tool_error::ToolResult;
use crate::protocol::content::ToolOutput;
use crate::protocol::exact;
use crate::protocol::json;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A registered closure; the text is the JSON of the arguments.
pub(crate) type Handler = Arc<dyn Fn(&Ctx, &str) -> ToolResult<ToolOutput> + Send + Sync>;

/// What arguments and results of a tool have to be, beyond what their types say. Nothing, if its author has said so.
pub(crate) struct Contract {
    input: Option<Conformity>,
    output: Option<Conformity>,
}

impl Contract {
    /// What a tool promises, made ready for checks.
    ///
    /// # Errors
    /// What is wrong with a schema, and what to change.
    pub(crate) fn new(tool: &Tool, input: Value, output: Option<&RawValue>) -> Result<Self, String> {
        let made = |schema: Value, of: &str| {
            let outline = Outline::of(&schema, of)?;
            Conformity::new(schema, outline, of)
        };
        let input = made(input, "inputSchema")?;
        let read = |raw: &RawValue| {
            serde_json::from_str(raw.get()).map_err(|error| format!("its outputSchema cannot be read: {error}"))
        };
        let output = output.map(|raw| made(read(raw)?, "outputSchema")).transpose()?;
        Ok(match tool.unchecked {
            true => Self { input: None, output: None },
            false => Self { input: Some(input), output },
        })
    }

    /// The arguments as they are. Nothing but this would notice members that come twice, and whole numbers that a [`Value`]
    /// cannot hold.
    fn read(&self, text: &str) -> Result<Value, Faults> {
        let facts = exact::look(text, true)?;
        let value =
            serde_json::from_str(text).map_err(|error| Fault { pointer: String::new(), what: reason(&error) })?;
        self.input.as_ref().map_or(Ok(()), |input| input.check(&value, facts)).map(|()| value)
    }

    /// A result that goes out, or the end of a call whose handler broke its word. Failures promise nothing.
    fn kept(&self, ctx: &Ctx, output: ToolOutput) -> ToolResult<ToolOutput> {
        let Some(promised) = self.output.as_ref().filter(|_| !output.is_error) else { return Ok(output) };
        let checked = match &output.structured {
            Some(structured) => promised.check_text(structured.get()),
            None => Err(Fault { pointer: String::new(), what: "there is no structured content".into() }.into()),
        };
        match checked {
            Ok(()) => Ok(output),
            Err(faults) => Err(ctx.call().broke_its_word(&faults)),
        }
    }
}

pub(crate) fn typed<A, R, F>(contract: Contract, handler: F) -> Handler
where
    A: DeserializeOwned,
    R: IntoToolOutput,
    F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
{
    Arc::new(move |ctx, text| {
        if let Some(Err(faults)) = contract.input.as_ref().map(|input| input.check_text(text)) {
            return Ok(refused(&faults));
        }
        match serde_json::from_str::<A>(text) {
            Ok(arguments) => contract.kept(ctx, handler(ctx, arguments)?.into_tool_output()?),
            Err(_) => Ok(ToolOutput::error(complaint::<A>(text))),
        }
    })
}

/// The same for a closure that takes the arguments as they are.
pub(crate) fn raw<R, F>(contract: Contract, handler: F) -> Handler
where
    R: IntoToolOutput,
    F: Fn(&Ctx, Value) -> ToolResult<R> + Send + Sync + 'static,
{
    Arc::new(move |ctx, text| match contract.read(text) {
        Ok(arguments) => contract.kept(ctx, handler(ctx, arguments)?.into_tool_output()?),
        Err(faults) => Ok(refused(&faults)),
    })
}

fn refused(faults: &Faults) -> ToolOutput {
    ToolOutput::error(format!("invalid arguments:{faults}"))
}

/// Says which argument is wrong, in words that a model can act on. Parses once more, as this is the rare case.
pub(crate) fn complaint<A: DeserializeOwned>(text: &str) -> String {
    use serde_path_to_error::Segment;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Err(error) = serde_path_to_error::deserialize::<_, A>(&mut deserializer) else {
        return "invalid arguments".into();
    };
    let mut pointer = String::new();
    for segment in error.path() {
        match segment {
            Segment::Seq { index } => json::push_segment(&mut pointer, &index.to_string()),
            Segment::Map { key: name } | Segment::Enum { variant: name } => json::push_segment(&mut pointer, name),
            Segment::Unknown => {}
        }
    }
    format!("invalid arguments:{}", Faults::from(Fault { pointer, what: reason(error.inner()) }))
}

/// What serde_json says, without its place: that says nothing to who did not write the text by hand.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

//! From a closure to something that can be called with JSON text, and what is checked on the way in and out.

use super::confirm;
use super::conform::Conformity;
use super::ctx::Ctx;
use super::fault::{Fault, Faults};
use super::outline::Outline;
use super::output::IntoToolOutput;
use super::tool::Tool;
use super::tool_error::ToolResult;
use crate::engine::budget::Reservation;
use crate::protocol::content::ToolOutput;
use crate::protocol::exact::{self, Facts};
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

    /// Checks arguments that are going to be read as a type.
    fn check(&self, ctx: &Ctx, text: &str) -> Result<(), Unread> {
        match &self.input {
            Some(input) if !input.surely_fits(text) => {
                let read = Read::of(ctx, text, false)?;
                Ok(input.check(&read.value, read.facts)?)
            }
            _ => Ok(()),
        }
    }

    /// Arguments as they are, checked.
    fn read(&self, ctx: &Ctx, text: &str) -> Result<Read, Unread> {
        let read = Read::of(ctx, text, true)?;
        self.input.as_ref().map_or(Ok(()), |input| input.check(&read.value, read.facts))?;
        Ok(read)
    }

    /// A result that goes out, or the end of a call whose handler broke its word. Failures promise nothing.
    fn kept(&self, ctx: &Ctx, output: ToolOutput) -> ToolResult<ToolOutput> {
        let Some(promised) = self.output.as_ref().filter(|_| !output.is_error) else { return Ok(output) };
        let checked = match &output.structured {
            Some(structured) if promised.surely_fits(structured.get()) => Ok(()),
            Some(structured) => {
                Read::of(ctx, structured.get(), false).and_then(|read| Ok(promised.check(&read.value, read.facts)?))
            }
            None => Err(Unread::from(Faults::from(Fault::of_all("there is no structured content")))),
        };
        match checked {
            Ok(()) => Ok(output),
            Err(Unread::Faults(faults)) => Err(ctx.call().broke_its_word(&faults)),
            Err(Unread::Busy) => Err(ctx.call().has_no_room()),
        }
    }
}

/// A value with what is known of it, and what it holds of the memory budget.
struct Read {
    value: Value,
    facts: Facts,
    _memory: Option<Reservation>,
}

/// Why there is no value.
enum Unread {
    Faults(Faults),
    /// It would take more memory than is left.
    Busy,
}

impl<T: Into<Faults>> From<T> for Unread {
    fn from(faults: T) -> Self {
        Self::Faults(faults.into())
    }
}

impl Read {
    /// Below this a value is not counted: there are as many at once as there are workers.
    const SMALL: usize = 64 << 10;

    /// Reads JSON text. Nothing but this notices members that come twice, and `whole_numbers` that a [`Value`] cannot hold.
    fn of(ctx: &Ctx, text: &str, whole_numbers: bool) -> Result<Self, Unread> {
        let facts = exact::look(text, whole_numbers)?;
        // A value takes many times the memory of its text, which is all that was counted so far.
        let cost = facts.memory();
        let memory = match cost > Self::SMALL {
            true => Some(ctx.call().mcp.core.memory.reserve(cost).ok_or(Unread::Busy)?),
            false => None,
        };
        let value = serde_json::from_str(text).map_err(|error| Fault::of_all(reason(&error)))?;
        Ok(Self { value, facts, _memory: memory })
    }
}

pub(crate) fn typed<A, R, F>(contract: Contract, handler: F) -> Handler
where
    A: DeserializeOwned,
    R: IntoToolOutput,
    F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
{
    Arc::new(move |ctx, text| {
        if let Err(unread) = contract.check(ctx, text) {
            return refused(ctx, unread);
        }
        match serde_json::from_str::<A>(text) {
            Ok(arguments) => {
                confirm::obtained(ctx, text)?;
                contract.kept(ctx, handler(ctx, arguments)?.into_tool_output()?)
            }
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
    Arc::new(move |ctx, text| match contract.read(ctx, text) {
        // What it holds of the budget is given back when the handler is done.
        Ok(Read { value, _memory, .. }) => {
            confirm::obtained(ctx, text)?;
            contract.kept(ctx, handler(ctx, value)?.into_tool_output()?)
        }
        Err(unread) => refused(ctx, unread),
    })
}

fn refused(ctx: &Ctx, unread: Unread) -> ToolResult<ToolOutput> {
    match unread {
        Unread::Faults(faults) => Ok(ToolOutput::error(format!("invalid arguments:{faults}"))),
        Unread::Busy => Err(ctx.call().has_no_room()),
    }
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

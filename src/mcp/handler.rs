//! From a typed closure to something that can be called with JSON text.

use super::ctx::Ctx;
use super::output::IntoToolOutput;
use super::tool_error::ToolResult;
use crate::protocol::content::ToolOutput;
use crate::protocol::show::cut;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A registered closure; the text is the JSON of the arguments.
pub(crate) type Handler = Arc<dyn Fn(&Ctx, &str) -> ToolResult<ToolOutput> + Send + Sync>;

/// The longest message about wrong arguments.
const MESSAGE: usize = 400;

pub(crate) fn typed<A, R, F>(handler: F) -> Handler
where
    A: DeserializeOwned,
    R: IntoToolOutput,
    F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
{
    Arc::new(move |ctx, text| match serde_json::from_str::<A>(text) {
        Ok(arguments) => handler(ctx, arguments)?.into_tool_output(),
        Err(_) => Ok(ToolOutput::error(complaint::<A>(text))),
    })
}

/// Says which argument is wrong, in words that a model can act on. Parses once more, as this is the rare case.
pub(crate) fn complaint<A: DeserializeOwned>(text: &str) -> String {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, A>(&mut deserializer) {
        Err(error) => {
            let path = error.path().to_string();
            let inner = error.into_inner().to_string();
            // The position says nothing to who did not write the text by hand.
            let reason = inner.split(" at line ").next().unwrap_or(&inner);
            let reason = cut(reason, MESSAGE);
            if path == "." {
                format!("invalid arguments: {reason}")
            } else {
                format!("invalid arguments: `{}`: {reason}", cut(&path, 128))
            }
        }
        Ok(_) => "invalid arguments".into(),
    }
}

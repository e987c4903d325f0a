//! Whether a value is what a schema says: a tool's arguments before its handler sees them, and its structured result before it leaves.
//!
//! The work is bounded, whatever the value: patterns are matched in linear time, what is known of a part of a value is remembered
//! (by the `jsonschema` crate, for everything that a reference leads to), and explanations, which remember nothing, are given within a budget.

mod explain;
mod flat;

use super::fault::{Fault, Faults};
use super::outline::Outline;
use crate::engine::reading;
use crate::protocol::exact::Facts;
use explain::Explainer;
use flat::Flat;
use jsonschema::{PatternOptions, ValidationOptions, Validator};
use serde_json::Value;
use std::sync::OnceLock;

/// Bytes that a compiled pattern may take. It bounds the time of a match, too.
const PATTERN_BYTES: usize = 256 << 10;
/// Bytes that a pattern may use while it matches.
const MATCH_BYTES: usize = 1 << 20;
/// How deep a check may go: the nesting of a value, times the schemas that speak of one part of it in a row. Each takes up to 3 KiB of the
/// stack in a build for debugging, and a handler's thread has 2 MiB.
const DEEPEST: usize = 512;
/// The same on a thread that reads a connection, whose stack is small.
const DEEPEST_OF_READER: usize = 64;

/// A schema that values are checked against.
pub(crate) struct Conformity {
    schema: Value,
    outline: Outline,
    /// For schemas so simple that most values are seen to fit without more ado.
    flat: Option<Flat>,
    whole: OnceLock<Option<Validator>>,
    explainer: OnceLock<Option<Explainer>>,
}

impl Conformity {
    /// Makes a schema ready for checks. `of` is what it is called, say `inputSchema`.
    ///
    /// # Errors
    /// What is wrong with the schema, and what to change.
    pub(crate) fn new(schema: Value, outline: Outline, of: &str) -> Result<Self, String> {
        let flat = Flat::of(&schema);
        let whole = OnceLock::new();
        // A flat schema is right as it is, and may never be needed as a whole.
        if flat.is_none() {
            let made = options().build(&schema).map_err(|error| explain::of_schema(&error, of))?;
            _ = whole.set(Some(made));
        }
        Ok(Self { schema, outline, flat, whole, explainer: OnceLock::new() })
    }

    /// Whether it is seen from its text that a value fits. False says nothing.
    pub(crate) fn surely_fits(&self, text: &str) -> bool {
        self.flat.as_ref().is_some_and(|flat| flat.fits(text))
    }

    /// Checks a value.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self, value: &Value, facts: Facts) -> Result<(), Faults> {
        let deepest = if reading::is_reader() { DEEPEST_OF_READER } else { DEEPEST };
        if facts.depth.saturating_mul(self.outline.in_a_row) > deepest {
            return Err(Fault::of_all("is nested too deep to be checked").into());
        }
        let whole = self.whole.get_or_init(|| options().build(&self.schema).ok());
        match whole {
            Some(whole) if whole.is_valid(value) => Ok(()),
            whole => Err(self.explain(whole.as_ref(), value, facts)),
        }
    }

    /// What the quick way lets pass has to fit the whole schema.
    #[cfg(feature = "_fuzz")]
    pub(crate) fn assert_quick_way_is_right(&self, text: &str, value: &Value) {
        if self.surely_fits(text) {
            let whole = options().build(&self.schema).expect("a good schema");
            assert!(whole.is_valid(value), "{text} does not fit");
        }
    }

    /// What is wrong with a value that does not fit.
    fn explain(&self, whole: Option<&Validator>, value: &Value, facts: Facts) -> Faults {
        let faults = match self.outline.back.is_empty() {
            true => whole.map(|whole| explain::faults(whole, self.outline.expanded, value, facts)),
            false => {
                let explainer = self.explainer.get_or_init(|| Explainer::new(&self.schema, &self.outline));
                explainer.as_ref().map(|explainer| explainer.faults(value, facts))
            }
        };
        let unknown = || Fault::of_all("does not fit its schema").into();
        faults.filter(|faults| !faults.is_empty()).unwrap_or_else(unknown)
    }
}

/// How schemas are compiled: without any network or file, and with patterns that take linear time. `format` says what a value means and is not
/// checked, as 2020-12 has it.
fn options<'i>() -> ValidationOptions<'i> {
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(MATCH_BYTES);
    jsonschema::options().offline().with_pattern_options(patterns).should_validate_formats(false)
}

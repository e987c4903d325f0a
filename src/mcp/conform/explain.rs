//! What is wrong with a value, as a model can act on it.
//!
//! jsonschema tells what is wrong with every branch of every choice, so that a value of a schema that contains itself would be looked at
//! twice as often with each level. So references that lead back are cut: an explanation goes to the first one that does not fit, and goes on from there.

use super::options;
use crate::guard::text::Escaped;
use crate::mcp::fault::{self, Faults};
use crate::mcp::outline::Outline;
use crate::protocol::exact::Facts;
use crate::protocol::json;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::types::JsonType;
use jsonschema::{Keyword, Registry, ValidationError, Validator};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// Values times schemas that are looked at in one go: some MiB.
const MOST_AT_ONCE: usize = 1 << 15;
/// … and for one explanation in all: some tenths of a second.
const MOST_WORK: usize = 1 << 18;
/// What stands in the place of a reference that leads back.
const BACK: &str = "x-mcp-blocking-back";
/// Letters of a value that an explanation repeats from the schema.
const SHOWN: usize = 200;

/// Explains by a schema that contains itself.
pub(super) struct Explainer {
    root: Validator,
    /// From each schema on that a reference leads back to.
    parts: HashMap<String, Validator>,
    expanded: usize,
}

impl Explainer {
    /// `None` if the schema cannot be taken apart.
    pub(super) fn new(schema: &Value, outline: &Outline) -> Option<Self> {
        let mut targets: Vec<&str> = outline.back.iter().map(|(_, target)| target.as_str()).collect();
        targets.sort_unstable();
        targets.dedup();
        // Each is compiled with all that it refers to.
        if targets.len().saturating_mul(outline.expanded) > MOST_AT_ONCE {
            return None;
        }
        let back = |target: &&str| {
            let whole = Arc::new(part(schema, target, None)?);
            Some((target.to_string(), Back { whole, pointer: (*target).into() }))
        };
        let backs: Arc<Backs> = Arc::new(targets.iter().map(back).collect::<Option<_>>()?);
        let dialect = schema.get("$schema").and_then(Value::as_str);
        let beside = !dialect.is_some_and(|dialect| dialect.contains("/draft-0"));
        let mut cut = schema.clone();
        for (holder, target) in &outline.back {
            let holder = cut.pointer_mut(holder)?.as_object_mut()?;
            // Up to draft 7 what stands beside a reference says nothing.
            holder.retain(|key, _| beside && !matches!(key.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef"));
            holder.insert(BACK.into(), target.as_str().into());
        }
        let root = part(&cut, "", Some(&backs))?;
        let from = |target: &&str| Some((target.to_string(), part(&cut, target, Some(&backs))?));
        let parts = targets.iter().map(from).collect::<Option<_>>()?;
        Some(Self { root, parts, expanded: outline.expanded })
    }

    pub(super) fn faults(&self, value: &Value, facts: Facts) -> Faults {
        let mut report = Report { faults: Faults::default(), work: MOST_WORK, explainer: Some(self) };
        report.look(&self.root, self.expanded, value, facts.values, "");
        report.faults
    }
}

/// Explains by a schema that does not.
pub(super) fn faults(whole: &Validator, expanded: usize, value: &Value, facts: Facts) -> Faults {
    let mut report = Report { faults: Faults::default(), work: MOST_WORK, explainer: None };
    report.look(whole, expanded, value, facts.values, "");
    report.faults
}

/// What is wrong with a schema itself.
pub(super) fn of_schema(error: &ValidationError<'_>, of: &str) -> String {
    let at = error.instance_path().as_str();
    match error.kind() {
        Kind::Format { format } if format == "regex" => format!(
            "its {of} has a pattern that cannot be used (at `{at}`), {}: patterns are matched in linear time, and so must not look around, \
             refer back, or be very large",
            error.instance()
        ),
        Kind::Custom { .. } | Kind::Format { .. } | Kind::Referencing(_) => {
            format!("its {of} cannot be used (at `{at}`): {error}")
        }
        _ => {
            let mut report = Report { faults: Faults::default(), work: MOST_WORK, explainer: None };
            report.tell(error, "");
            format!("its {of} is not valid in its dialect:{}", report.faults)
        }
    }
}

/// A part of a schema, with all that it refers to.
fn part(schema: &Value, pointer: &str, backs: Option<&Arc<Backs>>) -> Option<Validator> {
    const HERE: &str = "json-schema:///here";
    let registry = Registry::new().add(HERE, schema).ok()?.prepare().ok()?;
    let mut wrapper = json!({ "$ref": format!("{HERE}#{}", escaped(pointer)) });
    if let Some(dialect) = schema.get("$schema") {
        wrapper["$schema"] = dialect.clone();
    }
    let mut options = options().with_registry(&registry);
    if let Some(backs) = backs {
        let backs = Arc::clone(backs);
        options = options.with_keyword(BACK, move |_, target: &Value, _| {
            let back = target.as_str().and_then(|target| backs.get(target)).cloned();
            let back = back.ok_or_else(|| ValidationError::schema("a reference that leads nowhere"))?;
            Ok(Box::new(back))
        });
    }
    options.build(&wrapper).ok()
}

/// A pointer as the fragment of a URI.
fn escaped(pointer: &str) -> String {
    let mut fragment = String::with_capacity(pointer.len());
    for byte in pointer.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'~' | b'$' | b'-' | b'_' | b'.' => {
                fragment.push(byte.into())
            }
            _ => fragment.push_str(&format!("%{byte:02X}")),
        }
    }
    fragment
}

/// What the references that were cut lead back to, by pointers.
type Backs = HashMap<String, Back>;

/// A schema that a reference leads back to, as a whole: it says whether a value fits, and nothing else.
#[derive(Clone)]
struct Back {
    whole: Arc<Validator>,
    pointer: Arc<str>,
}

impl<'i> Keyword<'i> for Back {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        match self.whole.is_valid(value) {
            true => Ok(()),
            // Where the explanation goes on.
            false => Err(ValidationError::custom(&*self.pointer)),
        }
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        self.whole.is_valid(value)
    }
}

/// An explanation on its way.
struct Report<'e> {
    faults: Faults,
    /// What may still be looked at.
    work: usize,
    explainer: Option<&'e Explainer>,
}

impl Report<'_> {
    /// Tells what is wrong with a value, which stands at `place` in the one that is explained and holds `values`.
    fn look(&mut self, schema: &Validator, expanded: usize, value: &Value, values: usize, place: &str) {
        let work = values.saturating_mul(expanded);
        if work > MOST_AT_ONCE || work > self.work {
            return self.faults.add(place, "does not fit its schema, and is too large to say where");
        }
        self.work -= work;
        for error in schema.iter_errors(value) {
            self.tell(&error, place);
            if self.faults.is_full() {
                return;
            }
        }
    }

    fn tell(&mut self, error: &ValidationError<'_>, place: &str) {
        let here = format!("{place}{}", error.instance_path());
        let mut member = |name: &str, what: &str| {
            let mut pointer = here.clone();
            json::push_segment(&mut pointer, name);
            self.faults.add(pointer, what);
        };
        match error.kind() {
            Kind::Required { property } => return member(property.as_str().unwrap_or_default(), "is missing"),
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                return unexpected.iter().take(fault::MOST + 1).for_each(|name| member(name, "is not known here"));
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => return self.choose(error, context, place),
            Kind::Custom { keyword, message } if keyword == BACK => {
                if let Some(explainer) = self.explainer
                    && let Some(part) = explainer.parts.get(message)
                {
                    let value = error.instance();
                    return self.look(part, explainer.expanded, value, count(value), &here);
                }
            }
            _ => {}
        }
        self.faults.add(here, sentence(error));
    }

    /// Tells what is wrong with the branch of a choice that was meant, if that can be told.
    fn choose(&mut self, choice: &ValidationError<'_>, branches: &[Vec<ValidationError<'_>>], place: &str) {
        let here = choice.instance_path().as_str();
        let least = branches.iter().map(|branch| strangeness(branch, here)).min();
        let mut meant = branches.iter().filter(|branch| Some(strangeness(branch, here)) == least);
        if let (Some(branch), None) = (meant.next(), meant.next()) {
            return branch.iter().for_each(|error| self.tell(error, place));
        }
        let pointer = format!("{place}{here}");
        if let Some((at, values)) = expected(branches) {
            return self.faults.add(format!("{place}{at}"), format!("has to be one of {values}"));
        }
        if let Some(kinds) = kinds(branches) {
            return self.faults.add(pointer, format!("has to be {kinds}, and is {}", kind(choice.instance())));
        }
        self.faults.add(pointer, format!("fits none of the {} forms that it may have", branches.len()));
    }
}

/// How many faults of a branch say that it is not the one that was meant: first those about what the value is or is called, then
/// those about the members it has.
fn strangeness(branch: &[ValidationError<'_>], here: &str) -> (usize, usize) {
    let depth =
        |error: &ValidationError<'_>| Some(error.instance_path().as_str().strip_prefix(here)?.matches('/').count());
    let count = |is: fn(&Kind, usize) -> bool| {
        branch.iter().filter(|error| depth(error).is_some_and(|depth| is(error.kind(), depth))).count()
    };
    let name = |kind: &Kind, depth| match kind {
        Kind::Type { .. } | Kind::FalseSchema => depth == 0,
        Kind::Constant { .. } | Kind::Enum { .. } => depth <= 1,
        _ => false,
    };
    let member =
        |kind: &Kind, depth| depth == 0 && matches!(kind, Kind::Required { .. } | Kind::AdditionalProperties { .. });
    (count(name), count(member))
}

/// What each branch wants at the same place, if that is all they want there: the names of the forms of a value.
fn expected(branches: &[Vec<ValidationError<'_>>]) -> Option<(String, String)> {
    let mut place = None;
    let mut values = Vec::new();
    for branch in branches {
        let wanted = branch.iter().find_map(|error| match error.kind() {
            Kind::Constant { expected_value } => {
                Some((error.instance_path().as_str(), vec![expected_value.to_string()]))
            }
            Kind::Enum { options } => {
                Some((error.instance_path().as_str(), options.as_array()?.iter().map(Value::to_string).collect()))
            }
            _ => None,
        });
        match wanted {
            Some((at, wanted)) if place.is_none_or(|place| place == at) => {
                place = Some(at);
                values.extend(wanted);
            }
            _ => return None,
        }
    }
    Some((place?.to_owned(), list(&values)))
}

/// The types that the branches want, if each is for another one.
fn kinds(branches: &[Vec<ValidationError<'_>>]) -> Option<String> {
    let kinds: Option<Vec<&str>> = branches
        .iter()
        .map(|branch| match branch.as_slice() {
            [error] => match error.kind() {
                Kind::Type { kind: TypeKind::Single(kind) } => Some(named(*kind)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    Some(kinds?.join(" or "))
}

/// What is wrong, without a subject. Nothing of the value is repeated but its kind.
fn sentence(error: &ValidationError<'_>) -> String {
    match error.kind() {
        Kind::Type { kind: TypeKind::Single(wanted) } => {
            format!("has to be {}, and is {}", named(*wanted), kind(error.instance()))
        }
        Kind::Type { kind: TypeKind::Multiple(wanted) } => {
            let wanted: Vec<_> = wanted.iter().map(named).collect();
            format!("has to be {}, and is {}", wanted.join(" or "), kind(error.instance()))
        }
        Kind::Enum { options } => {
            let options: Vec<_> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
            format!("has to be one of {}", list(&options))
        }
        Kind::Constant { expected_value } => {
            format!("has to be {}", Escaped::new(&expected_value.to_string(), SHOWN).in_full())
        }
        Kind::Minimum { limit } => format!("has to be at least {limit}"),
        Kind::Maximum { limit } => format!("may be {limit} at the most"),
        Kind::ExclusiveMinimum { limit } => format!("has to be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("has to be less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("has to be a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("is too short: it has to have at least {limit} characters"),
        Kind::MaxLength { limit } => format!("is too long: it may have {limit} characters"),
        Kind::Pattern { pattern } => format!("has to match the pattern `{}`", Escaped::new(pattern, SHOWN).in_full()),
        Kind::MinItems { limit } => format!("has to have at least {limit} elements"),
        Kind::MaxItems { limit } => format!("may have {limit} elements at the most"),
        Kind::UniqueItems => "has the same element twice".into(),
        Kind::Contains => "has too few or too many elements of a kind that its schema counts".into(),
        Kind::AdditionalItems { .. } | Kind::UnevaluatedItems { .. } => "has more elements than it may have".into(),
        Kind::MinProperties { limit } => format!("has to have at least {limit} members"),
        Kind::MaxProperties { limit } => format!("may have {limit} members at the most"),
        Kind::PropertyNames { error } => format!("has a member whose name does not fit: it {}", sentence(error)),
        Kind::FalseSchema => "must not be there".into(),
        Kind::Not { .. } => "is what it must not be".into(),
        Kind::OneOfMultipleValid { .. } => "fits several of the forms that it may have, and may fit one only".into(),
        _ => format!("does not fit `{}` of its schema", error.kind().keyword()),
    }
}

/// Values in a list that is cut.
fn list(values: &[String]) -> String {
    Escaped::new(&values.join(", "), SHOWN).in_full().to_string()
}

fn named(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "null",
        JsonType::Boolean => "a boolean",
        JsonType::Integer => "an integer",
        JsonType::Number => "a number",
        JsonType::String => "a string",
        JsonType::Array => "an array",
        JsonType::Object => "an object",
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// How many values there are in one.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(count).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

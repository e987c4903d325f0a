//! How a model is told what is wrong with what it has sent: in words that it can act on, and in bounds.

use crate::guard::text::Escaped;
use crate::protocol::exact::Flaw;
use std::fmt;

/// Most faults that are told of at once.
pub(crate) const MOST: usize = 8;
/// Most that stand in a log line.
const LOGGED: usize = 2;
/// Most letters of where a fault is.
const POINTER: usize = 200;
/// Most letters of what it is.
const WHAT: usize = 300;

/// Something wrong in a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where: a JSON Pointer, with names that may come from a peer.
    pub(crate) pointer: String,
    /// What, without a subject: "has to be an integer".
    pub(crate) what: String,
}

impl Fault {
    /// One that has no place.
    pub(crate) fn of_all(what: impl Into<String>) -> Self {
        Self { pointer: String::new(), what: what.into() }
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Faults {
    found: Vec<Fault>,
    more: bool,
}

#[cfg(any(feature = "validation", test))]
impl Faults {
    /// Adds one, unless there are too many.
    pub(crate) fn add(&mut self, pointer: impl Into<String>, what: impl Into<String>) {
        let fault = Fault { pointer: pointer.into(), what: what.into() };
        match self.found.len() < MOST {
            _ if self.found.contains(&fault) => {}
            true => self.found.push(fault),
            false => self.more = true,
        }
    }

    /// Whether another one would not be told of.
    pub(crate) fn is_full(&self) -> bool {
        self.more
    }

    #[cfg(feature = "validation")]
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self { found: vec![fault], more: false }
    }
}

impl From<Flaw> for Faults {
    fn from(flaw: Flaw) -> Self {
        Self::from(match flaw {
            Flaw::Twice(pointer) => Fault { pointer, what: "is there twice".into() },
            Flaw::TooLarge(pointer) => Fault { pointer, what: "is a whole number of more than 64 bits".into() },
            // Those are looked for before anybody reads the arguments.
            Flaw::TooDeep | Flaw::TooMany | Flaw::TooLong | Flaw::LoneSurrogate | Flaw::Here(_) => {
                Fault::of_all("cannot be read")
            }
        })
    }
}

/// In the alternate form for logs.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pointer, what) = (Escaped::new(&self.pointer, POINTER), Escaped::new(&self.what, WHAT));
        let (pointer, what) = if f.alternate() { (pointer, what) } else { (pointer.in_full(), what.in_full()) };
        if !self.pointer.is_empty() {
            write!(f, "`{pointer}`: ")?;
        }
        write!(f, "{what}")
    }
}

/// One fault in a line, several in a list. In the alternate form, for logs, the first ones in one line.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ([only], false) = (self.found.as_slice(), self.more) {
            f.write_str(" ")?;
            return fmt::Display::fmt(only, f);
        }
        let (before, most) = if f.alternate() { ("; ", LOGGED) } else { ("\n- ", MOST) };
        self.found.iter().take(most).try_for_each(|fault| {
            f.write_str(before)?;
            fmt::Display::fmt(fault, f)
        })?;
        if self.more || self.found.len() > most { write!(f, "{before}and more") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_in_bounds_and_do_no_harm() {
        let mut faults = Faults::default();
        faults.add("/a", "has to be an integer");
        faults.add("/a", "has to be an integer");
        assert_eq!(faults.to_string(), " `/a`: has to be an integer");
        for n in 0..20 {
            faults.add(format!("/{}\u{1b}\u{202e}{n}", "x".repeat(10_000)), "y".repeat(10_000));
        }
        let text = faults.to_string();
        assert!(faults.is_full() && text.starts_with("\n- `/a`: ") && text.ends_with("\n- and more"));
        assert!(format!("{faults:#}").len() < 1_200);
        assert!(text.len() < 5_000 && !text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}

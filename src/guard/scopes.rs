//! Which scopes does something need, and does a caller have them?
//!
//! RFC 6749, 3.3, for how a scope is written; broader scopes imply narrower ones (2026-07-28, basic/authorization: MUST).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The scopes of a principal.
pub(crate) type ScopeSet = BTreeSet<Box<str>>;

/// A scope is one word: `1*( %x21 / %x23-5B / %x5D-7E )`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(scope: &str) -> Result<(), String> {
    let letter = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !scope.is_empty() && scope.bytes().all(letter) {
        return Ok(());
    }
    Err(format!(
        "`{}` is no scope: one word of printable ASCII, without blanks, quotes and backslashes",
        scope.escape_debug()
    ))
}

/// What it takes to use something, and who may know of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Required {
    scopes: Vec<Box<str>>,
    step_up: bool,
}

impl Required {
    /// One more scope: all are needed.
    pub(crate) fn add(&mut self, scope: impl Into<String>) {
        let scope = scope.into().into_boxed_str();
        if !self.scopes.contains(&scope) {
            self.scopes.push(scope);
        }
    }

    /// Callers without its scopes may know of it, and are told which they are.
    pub(crate) fn set_step_up(&mut self) {
        self.step_up = true;
    }

    /// Looks at it when it is registered.
    ///
    /// # Errors
    /// One of its scopes is none.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.scopes.iter().try_for_each(|scope| check(scope))
    }

    pub(crate) fn scopes(&self) -> &[Box<str>] {
        &self.scopes
    }

    /// Nobody needs a scope for it.
    pub(crate) fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// Callers without its scopes may know of it.
    pub(crate) fn steps_up(&self) -> bool {
        self.step_up
    }
}

/// What a caller may use.
#[derive(Debug, Clone)]
pub(crate) enum Grant {
    Everything,
    /// What asks for these scopes, and for those that they imply.
    Scopes(Arc<ScopeSet>),
    /// What asks for no scope.
    Nothing,
}

/// Which scopes imply which others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hierarchy {
    /// For each scope all that imply it, over any number of steps.
    broader: HashMap<Box<str>, ScopeSet>,
}

impl Hierarchy {
    /// From here on whoever has the one has the other, too.
    ///
    /// # Errors
    /// One of them is no scope; or the narrower one implies the broader one already, so that somebody would get more than was meant.
    pub(crate) fn imply(&mut self, broad: &str, narrow: &str) -> Result<(), String> {
        check(broad)?;
        check(narrow)?;
        let is_above = |above: &str, below: &str| self.broader.get(below).is_some_and(|all| all.contains(above));
        if broad == narrow || is_above(narrow, broad) {
            return Err(format!("`{broad}` cannot imply `{narrow}`, which implies `{broad}`: one of them is broader"));
        }
        let mut above: Vec<Box<str>> = vec![broad.into()];
        above.extend(self.broader.get(broad).into_iter().flatten().cloned());
        let mut below: Vec<Box<str>> = vec![narrow.into()];
        below.extend(self.broader.keys().filter(|other| is_above(narrow, other)).cloned());
        for scope in below {
            self.broader.entry(scope).or_default().extend(above.iter().cloned());
        }
        Ok(())
    }

    /// Whether a caller has that scope, by itself or by a broader one.
    pub(crate) fn has(&self, grant: &Grant, scope: &str) -> bool {
        match grant {
            Grant::Everything => true,
            Grant::Nothing => false,
            Grant::Scopes(own) => {
                let broader = || self.broader.get(scope).is_some_and(|all| all.iter().any(|one| own.contains(one)));
                own.contains(scope) || broader()
            }
        }
    }

    /// Whether a caller has all that something needs.
    pub(crate) fn allows(&self, grant: &Grant, required: &Required) -> bool {
        required.scopes.iter().all(|scope| self.has(grant, scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scopes: &[&str]) -> Grant {
        Grant::Scopes(Arc::new(scopes.iter().map(|scope| Box::from(*scope)).collect()))
    }

    fn all(scopes: &[&str]) -> Required {
        let mut required = Required::default();
        scopes.iter().for_each(|scope| required.add(*scope));
        required
    }

    #[test]
    fn a_scope_is_one_word_that_fits_into_a_quoted_list() {
        for good in ["a", "files:write", "https://a.example/b?c#d", "!", "~", "[x]"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for wrong in ["", " ", "a b", "a\"", "a\\b", "a\n", "\u{e4}", "a\t", "\u{7f}"] {
            assert!(check(wrong).is_err(), "{wrong:?}");
            assert!(all(&["a", wrong]).check().is_err());
        }
        assert_eq!(all(&["b", "a", "b"]).check(), Ok(()));
        assert_eq!(all(&["b", "a", "b"]).scopes(), ["b".into(), "a".into()]);
    }

    #[test]
    fn broader_scopes_imply_narrower_ones_over_several_steps_in_any_order() {
        let pairs = [("admin", "files"), ("files", "files:read"), ("files", "files:write"), ("admin", "users")];
        for turn in 0..pairs.len() {
            let mut hierarchy = Hierarchy::default();
            for (broad, narrow) in pairs.iter().cycle().skip(turn).take(pairs.len()) {
                hierarchy.imply(broad, narrow).unwrap();
            }
            let has = |own: &[&str], scope| hierarchy.has(&of(own), scope);
            assert!(has(&["admin"], "files:read") && has(&["files"], "files:write") && has(&["admin"], "users"));
            assert!(!has(&["files"], "users") && !has(&["files:read"], "files") && !has(&["files"], "admin"));
            assert!(!has(&["files:read"], "files:write") && !has(&[], "files"));
            let both = all(&["files:read", "users"]);
            assert!(hierarchy.allows(&of(&["admin"]), &both) && !hierarchy.allows(&of(&["files"]), &both));
            assert!(hierarchy.allows(&of(&["users", "files"]), &both));
        }
    }

    #[test]
    fn no_scope_implies_one_that_implies_it() {
        let mut hierarchy = Hierarchy::default();
        hierarchy.imply("a", "b").unwrap();
        hierarchy.imply("b", "c").unwrap();
        for (broad, narrow) in [("a", "a"), ("b", "a"), ("c", "a"), ("c", "b")] {
            assert!(hierarchy.imply(broad, narrow).is_err(), "{broad} {narrow}");
        }
        assert_eq!(hierarchy.imply("a", "c"), Ok(()));
        assert!(!hierarchy.has(&of(&["c"]), "a"));
    }

    #[test]
    fn everything_is_everything_and_nothing_is_what_needs_no_scope() {
        let (hierarchy, needs) = (Hierarchy::default(), all(&["a"]));
        assert!(hierarchy.allows(&Grant::Everything, &needs) && !hierarchy.allows(&Grant::Nothing, &needs));
        assert!(
            hierarchy.allows(&Grant::Nothing, &Required::default()) && hierarchy.allows(&of(&[]), &Required::default())
        );
    }
}

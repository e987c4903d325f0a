//! Does a URI fit a template, and what do its variables say? (RFC 6570; 2026-07-28, server/resources)
//!
//! Of RFC 6570 this matches `{name}` (letters, digits and `-._~`, or percent-encoded) and `{+name}` (reserved characters, too, so that
//! it spans several segments of a path). Two variables have to have a literal between them. A variable ends at the first place where the
//! literal behind it stands, the last one at the end: so a match takes one pass, whatever a peer sends.

use crate::protocol::percent;
use std::fmt;

/// Longest URI that is looked at, in bytes.
pub(crate) const MAX_URI: usize = 4 << 10;

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UriTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable { name: String, reserved: bool },
}

impl UriTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What cannot be matched, in a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (literal, from) = rest.split_at(open);
            let Some(inner) = from.strip_prefix('{') else { return Err("it has a `}` without a `{`".into()) };
            let Some((expression, after)) = inner.split_once('}') else {
                return Err("it has a `{` without a `}`".into());
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            } else if matches!(parts.last(), Some(Part::Variable { .. })) {
                return Err("two variables need a literal between them".into());
            }
            let (reserved, name) = match expression.strip_prefix('+') {
                Some(name) => (true, name),
                None => (false, expression),
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(format!(
                    "only `{{name}}` and `{{+name}}` are matched, not `{{{}}}`",
                    expression.escape_debug()
                ));
            }
            if parts.iter().any(|part| matches!(part, Part::Variable { name: other, .. } if other == name)) {
                return Err(format!("its variable `{name}` comes twice"));
            }
            parts.push(Part::Variable { name: name.to_owned(), reserved });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        if !parts.iter().any(|part| matches!(part, Part::Variable { .. })) {
            return Err("it has no variable; register it as a resource".into());
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable { name, .. } => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The variables of a URI, decoded; `None` if it does not fit.
    pub(crate) fn matches(&self, uri: &str) -> Option<Vec<(&str, String)>> {
        if uri.len() > MAX_URI {
            return None;
        }
        let (mut found, mut rest) = (Vec::new(), uri);
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Part::Variable { name, reserved } => {
                    let value;
                    match parts.next() {
                        Some(Part::Literal(literal)) if parts.peek().is_none() => {
                            value = rest.strip_suffix(literal.as_str())?;
                            rest = "";
                        }
                        Some(Part::Literal(literal)) => (value, rest) = rest.split_once(literal.as_str())?,
                        // Two variables never stand side by side.
                        Some(Part::Variable { .. }) => return None,
                        None => {
                            value = rest;
                            rest = "";
                        }
                    }
                    found.push((name.as_str(), decode(value, *reserved)?));
                }
            }
        }
        rest.is_empty().then_some(found)
    }
}

impl fmt::Display for UriTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text of a value; `None` if it is empty, has characters that it may not have, or is not UTF-8.
fn decode(value: &str, reserved: bool) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    percent::decode(value, |byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => true,
        // RFC 6570 has these encoded; people write them as they are.
        0x80.. => true,
        b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
        | b',' | b';' | b'=' => reserved,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(template: &str, uri: &str) -> Option<String> {
        let template = UriTemplate::parse(template).unwrap();
        let found = template.matches(uri)?;
        Some(found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn variables_are_found_and_decoded() {
        for (template, uri, expected) in [
            ("note://{id}", "note://7", "id=7"),
            ("note://{id}", "note://a%20b%C3%A4", "id=a bä"),
            ("test://template/{id}/data", "test://template/123/data", "id=123"),
            ("x://{a}/{b}", "x://1/2", "a=1 b=2"),
            ("x://{a}-{b}", "x://1-2-3", "a=1 b=2-3"),
            ("file:///{+path}", "file:///a/b/c.txt", "path=a/b/c.txt"),
            ("x://{+path}/end", "x://a/end/end", "path=a/end"),
            ("{all}", "x", "all=x"),
        ] {
            assert_eq!(matched(template, uri).as_deref(), Some(expected), "{template} {uri}");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_matched() {
        for (template, uri) in [
            ("note://{id}", "note://"),
            ("note://{id}", "note://a/b"),
            ("note://{id}", "note://a b"),
            ("note://{id}", "note://%2"),
            ("note://{id}", "note://%zz"),
            ("note://{id}", "note://%ff"),
            ("note://{id}", "Note://1"),
            ("x://{a}/y", "x://1/y/z"),
            ("x://{a}/y", "x://1"),
        ] {
            assert_eq!(matched(template, uri), None, "{template} {uri}");
        }
        let long = format!("note://{}", "x".repeat(MAX_URI));
        assert_eq!(matched("note://{id}", &long), None);
    }

    #[test]
    fn templates_that_cannot_be_matched_are_refused() {
        for (template, says) in [
            ("x://y", "no variable"),
            ("x://{", "without a `}`"),
            ("x://}", "without a `{`"),
            ("x://{a}{b}", "between"),
            ("x://{a}/{a}", "twice"),
            ("x://{?a}", "only"),
            ("x://{a*}", "only"),
            ("x://{a,b}", "only"),
            ("x://{}", "only"),
        ] {
            let what = UriTemplate::parse(template).unwrap_err();
            assert!(what.contains(says), "{template}: {what}");
        }
    }

    #[test]
    fn hostile_uris_take_one_pass() {
        let template = UriTemplate::parse("x://{a}aaaa{b}aaaa{c}aaaab").unwrap();
        let uri = format!("x://{}", "a".repeat(MAX_URI - 4));
        let begun = std::time::Instant::now();
        for _ in 0..1_000 {
            assert_eq!(template.matches(&uri), None);
        }
        assert!(begun.elapsed().as_secs() < 5);
    }
}

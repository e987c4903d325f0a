//! Which names may files have that a client names? Pure.

use super::PathError;
use crate::protocol::percent;
use std::path::PathBuf;

/// The longest path.
const LONGEST: usize = 4_096;
/// The longest part of one.
const LONGEST_PART: usize = 255;
/// The most parts.
const MOST_PARTS: usize = 64;

/// A relative path whose parts are names, and lead nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name<'p>(Vec<&'p str>);

impl<'p> Name<'p> {
    pub(crate) fn of(path: &'p str) -> Result<Self, PathError> {
        Self::on(path, cfg!(windows))
    }

    fn on(path: &'p str, windows: bool) -> Result<Self, PathError> {
        if path.len() > LONGEST {
            return Err(PathError::Name("it is too long"));
        }
        if path.starts_with('/') {
            return Err(PathError::Name("it is absolute"));
        }
        if path.chars().any(char::is_control) {
            return Err(PathError::Name("it holds control characters"));
        }
        let parts: Vec<_> = path.split('/').collect();
        if parts.len() > MOST_PARTS {
            return Err(PathError::Name("it has too many parts"));
        }
        for part in &parts {
            match *part {
                "" => return Err(PathError::Name("a part of it is empty")),
                "." | ".." => return Err(PathError::Name("a part of it is `.` or `..`")),
                part if part.len() > LONGEST_PART => return Err(PathError::Name("a part of it is too long")),
                part if windows => check_windows(part)?,
                _ => {}
            }
        }
        Ok(Self(parts))
    }

    /// The parts before the last one, and that.
    #[cfg_attr(not(unix), allow(dead_code, reason = "where part after part is opened"))]
    pub(crate) fn split(&self) -> (&[&'p str], &'p str) {
        self.0.split_last().map_or((&[], ""), |(last, before)| (before, *last))
    }

    pub(crate) fn as_path(&self) -> PathBuf {
        self.0.iter().collect()
    }
}

/// What names mean on Windows beside what they say.
fn check_windows(part: &str) -> Result<(), PathError> {
    if part.contains(['\\', ':', '<', '>', '"', '|', '?', '*']) {
        return Err(PathError::Name("it holds a character that means something else on this system"));
    }
    if part.ends_with(['.', ' ']) {
        return Err(PathError::Name("a part of it ends with a point or a blank"));
    }
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_ascii_uppercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|number| {
            let mut letters = number.chars();
            matches!((letters.next(), letters.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&&*stem) || numbered("COM") || numbered("LPT") {
        return Err(PathError::Name("a part of it is the name of a device"));
    }
    Ok(())
}

/// The absolute path that a `file:` address names on this machine, its escapes resolved.
pub(crate) fn path_of_uri(uri: &str) -> Result<String, PathError> {
    if uri.len() > LONGEST * 3 {
        return Err(PathError::Name("it is too long"));
    }
    let scheme = uri.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("file://"));
    let rest = scheme.and_then(|_| uri.get(7..)).ok_or(PathError::Name("the address is none of a file"))?;
    let host = rest.get(..9).filter(|host| host.eq_ignore_ascii_case("localhost"));
    let path = host.and_then(|_| rest.get(9..)).unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(PathError::Name("the address is one of another machine"));
    }
    if path.contains(['?', '#']) {
        return Err(PathError::Name("the address has a query or a fragment"));
    }
    let mut decoded = String::with_capacity(path.len());
    for (place, part) in path.split('/').enumerate() {
        let part = percent::decode(part, |byte| !byte.is_ascii_control())
            .ok_or(PathError::Name("an escape in the address cannot be read"))?;
        if part.contains('/') || part.chars().any(char::is_control) || holds_escape(&part) {
            return Err(PathError::Name("an escape in the address hides what it names"));
        }
        if matches!(&*part, "." | "..") {
            return Err(PathError::Name("a part of it is `.` or `..`"));
        }
        if place > 0 {
            decoded.push('/');
        }
        decoded.push_str(&part);
    }
    Ok(decoded)
}

/// Whether somebody who resolves escapes once more would find one.
fn holds_escape(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|three| matches!(three, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_and_lead_nowhere_else() {
        for good in ["a", "a/b.txt", "...", "..a", "a..", ".hidden/x", "ä/語 🙂", "a b", "a%2e", "C:x", "a\\b", "nul"]
        {
            assert!(Name::on(good, false).is_ok(), "{good}");
        }
        let long = format!("a/{}", "x".repeat(256));
        let many = vec!["a"; 65].join("/");
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "..",
            "../a",
            "a/../b",
            "a/..",
            "a\0b",
            "a\n",
            "\u{9b}",
            &long,
            &many,
        ] {
            assert!(matches!(Name::on(bad, false), Err(PathError::Name(_))), "{bad:?}");
        }
        assert!(Name::on(&"a/".repeat(4_096), false).is_err());
    }

    #[test]
    fn names_mean_nothing_else_on_windows() {
        for bad in [
            "C:x",
            "C:/x",
            "a\\..\\b",
            "\\\\host\\x",
            "nul",
            "a/CON.txt",
            "com1",
            "LPT9.x",
            "com¹",
            "aux .txt",
            "a.",
            "a ",
            "x::$DATA",
            "a*",
        ] {
            assert!(matches!(Name::on(bad, true), Err(PathError::Name(_))), "{bad:?}");
        }
        for good in ["a/b.txt", "console", "com", "com10", "nul-1", "lpt.x"] {
            assert!(Name::on(good, true).is_ok(), "{good}");
        }
    }

    #[test]
    fn addresses_say_what_they_name_in_one_way() {
        for (uri, path) in [
            ("file:///srv/a.txt", "/srv/a.txt"),
            ("FILE://localhost/srv/a%20b", "/srv/a b"),
            ("file:///srv/%C3%A4", "/srv/ä"),
            ("file:///srv/100%25", "/srv/100%"),
        ] {
            assert_eq!(path_of_uri(uri).unwrap(), path);
        }
        for bad in [
            "http://x/a",
            "file:/srv/a",
            "file:a",
            "file://host/a",
            "file://localhost:1/a",
            "file:///a?b",
            "file:///a#b",
            "file:///a%2fb",
            "file:///a%2F..%2Fb",
            "file:///%2e%2e/a",
            "file:///a/%2e/b",
            "file:///a/../b",
            "file:///a%00",
            "file:///a%0a",
            "file:///%252e%252e/a",
            "file:///a%252fb",
            "file:///a%",
            "file:///a%zz",
            "file:///a%ff",
            "file:///a\n",
            "file:",
            "",
        ] {
            assert!(path_of_uri(bad).is_err(), "{bad}");
        }
    }
}

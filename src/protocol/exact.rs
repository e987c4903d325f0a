//! Does JSON text say each thing once, in numbers that can be kept as they are, and in bounds?
//!
//! One pass over the text, without recursion and before anything makes a tree of it. serde_json takes the last of two members of one
//! name, and makes a fraction of a whole number that 64 bits do not hold. Where a value is checked and then used, both would be a way
//! to have one thing checked and another one used.

use crate::protocol::json;
use std::borrow::Cow;
use std::collections::HashSet;

/// What a look at JSON text has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// How deep arrays and objects stand within each other.
    pub(crate) depth: usize,
    /// How many values there are, or a few more.
    pub(crate) values: usize,
    /// How many values and names of members there are.
    pub(crate) nodes: usize,
    /// A member stands there twice where that is told of later: see [`Bounds::later`].
    pub(crate) repeats: bool,
    objects: usize,
    arrays: usize,
    bytes: usize,
}

impl Facts {
    /// About the memory that the text takes as a `serde_json::Value`: enough, whatever it holds.
    pub(crate) fn memory(&self) -> usize {
        // A value is 32 bytes in a vector that may be half empty; an object begins with room for eleven members, an array for four values.
        const VALUE: usize = 64;
        const OBJECT: usize = 704;
        const ARRAY: usize = 144;
        self.bytes.saturating_mul(2)
            + self.values.saturating_mul(VALUE)
            + self.objects.saturating_mul(OBJECT)
            + self.arrays.saturating_mul(ARRAY)
    }
}

/// What is wrong, and where that is of use: a JSON Pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A member stands there twice.
    Twice(String),
    /// A whole number that 64 bits do not hold.
    TooLarge(String),
    /// Arrays and objects are nested deeper than allowed.
    TooDeep,
    /// There are more values and names of members than allowed.
    TooMany,
    /// A string has more bytes than allowed.
    TooLong,
    /// A `\u` escape names half of a surrogate pair: such a string has no meaning as text.
    LoneSurrogate,
    /// Not a flaw, but the place that was asked for.
    Here(String),
}

/// What JSON text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) depth: usize,
    /// Values and names of members, taken together.
    pub(crate) nodes: usize,
    /// Bytes of one string as it stands there, with its escapes and without its quotes.
    pub(crate) string_bytes: usize,
    /// Each member once.
    pub(crate) once: bool,
    /// Members that come twice below this member of a member, or are it, are noted for somebody else to refuse.
    pub(crate) later: Option<[&'static str; 2]>,
    /// Whole numbers have to fit 64 bits.
    pub(crate) whole_numbers: bool,
    /// Stops at the first string that begins here or later.
    pub(crate) stop: usize,
}

impl Bounds {
    /// Anything goes.
    pub(crate) const NONE: Self = Self {
        depth: usize::MAX,
        nodes: usize::MAX,
        string_bytes: usize::MAX,
        once: false,
        later: None,
        whole_numbers: false,
        stop: usize::MAX,
    };
}

/// Looks through text that is known to be JSON. `whole_numbers`: refuse those that 64 bits do not hold.
///
/// # Errors
/// The first [`Flaw`].
pub(crate) fn look(text: &str, whole_numbers: bool) -> Result<Facts, Flaw> {
    scan(text, &Bounds { once: true, whole_numbers, ..Bounds::NONE })
}

/// The JSON Pointer of the string whose opening quote is at this place.
pub(crate) fn place_of(text: &str, at: usize) -> String {
    match scan(text, &Bounds { stop: at, ..Bounds::NONE }) {
        Err(Flaw::Here(pointer)) => pointer,
        _ => String::new(),
    }
}

/// Looks through text. What is no JSON at all may pass, or have any flaw: the parser finds that out.
///
/// # Errors
/// The first [`Flaw`].
pub(crate) fn scan(text: &str, bounds: &Bounds) -> Result<Facts, Flaw> {
    let bytes = text.as_bytes();
    let mut facts = Facts { values: 1, bytes: bytes.len(), ..Facts::default() };
    // Room for most messages at once.
    let mut walk = Walk { open: Vec::with_capacity(8), names: Vec::with_capacity(16) };
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => {
                match byte {
                    b'{' => facts.objects += 1,
                    _ => facts.arrays += 1,
                }
                walk.open.push(match byte {
                    b'{' => Open::Object { first: walk.names.len(), key_next: true, seen: None },
                    _ => Open::Array(0),
                });
                facts.depth = facts.depth.max(walk.open.len());
                facts.values += 1;
                facts.nodes += 1;
                if facts.depth > bounds.depth {
                    return Err(Flaw::TooDeep);
                }
            }
            b'}' | b']' => {
                if let Some(Open::Object { first, .. }) = walk.open.pop() {
                    walk.names.truncate(first);
                }
            }
            b',' => {
                facts.values += 1;
                match walk.open.last_mut() {
                    Some(Open::Array(index)) => *index += 1,
                    Some(Open::Object { key_next, .. }) => *key_next = true,
                    None => {}
                }
            }
            b'"' => {
                let (end, escaped) = end_of_string(bytes, at + 1)?;
                let string = text.get(at + 1..end.saturating_sub(1)).unwrap_or_default();
                if string.len() > bounds.string_bytes {
                    return Err(Flaw::TooLong);
                }
                facts.nodes += 1;
                if walk.takes_name() && !walk.name(string, escaped) && bounds.once {
                    // There may be as many of these as there are names, each far down: no pointer is made of them.
                    match bounds.later {
                        Some(later) if walk.is_within(later) => facts.repeats = true,
                        _ => return Err(Flaw::Twice(walk.pointer())),
                    }
                }
                if at >= bounds.stop {
                    return Err(Flaw::Here(walk.pointer()));
                }
                at = end;
                if facts.nodes > bounds.nodes {
                    return Err(Flaw::TooMany);
                }
                continue;
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                let end = end_of_word(bytes, at);
                facts.nodes += 1;
                if bounds.whole_numbers && text.get(at..end).is_some_and(is_too_large) {
                    return Err(Flaw::TooLarge(walk.pointer()));
                }
                at = end.max(at + 1);
                if facts.nodes > bounds.nodes {
                    return Err(Flaw::TooMany);
                }
                continue;
            }
            _ => {}
        }
        if facts.nodes > bounds.nodes {
            return Err(Flaw::TooMany);
        }
        at += 1;
    }
    Ok(facts)
}

/// Where in the text one is.
struct Walk<'t> {
    open: Vec<Open<'t>>,
    /// The names so far of all objects that have begun, those of the innermost last.
    names: Vec<Cow<'t, str>>,
}

/// An array or object that has begun.
enum Open<'t> {
    /// The number of the element.
    Array(usize),
    Object {
        /// Where its names begin.
        first: usize,
        /// The next string is a name.
        key_next: bool,
        /// The same names, once there are many.
        #[allow(clippy::box_collection, reason = "few objects have one, and all would be larger by it")]
        seen: Option<Box<HashSet<Cow<'t, str>>>>,
    },
}

impl<'t> Walk<'t> {
    /// Up to this many names are compared one by one, which is faster than a table.
    const FEW: usize = 16;

    /// Whether the string that comes is the name of a member.
    fn takes_name(&mut self) -> bool {
        match self.open.last_mut() {
            Some(Open::Object { key_next, .. }) => std::mem::replace(key_next, false),
            _ => false,
        }
    }

    /// Notes a name; false if the object has had it.
    fn name(&mut self, string: &'t str, escaped: bool) -> bool {
        let name = if escaped { unescaped(string) } else { Cow::Borrowed(string) };
        let Some(Open::Object { first, seen, .. }) = self.open.last_mut() else { return true };
        let own = self.names.get(*first..).unwrap_or_default();
        let new = match seen {
            Some(seen) => seen.insert(name.clone()),
            None if own.len() < Self::FEW => !own.contains(&name),
            None => {
                let mut all: HashSet<_> = own.iter().cloned().collect();
                let new = all.insert(name.clone());
                *seen = Some(Box::new(all));
                new
            }
        };
        self.names.push(name);
        new
    }

    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for (place, one) in self.open.iter().enumerate() {
            match one {
                Open::Array(index) => json::push_segment(&mut pointer, &index.to_string()),
                Open::Object { first, .. } => json::push_segment(&mut pointer, self.last_name(place, *first)),
            }
        }
        pointer
    }

    /// The last name of the object that is open at a place, whose names begin at `first`.
    fn last_name(&self, place: usize, first: usize) -> &str {
        let inner = self.open.iter().skip(place + 1).find_map(|inner| match inner {
            Open::Object { first, .. } => Some(*first),
            Open::Array(_) => None,
        });
        let own = self.names.get(first..inner.unwrap_or(self.names.len())).unwrap_or_default();
        own.last().map_or("", |name| name)
    }

    /// Whether this is at a member of a member, or below it.
    fn is_within(&self, names: [&str; 2]) -> bool {
        names.iter().enumerate().all(|(place, name)| match self.open.get(place) {
            Some(Open::Object { first, .. }) => self.last_name(place, *first) == *name,
            _ => false,
        })
    }
}

fn unescaped(name: &str) -> Cow<'_, str> {
    serde_json::from_str(&format!("\"{name}\"")).map_or(Cow::Borrowed(name), Cow::Owned)
}

/// The place behind the closing quote, and whether there are escapes before it.
fn end_of_string(bytes: &[u8], mut at: usize) -> Result<(usize, bool), Flaw> {
    let mut escaped = false;
    loop {
        at = json::next_special(bytes, at, false);
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\\'), Some(b'u')) => match (unit(bytes, at + 2), unit_escape(bytes, at + 6)) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at += 12,
                (Some(0xD800..=0xDFFF), _) => return Err(Flaw::LoneSurrogate),
                _ => at += 2,
            },
            (Some(b'\\'), _) => at += 2,
            _ => return Ok((at + 1, escaped)),
        }
        escaped = true;
    }
}

/// A string of JSON in which U+FFFD takes the place of each half of a surrogate pair.
pub(crate) fn without_lone_surrogates(token: &str) -> String {
    let bytes = token.as_bytes();
    let mut out = String::with_capacity(token.len());
    let (mut kept, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        at += match (byte, unit_escape(bytes, at), unit_escape(bytes, at + 6)) {
            (b'\\', Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (b'\\', Some(0xD800..=0xDFFF), _) => {
                out.push_str(token.get(kept..at).unwrap_or_default());
                out.push_str("\\ufffd");
                kept = at + 6;
                6
            }
            (b'\\', ..) => 2,
            _ => 1,
        };
    }
    out.push_str(token.get(kept..).unwrap_or_default());
    out
}

/// The UTF-16 unit of a whole `\uXXXX` at this place.
fn unit_escape(bytes: &[u8], at: usize) -> Option<u16> {
    if bytes.get(at..at + 2)? == b"\\u" { unit(bytes, at + 2) } else { None }
}

/// The four hexadecimal digits at this place.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |value, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(value << 4 | u16::try_from(digit).ok()?)
    })
}

/// The place behind a number, or `true`, `false` or `null`.
fn end_of_word(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let within = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    at + rest.iter().position(|byte| !within(byte)).unwrap_or(rest.len())
}

fn is_too_large(number: &str) -> bool {
    // 18 digits always fit.
    number.len() > 18
        && !number.contains(['.', 'e', 'E'])
        && number.parse::<i64>().is_err()
        && number.parse::<u64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_twice_wherever_they_are() {
        for (text, place) in [
            (r#"{"a":1,"a":2}"#, "/a"),
            (r#"{"a":1,"b":{"a":1},"\u0061":2}"#, "/a"),
            (r#"{"x":[{}, [{"k/~":"a","k/~":"b"}]]}"#, "/x/1/0/k~1~0"),
            (r#"{"":0,"":0}"#, "/"),
            (r#"{"a\"":0, "b" : {} , "a\"" : 0}"#, "/a\""),
        ] {
            assert_eq!(look(text, false), Err(Flaw::Twice(place.into())), "{text}");
        }
        for text in [r#"{"a":"a","b":"a"}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":{"a":{"a":"a"}}}"#, r#"["a","a"]"#, "{}"] {
            assert!(look(text, true).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_told_of_later_is_known_by_its_whole_names() {
        let later = Bounds { once: true, later: Some(["params", "arguments"]), ..Bounds::NONE };
        for text in [
            r#"{"params":{"arguments":{"a":1,"a":2}}}"#,
            r#"{"x":[{}],"params":{"y":{"z":0},"\u0061rguments":[[{"a":{"b":1,"b":2}}]]}}"#,
            r#"{"params":{"arguments":1,"arguments":2}}"#,
        ] {
            assert_eq!(scan(text, &later).map(|facts| facts.repeats), Ok(true), "{text}");
        }
        for (text, place) in [
            (r#"{"params":{"argumentsXYZ":{"a":1,"a":2}}}"#, "/params/argumentsXYZ/a"),
            (r#"{"params":{"arguments":{},"b":{"a":1,"a":2}}}"#, "/params/b/a"),
            (r#"{"params":[{"arguments":{"a":1,"a":2}}]}"#, "/params/0/arguments/a"),
            (r#"{"x":{"params":{"arguments":{"a":1,"a":2}}}}"#, "/x/params/arguments/a"),
            (r#"{"params":{"arguments":{}},"params":{}}"#, "/params"),
        ] {
            assert_eq!(scan(text, &later), Err(Flaw::Twice(place.into())), "{text}");
        }
    }

    #[test]
    fn members_that_come_twice_below_a_long_name_take_no_longer() {
        let text = format!(
            r#"{{"params":{{"arguments":{{"{}":{{"a":0{}}}}}}}}}"#,
            "n".repeat(700_000),
            ",\"a\":0".repeat(50_000)
        );
        let start = std::time::Instant::now();
        let later = Bounds { once: true, later: Some(["params", "arguments"]), ..Bounds::NONE };
        assert_eq!(scan(&text, &later).map(|facts| facts.repeats), Ok(true));
        // With a pointer made of each it is 35 GB of copying.
        assert!(start.elapsed() < std::time::Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn whole_numbers_have_64_bits() {
        for text in
            ["18446744073709551615", "-9223372036854775808", "0", "-0", "1e400", "1.0", "123456789012345678901.5"]
        {
            assert!(look(text, true).is_ok(), "{text}");
        }
        for text in ["18446744073709551616", "-9223372036854775809", "1000000000000000000000000"] {
            assert_eq!(look(text, true), Err(Flaw::TooLarge(String::new())), "{text}");
            assert!(look(text, false).is_ok());
        }
        let place = |text| look(text, true).unwrap_err();
        assert_eq!(place(r#"{"a":"9","b":[1,20000000000000000000]}"#), Flaw::TooLarge("/b/1".into()));
        // Digits in a string are none.
        assert!(look(r#"{"a":"20000000000000000000"}"#, true).is_ok());
    }

    #[test]
    fn values_and_depth_are_counted() {
        let facts = |text| look(text, false).map(|facts| (facts.depth, facts.values)).unwrap();
        assert_eq!(facts("1"), (0, 1));
        assert_eq!(facts("{}"), (1, 2));
        assert_eq!(facts(r#"{"a":[1,2,{"b":"[[[,,"}],"c":3}"#), (3, 7));
    }

    #[test]
    fn names_are_found_twice_among_many() {
        let many: Vec<String> = (0..100).map(|n| format!("\"m{n}\":{{\"x\":[{n}]}}")).collect();
        let text = format!("{{{}}}", many.join(","));
        assert_eq!(look(&text, true).map(|facts| facts.nodes), Ok(1 + 100 * 5));
        for again in ["m0", "m15", "m16", "m99", "\\u006d50"] {
            let twice = format!("{{{},\"{again}\":0}}", many.join(","));
            assert!(matches!(look(&twice, false), Err(Flaw::Twice(_))), "{again}");
        }
    }

    #[test]
    fn bounds_are_held_to_the_last_one() {
        let with = |text: &str, change: fn(&mut Bounds, usize), bound| {
            let mut bounds = Bounds::NONE;
            change(&mut bounds, bound);
            scan(text, &bounds).map(drop)
        };
        let depth = |text, most| with(text, |bounds, most| bounds.depth = most, most);
        let deep = r#"{"a":[1,{"b":"[[[[{{{{"}]}"#;
        assert_eq!((depth(deep, 3), depth(deep, 2)), (Ok(()), Err(Flaw::TooDeep)));
        assert_eq!(depth(r#"["\"[[[[","\\",[["#, 2), Err(Flaw::TooDeep));
        assert_eq!((depth("[][][]", 1), depth("]]]]]][", 1)), (Ok(()), Ok(())));
        assert_eq!(depth(&"[".repeat(1_000_000), 64), Err(Flaw::TooDeep));
        let nodes = |text, most| with(text, |bounds, most| bounds.nodes = most, most);
        for (text, count) in
            [("1", 1), ("[]", 1), (r#"["a,b",true,null,-1.5e3,{}]"#, 6), (r#" { "a" : [ 1 , { "b" : "x" } ] } "#, 7)]
        {
            assert_eq!((nodes(text, count), nodes(text, count - 1)), (Ok(()), Err(Flaw::TooMany)), "{text}");
        }
        let long = |text, most| with(text, |bounds, most| bounds.string_bytes = most, most);
        for (text, bytes) in [(r#"["","abc"]"#, 3), (r#"{"name":"n"}"#, 4), (r#""\u0041\"""#, 8), ("\"語\"", 3)] {
            assert_eq!((long(text, bytes), long(text, bytes - 1)), (Ok(()), Err(Flaw::TooLong)), "{text}");
        }
        for text in ["", "\"", "\"\\", "\"\\u", "\"\\ud8", "\"\\ud800", "\"abc\\u12", "}{", "{,{,\"", "{\"a\"{"] {
            let _ = look(text, true);
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_found_and_a_whole_one_passes() {
        let check = |text| scan(text, &Bounds::NONE).map(drop);
        assert_eq!(check(r#""\ud83d\ude00 \u00e9 \\ud800""#), Ok(()));
        for bad in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#, r#""\uD83D\uD83D""#] {
            assert_eq!(check(bad), Err(Flaw::LoneSurrogate), "{bad}");
        }
    }

    #[test]
    fn places_are_those_of_the_strings() {
        let text = r#"{"a":["x",{"b/c":"y","d":{"e":[[],"z"]}}],"f":"w"}"#;
        for (string, place) in [("x", "/a/0"), ("y", "/a/1/b~1c"), ("z", "/a/1/d/e/1"), ("w", "/f"), ("d", "/a/1/d")] {
            let at = text.find(&format!("\"{string}\"")).unwrap();
            assert_eq!(place_of(text, at), place);
        }
    }
}

//! Is there anything in this text that a policy does not let pass, and what is the text without it?
//!
//! One look at each byte tells most text that holds nothing of the kind. JSON is looked at as it stands: each of its strings for itself, with its
//! escapes resolved, so that `\u001b` is seen as what it is.

use crate::guard::policy::{TextAction, TextClass, TextPolicy};
use crate::protocol::exact;
use crate::protocol::json;
use crate::protocol::letters::{Kind, kind};
use std::borrow::Cow;
use std::fmt::Write as _;

/// What a policy makes of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may stay as it is.
    Clean,
    /// This takes its place. The number says how many characters or sequences were left out or marked.
    Changed(String, usize),
    /// It is not taken.
    Refused(Refused),
}

/// What was found in a text that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) letter: char,
    pub(crate) class: TextClass,
    /// In which string of JSON text: a JSON Pointer.
    pub(crate) pointer: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.class {
            TextClass::Control => "a control character",
            TextClass::Direction => "a character that turns text around",
            TextClass::Tags => "a tag character, which nobody sees",
            TextClass::Invisible => "an invisible character",
        };
        write!(f, "holds {what}, U+{:04X}", u32::from(self.letter))
    }
}

/// Looks at plain text.
pub(crate) fn plain(text: &str, policy: &TextPolicy) -> Verdict {
    if is_plain(text.as_bytes()) {
        return Verdict::Clean;
    }
    let mut out = None::<String>;
    let (mut kept, mut count) = (0, 0);
    let refused = Finder::new(text).each(policy, |start, end, letter, action| {
        count += 1;
        let out = out.get_or_insert_with(|| String::with_capacity(text.len()));
        out.push_str(text.get(kept..start).unwrap_or_default());
        if action == TextAction::Mark {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(letter));
        }
        kept = end;
    });
    match (refused, out) {
        (Some((letter, class)), _) => Verdict::Refused(Refused { letter, class, pointer: String::new() }),
        (None, None) => Verdict::Clean,
        (None, Some(mut out)) => {
            out.push_str(text.get(kept..).unwrap_or_default());
            Verdict::Changed(out, count)
        }
    }
}

/// Looks at all strings of JSON text, names of members included.
pub(crate) fn json(text: &str, policy: &TextPolicy) -> Verdict {
    let bytes = text.as_bytes();
    if *policy == TextPolicy::all(TextAction::Allow) || is_plain_json(bytes) {
        return Verdict::Clean;
    }
    let mut out = None::<Vec<u8>>;
    let (mut kept, mut count, mut at) = (0, 0, 0);
    while let Some(start) = next_quote(bytes, at) {
        let end = end_of_string(bytes, start + 1);
        at = end;
        let Some(token) = text.get(start..end).filter(|token| !is_plain_json(token.as_bytes())) else { continue };
        match plain(&decoded(token), policy) {
            Verdict::Clean => {}
            Verdict::Changed(clean, more) => {
                count += more;
                let out = out.get_or_insert_with(|| Vec::with_capacity(bytes.len()));
                out.extend_from_slice(bytes.get(kept..start).unwrap_or_default());
                json::write_str(out, &clean);
                kept = end;
            }
            Verdict::Refused(refused) => {
                return Verdict::Refused(Refused { pointer: exact::place_of(text, start), ..refused });
            }
        }
    }
    let Some(mut out) = out else { return Verdict::Clean };
    out.extend_from_slice(bytes.get(kept..).unwrap_or_default());
    // All of it was text, and was cut between characters.
    String::from_utf8(out).map_or(Verdict::Clean, |out| Verdict::Changed(out, count))
}

/// Cleans the JSON text behind a place of a message that is being written. The number of changes, or why it must not be sent.
pub(crate) fn written(out: &mut Vec<u8>, from: usize, policy: &TextPolicy) -> Result<usize, Refused> {
    let tail = out.get(from..).unwrap_or_default();
    if is_plain_json(tail) {
        return Ok(0);
    }
    // What the writers make is UTF-8.
    let Ok(tail) = std::str::from_utf8(tail) else { return Ok(0) };
    match json(tail, policy) {
        Verdict::Clean => Ok(0),
        Verdict::Refused(refused) => Err(refused),
        Verdict::Changed(clean, count) => {
            out.truncate(from);
            out.extend_from_slice(clean.as_bytes());
            Ok(count)
        }
    }
}

/// Whether there is nothing but ASCII without controls. Looks at many bytes at a time.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.chunks(128).all(|chunk| {
        let odd = |byte: u8| byte >= 0x7f || byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0xc);
        !chunk.iter().fold(false, |any, &byte| any | odd(byte))
    })
}

/// The same for JSON text, which has its controls as `\u001b` and `\b`.
fn is_plain_json(bytes: &[u8]) -> bool {
    let escape = |(&first, &second): (&u8, &u8)| (first == b'\\') & ((second == b'u') | (second == b'b'));
    bytes.chunks(4_096).all(|chunk| !chunk.iter().fold(false, |any, &byte| any | (byte >= 0x7f)))
        && !bytes.iter().zip(bytes.iter().skip(1)).fold(false, |any, pair| any | escape(pair))
}

/// The next quote outside of a string.
fn next_quote(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.iter().position(|byte| *byte == b'"').map(|place| at + place)
}

/// The place behind the closing quote.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at = json::next_special(bytes, at, false);
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(_) => return at + 1,
            None => return bytes.len(),
        }
    }
}

/// The text of a string with its quotes.
fn decoded(token: &str) -> Cow<'_, str> {
    let inner = token.strip_prefix('"').and_then(|token| token.strip_suffix('"')).unwrap_or(token);
    match inner.contains('\\') {
        // Half of a surrogate pair is no text, but must not hide what else is written with escapes.
        true => serde_json::from_str(token)
            .or_else(|_| serde_json::from_str(&exact::without_lone_surrogates(token)))
            .map_or(Cow::Borrowed(inner), Cow::Owned),
        false => Cow::Borrowed(inner),
    }
}

/// Finds what does not belong into a text.
struct Finder<'t> {
    text: &'t str,
    /// The last character that stays.
    before: Option<char>,
    /// Isolates that are open, and will be closed.
    open: usize,
}

impl<'t> Finder<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, before: None, open: 0 }
    }

    /// Calls `change` with each piece that does not stay, or gives back what the text is refused for.
    fn each(
        mut self,
        policy: &TextPolicy,
        mut change: impl FnMut(usize, usize, char, TextAction),
    ) -> Option<(char, TextClass)> {
        let mut at = 0;
        while let Some(letter) = self.text.get(at..).and_then(|rest| rest.chars().next()) {
            let behind = at + letter.len_utf8();
            let Some(kind) = kind(letter) else {
                let flag = flag(self.text.get(at..).unwrap_or_default());
                at += flag.unwrap_or(letter.len_utf8());
                self.before = Some(letter);
                continue;
            };
            let found = self.class(at, letter, kind).map(|class| (class, policy.action(class)));
            match found {
                Some((class, TextAction::Reject)) => return Some((letter, class)),
                Some((TextClass::Control, TextAction::Strip)) => {
                    let end = at + sequence(self.text.get(at..).unwrap_or_default());
                    change(at, end, letter, TextAction::Strip);
                    at = end;
                }
                Some((_, TextAction::Strip)) => {
                    change(at, behind, letter, TextAction::Strip);
                    at = behind;
                }
                Some((_, TextAction::Mark)) => {
                    change(at, behind, letter, TextAction::Mark);
                    self.before = Some('}');
                    at = behind;
                }
                Some((_, TextAction::Allow)) | None => {
                    self.before = Some(letter);
                    at = behind;
                }
            }
        }
        None
    }

    /// What is wrong with a character that stands here, if anything is.
    fn class(&mut self, at: usize, letter: char, kind: Kind) -> Option<TextClass> {
        let before = self.before;
        let visible = before.filter(|letter| self::kind(*letter).is_none());
        let is = |what: fn(char) -> bool| visible.is_some_and(what);
        let honest = match kind {
            Kind::Blank | Kind::Separator => {
                self.open = if letter == '\t' { self.open } else { 0 };
                true
            }
            Kind::Control => return Some(TextClass::Control),
            Kind::Tag => return Some(TextClass::Tags),
            Kind::Override => return Some(TextClass::Direction),
            Kind::Isolate => {
                let closed = is_closed(self.text.get(at + letter.len_utf8()..).unwrap_or_default());
                self.open += usize::from(closed);
                return (!closed).then_some(TextClass::Direction);
            }
            Kind::EndOfIsolate => {
                let closes = self.open > 0;
                self.open -= usize::from(closes);
                return (!closes).then_some(TextClass::Direction);
            }
            // One at a time: rows of them are a code.
            Kind::Mark => before.and_then(self::kind) != Some(Kind::Mark),
            // Behind a letter of a script that has joined forms, or an emoji.
            Kind::Joiner => is(|letter| !letter.is_ascii()) || before.and_then(self::kind) == Some(Kind::Selector),
            Kind::Selector => is(|letter| !letter.is_ascii() || letter.is_ascii_digit() || "#*".contains(letter)),
            Kind::FarSelector => is(is_ideograph),
            Kind::Mongolian => is(|letter| matches!(letter, '\u{1800}'..='\u{18af}')),
            Kind::Khmer => is(|letter| matches!(letter, '\u{1780}'..='\u{17ff}')),
            Kind::Break => is(is_written_without_blanks),
            Kind::Hyphen => is(char::is_alphabetic),
            Kind::Grapheme => is(|letter| !letter.is_ascii() || letter.is_ascii_alphabetic()),
            Kind::Jamo => is(|letter| matches!(letter, '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7ff}')),
            Kind::ByteOrderMark => at == 0,
            Kind::Invisible => false,
        };
        (!honest).then_some(TextClass::Invisible)
    }
}

/// Scripts that are written without blanks, so that lines are broken between words by U+200B.
fn is_written_without_blanks(letter: char) -> bool {
    matches!(letter, '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1950}'..='\u{1aaf}' | '\u{1b00}'..='\u{1bff}'
        | '\u{a980}'..='\u{a9ff}' | '\u{aa00}'..='\u{aadf}')
}

fn is_ideograph(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The length of a flag that is made of tags, at the beginning of a text: of those that there are, so that nothing else fits in.
fn flag(text: &str) -> Option<usize> {
    let tags = text.strip_prefix('\u{1f3f4}')?;
    let length = ["gbeng", "gbsct", "gbwls"].iter().find_map(|name| {
        let tag = |letter: char| char::from_u32(0xe0000 + u32::from(letter));
        let whole: String = name.chars().filter_map(tag).chain(['\u{e007f}']).collect();
        tags.starts_with(&whole).then_some(whole.len())
    })?;
    Some('\u{1f3f4}'.len_utf8() + length)
}

/// Whether the isolate that has begun is closed on its line.
///
/// No letter is looked at for more than twice as many isolates as may be within each other: those around it that are closed, and those before it that
/// are not, each of which makes the others deeper.
fn is_closed(rest: &str) -> bool {
    const DEEP: usize = 16;
    let mut depth = 1;
    for letter in rest.chars() {
        match kind(letter) {
            Some(Kind::Isolate) => depth += 1,
            Some(Kind::EndOfIsolate) => depth -= 1,
            // A control sequence might be left out with the end that stands in it.
            Some(Kind::Blank | Kind::Separator | Kind::Control) if letter != '\t' => return false,
            _ => {}
        }
        if depth == 0 {
            return true;
        }
        if depth > DEEP {
            return false;
        }
    }
    false
}

/// The length of a control character and, if it begins a sequence for terminals (ECMA-48), of all of that.
fn sequence(text: &str) -> usize {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return 0 };
    let own = first.len_utf8();
    let rest = letters.as_str();
    let (introducer, rest, used) = match (first, rest.chars().next()) {
        ('\u{1b}', Some(second @ ' '..='~')) => (second, rest.get(1..).unwrap_or_default(), own + 1),
        ('\u{1b}', _) => return own,
        // The same in one character.
        ('\u{80}'..='\u{9f}', _) => (char::from_u32(u32::from(first) - 0x40).unwrap_or(' '), rest, own),
        _ => return own,
    };
    let behind = match introducer {
        '[' => controls(rest),
        ']' | 'P' | 'X' | '^' | '_' => string(rest),
        // Which character set, and the like.
        ' '..='/' if first == '\u{1b}' => {
            let more = rest.bytes().take(8).take_while(|byte| matches!(byte, b' '..=b'/')).count();
            rest.as_bytes().get(more).filter(|byte| matches!(byte, b'0'..=b'~')).map(|_| more + 1)
        }
        _ => Some(0),
    };
    used + behind.unwrap_or(0)
}

/// Parameters, and the letter that ends them. `None` if there is none.
fn controls(rest: &str) -> Option<usize> {
    const LONGEST: usize = 256;
    let bytes = rest.as_bytes();
    let parameters = bytes.iter().take(LONGEST).take_while(|byte| matches!(byte, b' '..=b'?')).count();
    bytes.get(parameters).filter(|byte| matches!(byte, b'@'..=b'~')).map(|_| parameters + 1)
}

/// A string for the terminal with its end. One that has no end is no string: text behind it would be lost.
fn string(rest: &str) -> Option<usize> {
    const LONGEST: usize = 4_096;
    for (at, letter) in rest.char_indices().take(LONGEST) {
        match letter {
            '\u{7}' | '\u{9c}' => return Some(at + letter.len_utf8()),
            '\u{1b}' => return rest.get(at + 1..)?.starts_with('\\').then_some(at + 2),
            letter if letter.is_control() => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [TextAction; 4] = [TextAction::Reject, TextAction::Strip, TextAction::Mark, TextAction::Allow];

    fn strip(text: &str) -> String {
        match plain(text, &TextPolicy::all(TextAction::Strip)) {
            Verdict::Clean => text.to_owned(),
            Verdict::Changed(clean, count) => {
                assert!(count > 0 && clean != text);
                clean
            }
            Verdict::Refused(refused) => panic!("{refused}"),
        }
    }

    #[test]
    fn honest_text_of_real_languages_passes() {
        for text in [
            "The quick brown fox\tjumps\r\nover the lazy dog\u{c}",
            "Grüße aus Köln — „schön“, co\u{ad}öpe\u{ad}ra\u{ad}tiv",
            "می\u{200c}خواهم کتاب\u{200c}ها را بخوانم",
            "هذا نص عربي مع C++\u{200e} و\u{200f}(أقواس)",
            "עברית עם מספר\u{200e} 5-3\u{200f}",
            "क्\u{200d}ष और क्\u{200c}ष, മലയാളം അവന്\u{200d}",
            "ශ්\u{200d}රී ලංකා",
            "ភាសា\u{200b}ខ្មែរ\u{200b}ជា\u{200b}ភាសា",
            "ภาษา\u{200b}ไทย",
            "葛\u{e0100}城市と辻\u{e0101}さん",
            "ᠮᠣᠩᠭᠣᠯ\u{180b} ᠪᠢᠴᠢᠭ\u{180e}ᠠ",
            "👨\u{200d}👩\u{200d}👧\u{200d}👦 ❤\u{fe0f}\u{200d}🔥 👩🏽\u{200d}💻 1\u{fe0f}\u{20e3} ☎\u{fe0e} 🏳\u{fe0f}\u{200d}🌈",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f} 🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            "Hello \u{2068}علي\u{2069}, you have \u{2068}5\u{2069} messages",
            "\u{feff}a file that begins so",
            "ᄀᅠ훈민정음 \u{2028}next line\u{2029}",
            "x\u{a0}y\u{2009}z\u{202f}%",
        ] {
            assert_eq!(plain(text, &TextPolicy::all(TextAction::Reject)), Verdict::Clean, "{}", text.escape_unicode());
        }
    }

    #[test]
    fn what_is_hidden_is_left_out() {
        for (text, clean) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{9b}31mred\u{9b}m", "red"),
            ("a\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\link\u{9d}x\u{9c}", "ablink"),
            ("\u{1b}Pq#0\u{1b}\\sixel\u{1b}(B\u{1b}7\u{1b}c", "sixel"),
            ("\u{1b}]no end", "no end"),
            ("\u{1b}[12", "12"),
            ("\u{1b}\u{1b}[2J\u{8}\0\u{7f}x", "x"),
            ("if (\u{202e}nimda\u{202c})", "if (nimda)"),
            ("a \u{2066}b\nc\u{2069}", "a b\nc"),
            ("/* \u{2066}x \u{2067}y\u{2069} */", "/* x \u{2067}y\u{2069} */"),
            ("hi\u{e0069}\u{e0067}\u{e006e}", "hi"),
            ("🏴\u{e0067}\u{e0062}\u{e007f}", "🏴"),
            ("pass\u{200b}word\u{200d}\u{2060}\u{200c}", "password"),
            ("a\u{fe00}\u{fe01}\u{e0101}b", "ab"),
            ("😀\u{fe0f}\u{e0152}\u{e0153}", "😀\u{fe0f}"),
            ("x\u{feff}y\u{3164}\u{fdd0}\u{10ffff}", "xy"),
            ("\u{200e}\u{200f}\u{200e}", "\u{200e}"),
        ] {
            assert_eq!(strip(text), clean, "{}", text.escape_unicode());
            assert_eq!(strip(clean), clean);
        }
    }

    #[test]
    fn actions_do_what_they_say() {
        let text = "a\u{202e}b\u{1b}[0m\u{e0041}\u{200b}";
        assert_eq!(
            plain(text, &TextPolicy::all(TextAction::Mark)),
            Verdict::Changed("a\\u{202e}b\\u{1b}[0m\\u{e0041}\\u{200b}".into(), 4)
        );
        assert_eq!(plain(text, &TextPolicy::all(TextAction::Allow)), Verdict::Clean);
        let classes = [TextClass::Direction, TextClass::Control, TextClass::Tags, TextClass::Invisible];
        let letters = ['\u{202e}', '\u{1b}', '\u{e0041}', '\u{200b}'];
        for (class, letter) in classes.into_iter().zip(letters) {
            for action in ALL {
                let policy = TextPolicy::all(TextAction::Allow).with(class, action);
                assert_eq!(policy.action(class), action);
                match plain(text, &policy) {
                    Verdict::Refused(refused) => assert_eq!((refused.letter, action), (letter, TextAction::Reject)),
                    Verdict::Changed(out, 1) => assert!(!out.contains(letter)),
                    Verdict::Changed(..) => panic!("one was to be changed"),
                    Verdict::Clean => assert_eq!(action, TextAction::Allow),
                }
            }
        }
        assert_eq!(plain("x\u{200b}", &TextPolicy::incoming()), Verdict::Clean);
        assert!(matches!(plain("x\u{9b}", &TextPolicy::incoming().lenient()), Verdict::Changed(..)));
        assert!(matches!(plain("x\u{9b}", &TextPolicy::outgoing().strict()), Verdict::Refused(_)));
    }

    #[test]
    fn json_is_looked_at_with_its_escapes_resolved() {
        let policy = TextPolicy::all(TextAction::Strip);
        let text = r#"{"a":["\u001b[31mred\u001b[0m","q\"\\u001b"],"\u202eb":{"c":"x\b\n","d":"👨‍👩"},"e":1.50}"#;
        let clean = r#"{"a":["red","q\"\\u001b"],"b":{"c":"x\n","d":"👨‍👩"},"e":1.50}"#;
        assert_eq!(json(text, &policy), Verdict::Changed(clean.into(), 4));
        assert_eq!(json(clean, &policy), Verdict::Clean);
        let refused = |text: &str| match json(text, &TextPolicy::incoming()) {
            Verdict::Refused(refused) => (refused.pointer, refused.letter),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(r#"{"a":[1,{"b/c":"\u001B"}]}"#), ("/a/1/b~1c".into(), '\u{1b}'));
        assert_eq!(refused(r#"{"ok":"","\udb40\udc41":0}"#), ("/\u{e0041}".into(), '\u{e0041}'));
        // The blanks of JSON itself are none of its text.
        assert_eq!(json("{\r\n\t\"a\" : \"\u{e9}\"}", &policy), Verdict::Clean);
    }

    #[test]
    fn half_a_surrogate_pair_hides_nothing() {
        let policy = TextPolicy::all(TextAction::Strip);
        for (text, clean) in [
            (r#"["\ud800\u001b[31mred"]"#, "[\"\u{fffd}red\"]"),
            (r#"["\u001b\udc00\\ud800\ud83d\ude00\ud83d"]"#, "[\"\u{fffd}\\\\ud800\u{1f600}\u{fffd}\"]"),
            (r#"["\ud800\ud800\udc00\u202e"]"#, "[\"\u{fffd}\u{10000}\"]"),
        ] {
            assert_eq!(json(text, &policy), Verdict::Changed(clean.into(), 1), "{text}");
            assert!(matches!(json(text, &TextPolicy::all(TextAction::Reject)), Verdict::Refused(_)), "{text}");
        }
        assert_eq!(json(r#""\ud800""#, &policy), Verdict::Clean);
    }

    #[test]
    fn what_is_written_is_cleaned_behind_its_beginning() {
        let mut out = "{\"id\":\"\u{202e}\",\"result\":".as_bytes().to_vec();
        let from = out.len();
        out.extend_from_slice("{\"text\":\"a\u{202e}b\"}}".as_bytes());
        assert_eq!(written(&mut out, from, &TextPolicy::outgoing()), Ok(1));
        assert_eq!(String::from_utf8(out).unwrap(), "{\"id\":\"\u{202e}\",\"result\":{\"text\":\"ab\"}}");
    }

    #[test]
    fn long_text_takes_no_longer_by_what_it_is() {
        let policy = TextPolicy::all(TextAction::Strip);
        let start = std::time::Instant::now();
        for piece in [
            "a",
            "\u{2066}",
            "\u{1b}]x",
            "\u{1b}[1",
            "\u{2066}x\u{2069}",
            "\u{9d}",
            "\u{e0041}",
            "語",
            "\u{1b}P\u{2066}",
        ] {
            // What is quadratic takes minutes.
            let text = piece.repeat((1 << 16) / piece.len());
            assert!(strip(&text).len() <= text.len());
            let _ = json(&serde_json::to_string(&text).unwrap(), &policy);
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

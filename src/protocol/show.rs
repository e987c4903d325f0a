//! How is a peer's text shown to a person, in a log or an error message, without doing harm?
//!
//! Control characters move cursors and forge log lines, direction marks reorder what is read, endless text fills
//! disks. Here all of them are escaped and the rest is cut.

use crate::protocol::letters::is_harmful;
use std::fmt::{self, Write as _};

/// Most characters of a peer's text that an error message repeats.
pub(crate) const MESSAGE_CHARS: usize = 128;

/// Text of a peer, made safe to display: escaped, and cut after a number of characters.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    text: &'a str,
    max_chars: usize,
}

/// `text` cut to `max_chars` characters of the original, with everything escaped that is not plainly visible.
pub(crate) fn shown(text: &str, max_chars: usize) -> Shown<'_> {
    Shown { text, max_chars }
}

/// At most `max_chars` characters of `text`, unescaped: for values that are kept, not displayed.
pub(crate) fn cut(text: &str, max_chars: usize) -> &str {
    text.char_indices().nth(max_chars).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.text.chars();
        for c in chars.by_ref().take(self.max_chars) {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if is_harmful(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        if chars.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_escaped() {
        assert_eq!(shown("plain é 語 🙂", 64).to_string(), "plain é 語 🙂");
        assert_eq!(shown("a\nb\r\t\u{1b}[31m", 64).to_string(), "a\\nb\\r\\t\\u{1b}[31m");
        assert_eq!(shown("\u{202e}evil\u{2028}\u{feff}", 64).to_string(), "\\u{202e}evil\\u{2028}\\u{feff}");
        assert_eq!(shown("\"q\"\\", 64).to_string(), "\\\"q\\\"\\\\");
        assert_eq!(shown("\u{85}\u{7f}", 64).to_string(), "\\u{85}\\u{7f}");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shown("語語語", 3).to_string(), "語語語");
        assert_eq!(shown("語語語語", 3).to_string(), "語語語…");
        assert_eq!(shown("", 0).to_string(), "");
        assert_eq!(cut("語語語語", 3), "語語語");
        assert_eq!(cut("ab", 3), "ab");
    }
}

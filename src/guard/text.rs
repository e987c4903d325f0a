//! How is a peer's text shown without doing harm?
//!
//! Loggers write their arguments raw (simplelog does), terminals obey escape sequences, and
//! people believe what they see. So whatever a peer chose passes through [`Escaped`] on its
//! way into a log line or an error text.

use crate::guard::redact::{REDACTED, secrets};
use crate::protocol::id::RequestId;
use crate::protocol::letters::is_harmful;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};

/// How much of a peer's text a log line or an error shows unless said otherwise.
pub(crate) const SHOWN: usize = 120;

/// Shows peer-supplied text as one line of printable characters.
///
/// Escaped are: control characters (so newlines and ESC), everything invisible or that
/// changes the order of its neighbors (Unicode `Default_Ignorable_Code_Point`, bidi
/// controls, line and paragraph separators, tags), the backslash (so that an escape cannot be
/// forged), and bytes that are not UTF-8 (as `\xNN`).
///
/// Secrets are replaced by [`REDACTED`] before anything is formatted.
///
/// At most `limit` characters come out, then `…(+K bytes)` for what was left. It never looks at
/// more than the first `4 * limit` bytes, so a megabyte costs no more than a line; but for [`distinct`](Self::distinct) names, which are bounded elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Escaped<'a> {
    bytes: &'a [u8],
    limit: usize,
    redacts: bool,
    distinct: bool,
}

impl<'a> Escaped<'a> {
    /// Shows `text`, a `&str` or `&[u8]`, with at most `limit` characters.
    #[must_use]
    pub(crate) fn new<T: AsRef<[u8]> + ?Sized>(text: &'a T, limit: usize) -> Self {
        Self { bytes: text.as_ref(), limit, redacts: true, distinct: false }
    }

    /// Shows secrets, too: for answers to whoever has sent the text, never for a log.
    #[must_use]
    pub(crate) fn in_full(mut self) -> Self {
        self.redacts = false;
        self
    }

    /// Says of a text that is cut what it is as a whole, so that no two names look alike: with the beginning of its SHA-256.
    #[must_use]
    pub(crate) fn distinct(mut self) -> Self {
        self.distinct = true;
        self
    }

    /// Shows `text` with at most [`SHOWN`] characters.
    #[must_use]
    pub(crate) fn short<T: AsRef<[u8]> + ?Sized>(text: &'a T) -> Self {
        Self::new(text, SHOWN)
    }
}

/// A request's id as it stands in a log: a peer can write anything into one.
pub(crate) fn logged_id(id: &RequestId) -> String {
    /// As many letters of it as an error message repeats.
    const LETTERS: usize = 64;
    id.as_str().map_or_else(|| id.to_string(), |text| format!("\"{}\"", Escaped::new(text, LETTERS)))
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each character shown takes at most four bytes of input, so the cut is always inside
        // this prefix; checking the UTF-8 of a whole megabyte is what must not happen.
        let prefix = self.bytes.get(..self.limit.saturating_mul(4)).unwrap_or(self.bytes);
        let mut room = self.limit;
        let mut shown: usize = 0;
        let mut emit = |width: usize, bytes: usize, piece: Piece| -> Result<bool, fmt::Error> {
            let Some(rest) = room.checked_sub(width) else {
                return Ok(false);
            };
            room = rest;
            shown = shown.saturating_add(bytes);
            piece.write(f)?;
            Ok(true)
        };
        let mut whole = true;
        let secrets = if self.redacts { secrets(prefix) } else { Vec::new() };
        let mut secrets = secrets.into_iter().peekable();
        let (mut at, mut redacted) = (0, 0);
        'text: for chunk in prefix.utf8_chunks() {
            let letters = chunk.valid().chars().map(|letter| (Piece::of(letter), letter.len_utf8()));
            for (piece, bytes) in letters.chain(chunk.invalid().iter().map(|&byte| (Piece::Byte(byte), 1))) {
                let here = at;
                at += bytes;
                if let Some(secret) = secrets.next_if(|secret| secret.start <= here) {
                    redacted = secret.end;
                    whole = emit(Piece::Redacted.width(), redacted - here, Piece::Redacted)?;
                } else if here >= redacted {
                    whole = emit(piece.width(), bytes, piece)?;
                }
                if !whole {
                    break 'text;
                }
            }
        }
        let left = self.bytes.len().saturating_sub(shown);
        if !whole || left > 0 {
            write!(f, "…(+{left} bytes")?;
            if self.distinct {
                let digest = Sha256::digest(self.bytes);
                write!(f, ", sha256 {}", HEXLOWER.encode(digest.get(..16).unwrap_or_default()))?;
            }
            f.write_char(')')?;
        }
        Ok(())
    }
}

impl fmt::Debug for Escaped<'_> {
    /// The same as `Display`, in quotes: `{:?}` by mistake must not print the raw bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// How one character of the input is shown.
#[derive(Clone, Copy)]
enum Piece {
    Plain(char),
    Short(char),
    Code(char),
    Byte(u8),
    Redacted,
}

impl Piece {
    fn of(letter: char) -> Self {
        match letter {
            '\\' => Self::Short('\\'),
            '\n' => Self::Short('n'),
            '\r' => Self::Short('r'),
            '\t' => Self::Short('t'),
            letter if is_harmful(letter) => Self::Code(letter),
            letter => Self::Plain(letter),
        }
    }

    fn width(self) -> usize {
        match self {
            Self::Plain(_) => 1,
            Self::Short(_) => 2,
            // `\u{…}` around one to six hexadecimal digits.
            Self::Code(letter) => match u32::from(letter) {
                0..=0xf => 5,
                0x10..=0xff => 6,
                0x100..=0xfff => 7,
                0x1000..=0xffff => 8,
                0x1_0000..=0xf_ffff => 9,
                _ => 10,
            },
            Self::Byte(_) => 4,
            Self::Redacted => REDACTED.len(),
        }
    }

    fn write(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(letter) => f.write_char(letter),
            Self::Short(letter) => write!(f, "\\{letter}"),
            Self::Code(letter) => write!(f, "\\u{{{:x}}}", u32::from(letter)),
            Self::Byte(byte) => write!(f, "\\x{byte:02x}"),
            Self::Redacted => f.write_str(REDACTED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn shown(text: &str) -> String {
        Escaped::new(text, 1000).to_string()
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        for text in ["", "hello world", "Grüße, 世界 🙂", "a\"b'c", "{}%s"] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn lines_controls_and_terminal_sequences_are_escaped() {
        assert_eq!(shown("a\nb\r\n\tc\\n"), "a\\nb\\r\\n\\tc\\\\n");
        assert_eq!(shown("\u{1b}[31mred\u{1b}[0m"), "\\u{1b}[31mred\\u{1b}[0m");
        assert_eq!(shown("\0\u{7}\u{7f}\u{9b}2J\u{85}"), "\\u{0}\\u{7}\\u{7f}\\u{9b}2J\\u{85}");
    }

    #[test]
    fn what_cannot_be_seen_is_shown_as_a_code() {
        let ranges = [
            0x80..=0x9f_u32,
            0xad..=0xad,
            0x61c..=0x61c,
            0x200b..=0x200f,
            0x2028..=0x202e,
            0x2060..=0x2069,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xe0000..=0xe007f,
            0xe0100..=0xe01ef,
            0x3164..=0x3164,
        ];
        for code in ranges.into_iter().flatten() {
            let letter = char::from_u32(code).unwrap();
            assert_eq!(shown(&letter.to_string()), format!("\\u{{{code:x}}}"));
        }
    }

    #[test]
    fn widths_are_those_of_what_is_written() {
        for code in (0..=0x10_ffff).filter_map(char::from_u32) {
            let piece = Piece::of(code);
            if !matches!(piece, Piece::Plain(_)) {
                let text = shown(&code.to_string());
                assert_eq!(text.chars().count(), piece.width(), "{text}");
                assert!(text.is_ascii());
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_one_by_one() {
        let bytes: &[u8] = b"ab\xff\xc3(\xe2\x82";
        assert_eq!(Escaped::new(bytes, 100).to_string(), "ab\\xff\\xc3(\\xe2\\x82");
        assert_eq!(format!("{:?}", Escaped::new("a\nb", 9)), "\"a\\nb\"");
    }

    #[test]
    fn the_cut_says_how_much_is_missing() {
        assert_eq!(Escaped::new("abcdef", 6).to_string(), "abcdef");
        assert_eq!(Escaped::new("abcdef", 4).to_string(), "abcd…(+2 bytes)");
        assert_eq!(Escaped::new("世界世界", 2).to_string(), "世界…(+6 bytes)");
        assert_eq!(Escaped::new("🙂🙂", 1).to_string(), "🙂…(+4 bytes)");
        assert_eq!(Escaped::new("abc\u{1b}", 5).to_string(), "abc…(+1 bytes)");
        assert_eq!(Escaped::new("x", 0).to_string(), "…(+1 bytes)");
        assert_eq!(Escaped::new("", 0).to_string(), "");
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("user=bob password=hunter2\n"), "user=bob password=[redacted]\\n");
        assert_eq!(Escaped::new("password=hunter2", 100).in_full().to_string(), "password=hunter2");
        // Not a part of one either, where the text is cut.
        for limit in 0..60 {
            let text = Escaped::new("Authorization: Bearer gG4zQ9right-token-Kk3 and more", limit).to_string();
            assert!(!text.contains("gG4"), "{text}");
        }
        assert_eq!(Escaped::new("é password=\u{202e}x é", 100).to_string(), "é password=[redacted] é");
    }

    #[test]
    fn a_megabyte_costs_no_more_than_a_line() {
        let inputs = [vec![b'a'; 1 << 20], vec![0xff; 1 << 20], "\u{e0001}".repeat(1 << 18).into_bytes()];
        let start = Instant::now();
        for input in &inputs {
            for _ in 0..300 {
                let text = Escaped::short(input).to_string();
                assert!(text.chars().count() <= SHOWN + "…(+1048576 bytes)".chars().count());
            }
        }
        // 900 times one megabyte: seconds if it were read whole, milliseconds otherwise.
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

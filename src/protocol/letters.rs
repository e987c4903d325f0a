//! Which characters act on a terminal, turn text around, or cannot be seen?
//!
//! The one table of them. What is made of it is up to those who ask: a log shows all of them as codes, a
//! [`TextPolicy`](crate::TextPolicy) lets those pass that honest text needs where they stand.
//!
//! Sources: C0 and C1 controls; Unicode `DerivedCoreProperties`, `Default_Ignorable_Code_Point`; UAX #9 for the bidi
//! controls; U+2028/9 as line ends; the noncharacters.

/// A kind of characters that are not plainly visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A control character that is none of [`Kind::Blank`].
    Control,
    /// Tabulator, line feed, carriage return, form feed.
    Blank,
    /// Ends a line or a paragraph.
    Separator,
    /// Embeds or overrides a direction, or ends that.
    Override,
    /// Begins an isolate.
    Isolate,
    /// Ends one.
    EndOfIsolate,
    /// Says a direction, and turns nothing around.
    Mark,
    /// Joins letters, or keeps them apart: U+200C and U+200D.
    Joiner,
    /// Chooses between the forms of a character: U+FE00 to U+FE0F.
    Selector,
    /// The same for ideographs: U+E0100 to U+E01EF.
    FarSelector,
    /// The same for Mongolian letters.
    Mongolian,
    /// A place where a line may be broken: U+200B.
    Break,
    /// A hyphen that is seen at the end of a line only.
    Hyphen,
    /// Keeps combining characters in their order: U+034F.
    Grapheme,
    /// A place where a Hangul letter is missing.
    Jamo,
    /// A vowel that is not written (Khmer).
    Khmer,
    /// U+FEFF.
    ByteOrderMark,
    /// U+E0000 to U+E007F: ASCII that nobody sees.
    Tag,
    /// Anything else that is not seen, and what is no character.
    Invisible,
}

/// What kind of character this is; `None` for all that is plainly visible, and for blanks between words.
#[inline]
pub(crate) const fn kind(letter: char) -> Option<Kind> {
    Some(match letter {
        ' '..='~' => return None,
        '\t' | '\n' | '\r' | '\u{c}' => Kind::Blank,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Kind::Control,
        '\u{ad}' => Kind::Hyphen,
        // The most common letters beyond ASCII, so that text of those takes no longer.
        '\u{a0}'..='\u{34e}' => return None,
        '\u{34f}' => Kind::Grapheme,
        '\u{61c}' | '\u{200e}' | '\u{200f}' => Kind::Mark,
        '\u{115f}' | '\u{1160}' => Kind::Jamo,
        '\u{17b4}' | '\u{17b5}' => Kind::Khmer,
        '\u{180b}'..='\u{180f}' => Kind::Mongolian,
        '\u{200b}' => Kind::Break,
        '\u{200c}' | '\u{200d}' => Kind::Joiner,
        '\u{2028}' | '\u{2029}' => Kind::Separator,
        '\u{202a}'..='\u{202e}' => Kind::Override,
        '\u{2066}'..='\u{2068}' => Kind::Isolate,
        '\u{2069}' => Kind::EndOfIsolate,
        '\u{fe00}'..='\u{fe0f}' => Kind::Selector,
        '\u{feff}' => Kind::ByteOrderMark,
        '\u{e0000}'..='\u{e007f}' => Kind::Tag,
        '\u{e0100}'..='\u{e01ef}' => Kind::FarSelector,
        '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' // word joiner, operators without ink, deprecated controls
        | '\u{3164}' | '\u{ffa0}' // Hangul fillers: letters without ink
        | '\u{fdd0}'..='\u{fdef}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' // annotations, no characters
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0080}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}' => Kind::Invisible,
        // The last two of each plane are no characters.
        _ if letter as u32 & 0xfffe == 0xfffe => Kind::Invisible,
        _ => return None,
    })
}

/// Whether showing it as it is could hide or reorder text, begin a line, or reach the terminal.
pub(crate) const fn is_harmful(letter: char) -> bool {
    kind(letter).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_all_scripts_are_plain() {
        for text in [
            "Straße café Łódź",
            "Привет",
            "γειά",
            "مرحبا",
            "שלום",
            "你好世界",
            "こんにちは",
            "한국어",
            "हिन्दी",
            "ไทย",
            "🙂👍🏽",
        ] {
            assert_eq!(text.chars().find(|letter| kind(*letter).is_some()), None, "{text}");
        }
        assert_eq!(kind('\u{a0}'), None);
        assert_eq!(kind('\u{fffd}'), None);
    }

    #[test]
    fn every_control_and_default_ignorable_is_known() {
        for code in [0..=0x1f_u32, 0x7f..=0x9f, 0x200b..=0x200f, 0x2028..=0x202e, 0x2060..=0x206f, 0xfe00..=0xfe0f]
            .into_iter()
            .chain([0xe0000..=0xe0fff, 0xfff0..=0xfff8, 0x1fffe..=0x1ffff, 0x10fffe..=0x10ffff])
            .flatten()
        {
            assert!(is_harmful(char::from_u32(code).unwrap()), "{code:x}");
        }
    }
}

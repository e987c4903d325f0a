//! What do DER bytes say? A strict reader for the little of X.509 that is looked at here.
//!
//! It walks, never recurses, allocates nothing, and takes one spelling only (X.690, 10): definite lengths in as few bytes as they
//! need, tags of one byte.

/// The largest number of bytes that a length may take: with three, an object may have 16 MiB.
const LENGTH_BYTES: usize = 3;

pub(super) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
#[cfg(feature = "jwt")]
pub(crate) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const IA5_STRING: u8 = 0x16;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The primitive object of that number in its context.
pub(super) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// The constructed object of that number in its context.
pub(super) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// Objects, one behind the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next object: its tag and its content. `None` if there is none, or none that is written well.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        // Tags of several bytes: nothing that is looked at has one.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..0x80 => (usize::from(first), rest),
            _ => {
                let count = usize::from(first & 0x7f);
                // 0x80 is the indefinite length, which is not DER.
                if !(1..=LENGTH_BYTES).contains(&count) {
                    return None;
                }
                let (bytes, rest) = rest.split_at_checked(count)?;
                let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                let shortest = bytes.first().is_some_and(|byte| *byte != 0) && length >= 0x80;
                (shortest.then_some(length)?, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next object, which has to have this tag.
    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// What is inside the next object, which has to have this tag.
    pub(crate) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }

    /// The next object if it has this tag; otherwise it stays.
    pub(super) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let content = ahead.take(tag)?;
        *self = ahead;
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_one_behind_the_other() {
        let mut long = vec![OCTET_STRING, 0x81, 0x80];
        long.extend([7; 0x80]);
        let bytes = [&[INTEGER, 1, 5, SEQUENCE, 3, BOOLEAN, 1, 0xff][..], &long].concat();
        let mut der = Der::new(&bytes);
        assert_eq!(der.optional(SET), None);
        assert_eq!(der.take(INTEGER), Some(&[5][..]));
        let mut inner = der.enter(SEQUENCE).unwrap();
        assert_eq!(inner.next(), Some((BOOLEAN, &[0xff][..])));
        assert!(inner.is_empty() && inner.next().is_none());
        assert_eq!(der.take(OCTET_STRING).map(<[u8]>::len), Some(0x80));
        assert!(der.is_empty());
    }

    #[test]
    fn what_has_another_spelling_or_an_end_too_soon_is_nothing() {
        for bytes in [
            &[][..],
            &[SEQUENCE],
            &[SEQUENCE, 1],
            &[SEQUENCE, 0x80, 0, 0],
            &[SEQUENCE, 0x81],
            &[SEQUENCE, 0x81, 1, 0],
            &[SEQUENCE, 0x82, 0, 0x80],
            &[SEQUENCE, 0x84, 0, 0, 0, 1, 0],
            &[SEQUENCE, 0xff, 0xff],
            &[0x1f, 1, 0],
            &[0xbf, 0x81, 0x01, 0],
        ] {
            assert_eq!(Der::new(bytes).next(), None, "{bytes:?}");
        }
    }
}

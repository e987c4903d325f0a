//! Which revisions of the protocol are there, and which one does a handshake get?

use std::fmt;

use serde::{Serialize, Serializer};

/// A published revision of the Model Context Protocol. Older revisions compare as less. There will be more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Revision {
    /// The first public revision.
    R2024_11_05,
    /// Adds batches, audio, tool annotations and the `completions` capability.
    R2025_03_26,
    /// Adds structured tool output, resource links, elicitation; removes batches.
    R2025_06_18,
    /// Adds icons, URL elicitation and experimental tasks.
    R2025_11_25,
    /// The stateless protocol: no handshake, each request says its own version and capabilities.
    R2026_07_28,
}

/// The two ways of opening a conversation (2026-07-28, basic/versioning).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Era {
    /// A session opened by an `initialize` handshake: 2024-11-05 to 2025-11-25.
    Legacy,
    /// No handshake; every request carries its version and capabilities: 2026-07-28 and later.
    Modern,
}

impl Revision {
    const SERVED: [Self; 5] =
        [Self::R2026_07_28, Self::R2025_11_25, Self::R2025_06_18, Self::R2025_03_26, Self::R2024_11_05];

    /// Every revision served, newest first.
    pub const ALL: &'static [Self] = &Self::SERVED;

    /// How many there are: the length of what has a place for each.
    pub(crate) const COUNT: usize = Self::SERVED.len();

    /// The newest revision that a handshake may end with.
    pub const LATEST_LEGACY: Self = Self::R2025_11_25;

    /// The revision of exactly this name, if it is one that is served.
    pub fn parse(text: &str) -> Option<Self> {
        Self::SERVED.into_iter().find(|revision| revision.as_str() == text)
    }

    /// The name on the wire, such as `2025-11-25`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::R2024_11_05 => "2024-11-05",
            Self::R2025_03_26 => "2025-03-26",
            Self::R2025_06_18 => "2025-06-18",
            Self::R2025_11_25 => "2025-11-25",
            Self::R2026_07_28 => "2026-07-28",
        }
    }

    /// Its place in what has [`COUNT`](Self::COUNT) of them.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The era this revision belongs to.
    pub const fn era(self) -> Era {
        match self {
            Self::R2024_11_05 | Self::R2025_03_26 | Self::R2025_06_18 | Self::R2025_11_25 => Era::Legacy,
            Self::R2026_07_28 => Era::Modern,
        }
    }

    /// Whether this is a revision of the stateless era.
    pub const fn is_modern(self) -> bool {
        matches!(self.era(), Era::Modern)
    }

    /// Whether a JSON array of messages is legal (2025-03-26, basic/index: "MUST support receiving"; removed after it).
    pub const fn has_batches(self) -> bool {
        matches!(self, Self::R2025_03_26)
    }

    /// Whether a server may close a stream before the answer and have the client come back for it (2025-11-25, basic/transports).
    pub(crate) const fn has_polling(self) -> bool {
        matches!(self, Self::R2025_11_25)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The names of every revision served, newest first: what `supportedVersions` and `data.supported` list.
pub(crate) fn supported_versions() -> [&'static str; Revision::COUNT] {
    Revision::SERVED.map(Revision::as_str)
}

/// The revision that answers an `initialize` asking for `requested`.
///
/// 2025-11-25, basic/lifecycle: "If the server supports the requested protocol version, it MUST respond with the same
/// version. Otherwise, the server MUST respond with another protocol version it supports." A modern revision is
/// never the outcome of a handshake.
pub(crate) fn negotiate(requested: &str) -> Revision {
    match Revision::parse(requested) {
        Some(revision) if !revision.is_modern() => revision,
        _ => Revision::LATEST_LEGACY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_comes_first_and_names_round_trip() {
        assert!(Revision::ALL.windows(2).all(|pair| pair[0] > pair[1]));
        for &revision in Revision::ALL {
            assert_eq!(Revision::parse(revision.as_str()), Some(revision));
            assert!(revision.index() < Revision::COUNT);
            assert_eq!(revision.to_string(), revision.as_str());
            assert_eq!(serde_json::to_string(&revision).unwrap(), format!("\"{revision}\""));
        }
        assert_eq!(supported_versions().map(|name| Revision::parse(name).unwrap()), Revision::ALL);
        assert_eq!(Revision::ALL.iter().find(|r| !r.is_modern()), Some(&Revision::LATEST_LEGACY));
        for wrong in ["", " 2025-11-25", "2025-11-25 ", "2025-11-24", "DRAFT-2026-v1", "2026-07-28\0"] {
            assert_eq!(Revision::parse(wrong), None);
        }
    }

    #[test]
    fn a_handshake_gives_the_same_legacy_version_or_the_latest_one() {
        for &revision in Revision::ALL {
            let expected = if revision.era() == Era::Legacy { revision } else { Revision::LATEST_LEGACY };
            assert_eq!(negotiate(revision.as_str()), expected);
        }
        for unknown in ["", "1.0", "2099-01-01", "2024-10-07"] {
            assert_eq!(negotiate(unknown), Revision::LATEST_LEGACY);
        }
    }
}

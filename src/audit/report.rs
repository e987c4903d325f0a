//! What is said of a log that was verified: what is wrong, where, and what is worth to know.

use std::fmt;

/// Most findings that are listed.
const MOST: usize = 1_000;

/// What has come of a look at a log.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// Lines that are sound.
    pub lines: u64,
    /// Runs that begin in the files.
    pub runs: u64,
    /// The number of the first sound line: above 1, older files are not here.
    pub first: u64,
    /// The number of the last sound line.
    pub last: u64,
    /// The `mac` of that line.
    pub head: String,
    /// What is wrong, at most 1,000 of it.
    pub findings: Vec<Finding>,
    /// How much is wrong beyond those.
    pub more: u64,
    /// What is as it was written, and worth to know: events that were lost, runs that ended without a word. A crash looks like that, and so does an end
    /// that was cut off while no server was running. At most 1,000.
    pub notes: Vec<Finding>,
}

impl Report {
    /// Nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn find(&mut self, finding: Finding) {
        if self.findings.len() < MOST {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn note(&mut self, note: Finding) {
        if self.notes.len() < MOST {
            self.notes.push(note);
        }
    }
}

/// Something that is wrong with a log, or worth to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the log as a whole.
    pub line: u64,
    /// What it is.
    pub kind: FindingKind,
    /// In words.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.kind, self.detail),
            line => write!(f, "{}:{line}: {}: {}", self.file, self.kind, self.detail),
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// A line is not what was written.
    Changed,
    /// Lines are not there.
    Missing,
    /// A line is not in its place.
    Reordered,
    /// A line does not belong where it is, such as one that is there already.
    Inserted,
    /// The end is not there, or all that was before a new beginning.
    Cut,
    /// A line is not complete. As a note: and the line behind it says so.
    Torn,
    /// Lines that cannot be judged: with this key, or without what was before them.
    Unknown,
    /// A note: a run ended without a word.
    Unfinished,
    /// A note: events were lost, as they could not be written.
    Lost,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Reordered => "reordered",
            Self::Inserted => "inserted",
            Self::Cut => "cut",
            Self::Torn => "torn",
            Self::Unknown => "unknown",
            Self::Unfinished => "unfinished",
            Self::Lost => "lost",
        })
    }
}

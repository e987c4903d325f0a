//! What has become of the lines that do not fit? Judged by the numbers they bear, between two lines that do.

use super::chain::Mac;
use super::report::{Finding, FindingKind, Report};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

/// So far ahead of the last line that fits is a number believed.
pub(super) const MOST_AHEAD: u64 = 1 << 16;
/// So many lines are kept that stand ahead of their place.
const MOST_EARLY: usize = 1_024;

/// Where a line stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: Arc<str>,
    pub(super) line: u64,
}

impl Place {
    pub(super) fn finding(&self, kind: FindingKind, detail: impl Into<String>) -> Finding {
        Finding { file: self.file.to_string(), line: self.line, kind, detail: detail.into() }
    }
}

/// A line that does not fit.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) place: Place,
    /// Its length, without the line break.
    pub(super) bytes: u64,
    /// It has its line break.
    pub(super) whole: bool,
    /// The number it bears, if it has the shape of a line.
    pub(super) seq: Option<u64>,
    /// What a line behind it may have taken for the MAC of this one: the one that stands in it, and those it should have.
    pub(super) macs: Vec<Mac>,
    /// The line before it fits, so that it is known not to.
    pub(super) judged: bool,
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) report: Report,
    /// Numbers whose lines are not there: from, to (included), and where they would be.
    gaps: BTreeMap<u64, (u64, Place)>,
    /// Lines that stand ahead of their place, which may still come.
    early: Vec<Suspect>,
    /// Findings, and what may become some.
    noticed: u64,
}

impl Ledger {
    pub(super) fn find(&mut self, place: &Place, kind: FindingKind, detail: impl Into<String>) {
        self.noticed += 1;
        self.report.find(place.finding(kind, detail));
    }

    fn find_suspect(&mut self, suspect: &Suspect, kind: FindingKind, detail: &str) {
        match suspect.whole {
            true => self.find(&suspect.place, kind, detail),
            false => self.find(
                &suspect.place,
                FindingKind::Torn,
                "it is not complete: it is being written, or its end is cut off",
            ),
        }
    }

    /// No line stands ahead of its place.
    pub(super) fn is_settled(&self) -> bool {
        self.early.is_empty()
    }

    /// What a line with that number may have taken for the MAC of the line before it.
    pub(super) fn macs_before(&self, seq: u64) -> impl Iterator<Item = &Mac> {
        self.early.iter().filter(move |suspect| suspect.seq == seq.checked_sub(1)).flat_map(|suspect| &suspect.macs)
    }

    /// Says what the suspects are. `missing` are the numbers between the last line that fits and the next one, which stands `here`; without an end, there
    /// is no next one. `link` is the suspect which that one follows.
    pub(super) fn judge(
        &mut self,
        suspects: Vec<Suspect>,
        missing: Range<u64>,
        is_end: bool,
        link: Option<usize>,
        here: &Place,
    ) {
        let before = self.noticed;
        let first = suspects.first().map(|suspect| suspect.place.clone());
        let elsewhere = self.judge_early(&missing, is_end);
        let inside =
            |seq: u64| seq >= missing.start && (is_end || seq < missing.end) && seq - missing.start <= MOST_AHEAD;
        let mut next = missing.start;
        let mut stray = VecDeque::new();
        let mut unknown: Option<(Place, u64)> = None;
        for (index, suspect) in suspects.into_iter().enumerate() {
            let linked = link == Some(index);
            // The line behind it says which number it had.
            let seq = if linked { Some(missing.end.saturating_sub(1)) } else { suspect.seq };
            match seq {
                Some(seq) if seq >= next && inside(seq) && !elsewhere.contains(&seq) => {
                    let behind_gap = self.absent(next..seq, &elsewhere, &mut stray, &suspect.place);
                    next = seq + 1;
                    if suspect.judged || suspect.seq != Some(seq) || (linked && !behind_gap && index > 0) {
                        self.find_suspect(&suspect, FindingKind::Changed, CHANGED);
                    } else if !behind_gap {
                        unknown.get_or_insert_with(|| (suspect.place.clone(), 0)).1 += 1;
                        continue;
                    }
                }
                Some(seq) if self.fill(seq) => {
                    self.find_suspect(&suspect, FindingKind::Reordered, &moved(seq));
                }
                Some(seq) if !is_end && seq > missing.end && self.early.len() < MOST_EARLY => {
                    self.noticed += 1;
                    self.early.push(suspect);
                }
                _ => stray.push_back(suspect),
            }
            self.unknown(unknown.take());
        }
        self.unknown(unknown);
        if !is_end {
            self.absent(next..missing.end, &elsewhere, &mut stray, here);
        }
        for suspect in stray {
            // Where nothing follows, it may have been the last line.
            let kind = if is_end && suspect.seq.is_none() { FindingKind::Changed } else { FindingKind::Inserted };
            self.find_suspect(&suspect, kind, INSERTED);
        }
        if let Some(first) = first.filter(|_| self.noticed == before) {
            // Whatever it was, it did not fit.
            self.find(&first, FindingKind::Changed, CHANGED);
        }
    }

    /// Lines that stood ahead of these numbers. Returns those that are found thereby.
    fn judge_early(&mut self, missing: &Range<u64>, is_end: bool) -> BTreeSet<u64> {
        let mut elsewhere = BTreeSet::new();
        for suspect in take(&mut self.early) {
            let next = missing.start + elsewhere.len() as u64;
            let found = suspect.seq.filter(|seq| missing.contains(seq) || (is_end && *seq == next));
            if let Some(seq) = found
                && elsewhere.insert(seq)
            {
                self.find_suspect(&suspect, FindingKind::Reordered, &moved(seq));
                continue;
            }
            if !is_end && suspect.seq.is_some_and(|seq| seq > missing.end) {
                self.early.push(suspect);
                continue;
            }
            self.find_suspect(&suspect, FindingKind::Inserted, INSERTED);
        }
        elsewhere
    }

    /// The lines of these numbers are not there, apart from those that stand elsewhere; strays may be what is left of some. Returns whether any
    /// is missing.
    fn absent(
        &mut self,
        range: Range<u64>,
        elsewhere: &BTreeSet<u64>,
        stray: &mut VecDeque<Suspect>,
        place: &Place,
    ) -> bool {
        if range.is_empty() {
            return false;
        }
        let mut from = range.start;
        let mut any = false;
        for end in elsewhere.range(range.clone()).copied().chain([range.end]) {
            while from < end
                && let Some(suspect) = stray.pop_front()
            {
                self.find_suspect(&suspect, FindingKind::Changed, CHANGED);
                (from, any) = (from + 1, true);
            }
            if from < end {
                self.noticed += 1;
                self.gaps.insert(from, (end - 1, place.clone()));
                any = true;
            }
            from = end + 1;
        }
        any
    }

    /// A line has come that was missing.
    fn fill(&mut self, seq: u64) -> bool {
        let Some((&from, &(to, _))) = self.gaps.range(..=seq).next_back() else { return false };
        if seq > to {
            return false;
        }
        let Some((_, place)) = self.gaps.remove(&from) else { return false };
        if from < seq {
            self.gaps.insert(from, (seq - 1, place.clone()));
        }
        if seq < to {
            self.gaps.insert(seq + 1, (to, place));
        }
        true
    }

    fn unknown(&mut self, lines: Option<(Place, u64)>) {
        if let Some((place, count)) = lines {
            self.cannot_judge(&place, count);
        }
    }

    /// So many lines from there on fit to nothing.
    pub(super) fn cannot_judge(&mut self, place: &Place, count: u64) {
        let what = format!(
            "{count} lines from here on cannot be judged: the key is another one, or what they follow was changed or is missing"
        );
        self.find(place, FindingKind::Unknown, what);
    }

    /// The report, with what is missing to the end.
    pub(super) fn finish(mut self) -> Report {
        for (from, (to, place)) in take(&mut self.gaps) {
            let what = match from == to {
                true => format!("line {from} of the log is missing before this one"),
                false => format!("lines {from} to {to} of the log are missing before this one"),
            };
            self.find(&place, FindingKind::Missing, what);
        }
        self.report
    }
}

const CHANGED: &str = "it is not what was written";
const INSERTED: &str = "it does not belong here, or is not what was written";

fn moved(seq: u64) -> String {
    format!("line {seq} of the log is not in its place")
}

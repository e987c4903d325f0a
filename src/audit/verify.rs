//! Is a log what was written? Follows the chain line by line, and holds what does not fit against the next line that does.
//!
//! A line is *sound* if its MAC fits its key and the line before it. What is not waits as a *suspect* for the next sound line, which says how many
//! lines there have to be between ([`judge`](super::judge)). The first line of a run or file says by itself where it belongs: there one can begin, and find the
//! thread again.

use super::chain::{Key, LineKeys, Mac, Master, NO_LINE, RunId, from_hex, hex, mac};
use super::event::{Line, seq_of};
use super::judge::{Ledger, MOST_AHEAD, Place, Suspect};
use super::report::{FindingKind, Report};
use serde::Deserialize;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::mem::take;
use std::path::Path;
use std::sync::Arc;

/// So many suspects are kept until they are given up.
const MOST_SUSPECTS: usize = 1 << 16;
/// No line of ours is as long.
const MOST_BYTES: usize = 64 << 10;

/// What has to be in a log, by what somebody has kept of it elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    heads: Vec<String>,
}

impl Expect {
    /// Nothing: an end that was cut off is not found.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// A head that was told at some time: the line with this `mac`, in hexadecimal, has to be there. May be called several times.
    #[must_use]
    pub fn head(mut self, head: impl Into<String>) -> Self {
        self.heads.push(head.into().to_ascii_lowercase());
        self
    }
}

/// Verifies the files of one log, the oldest first, whatever order they are given in. `keys` are those it was written with: one,
/// or several if it was changed. Reads the files from beginning to end, and blocks for as long.
///
/// ```no_run
/// use mcp_blocking::audit::{Expect, read_key, verify_files};
///
/// # fn main() -> std::io::Result<()> {
/// let key = read_key("/etc/notes/audit.key")?;
/// let report = verify_files(["/var/log/notes/audit.log"], &[key], &Expect::nothing())?;
/// for finding in &report.findings {
///     println!("{finding}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A file cannot be read.
pub fn verify_files<P: AsRef<Path>>(
    files: impl IntoIterator<Item = P>,
    keys: &[Vec<u8>],
    expect: &Expect,
) -> io::Result<Report> {
    let mut opened = Vec::new();
    for path in files {
        let path = path.as_ref();
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut reader = BufReader::new(File::open(path).map_err(named)?);
        // The number of its first line, or of the next if that has none.
        let first = reader.fill_buf().map_err(named)?.split(|byte| *byte == b'\n').find_map(seq_of);
        opened.push((first.unwrap_or(u64::MAX), path.display().to_string(), reader));
    }
    opened.sort_by_key(|(first, ..)| *first);
    verify(opened.into_iter().map(|(_, name, reader)| (name, reader)), keys, expect)
}

/// The same for anything that can be read: names and contents, the oldest first.
///
/// # Errors
/// Reading fails.
pub fn verify<R: BufRead>(
    files: impl IntoIterator<Item = (String, R)>,
    keys: &[Vec<u8>],
    expect: &Expect,
) -> io::Result<Report> {
    let mut verifier = Verifier {
        masters: keys.iter().map(|key| Master::new(key)).collect(),
        heads: expect.heads.iter().map(|head| (head.clone(), false)).collect(),
        here: Place { file: "".into(), line: 0 },
        sound: None,
        suspects: Vec::new(),
        ledger: Ledger::default(),
    };
    let mut line = Vec::new();
    for (name, mut reader) in files {
        verifier.here = Place { file: Arc::from(name), line: 0 };
        while let Some(whole) = read_line(&mut reader, &mut line)? {
            verifier.here.line += 1;
            verifier.line(&line, whole);
        }
    }
    Ok(verifier.finish())
}

/// Reads a line without its line break, as much of it as a line of ours may have. Whether it has its line break; `None` at the end.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let mut any = false;
    loop {
        let bytes = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        if bytes.is_empty() {
            return Ok(any.then_some(false));
        }
        any = true;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let piece = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let room = MOST_BYTES.saturating_sub(line.len());
        line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        let used = piece.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(true));
        }
    }
}

/// What the first line of a run or file says of it, and others of what is not in the log.
#[derive(Deserialize)]
struct Header {
    run: Option<String>,
    first: Option<u64>,
    origin: Option<String>,
    prev: Option<String>,
    #[serde(default)]
    torn: u64,
    #[serde(default)]
    count: u64,
}

impl Header {
    fn of(line: &Line<'_>) -> Option<Self> {
        // The body is the line without its end.
        let mut json = line.body.to_vec();
        json.push(b'}');
        serde_json::from_slice(&json).ok()
    }
}

/// What the first line of a run or file has said.
struct Begin {
    run: RunId,
    previous: Mac,
    keys: Keys,
}

/// The keys of the lines of a run, from some line on.
struct Keys {
    first: u64,
    keys: VecDeque<Key>,
    /// Those of the last of these lines.
    last: LineKeys,
}

impl Keys {
    fn new(lines: LineKeys, first: u64) -> Self {
        Self { first, keys: VecDeque::from([*lines.key()]), last: lines }
    }

    /// The key of that line, if it is not too far away.
    fn of(&mut self, seq: u64) -> Option<Key> {
        let place = seq.checked_sub(self.first).filter(|place| *place <= MOST_AHEAD)?;
        let place = usize::try_from(place).ok()?;
        while self.keys.len() <= place {
            self.last.advance();
            self.keys.push_back(*self.last.key());
        }
        self.keys.get(place).copied()
    }

    /// The keys up to that line are not needed any more.
    fn pass(&mut self, seq: u64) {
        self.of(seq.saturating_add(1));
        while self.first <= seq && self.keys.len() > 1 {
            self.keys.pop_front();
            self.first += 1;
        }
    }
}

/// The last sound line.
struct Sound {
    seq: u64,
    mac: Mac,
    run: RunId,
    keys: Keys,
    /// It is the last of its run.
    stopped: bool,
}

struct Verifier {
    masters: Vec<Master>,
    heads: Vec<(String, bool)>,
    here: Place,
    sound: Option<Sound>,
    suspects: Vec<Suspect>,
    ledger: Ledger,
}

impl Verifier {
    /// Looks at the next line; `whole` says that it has its line break.
    fn line(&mut self, bytes: &[u8], whole: bool) {
        let parsed = Line::parse(bytes);
        if let Some(line) = &parsed {
            if !self.heads.is_empty() {
                let head = hex(&line.mac);
                self.heads.iter_mut().for_each(|(expected, seen)| *seen |= *expected == head);
            }
            let event = line.event().unwrap_or_default();
            let is_begin = matches!(event, b"start" | b"file");
            if (is_begin && self.begins(line, event)) || self.follows(line, event) {
                return;
            }
        }
        self.suspect(parsed.as_ref(), bytes.len(), whole);
    }

    /// Whether this line begins a run or file, by what it says itself.
    fn begins(&mut self, line: &Line<'_>, event: &[u8]) -> bool {
        let Some(Begin { run, previous, keys }) = self.begin_of(line, event) else { return false };
        let is_start = event == b"start";
        let anew = is_start && line.seq == 1 && previous == NO_LINE;
        match &mut self.sound {
            Some(sound) if line.seq > sound.seq => {
                if line.seq == sound.seq + 1 {
                    if previous != sound.mac {
                        let what =
                            "it does not follow the line before it: one of the two is of another copy of the log";
                        self.ledger.find(&self.here, FindingKind::Changed, what);
                    } else if !is_start && (run != sound.run || sound.stopped) {
                        let what =
                            "it goes on with a run that is not the one of the line before it, or had ended there";
                        self.ledger.find(&self.here, FindingKind::Inserted, what);
                    } else if is_start && !sound.stopped {
                        let what = "the run before ended without a word: it crashed, or its end was cut off afterwards";
                        self.ledger.report.note(self.here.finding(FindingKind::Unfinished, what));
                    }
                }
                (sound.run, sound.keys) = (run, keys);
            }
            Some(_) if !anew => return false,
            sound => {
                let had_lines = sound.is_some();
                let begun = Sound { seq: line.seq.saturating_sub(1), mac: previous, run, keys, stopped: false };
                self.judge_rest();
                if had_lines {
                    let what = "a new log begins: what was before was not there when the server started";
                    self.ledger.find(&self.here, FindingKind::Cut, what);
                }
                self.sound = Some(begun);
            }
        }
        self.ledger.report.runs += u64::from(is_start);
        self.accept(line, event, None);
        true
    }

    /// What the first line of a run or file says, if one of the keys confirms it.
    fn begin_of(&self, line: &Line<'_>, event: &[u8]) -> Option<Begin> {
        let header = Header::of(line)?;
        let run: RunId = from_hex(header.run?.as_bytes())?;
        let previous: Mac = from_hex(header.prev?.as_bytes())?;
        let (first, origin) = match event {
            b"start" => (line.seq, previous),
            _ => (header.first?, from_hex(header.origin?.as_bytes())?),
        };
        // A line has one key, by its number: whatever else is claimed here leads to another one, which only the author's key can make.
        let place = line.seq.checked_sub(first)?;
        self.masters.iter().find_map(|master| {
            let lines = master.run(&run, &origin, first).lines(place)?;
            let fits = mac(lines.key(), &previous, line.body) == line.mac;
            fits.then(|| Begin { run, previous, keys: Keys::new(lines, line.seq) })
        })
    }

    /// Whether this line follows the last sound one, or a suspect that must be there for it.
    fn follows(&mut self, line: &Line<'_>, event: &[u8]) -> bool {
        let Some(sound) = &mut self.sound else { return false };
        let Some(key) = sound.keys.of(line.seq).filter(|_| line.seq > sound.seq) else { return false };
        let fits = |key: &Key, previous: &Mac| mac(key, previous, line.body) == line.mac;
        if line.seq == sound.seq + 1 && fits(&key, &sound.mac) {
            self.accept(line, event, None);
            return true;
        }
        if self.ledger.macs_before(line.seq).any(|previous| fits(&key, previous)) {
            self.accept(line, event, None);
            return true;
        }
        let last = self.suspects.len().checked_sub(1);
        let before = self.suspects.iter().rposition(|suspect| suspect.seq == line.seq.checked_sub(1));
        let Some(last) = last else { return false };
        for place in [Some(last), before].into_iter().flatten() {
            let Some(suspect) = self.suspects.get(place) else { continue };
            if suspect.macs.iter().any(|previous| fits(&key, previous)) {
                self.accept(line, event, Some(place));
                return true;
            }
        }
        false
    }

    /// Takes a line as sound. `link` is the suspect that it follows.
    fn accept(&mut self, line: &Line<'_>, event: &[u8], link: Option<usize>) {
        let Some(sound) = &mut self.sound else { return };
        let missing = sound.seq + 1..line.seq;
        (sound.seq, sound.mac, sound.stopped) = (line.seq, line.mac, event == b"stop");
        sound.keys.pass(line.seq);
        let header = matches!(event, b"start" | b"lost").then(|| Header::of(line)).flatten();
        if let Some(header) = header {
            if event == b"lost" && header.count > 0 {
                let what = format!("{} events are missing here: they could not be written", header.count);
                self.ledger.report.note(self.here.finding(FindingKind::Lost, what));
            }
            if missing.is_empty() {
                self.take_torn(header.torn);
            }
        }
        if !self.suspects.is_empty() || !missing.is_empty() || !self.ledger.is_settled() {
            self.ledger.judge(take(&mut self.suspects), missing, false, link, &self.here);
        }
        let report = &mut self.ledger.report;
        if report.lines == 0 {
            report.first = line.seq;
        }
        report.lines += 1;
        (report.last, report.head) = (line.seq, hex(&line.mac));
    }

    /// If the suspects are what the line behind them declares to be torn, they are none.
    fn take_torn(&mut self, torn: u64) {
        let bytes: u64 = self.suspects.iter().map(|suspect| suspect.bytes + 1).sum();
        let Some(first) = self.suspects.first() else { return };
        // The last line break may be of whoever declared it.
        if torn > 0 && (bytes == torn || bytes == torn + 1) {
            let what = format!("{torn} bytes of a line that was not finished, as the line behind them says");
            self.ledger.report.note(first.place.finding(FindingKind::Torn, what));
            self.suspects.clear();
        }
    }

    fn suspect(&mut self, line: Option<&Line<'_>>, bytes: usize, whole: bool) {
        let mut macs: Vec<Mac> = line.map(|line| line.mac).into_iter().collect();
        let mut judged = false;
        if let (Some(line), Some(sound)) = (line, &mut self.sound)
            && line.seq == sound.seq + 1
        {
            judged = true;
            macs.extend(sound.keys.of(line.seq).map(|key| mac(&key, &sound.mac, line.body)));
        }
        if self.suspects.len() >= MOST_SUSPECTS {
            self.give_up();
            // Only the first line of a run or file can be the next sound one.
            self.sound = None;
        }
        let (place, seq) = (self.here.clone(), line.map(|line| line.seq));
        self.suspects.push(Suspect { place, bytes: bytes as u64, whole, seq, macs, judged });
    }

    /// Too many suspects, or no sound line before them.
    fn give_up(&mut self) {
        let suspects = take(&mut self.suspects);
        if let Some(first) = suspects.first() {
            self.ledger.cannot_judge(&first.place, suspects.len() as u64);
        }
    }

    /// No sound line follows.
    fn judge_rest(&mut self) {
        match &self.sound {
            Some(sound) => {
                let next = sound.seq + 1;
                self.ledger.judge(take(&mut self.suspects), next..next, true, None, &self.here);
            }
            None => self.give_up(),
        }
    }

    fn finish(mut self) -> Report {
        self.judge_rest();
        if self.ledger.report.lines == 0 {
            let what = "there is no line that fits the key";
            self.ledger.find(&Place { file: "".into(), line: 0 }, FindingKind::Unknown, what);
        }
        for (head, _) in self.heads.iter().filter(|(_, seen)| !seen) {
            let what = format!("the head {head} is not there: the end is cut off, or it is of another log");
            self.ledger.find(&Place { line: 0, ..self.here.clone() }, FindingKind::Cut, what);
        }
        self.ledger.finish()
    }
}

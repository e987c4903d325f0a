//! How do lines reach the disk, whole or not at all? One file that grows, is renamed when it is large, and is found again after a restart.

use super::chain::Mac;
use super::event::{Line, seq_of};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What is read of the end of a file: many lines, as none is longer than 4 KiB.
const TAIL: u64 = 64 << 10;
/// The digits of a number in a file's name: enough for any, so that names sort as the numbers do.
const DIGITS: usize = 20;

/// The file that is written to.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// `None` while it cannot be opened.
    file: Option<File>,
    /// Not a device or a pipe: it has a length, and can be renamed.
    regular: bool,
    /// Bytes up to the end of the last whole line.
    length: u64,
    /// The number of its first line.
    first: u64,
    /// What is behind the last line is not ended by a line break.
    unclosed: bool,
    /// Bytes of a line that was begun and could not be taken back.
    rest: u64,
}

/// How a log ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// The number and MAC of its last line, if it has lines.
    pub(super) head: Option<(u64, Mac)>,
    /// Bytes behind that, of a line that was not finished.
    pub(super) torn: u64,
}

impl LogFile {
    /// Opens a log, or begins one.
    ///
    /// # Errors
    /// It cannot be opened, another process writes to it, or it is something else.
    pub(super) fn open(path: PathBuf) -> io::Result<(Self, Tail)> {
        let mut log = Self { path, file: None, regular: true, length: 0, first: 1, unclosed: false, rest: 0 };
        log.reopen(1)?;
        let tail = match (&log.file, log.length) {
            (Some(file), 1..) => read_tail(file, log.length)?,
            // It was renamed, and the process ended before it had written anything to the new one.
            _ => match log.siblings()?.pop() {
                Some((_, newest)) => {
                    let file = File::open(newest)?;
                    let length = file.metadata()?.len();
                    read_tail(&file, length)?
                }
                None => Tail { head: None, torn: 0 },
            },
        };
        Ok((log, tail))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens what is at the path now; if that is a new file, its first line will have that number.
    pub(super) fn reopen(&mut self, next: u64) -> io::Result<()> {
        self.file = None;
        let mut options = OpenOptions::new();
        options.append(true).read(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&self.path)?;
        lock(&file)?;
        let metadata = file.metadata()?;
        self.regular = metadata.is_file();
        self.length = if self.regular { metadata.len() } else { 0 };
        (self.first, self.unclosed, self.rest) = (next, false, 0);
        if self.length > 0 {
            let mut start = [0; 32];
            let count = read_at(&file, 0, &mut start)?;
            self.first = start.get(..count).and_then(seq_of).unwrap_or(next);
            let mut last = [0];
            read_at(&file, self.length - 1, &mut last)?;
            self.unclosed = last != *b"\n";
        }
        self.file = Some(file);
        Ok(())
    }

    /// Whether what is at the path is still the file that is written to.
    pub(super) fn is_in_place(&self) -> bool {
        let Some(file) = &self.file else { return false };
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            let found = fs::metadata(&self.path).map(id);
            found.is_ok_and(|found| file.metadata().map(id).is_ok_and(|ours| ours == found))
        }
        // An open file cannot be renamed or deleted.
        #[cfg(not(unix))]
        {
            let _ = file;
            true
        }
    }

    /// Makes the file fit for the next line. Returns the bytes of a torn line that stay in it, now ended by a line break.
    pub(super) fn settle(&mut self) -> io::Result<u64> {
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        if self.rest > 0 && file.set_len(self.length).is_ok() {
            (self.rest, self.unclosed) = (0, false);
        }
        if self.rest > 0 || self.unclosed {
            file.write_all(b"\n")?;
            self.length += self.rest + 1;
        }
        self.unclosed = false;
        Ok(std::mem::take(&mut self.rest))
    }

    /// Appends whole lines, all of them or none.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        let written = file.write_all(lines);
        if written.is_ok() {
            self.length += lines.len() as u64;
        } else if self.regular {
            // A disk that is full takes a part.
            let length = file.metadata().map_or(self.length, |metadata| metadata.len());
            self.rest = length.saturating_sub(self.length);
            if self.rest > 0 && file.set_len(self.length).is_ok() {
                self.rest = 0;
            }
        }
        written
    }

    /// Has what was written reach the disk. Blocks for as long.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.file {
            Some(file) if self.regular => file.sync_data(),
            _ => Ok(()),
        }
    }

    /// Bytes that still fit in.
    pub(super) fn room(&self, most: u64) -> u64 {
        if self.regular { most.saturating_sub(self.length) } else { u64::MAX }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Renames the file and begins a new one, whose first line will have that number.
    pub(super) fn rotate(&mut self, next: u64) -> io::Result<()> {
        let renamed = self.sibling(self.first);
        if fs::symlink_metadata(&renamed).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there", renamed.display())));
        }
        fs::rename(&self.path, &renamed)?;
        self.reopen(next)
    }

    /// Deletes the oldest of the renamed files beyond that number. Returns how many.
    pub(super) fn prune(&self, keep: usize) -> io::Result<usize> {
        let siblings = self.siblings()?;
        let surplus = siblings.len().saturating_sub(keep);
        for (_, path) in siblings.iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(surplus)
    }

    /// Has the names in the directory reach the disk.
    pub(super) fn sync_names(&self) {
        // Not every system can, and what is at stake is a name.
        #[cfg(unix)]
        let _ = File::open(directory(&self.path)).and_then(|directory| directory.sync_all());
    }

    fn sibling(&self, first: u64) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{first:0DIGITS$}"));
        name.into()
    }

    fn siblings(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        siblings(&self.path)
    }
}

/// The renamed files of a log, the oldest first, each with the number of its first line.
pub(super) fn siblings(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let Some(name) = path.file_name() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory(path))? {
        let entry = entry?;
        let other = entry.file_name();
        let number = other.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        let number = number.and_then(|rest| rest.strip_prefix(b".")).filter(|digits| digits.len() == DIGITS);
        if let Some(first) = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()) {
            found.push((first, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Finds the last whole line. What is behind it was not finished, or is nothing of ours.
fn read_tail(file: &File, length: u64) -> io::Result<Tail> {
    let mut bytes = vec![0; usize::try_from(length.min(TAIL)).unwrap_or(0)];
    let count = read_at(file, length.saturating_sub(TAIL), &mut bytes)?;
    bytes.truncate(count);
    let mut end = bytes.len();
    loop {
        let before = bytes.get(..end).unwrap_or_default();
        let line = before.strip_suffix(b"\n").unwrap_or(before);
        let start = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if let Some(line) = line.get(start..).and_then(Line::parse) {
            return Ok(Tail { head: Some((line.seq, line.mac)), torn: (bytes.len() - end) as u64 });
        }
        if start == 0 {
            let what = "it has content that is no audit log; move it away, or name another file";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        end = start;
    }
}

/// Reads from that place, as much as there is.
fn read_at(mut file: &File, place: u64, bytes: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(place))?;
    let mut count = 0;
    while let Some(rest) = bytes.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Keeps other processes from writing to the same file: two chains in one would be none.
#[cfg(unix)]
fn lock(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "another server writes its audit log to this file"))
        }
        // Some file systems have no locks.
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn lock(_file: &File) -> io::Result<()> {
    Ok(())
}

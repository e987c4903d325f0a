//! Who else may read or change a file? Elsewhere than on Unix nothing is known of that.

use std::fs::Metadata;
use std::path::Path;

/// What to say of a file that decides who is let in, or what is known of it afterwards, if everybody may write to it.
const EVERYBODY_WRITES: &str = "everybody on this machine may write to it, so nothing in it can be trusted: `chmod o-w` it, and look at what is in it";
/// Or may put another one in its place.
const EVERYBODY_REPLACES: &str = "everybody on this machine may put another one in its place, as a folder that it lies in can be written to by all: \
    `chmod o-w` the folder, or `chmod +t` it, or use another, and look at what is in the file";

/// Who beside a file's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Others {
    Nobody,
    Group,
    Everybody,
}

/// What others may do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) read: Others,
    pub(crate) write: Others,
    /// They may put another one in its place, as they may write to its folder, or one that this is in.
    pub(crate) replace: Others,
}

impl Reach {
    /// What to say of it if everybody may change or replace the file: nothing that is worth a secret or a record is kept in such a place.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match (self.write, self.replace) {
            (Others::Everybody, _) => Some(EVERYBODY_WRITES),
            (_, Others::Everybody) => Some(EVERYBODY_REPLACES),
            _ => None,
        }
    }
}

/// The same for the file at that path, or the place that it will have.
pub(crate) fn refusal(path: &Path) -> Option<&'static str> {
    match reach(path) {
        Some(reach) => reach.refusal(),
        // A device or a pipe has nothing that could be changed.
        None if path.exists() => None,
        None => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder = folder.canonicalize().ok()?;
            (ways_in(&folder).1 == Others::Everybody).then_some(EVERYBODY_REPLACES)
        }
    }
}

/// Who may do what with that file; `None` if there is none. Links are followed.
pub(crate) fn reach(path: &Path) -> Option<Reach> {
    let file = path.metadata().ok().filter(Metadata::is_file)?;
    let path = path.canonicalize().ok()?;
    let (pass, replace) = ways_in(path.parent()?);
    Some(Reach { read: others(&file, 0o4).min(pass), write: others(&file, 0o2).min(pass), replace })
}

/// Who gets to what is in that folder, and who may put something else in its place: there, or by another folder for one on the way.
fn ways_in(folder: &Path) -> (Others, Others) {
    let (mut pass, mut replace) = (Others::Everybody, Others::Nobody);
    let folders: Vec<_> = folder.ancestors().filter_map(|folder| folder.metadata().ok()).collect();
    for folder in folders.iter().rev() {
        // Who may not pass through a folder reaches nothing in it.
        pass = pass.min(others(folder, 0o1));
        if !is_sticky(folder) {
            replace = replace.max(others(folder, 0o2).min(pass));
        }
    }
    (pass, replace)
}

#[cfg(unix)]
fn others(metadata: &Metadata, right: u32) -> Others {
    use std::os::unix::fs::MetadataExt;
    match metadata.mode() {
        mode if mode & right != 0 => Others::Everybody,
        mode if mode & (right << 3) != 0 => Others::Group,
        _ => Others::Nobody,
    }
}

/// In such a folder (`/tmp`) nobody can touch what is somebody else's.
#[cfg(unix)]
fn is_sticky(folder: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    folder.mode() & 0o1000 != 0
}

#[cfg(not(unix))]
fn others(_: &Metadata, _: u32) -> Others {
    Others::Nobody
}

#[cfg(not(unix))]
fn is_sticky(_: &Metadata) -> bool {
    true
}

//! Who else may read or change a file? Elsewhere than on Unix nothing is known of that.

use std::fs::Metadata;
use std::path::Path;

/// What to say of a file that everybody may write to, and that decides who is let in.
pub(crate) const EVERYBODY_WRITES: &str = "everybody on this machine may write to it, so anybody could let himself in: `chmod o-w` it, and look at what is in it";

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
    /// They may put another one in its place, as they may write to its folder.
    pub(crate) replace: Others,
}

/// Whether everybody may write to that file.
pub(crate) fn everybody_writes(path: &Path) -> bool {
    reach(path).is_some_and(|reach| reach.write == Others::Everybody)
}

/// Who may do what with that file; `None` if there is none. Links are followed.
pub(crate) fn reach(path: &Path) -> Option<Reach> {
    let file = path.metadata().ok().filter(Metadata::is_file)?;
    let path = path.canonicalize().ok()?;
    let folders: Vec<_> = path.ancestors().skip(1).filter_map(|folder| folder.metadata().ok()).collect();
    // Who may not pass through a folder reaches nothing in it.
    let pass = folders.iter().map(|folder| others(folder, 0o1)).min().unwrap_or(Others::Everybody);
    let replace =
        folders.first().filter(|folder| !is_sticky(folder)).map_or(Others::Nobody, |folder| others(folder, 0o2));
    Some(Reach { read: others(&file, 0o4).min(pass), write: others(&file, 0o2).min(pass), replace: replace.min(pass) })
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

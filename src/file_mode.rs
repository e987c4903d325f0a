//! Who else may read or change a file? Elsewhere than on Unix nothing is known of that.

use std::fs::Metadata;
use std::path::Path;

/// What to say of a file that decides who is let in, or what is known of it afterwards, if everybody may write to it.
const EVERYBODY_WRITES: &str = "everybody on this machine may write to it, so nothing in it can be trusted: `chmod o-w` it, and look at what is in it";

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
    /// They may put another one in its place, as they may write to its folder, to one that this is in, or to that of a link on the way.
    pub(crate) replace: Others,
}

/// What stands against using the file at that path. A folder on the way that everybody may write to is none: volumes of containers and what other systems share
/// look like that, whoever can get there. The [doctor](crate::doctor) tells of it.
pub(crate) fn refusal(path: &Path) -> Option<&'static str> {
    (reach(path)?.write == Others::Everybody).then_some(EVERYBODY_WRITES)
}

/// Who may do what with that file, or with the place that it will have; `None` if there is no such place, or something that is no file. Links are followed.
pub(crate) fn reach(path: &Path) -> Option<Reach> {
    // A link can be replaced as well as what it leads to.
    let given = std::path::absolute(path).ok()?;
    let folders = given.ancestors().skip(1).filter_map(|folder| folder.canonicalize().ok());
    let replace = folders.map(|folder| ways_in(&folder).1).max()?;
    let Ok(file) = path.metadata() else {
        return Some(Reach { read: Others::Nobody, write: Others::Nobody, replace });
    };
    let target = path.canonicalize().ok().filter(|_| file.is_file())?;
    let (pass, target_replace) = ways_in(target.parent()?);
    let [read, write] = [0o4, 0o2].map(|right| others(&file, right).min(pass));
    Some(Reach { read, write, replace: replace.max(target_replace) })
}

/// Who gets to what is in that folder, and who may put something else in its place: there, or by another folder for one on the way.
fn ways_in(folder: &Path) -> (Others, Others) {
    let (mut pass, mut replace) = (Others::Everybody, Others::Nobody);
    let folders: Vec<_> = folder.ancestors().filter_map(|folder| Some((folder, folder.metadata().ok()?))).collect();
    for (path, folder) in folders.into_iter().rev() {
        // Who may not pass through a folder reaches nothing in it.
        pass = pass.min(others(&folder, 0o1));
        let by_this = others(&folder, 0o2).min(pass);
        if by_this > replace && !is_sticky(&folder) && !is_read_only(path) {
            replace = by_this;
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

/// Where nothing can be written, whatever the modes say.
#[cfg(unix)]
fn is_read_only(folder: &Path) -> bool {
    use rustix::fs::{StatVfsMountFlags, statvfs};
    statvfs(folder).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[cfg(not(unix))]
fn others(_: &Metadata, _: u32) -> Others {
    Others::Nobody
}

#[cfg(not(unix))]
fn is_sticky(_: &Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn is_read_only(_: &Path) -> bool {
    false
}

//! How is a file opened beneath a folder? Here by the kernel, or part after part.

use super::PathError;
use super::name::Name;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;

/// Nothing is inherited, nothing becomes a terminal of ours, and opening a pipe does not wait for somebody at its other end.
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOCTTY).union(OFlags::NONBLOCK);
/// A folder, only to look for names in it.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

pub(super) struct Folder(OwnedFd);

impl Folder {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER, Mode::empty())?))
    }

    pub(super) fn open_file(&self, name: &Name<'_>) -> Result<File, PathError> {
        self.open_beneath(name, OFlags::RDONLY | ALWAYS, Mode::empty())
    }

    pub(super) fn create_file(&self, name: &Name<'_>) -> Result<File, PathError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        // The umask takes away what others may not do.
        self.open_beneath(name, flags, Mode::from_raw_mode(0o666))
    }

    fn open_beneath(&self, name: &Name<'_>, flags: OFlags, mode: Mode) -> Result<File, PathError> {
        let opened = match by_kernel(self.0.as_fd(), name, flags, mode) {
            // It does not know the call, or may not make it.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => by_parts(self.0.as_fd(), name, flags, mode),
            opened => opened,
        };
        opened.map(File::from).map_err(|error| match error {
            // Links in a circle, and those that are not followed.
            Errno::XDEV | Errno::LOOP => PathError::Outside,
            Errno::ISDIR | Errno::NXIO => PathError::NotAFile,
            error => PathError::Io(error.into()),
        })
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn by_kernel(folder: BorrowedFd<'_>, name: &Name<'_>, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};
    // Somebody renames what is on the way: the kernel is not sure any more, and asks to be asked again.
    const TRIES: usize = 64;
    let path = name.as_path();
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..TRIES {
        match openat2(folder, &path, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
    Err(Errno::XDEV)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn by_kernel(_: BorrowedFd<'_>, _: &Name<'_>, _: OFlags, _: Mode) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// Each part is opened in the one before, and none of them may be a link.
fn by_parts(folder: BorrowedFd<'_>, name: &Name<'_>, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let (before, last) = name.split();
    let mut inner = None::<OwnedFd>;
    for part in before {
        let folder = inner.as_ref().map_or(folder, AsFd::as_fd);
        inner = Some(openat(folder, *part, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map_err(|error| {
            // A link that is to be a folder is none, says the kernel.
            let link = rustix::fs::statat(folder, *part, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink());
            if link { Errno::LOOP } else { error }
        })?);
    }
    openat(inner.as_ref().map_or(folder, AsFd::as_fd), last, flags | OFlags::NOFOLLOW, mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn part_after_part_no_link_is_followed() {
        let base = std::env::temp_dir().join(format!("mcp-blocking-parts-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&base);
        std::fs::create_dir_all(base.join("in/dir")).unwrap();
        std::fs::write(base.join("in/dir/file"), "inside").unwrap();
        std::fs::write(base.join("secret"), "outside").unwrap();
        symlink("..", base.join("in/up")).unwrap();
        symlink("dir/file", base.join("in/link")).unwrap();
        let folder = Folder::open(&base.join("in")).unwrap();
        let open = |path: &str| {
            by_parts(folder.0.as_fd(), &Name::of(path).unwrap(), OFlags::RDONLY | ALWAYS, Mode::empty()).map(drop)
        };
        assert_eq!(open("dir/file"), Ok(()));
        assert_eq!((open("up/secret"), open("link")), (Err(Errno::LOOP), Err(Errno::LOOP)));
        assert_eq!((open("none"), open("dir/file/x")), (Err(Errno::NOENT), Err(Errno::NOTDIR)));
        std::fs::remove_dir_all(&base).unwrap();
    }
}

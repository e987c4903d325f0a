//! Which file within a folder does a path or a URI name, and how is it opened without ever leaving the folder?

pub(crate) mod name;
#[cfg_attr(not(unix), path = "portable.rs")]
mod unix;

use name::Name;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use unix::Folder;

/// A folder whose files are named by clients: what they name is within it, or it is refused.
///
/// ```
/// # use mcp_blocking::{RootDir, Server, ToolError};
/// # use serde::Deserialize;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// #[derive(Deserialize)]
/// struct Note { path: String }
///
/// let notes = RootDir::new(std::env::temp_dir())?;
/// let server = Server::new("notes", "1.0.0").template(
///     "notes://files/{+path}", "A note", "text/markdown",
///     move |_ctx, Note { path }| Ok(notes.read_to_string(&path, 1 << 20)?),
/// );
/// # Ok(())
/// # }
/// ```
///
/// A path is relative, with `/` between its parts. Refused are, before the disk is asked: absolute paths, `.` and `..` and empty parts, control characters,
/// more than 4,096 bytes in all or 255 in one part, more than 64 parts; on Windows also `\`, `:` and the other characters that mean something
/// there, names of devices, and a point or blank at the end of a part.
///
/// Symbolic links are followed as long as they stay within the folder. On Linux the kernel sees to that while it opens the file
/// (`openat2` with `RESOLVE_BENEATH`), so that nobody who may write in the folder can exchange a part of the path in between; without that call (before
/// Linux 5.6, other Unix systems) part after part is opened and links are refused altogether. The folder itself is opened once: it stays the same
/// if it is renamed. On other systems the path is resolved and then opened, which is safe as long as nobody else changes the folder.
///
/// Only regular files are opened: no folders, no devices, no pipes that would block.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct RootDir {
    folder: Arc<Folder>,
    /// Where it was, links resolved.
    path: Arc<Path>,
}

impl RootDir {
    /// The folder at that path.
    ///
    /// # Errors
    /// There is none, or it cannot be opened.
    pub fn new(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().canonicalize()?;
        Ok(Self { folder: Arc::new(Folder::open(&path)?), path: path.into() })
    }

    /// Where the folder was when it was opened, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`PathError`]: the path is not accepted or leads out, or what is there is no regular file or cannot be opened.
    pub fn open(&self, path: &str) -> Result<File, PathError> {
        let file = self.folder.open_file(&Name::of(path)?)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(PathError::NotAFile) }
    }

    /// Reads a whole file of at most that many bytes.
    ///
    /// # Errors
    /// As for [`open`](Self::open); the file is larger, or cannot be read.
    pub fn read(&self, path: &str, most: usize) -> Result<Vec<u8>, PathError> {
        let file = self.open(path)?;
        let most_bytes = u64::try_from(most).unwrap_or(u64::MAX);
        let length = file.metadata()?.len();
        if length > most_bytes {
            return Err(PathError::TooLarge { most });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default().saturating_add(1));
        // It may grow while it is read.
        file.take(most_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() > most { Err(PathError::TooLarge { most }) } else { Ok(bytes) }
    }

    /// The same for text.
    ///
    /// # Errors
    /// As for [`read`](Self::read); the file is not UTF-8.
    pub fn read_to_string(&self, path: &str, most: usize) -> Result<String, PathError> {
        String::from_utf8(self.read(path, most)?)
            .map_err(|_| PathError::Io(io::Error::new(io::ErrorKind::InvalidData, "the file is no text in UTF-8")))
    }

    /// Creates a file that is not there yet, for writing. The folder that it is in has to be there.
    ///
    /// # Errors
    /// As for [`open`](Self::open); there is something of that name, be it a link that leads nowhere.
    pub fn create_new(&self, path: &str) -> Result<File, PathError> {
        self.folder.create_file(&Name::of(path)?)
    }

    /// The place of a file or folder that is there, links resolved, for programs that want a path.
    ///
    /// Whoever may write in the folder can exchange a part of the path before it is used: where that matters, use [`open`](Self::open).
    ///
    /// # Errors
    /// The path is not accepted, leads out, or there is nothing.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, PathError> {
        let found = self.path.join(Name::of(path)?.as_path()).canonicalize()?;
        if found.starts_with(&self.path) { Ok(found) } else { Err(PathError::Outside) }
    }

    /// The path of a file within the folder from its address, `file:///folder/file.txt`: for [`open`](Self::open) and the others.
    ///
    /// The address has to be below that of the folder, on this machine, without query and fragment. Escapes are resolved once; one that would be a `/`, and what looks like
    /// an escape afterwards (`%252e`), is refused.
    ///
    /// # Errors
    /// The address is not accepted, or that of something else.
    pub fn path_of_uri(&self, uri: &str) -> Result<String, PathError> {
        let path = name::path_of_uri(uri)?;
        let folder = self.path.to_str().ok_or(PathError::Outside)?;
        #[cfg(windows)]
        let folder = &folder.trim_start_matches(r"\\?\").replace('\\', "/");
        let folder = folder.strip_suffix('/').unwrap_or(folder);
        #[cfg(windows)]
        let path = path.trim_start_matches('/').to_owned();
        let within = path.strip_prefix(folder).and_then(|path| path.strip_prefix('/')).ok_or(PathError::Outside)?;
        Name::of(within)?;
        Ok(within.to_owned())
    }

    /// [`resolve`](Self::resolve) for an address.
    ///
    /// # Errors
    /// As for [`path_of_uri`](Self::path_of_uri) and [`resolve`](Self::resolve).
    pub fn resolve_uri(&self, uri: &str) -> Result<PathBuf, PathError> {
        self.resolve(&self.path_of_uri(uri)?)
    }

    /// [`open`](Self::open) for an address.
    ///
    /// # Errors
    /// As for [`path_of_uri`](Self::path_of_uri) and [`open`](Self::open).
    pub fn open_uri(&self, uri: &str) -> Result<File, PathError> {
        self.open(&self.path_of_uri(uri)?)
    }
}

impl fmt::Debug for RootDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RootDir").field(&self.path).finish()
    }
}

/// Why a path or an address is not taken. The messages name neither the folder nor the path: they may be shown to clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// No file may be named so.
    #[error("the path is not accepted: {0}")]
    Name(&'static str),
    /// It leads out of the folder, or is the address of something else.
    #[error("the path leads out of the folder")]
    Outside,
    /// There is something, but no regular file.
    #[error("there is no file of that name, but something else")]
    NotAFile,
    /// The file is larger than was asked for.
    #[error("the file has more than {most} bytes")]
    TooLarge {
        /// The most bytes that were asked for.
        most: usize,
    },
    /// The file system says no: there may be no such file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

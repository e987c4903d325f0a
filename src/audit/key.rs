//! Where does the key of a log come from? From the author, or from a file that holds it in hexadecimal.

use super::MIN_KEY;
use crate::random;
use data_encoding::HEXLOWER_PERMISSIVE;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where the key is.
#[derive(Clone)]
pub(super) enum KeySource {
    Bytes(Vec<u8>),
    File(PathBuf),
    /// Beside the log; made if there is neither a key nor a log.
    Beside,
}

/// The key file that belongs to a log if the author names none.
pub(super) fn beside(log: &Path) -> PathBuf {
    let mut name = log.to_owned().into_os_string();
    name.push(".key");
    name.into()
}

/// Reads the key of an audit log from a file: at least 64 hexadecimal digits, on one line.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn read_key(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let text = fs::read(path)?;
    let key = HEXLOWER_PERMISSIVE.decode(text.trim_ascii()).ok().filter(|key| key.len() >= MIN_KEY);
    key.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "it is no key: a line of 64 hexadecimal digits or more")
    })
}

/// Reads a key file, or makes one.
pub(super) fn read_or_create(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_key(path),
        Err(error) => Err(error),
        Ok(mut file) => {
            let written = random::bytes::<MIN_KEY>().map_err(io::Error::other).and_then(|key| {
                writeln!(file, "{}", super::chain::hex(&key))?;
                file.sync_all()?;
                Ok(key.to_vec())
            });
            // The half of a key would be in the way the next time.
            let key = written.inspect_err(|_| drop(fs::remove_file(path)))?;
            log::warn!(
                target: "mcp_blocking::audit",
                "a new key for the audit log is in {}: keep it where this program cannot write", path.display()
            );
            Ok(key)
        }
    }
}

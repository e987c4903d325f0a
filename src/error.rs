//! What can go wrong for the author of a server, sorted by who has to act.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::path::PathBuf;

/// Why a server could not be started or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address could not be understood or resolved. Write it as `127.0.0.1:8080`.
    #[error("`{address}` is not an address to listen on")]
    Address {
        /// What was given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The address could not be opened. Try another port, or port 0 for any free one.
    #[error("could not listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address can be reached from other machines, and something that this asks for is missing. Turn it on, or say
    /// by its override that you know what you do.
    #[error("{address} can be reached from other machines: {missing}")]
    Exposed {
        /// The address.
        address: SocketAddr,
        /// What is missing, and which setting provides it or does without.
        missing: &'static str,
    },
    /// Tools or settings that cannot be served, all of them at once.
    #[error("{}", Problems("the server cannot be set up", .0))]
    Setup(Vec<Problem>),
    /// The certificates' files cannot be used, all that is wrong with them at once. The server goes on with the old ones.
    #[cfg(feature = "tls")]
    #[error("{}", Problems("the old certificates stay", .0))]
    Certificates(Vec<Problem>),
    /// The tokens cannot be changed to these. The old ones stay.
    #[error("the old tokens stay: {0}")]
    Tokens(Problem),
    /// Not all could be read again: what each of these says stays as it was, all else has been taken.
    #[error("{}", Problems("not all could be read again", .0))]
    Reload(Vec<Error>),
    /// The operating system refused a thread or a socket. Often a limit of the process (`ulimit -n`, `ulimit -u`).
    #[error("the operating system refused {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The audit log, or the file with its key, cannot be used. Look whether its directory is there and may be written to.
    #[error("the audit log cannot be kept in {}", .path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A thread of the server panicked. This is a bug in this library; please report the message.
    #[error("server thread `{thread}` panicked")]
    Panicked {
        /// The name of the thread.
        thread: String,
    },
}

/// Something registered or set that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    subject: String,
    what: String,
    location: Option<&'static Location<'static>>,
}

impl Problem {
    pub(crate) fn new(subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self { subject: subject.into(), what: what.into(), location: None }
    }

    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Where it was registered or set.
    pub(crate) fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    pub(crate) fn at(mut self, location: &'static Location<'static>) -> Self {
        self.location = Some(location);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.what)?;
        match self.location {
            Some(location) => write!(f, " (at {location})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

struct Problems<'a, T>(&'static str, &'a [T]);

impl<T: fmt::Display> fmt::Display for Problems<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        self.1.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<Error>() <= 64, "{}", size_of::<Error>());
    }
}

//! What is wrong with a setting of the author's?

use std::fmt;

/// A setting that cannot be meant as written. Meant for the author of the server, at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// The setting, as it is written in code: `allow_host`, `allow_origin`, …
    pub setting: &'static str,
    /// What is wrong and what to write instead; never contains a secret.
    pub problem: String,
}

impl ConfigError {
    /// An error about `setting`.
    #[must_use]
    pub(crate) fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

impl std::error::Error for ConfigError {}

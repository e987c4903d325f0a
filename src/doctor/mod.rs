//! What is open, weak or missing in a setup: [`Server::doctor`](crate::Server::doctor), [`Bound::doctor`](crate::Bound::doctor).
//!
//! ```
//! use mcp_blocking::doctor::Severity;
//! use mcp_blocking::{NoArgs, Server, Tool};
//!
//! let server = Server::new("notes", "1.0.0")
//!     .tool_with(Tool::new("wipe", "Delete all notes").destructive(), |_ctx, NoArgs| Ok("gone"));
//! let diagnosis = server.doctor();
//! // Every user and program of this machine could call it.
//! assert_eq!(diagnosis.worst(), Some(Severity::Open));
//! print!("{diagnosis}");
//! ```
//!
//! Nothing is opened for it but files: no port, no connection, no audit log. It finds what settings and files show, which is not all that can be wrong: it knows nothing
//! of what handlers do, of firewalls, or of what else is on the machine.

// | file | question |
// | --- | --- |
// | `callers` | who can call what, and by which credentials? |
// | `ways` | over which ways do they come: TLS, proxies, pages, hosts, probes? |
// | `bounds` | how much of it, and what is not looked at? |
// | `records` | what is recorded, and who else can read or change the files? |

mod bounds;
mod callers;
mod records;
mod ways;

use crate::error::{Error, Problem};
use crate::limits::Limits;
use crate::mcp::registry::{Entry, Registry};
use crate::protocol::letters::is_harmful;
use crate::settings::Settings;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// So long before its end something is told of.
const SOON: Duration = Duration::from_secs(14 * 24 * 3_600);

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// To know of; nothing has to be done.
    Note,
    /// A defense is missing or lowered that the others make up for, or that is needed when something else goes wrong.
    Weak,
    /// Somebody can do now what nobody has allowed.
    Open,
    /// `bind` or `start` refuse it.
    Refused,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Weak => "weak",
            Self::Open => "open",
            Self::Refused => "refused",
        })
    }
}

/// Something that is open, weak or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    severity: Severity,
    subject: String,
    what: String,
    remedy: String,
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What it is about: `tools`, `token file …`, `limit rate`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What is wrong, and who could make use of it.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to change: the setting, and the option of the examples.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Finding {
    /// Two lines, the second one indented, or one where nothing is to be added.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9}{}: {}", self.severity, self.subject, self.what)?;
        match self.remedy.is_empty() {
            true => Ok(()),
            false => write!(f, "\n{:<9}{}", "", self.remedy),
        }
    }
}

/// All that was found, the worst first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis(Vec<Finding>);

impl Diagnosis {
    /// All of it, the worst first.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// Whether nothing is [`Weak`](Severity::Weak) or worse.
    pub fn is_clean(&self) -> bool {
        self.worst() < Some(Severity::Weak)
    }

    /// How bad the worst of it is; `None` if nothing was found.
    pub fn worst(&self) -> Option<Severity> {
        self.0.first().map(Finding::severity)
    }

    /// How many are that bad, or worse.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.severity >= severity).count()
    }
}

impl fmt::Display for Diagnosis {
    /// A block for each finding, each ended by a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_empty() {
            true => f.write_str("nothing was found\n"),
            false => self.0.iter().try_for_each(|finding| writeln!(f, "{finding}")),
        }
    }
}

/// What is served, as far as it matters here.
pub(crate) enum Offered {
    Mcp(Box<Registry>),
    /// Protocols of an author's own, at these paths.
    Services(Vec<String>),
}

impl Offered {
    /// What cannot be served within these limits.
    pub(crate) fn problems(&self, limits: &Limits) -> Vec<Problem> {
        match self {
            Self::Mcp(registry) => [registry.unaffordable(limits), registry.uncompletable()].concat(),
            Self::Services(_) => Vec::new(),
        }
    }
}

/// A setup to be looked at.
pub(crate) struct Case<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) offered: &'a Offered,
    pub(crate) addresses: &'a [SocketAddr],
    pub(crate) health: Option<SocketAddr>,
    /// What is known to stand against starting.
    pub(crate) problems: Vec<Problem>,
}

/// Looks at all of it.
pub(crate) fn examine(mut case: Case<'_>) -> Diagnosis {
    let mut found = Findings::default();
    let ends = case.settings.certificate_ends();
    let ends = ends.unwrap_or_else(|problems| {
        case.problems.extend(problems);
        Vec::new()
    });
    for problem in &case.problems {
        let place = problem.location().map_or_else(String::new, |place| format!("; it was set at {place}"));
        found.add(Severity::Refused, problem.subject(), problem.what(), format!("nothing starts with it{place}"));
    }
    for (address, plain) in case.addresses.iter().map(|at| (*at, false)).chain(case.health.map(|at| (at, true))) {
        if let Err(Error::Exposed { address, missing }) = case.settings.check_exposed(address, plain) {
            found.add(Severity::Refused, address.to_string(), "it can be reached from other machines", missing);
        }
    }
    callers::look(&case, &mut found);
    ways::look(&case, &ends, &mut found);
    bounds::look(&case, &mut found);
    records::look(&case, &mut found);
    found.0.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Diagnosis(found.0)
}

impl Case<'_> {
    /// An address that other machines can reach.
    fn beyond_loopback(&self) -> Option<SocketAddr> {
        self.addresses.iter().copied().find(|address| !address.ip().is_loopback())
    }

    /// The worse one beyond loopback.
    fn worse_beyond_loopback(&self, here: Severity, there: Severity) -> Severity {
        if self.beyond_loopback().is_some() { there } else { here }
    }

    fn registry(&self) -> Option<&Registry> {
        match self.offered {
            Offered::Mcp(registry) => Some(registry),
            Offered::Services(_) => None,
        }
    }

    fn tools(&self) -> impl Iterator<Item = &Entry> {
        self.registry().into_iter().flat_map(Registry::tools).map(Arc::as_ref)
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        severity: Severity,
        subject: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let [subject, what, remedy] = [subject.into(), what.into(), remedy.into()].map(printable);
        self.0.push(Finding { severity, subject, what, remedy });
    }
}

/// Names of files and the like may hold anything; a finding is for a terminal.
fn printable(text: String) -> String {
    if !text.contains(is_harmful) {
        return text;
    }
    let mut shown = String::new();
    for letter in text.chars() {
        match is_harmful(letter) {
            true => shown.extend(letter.escape_unicode()),
            false => shown.push(letter),
        }
    }
    shown
}

/// Some of those names, and how many more there are. Empty if there is none.
fn names<S: AsRef<str>>(all: impl IntoIterator<Item = S>) -> String {
    const SHOWN: usize = 5;
    let mut all = all.into_iter();
    let shown: Vec<_> = all.by_ref().take(SHOWN).map(|name| format!("`{}`", name.as_ref().escape_debug())).collect();
    match all.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

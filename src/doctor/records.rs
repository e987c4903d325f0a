//! What is recorded, and who else can read or change the files?

use super::{Case, Findings, Severity};
use crate::audit::WhenFailing;
use crate::file_mode::{self, Others, Reach};
use std::path::Path;

pub(super) fn look(case: &Case<'_>, found: &mut Findings) {
    let settings = case.settings;
    for path in settings.authenticator.access.files() {
        file(found, "token file", path, Kind::Secret, "--token-file");
    }
    if let Some((tls, _)) = &settings.tls {
        tls.key_files().for_each(|path| file(found, "key", path, Kind::Secret, "--tls-key"));
        tls.trust_files().for_each(|path| file(found, "certificates", path, Kind::Public, "--tls-cert, --client-ca"));
    }
    for (jwt, _) in &settings.jwt {
        jwt.files().for_each(|path| file(found, "keys of an issuer", path, Kind::Public, "--jwt-jwks, --jwt-ca"));
    }
    audit(case, found);
}

fn audit(case: &Case<'_>, found: &mut Findings) {
    let Some(audit) = &case.settings.audit else {
        if !case.addresses.is_empty() {
            let severity = case.worse_beyond_loopback(Severity::Note, Severity::Weak);
            let what = "nothing is recorded that could not be changed afterwards: nobody will know who has called what";
            found.add(severity, "audit log", what, "keep an audit log with `audit` (option --audit)");
        }
        return;
    };
    file(found, "audit log", audit.path(), Kind::Secret, "--audit");
    if let Some((path, is_beside)) = audit.key_path() {
        file(found, "audit key", &path, Kind::Secret, "--audit-key");
        if is_beside {
            let what = format!(
                "it is beside the log, at `{}`: whoever can change the log can make its chain anew",
                path.display()
            );
            let remedy =
                "name one elsewhere with `Audit::key_file` (option --audit-key), which nobody needs between the starts";
            found.add(Severity::Note, "audit key", what, remedy);
        }
    }
    if audit.fails_by() == WhenFailing::Count {
        let what = "when it cannot be written, the server goes on, and counts what is lost";
        found.add(
            Severity::Note,
            "audit log",
            what,
            "if a gap is worse than a halt: `WhenFailing::Refuse` (option --audit-when-failing refuse)",
        );
    }
}

/// What harm it does if others read a file.
#[derive(Clone, Copy)]
enum Kind {
    /// It holds what others should not read.
    Secret,
    /// Everybody may read it.
    Public,
}

fn file(found: &mut Findings, what_it_is: &str, path: &Path, kind: Kind, option: &str) {
    // What is not there, or cannot be read, is a problem of its own; so is a file that everybody may change.
    let Some(Reach { read, write, replace }) = file_mode::reach(path) else { return };
    let mut add = |severity, what: &str, remedy: &str| {
        found.add(severity, format!("{what_it_is} `{}`", path.display()), what, format!("{remedy} (option {option})"));
    };
    if write == Others::Group {
        add(Severity::Note, "its group can change it", "`chmod go-w` it");
    }
    match replace {
        Others::Nobody => {}
        Others::Group => {
            let what = "the group of a folder that it is in can put another one in its place";
            add(Severity::Note, what, "`chmod go-w` the folder, or use another");
        }
        Others::Everybody => {
            let what = "everybody on this machine can put another one in its place, as all can write to a folder that it is in, or a link to it";
            let remedy = "`chmod o-w` the folder, or `chmod +t` it, or use another, or mount it read-only, and look at what is in the file";
            add(Severity::Open, what, remedy);
        }
    }
    let (severity, who) = match (kind, read) {
        (Kind::Public, _) | (_, Others::Nobody) => return,
        (_, Others::Group) => (Severity::Note, "its group"),
        (_, Others::Everybody) => (Severity::Weak, "every user of this machine"),
    };
    add(severity, &format!("{who} can read it"), "`chmod go-rwx` it");
}

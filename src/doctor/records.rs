//! What is recorded, and who else can read or change the files?

use super::{Case, Findings, Severity};
use crate::audit::WhenFailing;
use crate::file_mode::{self, Others, Reach};
use std::path::Path;

pub(super) fn look(case: &Case<'_>, found: &mut Findings) {
    let settings = case.settings;
    for path in settings.authenticator.access.files() {
        file(found, "token file", path, Kind::Secret { refused: true }, "--token-file");
    }
    if let Some((tls, _)) = &settings.tls {
        tls.key_files().for_each(|path| file(found, "key", path, Kind::Secret { refused: true }, "--tls-key"));
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
    file(found, "audit log", audit.path(), Kind::Record, "--audit");
    if let Some((path, is_beside)) = audit.key_path() {
        file(found, "audit key", &path, Kind::Secret { refused: false }, "--audit-key");
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

/// What harm it does if others read or write a file.
#[derive(Clone, Copy)]
enum Kind {
    /// It holds secrets. Some that everybody may write to are refused anyway, which is in the list already.
    Secret { refused: bool },
    /// It may be read by others, not changed.
    Record,
    /// Everybody may read it.
    Public,
}

fn file(found: &mut Findings, what_it_is: &str, path: &Path, kind: Kind, option: &str) {
    // What is not there, or cannot be read, is a problem of its own.
    let Some(Reach { read, write, replace }) = file_mode::reach(path) else { return };
    let subject = || format!("{what_it_is} `{}`", path.display());
    let by = |others| if others == Others::Group { "its group" } else { "every user of this machine" };
    let severity = |others| if others == Others::Group { Severity::Note } else { Severity::Open };
    let is_refused = matches!(kind, Kind::Secret { refused: true }) && write == Others::Everybody;
    if write > Others::Nobody && !is_refused {
        let what = format!("{} can change it", by(write));
        found.add(severity(write), subject(), what, format!("`chmod go-w` it (option {option})"));
    }
    if replace > Others::Nobody {
        let what = format!(
            "{} can put another one in its place, as its folder can be written to",
            by(replace).replace("its group", "the group of its folder")
        );
        found.add(
            severity(replace),
            subject(),
            what,
            format!("`chmod go-w` the folder, or use another (option {option})"),
        );
    }
    let (on_group, on_all) = match kind {
        Kind::Secret { .. } => (Severity::Note, Severity::Weak),
        Kind::Record => (Severity::Note, Severity::Weak),
        Kind::Public => return,
    };
    if read > Others::Nobody {
        let severity = if read == Others::Group { on_group } else { on_all };
        found.add(
            severity,
            subject(),
            format!("{} can read it", by(read)),
            format!("`chmod go-rwx` it (option {option})"),
        );
    }
}

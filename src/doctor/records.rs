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
        tls.trust_files().for_each(|path| file(found, "certificates", path, Kind::Trust, "--tls-cert, --client-ca"));
    }
    for (jwt, _) in &settings.jwt {
        jwt.files().for_each(|path| file(found, "keys of an issuer", path, Kind::Keys, "--jwt-jwks, --jwt-ca"));
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

/// What harm it does if others read or write a file. Those that everybody may change are refused, which is in the list already, but for the last kind.
#[derive(Clone, Copy)]
enum Kind {
    /// It holds what others should not read.
    Secret,
    /// Keys that everybody may read.
    Keys,
    /// Certificates: everybody may read them.
    Trust,
}

fn file(found: &mut Findings, what_it_is: &str, path: &Path, kind: Kind, option: &str) {
    // What is not there, or cannot be read, is a problem of its own.
    let Some(reach) = file_mode::reach(path) else { return };
    let Reach { read, write, replace } = reach;
    let subject = || format!("{what_it_is} `{}`", path.display());
    let by = |others| if others == Others::Group { "its group" } else { "every user of this machine" };
    let severity = |others| if others == Others::Group { Severity::Note } else { Severity::Open };
    let is_told = !matches!(kind, Kind::Trust) && reach.refusal().is_some();
    if write > Others::Nobody && !is_told {
        let what = format!("{} can change it", by(write));
        found.add(severity(write), subject(), what, format!("`chmod go-w` it (option {option})"));
    }
    if replace > Others::Nobody && !is_told {
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
        Kind::Secret => (Severity::Note, Severity::Weak),
        Kind::Keys | Kind::Trust => return,
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

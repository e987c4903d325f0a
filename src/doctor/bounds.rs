//! How much can be done, and what is not looked at?

use super::{Case, Findings, Severity, names};
use crate::guard::policy::{TextAction, TextPolicy};
use crate::limits::Limits;

pub(super) fn look(case: &Case<'_>, found: &mut Findings) {
    // What somebody who has started the program sends it by a pipe, he does to himself.
    if !case.addresses.is_empty() {
        limits(case, found);
    }
    texts(case, found);
    checks(case, found);
}

fn limits(case: &Case<'_>, found: &mut Findings) {
    let severity = case.worse_beyond_loopback(Severity::Note, Severity::Weak);
    let Limits {
        rate, principal_rate, address_rate, connect_rate, failed_logins, connection_lifetime, log_rate, ..
    } = case.settings.limits;
    let off = [
        ("rate", "rate", rate == 0, "one client can keep all threads busy"),
        (
            "principal_rate",
            "principal-rate",
            principal_rate == 0,
            "one principal can keep all threads busy, by many connections",
        ),
        (
            "address_rate",
            "address-rate",
            address_rate == 0,
            "one address can keep all threads busy, by many connections",
        ),
        (
            "connect_rate",
            "connect-rate",
            connect_rate == 0,
            "one address can open connections, and have keys agreed on, as fast as it likes",
        ),
        ("failed_logins", "failed-logins", failed_logins == 0, "tokens can be guessed as fast as anybody likes"),
        (
            "connection_lifetime",
            "connection-lifetime",
            connection_lifetime.is_zero(),
            "a connection lives on when what it was let in for is gone",
        ),
        ("log_rate", "log-rate", log_rate == 0, "a handler can fill a client's queue with log messages"),
    ];
    for (name, option, is_off, what) in off {
        if is_off {
            let remedy = format!("leave its default with `Settings::limits` (option --{option})");
            found.add(severity, format!("limit {name}"), format!("it is switched off: {what}"), remedy);
        }
    }
    for (name, option, much) in case.settings.limits.far_beyond_defaults() {
        let what = format!("it is {much}, far beyond its default: one client can take that much");
        let remedy = format!("lower it with `Settings::limits` (option --{option})");
        found.add(severity, format!("limit {name}"), what, remedy);
    }
}

fn texts(case: &Case<'_>, found: &mut Findings) {
    let nothing = TextPolicy::all(TextAction::Allow);
    let texts = case.settings.texts;
    for (is_off, setting, what) in [
        (
            texts.incoming == nothing,
            "text_in",
            "control characters and hidden text reach handlers, and what they write to",
        ),
        (texts.outgoing == nothing, "text_out", "control characters and hidden text reach models and terminals"),
    ] {
        if is_off && case.registry().is_some() {
            let remedy =
                format!("leave out `{setting}`, and let them pass in a tool that needs it with `Tool::{setting}`");
            found.add(Severity::Weak, "texts", what, remedy);
        }
    }
    let open = case.tools().filter(|tool| [tool.text_in, tool.text_out].contains(&Some(nothing)));
    let open = names(open.map(|tool| tool.name()));
    if !open.is_empty() {
        let what = format!("control characters and hidden text pass in the arguments or results of {open}");
        found.add(
            Severity::Note,
            "tools",
            what,
            "leave out `Tool::text_in` and `Tool::text_out` where they are not needed",
        );
    }
}

fn checks(case: &Case<'_>, found: &mut Findings) {
    let unchecked = names(case.tools().filter(|tool| tool.unchecked).map(|tool| tool.name()));
    if !unchecked.is_empty() {
        let what = format!("arguments and results are not checked against their schemas: {unchecked}");
        found.add(Severity::Note, "tools", what, "leave out `Tool::unchecked` where it saves nothing");
    }
    if !cfg!(feature = "validation") && case.tools().next().is_some() {
        let what = "arguments of tools are checked by their types alone, not against their schemas";
        found.add(Severity::Note, "tools", what, "build with the feature `validation`");
    }
}

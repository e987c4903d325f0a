//! Over which ways do callers come: TLS, proxies, web pages, names of hosts, probes?

use super::{Case, Findings, Severity, names};
use crate::clock;
use crate::tls::Term;

pub(super) fn look(case: &Case<'_>, certificates: &[Term], found: &mut Findings) {
    terms(certificates, found);
    if !case.addresses.is_empty() {
        encryption(case, found);
        proxies(case, found);
        hosts(case, found);
        origins(case, found);
    }
    if let Some(address) = case.health.filter(|address| !address.ip().is_loopback()) {
        found.add(
            Severity::Note,
            "health",
            format!("whoever reaches {address} reads the server's name and numbers, and what failing checks say: nobody is asked for a token there"),
            "use an address of loopback (option --health), or `health_on_main`, which asks for one",
        );
    }
}

/// From when to when certificates are good.
fn terms(certificates: &[Term], found: &mut Findings) {
    let now = clock::seconds_since_1970();
    let soon = i64::try_from(super::SOON.as_secs()).unwrap_or(i64::MAX);
    for term in certificates {
        let (severity, what) = match term.fault(now) {
            Some(fault) => (Severity::Weak, format!("it {fault}: clients will refuse it")),
            None if term.ends_before(now.saturating_add(soon)) => {
                (Severity::Note, format!("it ends within 14 days, on {}", term.end()))
            }
            None => continue,
        };
        let remedy = "put a new one in its place, which is taken while the server runs (option --tls-cert)";
        found.add(severity, format!("certificate in {term}"), what, remedy);
    }
}

fn encryption(case: &Case<'_>, found: &mut Findings) {
    let settings = case.settings;
    let Some(address) = case.beyond_loopback() else { return };
    if settings.tls.is_some() || !settings.plaintext {
        return;
    }
    found.add(
        Severity::Note,
        "TLS",
        format!("{address} is not encrypted: whoever reaches it past the proxy, or listens between the two, reads tokens and answers"),
        "let nobody but the proxy reach it, or encrypt with `tls`, too (option --tls-cert)",
    );
    if settings.proxies.is_empty() {
        found.add(
            Severity::Weak,
            "proxies",
            "it is said to be behind a proxy, and none is named: all clients share its address in limits and logs, and one can lock out all others",
            "name it with `trusted_proxies` (option --trusted-proxy)",
        );
    }
}

fn proxies(case: &Case<'_>, found: &mut Findings) {
    let proxies = &case.settings.proxies;
    let wide = names(proxies.wide());
    if !wide.is_empty() {
        let what = format!(
            "everybody in {wide} is believed what address he says he has: limits and logs are worth nothing against them"
        );
        found.add(
            Severity::Weak,
            "proxies",
            what,
            "name the addresses of your proxies alone with `trusted_proxies` (option --trusted-proxy)",
        );
    }
    if proxies.trusts_loopback() {
        let what = "all users and programs of this machine are believed what addresses their clients have";
        found.add(
            Severity::Note,
            "proxies",
            what,
            "that is right where nobody but the proxy is on it; else give the proxy an address of its own for \
            `trusted_proxies` (option --trusted-proxy)",
        );
    }
}

fn hosts(case: &Case<'_>, found: &mut Findings) {
    let hosts = &case.settings.hosts.allowed;
    let wild = names(hosts.iter().filter(|host| host.covers_subdomains()).map(ToString::to_string));
    if !wild.is_empty() {
        let what = format!(
            "{wild}: whoever can have a name of those point to this machine can have pages of it come here (DNS rebinding)"
        );
        found.add(Severity::Note, "hosts", what, "name the hosts one by one with `allow_host` (option --allow-host)");
    }
    if let (true, Some(address)) = (hosts.is_empty(), case.beyond_loopback()) {
        let what = format!(
            "requests are let in for names of loopback alone, though {address} can be reached from other machines: nobody there can use it"
        );
        found.add(
            Severity::Note,
            "hosts",
            what,
            "name what clients call this server with `allow_host` (option --allow-host)",
        );
    }
}

fn origins(case: &Case<'_>, found: &mut Findings) {
    let (settings, origins) = (case.settings, &case.settings.origins.allowed);
    let anybody = settings.lets_anybody_in();
    let worse = |asked, unasked| if anybody { unasked } else { asked };
    const REMEDY: &str = "name the origins of your pages with `allow_origin` (option --allow-origin)";
    // Where nobody is asked who he is, that is refused.
    if origins.iter().any(|origin| origin.is_null()) && !anybody {
        let what = "pages without an origin are let in (`null`), and every page can make itself one of those";
        found.add(Severity::Weak, "origins", what, REMEDY);
    }
    let wild = names(origins.iter().filter(|origin| origin.covers_subdomains()).map(ToString::to_string));
    if !wild.is_empty() {
        let what = format!(
            "all pages beneath {wild} are let in: the weakest of those hosts decides, and any that was left to others"
        );
        found.add(worse(Severity::Note, Severity::Weak), "origins", what, REMEDY);
    }
    let plain = names(origins.iter().filter(|origin| origin.is_plain_beyond_loopback()).map(ToString::to_string));
    if !plain.is_empty() {
        let what = format!(
            "pages of {plain} come without TLS: whoever is on their way can change them, and use this server through them"
        );
        found.add(
            Severity::Weak,
            "origins",
            what,
            "have them begin with `https://` in `allow_origin` (option --allow-origin)",
        );
    }
}

//! Who can call what, and by which credentials?

use super::{Case, Findings, Offered, SOON, Severity, names};
use crate::guard::scopes::Required;
use crate::mcp::registry::{Entry, Registry};
use crate::token::Token;
use std::time::SystemTime;

const ASK: &str = "ask for a token with `token_file` or `bearer_token` (option --token-file, --token), or for a certificate with \
                   `TlsConfig::client_ca_file` (option --client-ca)";

pub(super) fn look(case: &Case<'_>, found: &mut Findings) {
    if !case.addresses.is_empty() {
        strangers(case, found);
        tokens(case, found);
        issuers(case, found);
    }
    confirmation(case, found);
}

/// Those who are not asked who they are.
fn strangers(case: &Case<'_>, found: &mut Findings) {
    let settings = case.settings;
    let guarded: Vec<_> = case.registry().map_or_else(Vec::new, Registry::guarded);
    if !settings.asks() && !guarded.is_empty() {
        let what = format!("nobody is asked who they are, so the scopes of {} are asked of nobody", names(guarded));
        found.add(Severity::Weak, "scopes", what, ASK);
    }
    if !settings.lets_anybody_in() {
        return;
    }
    if let Some(address) = case.beyond_loopback() {
        // Else it is refused, and that is in the list.
        if settings.anonymous {
            let what = format!(
                "nobody is asked who they are at {address}: whoever reaches it can use all that asks for no scope"
            );
            let remedy = format!("{ASK}, instead of `dangerous_allow_anonymous` (option --dangerous-allow-anonymous)");
            found.add(Severity::Open, "callers", what, remedy);
        }
        return;
    }
    // Without a certificate, where one is asked for, they have no scope.
    let used = |required: &Required| required.is_empty() || !settings.asks();
    let who = "nobody is asked who they are: every user and program of this machine can";
    let registry = match case.offered {
        Offered::Mcp(registry) => registry,
        Offered::Services(paths) => {
            found.add(Severity::Weak, "callers", format!("{who} connect to {}", names(paths)), ASK);
            return;
        }
    };
    let of = |wanted: Harm| {
        let tools = case.tools().filter(move |tool| used(&tool.required) && Harm::of(tool) == wanted);
        tools.map(|tool| tool.name().to_owned())
    };
    let methods = registry.methods.requests.iter().filter(|method| used(&method.required));
    let methods = methods.chain(&registry.methods.notifications).map(|method| method.name.to_string());
    let groups = [
        (Severity::Open, names(of(Harm::Certain)), "marked as destructive"),
        (Severity::Weak, names(of(Harm::Possible).chain(methods)), "not said to destroy nothing"),
        (Severity::Note, names(of(Harm::None)), "said to destroy nothing"),
    ];
    let mut any = false;
    for (severity, tools, kind) in groups {
        if tools.is_empty() {
            continue;
        }
        any = true;
        let remedy = match severity {
            Severity::Weak => format!("{ASK}; mark tools that destroy nothing with `read_only` or `additive`"),
            _ => ASK.to_owned(),
        };
        found.add(severity, "callers", format!("{who} call {tools} ({kind})"), remedy);
    }
    if !any {
        found.add(Severity::Note, "callers", format!("{who} connect"), ASK);
    }
}

/// What a tool could do to its user.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    None,
    /// It does not say: clients assume that it may destroy something.
    Possible,
    Certain,
}

impl Harm {
    fn of(tool: &Entry) -> Self {
        let annotations = &tool.info.annotations;
        match (annotations.read_only, annotations.destructive) {
            (Some(true), _) | (_, Some(false)) => Self::None,
            (_, Some(true)) => Self::Certain,
            (_, None) => Self::Possible,
        }
    }
}

/// Whether users are asked before something is destroyed.
fn confirmation(case: &Case<'_>, found: &mut Findings) {
    let asks = |tool: &Entry| tool.asks_first(case.settings.confirm_destructive) || tool.needs_no_confirmation();
    let unasked = case.tools().filter(|tool| Harm::of(tool) == Harm::Certain && !asks(tool));
    let unasked = names(unasked.map(|tool| tool.name()));
    if !unasked.is_empty() {
        found.add(
            Severity::Weak,
            "tools",
            format!("a model can destroy something without its user being asked: {unasked}"),
            "ask first with `confirm_destructive` (option --confirm-destructive) or `Tool::confirm`, or say that a tool asks itself with \
             `Tool::without_confirmation`",
        );
    }
    // In 2026-07-28 the question and the answer to it are a call each.
    let once = |tool: &&Entry| {
        tool.asks_first(case.settings.confirm_destructive) && tool.bounds.calls().is_some_and(|calls| calls < 2)
    };
    let once = names(case.tools().filter(once).map(|tool| tool.name()));
    if !once.is_empty() {
        found.add(
            Severity::Weak,
            "tools",
            format!(
                "a client of 2026-07-28 cannot confirm, as its answer is one call more than the rate allows: {once}"
            ),
            "allow two calls or more with `Tool::rate`",
        );
    }
}

/// Static tokens and tickets.
fn tokens(case: &Case<'_>, found: &mut Findings) {
    let (settings, now) = (case.settings, SystemTime::now());
    let authenticator = &settings.authenticator;
    let tokens = authenticator.access.tokens();
    let of = |wanted: &dyn Fn(&Token) -> bool| names(tokens.all().filter(|token| wanted(token)).map(Token::label));
    let others = authenticator.authenticate.is_some() || !settings.jwt.is_empty() || settings.certificate_suffices();
    if tokens.all().next().is_none() {
        if !tokens.is_empty() && !others && !authenticator.access.takes_tickets() {
            let what = "callers are asked for a token, and there is none in the token file: nobody can come in";
            found.add(Severity::Note, "tokens", what, "write one into it (option --token-file)");
        }
        if settings.ticket_endpoint && !others {
            let what = "tickets are issued to callers with a token, and there is none: nobody can have one";
            found.add(
                Severity::Weak,
                "tickets",
                what,
                "add a token with `token_file` (option --token-file), or issue tickets with \
                `Handle::issue_ticket` and leave out `ticket_endpoint` (option --ticket-endpoint)",
            );
        }
    } else {
        if tokens.all().all(|token| token.expiry.is_none()) {
            let what = "none of the tokens has an end: one that was lost or copied is good for ever";
            found.add(
                Severity::Note,
                "tokens",
                what,
                "give them one with `Token::expires` (`expires=` in the file of --token-file)",
            );
        }
        let expired = of(&|token| token.expiry.is_some_and(|end| end <= now));
        if !expired.is_empty() {
            let what = format!("they have expired, and their holders are refused: {expired}");
            found.add(
                Severity::Weak,
                "tokens",
                what,
                "give their holders new ones, and take these away (option --token-file)",
            );
        }
        let soon = of(&|token| token.expiry.is_some_and(|end| end > now && end < now + SOON));
        if !soon.is_empty() {
            let what = format!("they end within 14 days: {soon}");
            found.add(Severity::Note, "tokens", what, "give their holders new ones in time (option --token-file)");
        }
        let whole = of(&|token| token.scopes.is_none());
        if !whole.is_empty() && case.registry().is_some_and(|registry| !registry.guarded().is_empty()) {
            let what = format!("they may use everything, whatever scopes it asks for: {whole}");
            found.add(
                Severity::Note,
                "tokens",
                what,
                "limit them with `Token::scopes` (`scopes=` in the file of --token-file)",
            );
        }
    }
    if authenticator.token_as_subprotocol {
        let what = "tokens are taken from `Sec-WebSocket-Protocol`, too, which proxies and servers write to their logs";
        found.add(
            Severity::Weak,
            "tokens",
            what,
            "use `tickets` (option --ticket-endpoint) instead of `token_as_subprotocol` (option \
            --token-as-subprotocol)",
        );
    }
}

/// Issuers of tokens.
fn issuers(case: &Case<'_>, found: &mut Findings) {
    for (jwt, _) in &case.settings.jwt {
        let mut say = |severity, what: &str, remedy: &str| {
            found.add(severity, format!("jwt for `{}`", jwt.named().escape_debug()), what, remedy);
        };
        if jwt.fetches_unencrypted() {
            say(
                Severity::Weak,
                "its keys are fetched without TLS: whoever can change them on their way can make tokens",
                "have `jwks_url` begin with `https://` (option --jwt-jwks)",
            );
        }
        if jwt.reaches_private() {
            say(
                Severity::Weak,
                "its keys are fetched from private addresses, too: whoever can change what its name resolves to has this server connect to your network",
                "leave out `dangerous_allow_private_address` (option --dangerous-jwt-private), or give the keys in a file (`jwks_file`)",
            );
        }
        if jwt.is_untyped() {
            say(
                Severity::Note,
                "tokens count that are not marked as access tokens: an ID token for this audience would be one",
                "have the issuer mark them (`typ` `at+jwt`) and leave out `untyped` (option --jwt-untyped)",
            );
        }
    }
}

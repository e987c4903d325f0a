//! Who is a caller? Its token, its ticket, its certificate, or what the author's own authentication makes of its request.

use crate::access::Access;
use crate::guard::address::ClientAddr;
use crate::guard::bearer::{bearer, garbage};
use crate::guard::challenge::Challenge;
use crate::guard::offer::{self, Offer};
use crate::guard::origin::Origin;
use crate::http::head::Head;
use crate::http::refusal::Refusal;
use crate::jwt::Issuers;
use crate::principal::Principal;
use crate::settings::Authenticate;
use crate::transport::request_head::{Denied, LookedAt, RequestHead};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

/// All ways to authenticate that a server has; without any, nobody is asked.
#[derive(Clone, Default)]
pub(crate) struct Authenticator {
    /// Static bearer tokens, and tickets.
    pub(crate) access: Arc<Access>,
    /// Issuers of tokens; filled when the server is bound.
    pub(crate) issuers: Issuers,
    /// The author's own way.
    pub(crate) authenticate: Option<Authenticate>,
    pub(crate) looked_at: Arc<LookedAt>,
    /// What callers are told that have to authenticate.
    pub(crate) challenge: Challenge,
    /// A client's certificate stands for a token that it does not send.
    pub(crate) certificate_suffices: bool,
    /// A WebSocket may bring its token as a subprotocol.
    pub(crate) token_as_subprotocol: bool,
}

impl Authenticator {
    /// Whether callers are asked who they are, apart from their certificates.
    pub(crate) fn asks(&self) -> bool {
        self.authenticate.is_some() || self.access.asks() || !self.issuers.is_empty()
    }

    /// `certificate` is who the caller has proven to be by one, if TLS asks for those. `None` is somebody who was not asked.
    pub(crate) fn identify(
        &self,
        head: &Head,
        origin: Option<&Origin>,
        address: ClientAddr,
        certificate: Option<&Principal>,
    ) -> Result<Option<Principal>, Refusal> {
        let now = SystemTime::now();
        let offer = self.offer(head);
        let principal = match self.place(head, &offer)? {
            Place::Ticket(ticket) => Some(self.by_ticket(ticket, head, origin, (address, certificate), now)?),
            Place::Subprotocol(token) => self.by_token(head, Ok(Some(token)), (address, certificate), now)?,
            Place::Header => self
                .by_token(head, bearer(head), (address, certificate), now)
                .map_err(|refusal| hint(head, &offer, refusal))?,
        };
        let Some(principal) = principal else { return Ok(None) };
        // What an author's own authentication has said of an end, and a certificate's: it is part of who this is, also beside a token.
        let principal = principal.ending_with(certificate);
        self.challenge.still_valid(&principal, SystemTime::now())?;
        Ok(Some(principal))
    }

    fn offer<'h>(&self, head: &'h Head) -> Offer<'h> {
        let asks = self.asks() && head.method == "GET" && head.wants_upgrade();
        if asks { offer::find(head.list("sec-websocket-protocol")) } else { Offer::Nothing }
    }

    /// Where a caller's credential is looked for.
    fn place<'o>(&self, head: &Head, offer: &'o Offer<'_>) -> Result<Place<'o>, Refusal> {
        match offer {
            Offer::Ticket(ticket) if self.access.takes_tickets() => Ok(Place::Ticket(ticket)),
            Offer::Garbage if self.access.takes_tickets() || self.token_as_subprotocol => {
                Err(garbage("offer one credential among the subprotocols: mcp.ticket.…, mcp.auth.… or mcp.auth64.…"))
            }
            Offer::Token(_) if self.token_as_subprotocol && head.header("authorization").is_some() => {
                Err(garbage("send one token: in Authorization, or as a subprotocol"))
            }
            Offer::Token(token) if self.token_as_subprotocol => Ok(Place::Subprotocol(token)),
            _ => Ok(Place::Header),
        }
    }

    /// What a caller brings that can be shown again: one credential is the same however it is spelled, and whatever else stands in the head.
    pub(crate) fn brought(&self, head: &Head, certificate: Option<&Principal>) -> Option<Credentials> {
        let offer = self.offer(head);
        let token = match self.place(head, &offer).ok()? {
            // Nothing else is looked at then.
            Place::Ticket(_) if head.header("authorization").is_none() => return None,
            Place::Ticket(_) | Place::Header => bearer(head).ok().flatten(),
            Place::Subprotocol(token) => Some(token),
        };
        let is_token = |(at, _): &(usize, _)| *at == 0 && token.is_some();
        let headers =
            self.authenticate.iter().flat_map(|_| self.looked_at.found(head)).filter(|found| !is_token(found));
        let credentials = Credentials {
            token: token.map(str::to_owned),
            certificate: certificate.map(Principal::shared_id),
            headers: headers.map(|(at, value)| (at, value.to_vec())).collect(),
        };
        (credentials != Credentials::default()).then_some(credentials)
    }

    /// Whether a caller brings what nobody can guess, though it was not there before: a ticket that somebody was given a moment ago.
    pub(crate) fn has_good_ticket(&self, head: &Head) -> bool {
        let offer = self.offer(head);
        matches!(self.place(head, &offer), Ok(Place::Ticket(ticket)) if self.access.has_ticket(ticket))
    }

    /// Whose token that is by its own word, if only a signature can make it good and nothing else is looked at.
    pub(crate) fn signed_for(&self, credentials: &Credentials) -> Option<String> {
        let token = credentials.token.as_ref().filter(|_| credentials.headers.is_empty())?;
        self.issuers.claimed(token)
    }

    /// By what is known of tokens and certificates, and by the author's own way.
    fn by_token(
        &self,
        head: &Head,
        token: Result<Option<&str>, Refusal>,
        (address, certificate): (ClientAddr, Option<&Principal>),
        now: SystemTime,
    ) -> Result<Option<Principal>, Refusal> {
        let sent = token.as_ref().ok().copied().flatten();
        let malformed = token.as_ref().err().cloned();
        let any = head.header("authorization").is_some() || sent.is_some();
        let tokens = self.access.tokens();
        // Who has shown a certificate that was asked for need not bring one.
        let by_ticket = self.access.asks() && tokens.is_empty() && certificate.is_none();
        let by_token = match by_ticket {
            // There are tickets, and no other way to have come in.
            true => {
                Err(self.challenge.missing("bring a ticket: offer the subprotocols `mcp` and `mcp.ticket.<ticket>`"))
            }
            false => tokens.check(token, &self.challenge, now),
        };
        let by_token = match (by_token, sent) {
            (other, _) if self.issuers.is_empty() => other,
            // Not one of ours: it may be an issuer's.
            (Ok(None), Some(token)) => self.issuers.check(token, &self.challenge).map(Some),
            (Err(refusal), Some(token)) if refusal.about.is_none() => {
                self.issuers.check(token, &self.challenge).map(Some)
            }
            (Ok(None), None) => {
                Err(malformed.unwrap_or_else(|| self.challenge.missing("send `Authorization: Bearer <token>`")))
            }
            (other, _) => other,
        };
        match (&self.authenticate, by_token) {
            (_, Ok(Some(principal))) => Ok(Some(principal)),
            (None, Ok(None)) => Ok(certificate.cloned()),
            (None, Err(refusal)) => {
                let suffices = self.certificate_suffices && !any;
                certificate.filter(|_| suffices).cloned().map(Some).ok_or(refusal)
            }
            // Known, and not good any more: that is not the author's business.
            (Some(_), Err(refusal)) if refusal.about.is_some() => Err(refusal),
            (Some(authenticate), by_token) => {
                const REASON: &str = "the credentials are missing or not accepted";
                // Nobody can say yet whether that token is good.
                let unavailable = by_token.err().filter(|refusal| refusal.status == 503);
                // What it has looked at, and did not accept.
                let denied = |Denied| match any || self.looked_at.found(head).next().is_some() {
                    _ if unavailable.is_some() => unavailable.unwrap_or_else(|| self.challenge.invalid(REASON)),
                    true => self.challenge.invalid(REASON),
                    false => self.challenge.missing(REASON),
                };
                let head = RequestHead::new(head, sent, address, certificate, &self.looked_at);
                authenticate(&head).map(Some).map_err(denied)
            }
        }
    }

    /// By a ticket, which is used up thereby. One that comes with a token has to be of the same principal; one that was asked for with a certificate comes with the
    /// same.
    fn by_ticket(
        &self,
        ticket: &str,
        head: &Head,
        origin: Option<&Origin>,
        from: (ClientAddr, Option<&Principal>),
        now: SystemTime,
    ) -> Result<Principal, Refusal> {
        let refused = |reason: &str| {
            let mut refusal = self.challenge.invalid(reason);
            refusal.label = "ticket";
            refusal
        };
        let holder = origin.and_then(|origin| self.access.redeem(ticket, origin, from.1));
        let holder = holder.ok_or_else(|| {
            refused("this ticket is not known here: it works once, for a short time, and for its own page")
        })?;
        if head.header("authorization").is_some() {
            let caller = self.by_token(head, bearer(head), from, now)?;
            if caller.is_none_or(|caller| caller.id() != holder.id()) {
                return Err(refused("this ticket was issued to somebody else"));
            }
        }
        Ok(holder)
    }
}

/// Where a credential is.
enum Place<'o> {
    Ticket(&'o str),
    Subprotocol(&'o str),
    /// In `Authorization`, or nowhere.
    Header,
}

/// What a caller has shown of itself, taken apart.
#[derive(Default, PartialEq, Eq, Hash)]
pub(crate) struct Credentials {
    token: Option<String>,
    certificate: Option<Arc<str>>,
    /// What an author's own authentication looks at, each with the number of its header.
    headers: Vec<(usize, Vec<u8>)>,
}

/// Has a caller that has brought nothing, but in a place where it does not count, know of it.
fn hint(head: &Head, offer: &Offer<'_>, mut refusal: Refusal) -> Refusal {
    if refusal.status != 401 || head.header("authorization").is_some() {
        return refusal;
    }
    let what = match offer {
        Offer::Ticket(_) => "tickets are not taken here (Settings::tickets)",
        Offer::Token(_) => "a token as a subprotocol is not taken here (Settings::token_as_subprotocol)",
        Offer::Nothing | Offer::Garbage if secret_in_query(head) => {
            "what stands in the URL is not looked at, and is in many a log by now: have it replaced"
        }
        Offer::Nothing | Offer::Garbage => return refusal,
    };
    refusal.reason = format!("{}; {what}", refusal.reason);
    refusal
}

/// Whether the query looks as if it had a credential in it.
fn secret_in_query(head: &Head) -> bool {
    let names = head.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    let mut names = names.map(|name| Cow::from(name).to_ascii_lowercase());
    names.any(|name| matches!(name.as_str(), "access_token" | "token" | "ticket"))
}

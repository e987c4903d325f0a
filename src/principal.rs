//! Who a caller is, once it has authenticated.

use crate::guard::address::ClientAddr;
use crate::guard::scopes::{Grant, ScopeSet};
use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// An authenticated caller. Cheap to clone.
///
/// The `id` is what limits, sessions and logs are keyed by: it should be stable and name one caller, and it is not a
/// secret. An author's own `authenticate` hook may attach a value of its own, found again by [`user`](Self::user).
#[derive(Clone)]
pub struct Principal {
    id: Arc<str>,
    user: Option<Arc<dyn Any + Send + Sync>>,
    /// `None`: whatever there is.
    scopes: Option<Arc<ScopeSet>>,
    expiry: Option<SystemTime>,
    /// The static token that it came with.
    proof: Option<Arc<Proof>>,
}

/// A static token, as those know it who came with it.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// What its owner calls it.
    pub(crate) name: Option<Box<str>>,
    revoked: AtomicBool,
}

impl Proof {
    pub(crate) fn named(name: Option<Box<str>>) -> Arc<Self> {
        Arc::new(Self { name, revoked: AtomicBool::new(false) })
    }

    /// It does not count any more.
    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }
}

/// Why somebody's right to be here has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RightEnded {
    Expired,
    Revoked,
}

impl RightEnded {
    /// What its peer is told.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Expired => "the credentials have expired",
            Self::Revoked => "the token is not accepted any more",
        }
    }

    /// A word for counters and logs.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Principal {
    /// A caller with that id.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), user: None, scopes: None, expiry: None, proof: None }
    }

    /// Limits the caller to what these scopes allow, and those that they imply ([`Settings::scope_implies`](crate::Settings::scope_implies)). Without this
    /// it may use whatever there is; with an empty list, only what asks for no scope.
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(Arc::new(scopes.into_iter().map(|scope| scope.into().into_boxed_str()).collect()));
        self
    }

    /// Ends the caller's right to be here at that time: its requests are refused from then on, and what it has open is closed.
    #[must_use]
    pub fn expiring(mut self, at: SystemTime) -> Self {
        self.expiry = Some(at);
        self
    }

    /// Attaches a value of the author's own type.
    #[must_use]
    pub fn with_user<T: Send + Sync + 'static>(mut self, user: T) -> Self {
        self.user = Some(Arc::new(user));
        self
    }

    pub(crate) fn proven_by(mut self, proof: Arc<Proof>) -> Self {
        self.proof = Some(proof);
        self
    }

    /// The stable id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same, to be kept.
    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    /// The attached value, if there is one of this type.
    pub fn user<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.user.as_deref()?.downcast_ref()
    }

    /// The scopes it is limited to, in order; `None` if it may use whatever there is.
    pub fn scopes(&self) -> Option<impl Iterator<Item = &str>> {
        self.scopes.as_deref().map(|scopes| scopes.iter().map(|scope| &**scope))
    }

    /// What it may use.
    pub(crate) fn grant(&self) -> Grant {
        self.scopes.as_ref().map_or(Grant::Everything, |scopes| Grant::Scopes(Arc::clone(scopes)))
    }

    /// When its right to be here ends, if that is known.
    pub fn expiry(&self) -> Option<SystemTime> {
        self.expiry
    }

    /// The name of the [`Token`](crate::Token) that it came with, if it came with one that has a name.
    pub fn token_name(&self) -> Option<&str> {
        self.proof.as_ref()?.name.as_deref()
    }

    /// It ends when the other does, if that is earlier.
    pub(crate) fn ending_with(mut self, other: Option<&Self>) -> Self {
        let ends = other.and_then(|other| other.expiry);
        self.expiry = self.expiry.into_iter().chain(ends).min();
        self
    }

    /// Why it may not be here any more at that time, if so.
    pub(crate) fn ended(&self, now: SystemTime) -> Option<RightEnded> {
        if self.proof.as_ref().is_some_and(|proof| proof.revoked.load(Ordering::Acquire)) {
            return Some(RightEnded::Revoked);
        }
        self.expiry.filter(|expiry| *expiry <= now).map(|_| RightEnded::Expired)
    }
}

/// On whose account something is. Not a connection's or a session's: a client can have as many of those as it likes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Payer {
    Principal(Arc<str>),
    /// Where nobody has to say who it is. All of an IPv6 /64 is one.
    Address(IpAddr),
}

impl Payer {
    pub(crate) fn of(principal: Option<&Principal>, address: ClientAddr) -> Self {
        match principal {
            Some(principal) => Self::Principal(principal.shared_id()),
            None => Self::Address(address.group()),
        }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").field("id", &self.id).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

//! Who a caller is, once it has authenticated.

use crate::guard::address::ClientAddr;
use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
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
    scopes: Option<Arc<BTreeSet<Box<str>>>>,
    expiry: Option<SystemTime>,
}

impl Principal {
    /// A caller with that id.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), user: None, scopes: None, expiry: None }
    }

    /// Limits the caller to what these scopes allow. Without this it may use whatever there is; with an empty list, only what asks for no scope.
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

    /// When its right to be here ends, if that is known.
    pub fn expiry(&self) -> Option<SystemTime> {
        self.expiry
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

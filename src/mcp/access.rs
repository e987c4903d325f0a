//! Who may use what, and what is said to those who may not?
//!
//! Decided for each request, by what it asks for as it is registered at that moment: to who may not use it, it does not exist, or, if its author
//! wants that ("step-up"), it is refused with what it takes.

use super::Mcp;
use super::batch::Reply;
use super::client::{Link, Sender};
use super::registry::Registry;
use super::session::Session;
use crate::audit::Party;
use crate::guard::scopes::{self, Grant, Hierarchy, Required};
use crate::protocol::error::RpcError;
use crate::protocol::subscribe::ListenFilter;
use crate::settings::Settings;
use std::sync::atomic::Ordering;

/// What an author has said of that, for a whole server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    scopes: Hierarchy,
    /// Callers are asked who they are.
    asks: bool,
    /// Everything is shown to everybody.
    step_up: bool,
    /// Users are asked before something may be destroyed.
    pub(crate) confirm_destructive: bool,
}

impl Access {
    pub(crate) fn of(settings: &Settings) -> Self {
        let (scopes, asks) = (settings.scopes.clone(), settings.asks());
        Self { scopes, asks, step_up: settings.step_up, confirm_destructive: settings.confirm_destructive }
    }

    /// Whether a caller may use something.
    pub(crate) fn allows(&self, grant: &Grant, required: &Required) -> bool {
        required.is_empty() || self.scopes.allows(grant, required)
    }

    pub(crate) fn has_scope(&self, grant: &Grant, scope: &str) -> bool {
        self.scopes.has(grant, scope)
    }

    /// Whether a caller may know of something.
    pub(crate) fn shows(&self, grant: &Grant, required: &Required) -> bool {
        self.steps_up(required) || self.allows(grant, required)
    }

    fn steps_up(&self, required: &Required) -> bool {
        self.step_up || required.steps_up()
    }
}

impl Link {
    /// What its client may use; in a request that brings credentials of its own, by these.
    pub(crate) fn grant(&self, access: &Access, sender: Option<&Sender>) -> Grant {
        match self.party(sender).principal {
            Some(principal) => principal.grant(),
            // Where others say who they are, and this one need not.
            None if access.asks && self.guarded => Grant::Nothing,
            None => Grant::Everything,
        }
    }
}

impl Session {
    /// What whoever has sent a request may use.
    pub(super) fn grant(&self) -> Grant {
        self.link().grant(&self.mcp().access, self.sender())
    }

    /// Whether the sender of a request may use something of that method; if not, to the sender it does not exist. `name` is what it was registered as.
    ///
    /// # Errors
    /// The sender may know of it, and is told what it takes (-31003).
    pub(super) fn admits(&self, required: &Required, (method, name): (&str, Option<&str>)) -> Result<bool, RpcError> {
        let access = &self.mcp().access;
        if required.is_empty() || access.allows(&self.grant(), required) {
            return Ok(true);
        }
        self.mcp().forbidden(self.party(), (method, name), required.scopes());
        if access.steps_up(required) { Err(RpcError::insufficient_scope(required.scopes())) } else { Ok(false) }
    }

    /// Leaves out of what is listened for what its sender may know of, and not read. All else that it may not read is listened for like what does
    /// not exist: nothing is told of it.
    pub(super) fn leave_out_unreadable(&self, registry: &Registry, filter: &mut ListenFilter) {
        if !registry.resources.is_guarded() && !registry.templates.is_guarded() {
            return;
        }
        let (access, grant) = (&self.mcp().access, self.grant());
        filter.resource_subscriptions.retain(|uri| {
            let required = registry.resource(uri).map(|reader| reader.required);
            required.is_none_or(|required| access.allows(&grant, required) || !access.shows(&grant, required))
        });
    }
}

impl Mcp {
    /// Has the answer to a request say how to get the scopes that it lacks, if that is the error, and its transport has a place for it.
    pub(super) fn challenge(&self, error: &RpcError, reply: &Reply) {
        // An author may have made up an error like ours.
        if let Some(scopes) = error.missing_scopes().filter(|all| all.iter().all(|scope| scopes::check(scope).is_ok()))
        {
            reply.challenge(&scopes);
        }
    }

    /// Takes note of a request that was not allowed.
    pub(super) fn forbidden(&self, party: Party<'_>, (method, name): (&str, Option<&str>), scopes: &[Box<str>]) {
        self.core.counters.forbidden.fetch_add(1, Ordering::Relaxed);
        self.core.audit.forbidden(party, (method, name), &scopes.join(" "));
    }
}

//! What does a request say about itself, or its session did?

use super::ask::flow::Given;
use super::client::Sender;
use super::meta::RequestMeta;
use crate::protocol::capabilities::{ClientCapabilities, LogLevel};
use crate::protocol::id::{ProgressToken, RequestId};
use crate::protocol::params::Params;
use crate::protocol::revision::Revision;
use std::sync::Arc;

/// What the request said about itself, or its session did.
#[derive(Clone)]
pub(crate) struct Speech {
    pub(crate) revision: Revision,
    pub(crate) capabilities: Arc<ClientCapabilities>,
    /// From which level on log messages are wanted; for legacy sessions that is found in the session.
    pub(crate) level: Option<LogLevel>,
    pub(crate) progress: Option<ProgressToken>,
    /// Who has sent it, where that may be another than whose the session is: the same caller with other scopes, from another place.
    pub(crate) sender: Option<Sender>,
    /// What the request brings of earlier rounds.
    pub(crate) given: Given,
    /// What else it says of itself.
    pub(crate) meta: Option<Arc<RequestMeta>>,
    /// Its arguments say something twice.
    pub(crate) repeats: bool,
}

impl Speech {
    /// Without anything that a request says of its progress, its log messages and earlier rounds.
    pub(crate) fn new(
        revision: Revision,
        capabilities: Arc<ClientCapabilities>,
        sender: Option<Sender>,
        (params, repeats): (&Params<'_>, bool),
    ) -> Self {
        let meta = RequestMeta::read(params);
        Self { revision, capabilities, level: None, progress: None, sender, given: Given::default(), meta, repeats }
    }

    /// What of it holds for a task that the request has begun.
    pub(crate) fn of_task(&self) -> Self {
        let given = Given::default();
        if self.revision.is_modern() {
            // The extension has neither progress nor log messages of tasks.
            return Self { level: None, progress: None, given, ..self.clone() };
        }
        Self { given, ..self.clone() }
    }

    /// The memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        let token = self.progress.as_ref().map_or(0, RequestId::heap_bytes);
        let capabilities = size_of::<ClientCapabilities>() + self.capabilities.heap_bytes();
        token + capabilities + self.given.bytes() + self.meta.as_ref().map_or(0, |meta| meta.bytes())
    }
}

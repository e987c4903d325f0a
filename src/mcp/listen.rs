//! One `subscriptions/listen` request: open until the client cancels it or the server ends.

use super::Mcp;
use super::batch::Reply;
use super::client::{Link, Pending};
use super::session::{Done, Session};
use crate::engine::budget::Reservation;
use crate::engine::connection::key;
use crate::engine::outbox::{Body, Flush};
use crate::engine::pool::Busy;
use crate::protocol::classify::ModernRequest;
use crate::protocol::content::Implementation;
use crate::protocol::encode;
use crate::protocol::envelope::Request;
use crate::protocol::error::RpcError;
use crate::protocol::id::RequestId;
use crate::protocol::notify::{self, ListKind};
use crate::protocol::subscribe::ListenFilter;
use crate::protocol::tasks::{self, Detail, TaskView};
use std::sync::{Arc, Weak};

pub(crate) struct Listen {
    link: Weak<Link>,
    id: RequestId,
    filter: ListenFilter,
    /// Notices of the same kind replace each other while they wait.
    key: u64,
    reply: Reply,
    _memory: Reservation,
}

impl Listen {
    pub(crate) fn new(
        link: &Arc<Link>,
        id: RequestId,
        filter: ListenFilter,
        key: u64,
        reply: Reply,
        memory: Reservation,
    ) -> Arc<Self> {
        Arc::new(Self { link: Arc::downgrade(link), id, filter, key, reply, _memory: memory })
    }

    /// The first message of every subscription (2026-07-28, basic/patterns/subscriptions).
    pub(crate) fn acknowledge(&self, flush: Flush) {
        let mut json = Vec::with_capacity(160);
        notify::write_acknowledged(&mut json, &self.id, &self.filter);
        if let Some(link) = self.link.upgrade() {
            let _ = self.reply.send(&link, json, 0, flush);
        }
    }

    /// A list has changed.
    pub(crate) fn list_changed(&self, kind: ListKind) {
        let (wanted, place) = match kind {
            ListKind::Tools => (self.filter.tools_list_changed, 0),
            ListKind::Prompts => (self.filter.prompts_list_changed, 1),
            ListKind::Resources => (self.filter.resources_list_changed, 2),
        };
        if wanted {
            let mut json = Vec::with_capacity(160);
            notify::write_list_changed(&mut json, kind, Some(&self.id));
            self.send(json, self.key + place, Flush::Now);
        }
    }

    /// A resource has changed.
    pub(crate) fn resource_updated(&self, mcp: &Mcp, uri: &str) {
        if self.filter.watches(uri) {
            let mut json = Vec::with_capacity(160 + uri.len());
            notify::write_resource_updated(&mut json, uri, Some(&self.id));
            self.send(json, mcp.key_of(self.key, uri), Flush::Now);
        }
    }

    /// A task is not what it was. `key` is the task's own.
    pub(crate) fn task_changed(&self, key: u64, task: TaskView<'_>, detail: &Detail<'_>) {
        let mut json = Vec::with_capacity(512);
        tasks::write_changed(&mut json, task, detail, &self.id);
        // The timer may be who has ended it, and never writes.
        self.send(json, key::pair(self.key, key), Flush::Elsewhere);
    }

    fn send(&self, json: Vec<u8>, key: u64, flush: Flush) {
        if let Some(link) = self.link.upgrade() {
            // A client that cannot take even this is closed: it would go on with what is out of date.
            let _ = self.reply.send(&link, json, key, flush);
        }
    }

    /// The server ends it: the result, and then the cancellation that another page of the specification asks for; a
    /// client that has seen the result ignores it.
    pub(crate) fn finish(&self, server: &Implementation) {
        let Some(link) = self.link.upgrade() else { return };
        let mut json = Vec::with_capacity(200);
        encode::write_response(&mut json, &self.id, |out| encode::encode_listen_result(out, &self.id, Some(server)));
        if let Reply::Exchange(exchange) = &self.reply {
            // There the end of the stream says the same.
            return exchange.answer(200, json, Flush::Now);
        }
        let _ = link.send(Body::Owned(json), 0, Flush::Later);
        let mut json = Vec::with_capacity(120);
        notify::write_cancelled(&mut json, &self.id, Some("the server is stopping"));
        let _ = link.send(Body::Owned(json), 0, Flush::Now);
    }
}

impl Session {
    /// Begins one, if there is anything that it can be told.
    pub(super) fn listen(
        &self,
        request: &Request<'_>,
        modern: &ModernRequest,
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        let mut filter = ListenFilter::parse(request.params.notifications)?;
        let registry = self.mcp().registry();
        let capabilities = self.mcp().capabilities(&registry);
        if capabilities.tools.is_none() && capabilities.prompts.is_none() && capabilities.resources.is_none() {
            // Nothing that could be listened for is offered.
            return Err(RpcError::method_not_found(&request.method));
        }
        let tasks = self.tasks_to_tell(&filter.task_ids, modern)?;
        self.leave_out_unreadable(&registry, &mut filter);
        // Others do not exist, as far as this client is concerned.
        filter.task_ids = tasks.iter().map(|task| (*task.id).to_owned()).collect();
        self.refuse_if_stopping()?;
        if self.link().listens().len() >= self.mcp().limits().listens_per_connection {
            return Err(RpcError::internal("too many open subscriptions on this connection; cancel one first"));
        }
        if let Reply::Exchange(exchange) = reply
            && !exchange.stream(&[], Flush::Later)
        {
            return Err(RpcError::invalid_request("a subscription is a stream: accept text/event-stream"));
        }
        let filter = filter.honored(&capabilities);
        let cost = size_of::<Listen>() + request.id.heap_bytes() + filter.heap_bytes();
        let memory = self.mcp().core.memory.reserve(cost).ok_or_else(|| self.busy(Busy::Overloaded))?;
        let listen = Listen::new(self.link(), request.id.clone(), filter, self.mcp().next_key(), reply.clone(), memory);
        // The acknowledgement comes before any notice: it is queued before the listener is known.
        listen.acknowledge(Flush::Later);
        self.link().begin(&request.id, Pending::Listen(Arc::clone(&listen)));
        // What happened between the acknowledgement and this is made good for.
        for kind in self.mcp().registry().changed_since(&registry) {
            listen.list_changed(kind);
        }
        for task in tasks {
            task.tell(&listen);
        }
        if self.mcp().core.stopping() && self.link().finish(&request.id).is_some() {
            listen.finish(&self.mcp().identity);
        }
        Ok(Done::Elsewhere)
    }
}

//! One `subscriptions/listen` request: open until the client cancels it or the server ends.

use super::batch::Reply;
use super::client::Link;
use crate::engine::budget::Reservation;
use crate::engine::outbox::{Body, Flush};
use crate::protocol::content::Implementation;
use crate::protocol::encode;
use crate::protocol::id::RequestId;
use crate::protocol::notify::{self, ListKind};
use crate::protocol::subscribe::ListenFilter;
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

    /// The tools have changed.
    pub(crate) fn tools_changed(&self) {
        if !self.filter.tools_list_changed {
            return;
        }
        let mut json = Vec::with_capacity(160);
        notify::write_list_changed(&mut json, ListKind::Tools, Some(&self.id));
        if let Some(link) = self.link.upgrade() {
            // A client that cannot take even this is closed: it would go on with a list that is out of date.
            let _ = self.reply.send(&link, json, self.key, Flush::Now);
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

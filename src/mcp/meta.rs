//! What the `_meta` of a request says beside what the protocol needs: for its handler, and for those who follow a trace.

use super::trace::{Baggage, TraceContext};
use crate::protocol::content::MetaMap;
use crate::protocol::json::{self, Object};
use crate::protocol::params::Params;
use serde_json::value::RawValue;
use std::sync::Arc;

/// What a request says of itself that only its handler looks at.
#[derive(Debug)]
pub(crate) struct RequestMeta {
    pub(crate) trace: Option<TraceContext>,
    pub(crate) baggage: Option<Baggage>,
    /// The members that the protocol gives no meaning, as the text of an object.
    others: Box<str>,
}

impl RequestMeta {
    /// `None` if it says nothing of that kind, as most do.
    pub(crate) fn read(params: &Params<'_>) -> Option<Arc<Self>> {
        let meta = params.meta.as_ref()?;
        if meta.traceparent.is_none() && meta.baggage.is_none() && meta.others.is_empty() {
            return None;
        }
        let text = |raw: Option<&'_ RawValue>| raw.and_then(json::as_str).map(std::borrow::Cow::into_owned);
        let state = text(meta.tracestate);
        let trace = text(meta.traceparent).and_then(|parent| TraceContext::read(&parent, state.as_deref()));
        let baggage = text(meta.baggage).and_then(|baggage| Baggage::read(&baggage));
        let mut others = Vec::new();
        let mut object = Object::begin(&mut others);
        for (key, value) in &meta.others {
            object.any_key(key).extend_from_slice(value.get().as_bytes());
        }
        object.end();
        let others = String::from_utf8(others).unwrap_or_default().into();
        Some(Arc::new(Self { trace, baggage, others }))
    }

    /// The memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        let trace = self.trace.as_ref().map_or(0, TraceContext::bytes);
        size_of::<Self>()
            + trace
            + self.baggage.as_ref().map_or(0, |baggage| baggage.as_str().len())
            + self.others.len()
    }

    /// The other members, as far as their values can be held.
    pub(crate) fn others(&self) -> MetaMap {
        let mut others = MetaMap::new();
        json::for_each_member(&self.others, |key, value| {
            if let Ok(value) = serde_json::from_str(value.get()) {
                others.insert(key.into_owned(), value);
            }
        });
        others
    }
}

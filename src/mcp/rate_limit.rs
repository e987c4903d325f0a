//! A layer that bounds how often each client asks.

use super::layer::{Layer, Next, Reply, Request};
use super::session::rate_limited;
use super::tool_error::ToolError;
use crate::engine::rates::{CLIENTS, TooMany};
use crate::guard::buckets::Buckets;
use crate::guard::rate::Pace;
use crate::principal::Payer;
use parking_lot::Mutex;
use std::fmt;
use std::time::{Duration, Instant};

/// A layer that lets each client ask so often, and no more: what is beyond it is answered with error -31002 and the delay after which to try again (over
/// HTTP with status 429), a notification is dropped.
///
/// ```
/// # use mcp_blocking::{RateLimit, Server};
/// # use std::time::Duration;
/// let server = Server::new("notes", "1.0.0").layer(RateLimit::per_client(20, Duration::from_secs(1)));
/// ```
///
/// A client is a principal over all of its connections or, without authentication, an address (IPv6: one /64; all of this machine's clients at 127.0.0.1 are
/// one). Like every layer it sees requests and notifications, `initialize` and `ping` among them, but not cancellations. It comes on top of
/// [`Limits::rate`](crate::Limits::rate) and its like, which are always on, and look at a message before its layers do; for a bound of one tool
/// there is [`Tool::rate`](crate::Tool::rate) as well.
///
/// Its memory is bounded: beyond 16,384 clients that have asked lately, newcomers share 256 common allowances, and nobody's is renewed early.
pub struct RateLimit {
    tool: Option<String>,
    start: Instant,
    buckets: Mutex<Buckets<Payer>>,
}

impl RateLimit {
    /// So many requests and notifications in that time, which may come at once. 0 means no limit; a time of zero counts as a nanosecond.
    pub fn per_client(count: u32, per: Duration) -> Self {
        let buckets = Mutex::new(Buckets::new(Pace::per(count.into(), per), CLIENTS));
        Self { tool: None, start: Instant::now(), buckets }
    }

    /// Counts calls of that tool alone.
    #[must_use]
    pub fn of_tool(mut self, tool: impl Into<String>) -> Self {
        self.tool = Some(tool.into());
        self
    }
}

impl Layer for RateLimit {
    fn call(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        if self.tool.as_deref().is_some_and(|only| request.tool() != Some(only)) {
            return next.run(request);
        }
        let payer = Payer::of(request.party.principal, request.party.address);
        let taken = self.buckets.lock().take(payer, self.start.elapsed(), 1);
        match taken {
            Ok(()) => next.run(request),
            Err(retry) => {
                let too_many = TooMany { limit: "layer-rate", retry };
                ToolError::from_rpc(rate_limited(&request.client.0.core, request.party, too_many)).into()
            }
        }
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("tool", &self.tool).finish_non_exhaustive()
    }
}

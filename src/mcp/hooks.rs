//! What an author wants to be told of the clients that come and go.

use super::client::{Client, Link};
use crate::service::Ended;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

type OnClient = Box<dyn Fn(&Client) + Send + Sync>;
type OnEnd = Box<dyn Fn(&Client, Ended) + Send + Sync>;

/// The author's closures, in the order they were registered in.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) connect: Vec<OnClient>,
    pub(crate) initialized: Vec<OnClient>,
    pub(crate) disconnect: Vec<OnEnd>,
}

impl Hooks {
    pub(crate) fn connected(&self, link: &Arc<Link>) {
        each(&self.connect, link, "on_connect", |hook, client| hook(client));
    }

    pub(crate) fn initialized(&self, link: &Arc<Link>) {
        each(&self.initialized, link, "on_initialized", |hook, client| hook(client));
    }

    pub(crate) fn disconnected(&self, link: &Arc<Link>, ended: Ended) {
        each(&self.disconnect, link, "on_disconnect", |hook, client| hook(client, ended));
    }
}

/// Calls them all; one that panics harms nobody but itself.
fn each<H>(hooks: &[H], link: &Arc<Link>, name: &str, call: impl Fn(&H, &Client)) {
    if hooks.is_empty() {
        return;
    }
    let client = Client(Arc::clone(link));
    for hook in hooks {
        if catch_unwind(AssertUnwindSafe(|| call(hook, &client))).is_err() {
            link.core.counters.panics.fetch_add(1, Ordering::Relaxed);
            log::error!(
                target: "mcp_blocking::session", connection = link.id.0;
                "{}: a hook for {name} panicked", link.id
            );
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

//! What an author wants to be told of the clients that come and go.

use super::Mcp;
use super::client::{Client, Link};
use crate::service::Ended;
use parking_lot::Mutex;
use std::collections::VecDeque;
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
    farewells: Mutex<Farewells>,
}

/// Ends that are told on a thread of their own.
#[derive(Default)]
struct Farewells {
    waiting: VecDeque<(Arc<Link>, Ended)>,
    /// The thread is there.
    told: bool,
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

    /// How many ends wait to be told.
    pub(crate) fn untold(&self) -> usize {
        self.farewells.lock().waiting.len()
    }

    /// As [`disconnected`](Self::disconnected), on a thread of its own, one after the other: for who must not wait for an author's code.
    pub(crate) fn disconnected_soon(mcp: &Arc<Mcp>, link: &Arc<Link>, ended: Ended) {
        let hooks = &mcp.hooks;
        if hooks.disconnect.is_empty() {
            return;
        }
        {
            let mut farewells = hooks.farewells.lock();
            farewells.waiting.push_back((Arc::clone(link), ended));
            if std::mem::replace(&mut farewells.told, true) {
                return;
            }
        }
        // A stop waits for the thread, as for those of connections.
        let serving = mcp.core.serving();
        let thread = mcp.core.threads.reserve(1).map(|slot| {
            let mcp = Arc::clone(mcp);
            std::thread::Builder::new().name("mcp-hooks".into()).spawn(move || {
                mcp.hooks.tell();
                // Before a stop goes on: nobody keeps anything of this server any more.
                drop((mcp, slot));
                drop(serving);
            })
        });
        if !matches!(thread, Some(Ok(_))) {
            // Whoever comes next tries again; the end of the server at last.
            hooks.farewells.lock().told = false;
            log::error!(target: "mcp_blocking::session", "no thread for the hooks of on_disconnect, trying on");
        }
    }

    /// Tells all ends that wait.
    pub(crate) fn tell(&self) {
        loop {
            let next = {
                let mut farewells = self.farewells.lock();
                let next = farewells.waiting.pop_front();
                farewells.told &= next.is_some();
                next
            };
            match next {
                Some((link, ended)) => self.disconnected(&link, ended),
                None => return,
            }
        }
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

//! How a call becomes a task, and how the handler of one is run.

use super::stored::{New, StoredTask};
use super::{Owner, TaskStore};
use crate::audit::Party;
use crate::engine::pool::Work;
use crate::limits::Limits;
use crate::mcp::Mcp;
use crate::mcp::ask::flow::Flow;
use crate::mcp::batch::Reply;
use crate::mcp::bounds::Permit;
use crate::mcp::call::Call;
use crate::mcp::client::Link;
use crate::mcp::layer::Layers;
use crate::mcp::registry::Entry;
use crate::mcp::speech::Speech;
use crate::mcp::target::{Arguments, Job, Target};
use crate::protocol::encode;
use crate::protocol::error::RpcError;
use crate::protocol::id::RequestId;
use crate::protocol::tasks;
use crate::random;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The shortest time for which a client can want its task kept.
const SHORTEST: Duration = Duration::from_secs(1);

/// All that a run of a task's handler needs.
pub(crate) struct Recipe {
    pub(crate) link: Arc<Link>,
    pub(crate) speech: Speech,
    pub(crate) id: RequestId,
    pub(crate) entry: Arc<Entry>,
    pub(crate) layers: Layers,
    pub(crate) arguments: Arguments,
}

impl Recipe {
    /// Who has called.
    pub(super) fn party(&self) -> Party<'_> {
        self.link.party(self.speech.sender.as_ref())
    }

    /// The memory it holds.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.arguments.cost() + self.id.heap_bytes() + self.speech.bytes()
    }

    /// A run, not begun.
    pub(super) fn run(&self, mcp: &Arc<Mcp>, task: &Arc<StoredTask>) -> Arc<Call> {
        let job = Job {
            target: Target::Tool(Arc::clone(&self.entry)),
            layers: Arc::clone(&self.layers),
            arguments: self.arguments.clone(),
            reply: Reply::Task(Arc::clone(task)),
        };
        Call::new(Arc::clone(mcp), Arc::clone(&self.link), self.speech.clone(), self.id.clone(), job)
    }
}

impl TaskStore {
    /// Begins a task: it can be found, and its handler runs or waits for a thread, when `answer` is called with the response that tells its
    /// client so. `answer` says whether the client was told; if not, there is no task.
    ///
    /// `ttl` is how long the client wants it kept, in milliseconds.
    ///
    /// # Errors
    /// There is no room for it ("busy"), or there are no random numbers.
    pub(crate) fn begin(
        &self,
        mcp: &Arc<Mcp>,
        mut recipe: Recipe,
        (flow, permit): (Flow, Option<Permit>),
        ttl: Option<u64>,
        answer: impl FnOnce(Vec<u8>) -> bool,
    ) -> Result<(), RpcError> {
        let revision = recipe.speech.revision;
        let owner = Owner::of(&recipe.link, revision);
        let place = self.place(recipe.party())?;
        let id = random::text::<24>().map_err(|_| RpcError::internal("the system gives no random numbers"))?;
        let session = match owner {
            Owner::Session(_) => Arc::downgrade(&recipe.link),
            // It outlives whatever way its client has come.
            Owner::Principal(_) | Owner::Anybody => {
                recipe.link = Link::of_nobody(&recipe.link);
                Weak::new()
            }
        };
        let new = New {
            id: id.into(),
            revision,
            session,
            ttl: kept(mcp.limits(), recipe.entry.deadline, ttl),
            key: mcp.next_key(),
            flow,
            permit,
        };
        let task = StoredTask::new(place, owner, new).map_err(|busy| self.busy(busy))?;
        let recipe = Arc::new(recipe);
        let run = recipe.run(mcp, &task);
        // Older clients are asked while the handler waits, so that it runs once.
        let again = revision.is_modern().then(|| Arc::clone(&recipe));
        let bytes = run.cost();
        task.set_run(&run, again, recipe.bytes()).map_err(|busy| self.busy(busy))?;
        let mut json = Vec::with_capacity(384);
        encode::write_response(&mut json, &recipe.id, |out| {
            let server = revision.is_modern().then_some(&mcp.identity);
            let immediate = recipe.entry.task.immediate.as_deref();
            task.look(|view, _| tasks::encode_created(out, view, revision, server, immediate));
        });
        self.insert(&task);
        log::debug!(
            target: "mcp_blocking::call", connection = recipe.link.id.0, tool = recipe.entry.name();
            "{}: tool {} goes on as task {}", recipe.link.id, recipe.entry.name(), task.short_id()
        );
        let told = task.being_born(|| {
            self.spawn(&task.account, run as Arc<dyn Work>, bytes).map_err(|busy| self.busy(busy))?;
            Ok(answer(json))
        });
        if !matches!(told, Ok(true)) {
            self.remove(&task);
            task.forget_record();
            task.cancel("nobody knows of it");
        }
        told.map(drop)
    }
}

/// How long a task is kept.
fn kept(limits: &Limits, deadline: Option<Duration>, asked: Option<u64>) -> Duration {
    let time = match asked {
        Some(millis) => Duration::from_millis(millis).max(SHORTEST),
        // So that there is time left to fetch what took all the time there was.
        None => limits.task_ttl.max(2 * deadline.unwrap_or(limits.task_deadline)),
    };
    time.min(limits.task_ttl_max)
}

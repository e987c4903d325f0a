//! What is registered: the tools, in the order they are listed in.

use super::bounds::Bounds;
use super::cache::Cache;
use super::catalog::{Catalog, Listed, Shown, first};
use super::complete::{Completion, Subject};
use super::ctx::Ctx;
use super::handler::{Contract, Handler, raw, typed};
use super::http::headers::{self, Mirrored};
use super::layer::Layers;
use super::method::Methods;
use super::output::IntoToolOutput;
use super::prompt::{self, IntoPrompt, Prompt, PromptEntry};
use super::resource::{self, IntoResource, Resource, ResourceEntry, ResourceHandler, TemplateEntry};
use super::schema::{self, Input};
use super::tool::{TaskPlan, Tool};
use super::tool_error::ToolResult;
use crate::error::Problem;
use crate::guard::policy::TextPolicy;
use crate::guard::scopes::Required;
use crate::limits::{Limits, clamp_time};
use crate::protocol::content::{MetaMap, TaskSupport, ToolAnnotations, ToolInfo};
use crate::protocol::convert;
use crate::protocol::json;
use crate::protocol::meta_key;
use crate::protocol::notify::ListKind;
use crate::protocol::revision::Revision;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// A registered tool.
pub(crate) struct Entry {
    pub(crate) info: ToolInfo,
    pub(crate) deadline: Option<Duration>,
    pub(crate) task: TaskPlan,
    pub(crate) required: Required,
    /// Whether its user is asked first; `None`: as is the policy.
    confirm: Option<bool>,
    pub(crate) bounds: Bounds,
    pub(crate) handler: Handler,
    /// Arguments that HTTP clients say again in headers.
    pub(crate) mirrored: Vec<Mirrored>,
    pub(crate) text_in: Option<TextPolicy>,
    pub(crate) text_out: Option<TextPolicy>,
    pub(crate) unchecked: bool,
    rank: i32,
    quick: AtomicBool,
    /// Grows with each quick call that was slow, shrinks with each that was not.
    slow: AtomicU32,
    shown: Shown,
}

impl Entry {
    pub(crate) fn name(&self) -> &str {
        &self.info.name
    }

    pub(crate) fn is_quick(&self) -> bool {
        self.quick.load(Ordering::Relaxed)
    }

    /// Whether the user is asked before it runs. `policy`: before all that may destroy something.
    pub(crate) fn asks_first(&self, policy: bool) -> bool {
        let ToolAnnotations { destructive, read_only, .. } = self.info.annotations;
        self.confirm.unwrap_or(policy && destructive == Some(true) && read_only != Some(true))
    }

    /// Its author has said that the user is not asked.
    pub(crate) fn needs_no_confirmation(&self) -> bool {
        self.confirm == Some(false)
    }

    /// A quick call is over. Returns whether the tool loses its mark by it.
    ///
    /// One slow call may be the scheduler's doing: on a busy machine a thread loses its core for longer than a quick tool may
    /// take. So it needs a call that is far too slow, or several among a few hundred.
    pub(crate) fn called_here(&self, took: Duration) -> bool {
        const QUICK: Duration = Duration::from_millis(5);
        const FAR_TOO_SLOW: Duration = Duration::from_millis(250);
        const WEIGHT: u32 = 100;
        const MOST: u32 = 4 * WEIGHT;
        let owed = self.slow.load(Ordering::Relaxed);
        if took <= QUICK {
            if owed > 0 {
                // Two at once may count as one: this is a rule of thumb.
                self.slow.store(owed - 1, Ordering::Relaxed);
            }
            return false;
        }
        let owed = owed.saturating_add(WEIGHT);
        self.slow.store(owed, Ordering::Relaxed);
        (took > FAR_TOO_SLOW || owed >= MOST) && self.lose_mark()
    }

    /// It is quick no more; false if it was not.
    pub(crate) fn lose_mark(&self) -> bool {
        self.quick.swap(false, Ordering::Relaxed)
    }

    /// The tool as it stands in the list of that revision.
    pub(crate) fn listed(&self, revision: Revision) -> &[u8] {
        self.shown.or_encode(revision, |out| convert::encode_tool_info(out, &self.info, revision))
    }

    /// Where it stands: by rank, then by name. Also what a page's cursor holds.
    pub(crate) fn position(&self) -> (i32, &str) {
        (self.rank, self.name())
    }
}

/// The tools, resources and prompts of a server, to be changed while it runs by [`Handle::edit`](crate::Handle::edit).
#[derive(Clone, Default)]
pub struct Registry {
    tools: Vec<Arc<Entry>>,
    /// How many of them ask for a scope.
    guarded: usize,
    names: HashMap<String, Arc<Entry>>,
    pub(crate) resources: Catalog<ResourceEntry>,
    pub(crate) templates: Catalog<TemplateEntry>,
    pub(crate) prompts: Catalog<PromptEntry>,
    pub(crate) completions: HashMap<(Subject, String), Completion>,
    /// How long, and by whom, what it says may be kept.
    pub(crate) cache: Cache,
    pub(crate) methods: Methods,
    pub(crate) layers: Layers,
    /// What is offered beyond the protocol, with its settings.
    pub(crate) extensions: Arc<MetaMap>,
}

impl Registry {
    /// Adds a tool, or replaces the one of that name.
    ///
    /// # Errors
    /// A [`Problem`] if the name or the schema cannot be served; then nothing is changed.
    #[track_caller]
    pub fn add_tool<A, R, F>(&mut self, tool: Tool, handler: F) -> Result<(), Problem>
    where
        A: DeserializeOwned + JsonSchema,
        R: IntoToolOutput,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        // Not within the closure: there the caller would be this very line.
        let caller = Location::caller();
        let entry = entry_of(tool, handler).map_err(|problem| problem.at(caller))?;
        self.insert(entry);
        Ok(())
    }

    /// Takes a tool away. Calls that are under way go on. Returns whether there was one.
    pub fn remove_tool(&mut self, name: &str) -> bool {
        let Some(gone) = self.names.remove(name) else { return false };
        self.guarded -= usize::from(!gone.required.is_empty());
        self.tools.retain(|entry| entry.name() != name);
        true
    }

    /// Adds a resource, or replaces the one of that address.
    ///
    /// # Errors
    /// A [`Problem`] if the address is no URI; then nothing is changed.
    #[track_caller]
    pub fn add_resource<R, F>(&mut self, resource: impl Into<Resource>, handler: F) -> Result<(), Problem>
    where
        R: IntoResource,
        F: Fn(&Ctx) -> ToolResult<R> + Send + Sync + 'static,
    {
        let caller = Location::caller();
        self.resources.insert(resource::resource_of(resource.into(), handler).map_err(|problem| problem.at(caller))?);
        Ok(())
    }

    /// Takes a resource away. Returns whether there was one.
    pub fn remove_resource(&mut self, uri: &str) -> bool {
        self.resources.remove(uri)
    }

    /// Adds a template, or replaces the same one.
    ///
    /// # Errors
    /// A [`Problem`] if it cannot be matched; then nothing is changed.
    #[track_caller]
    pub fn add_template<A, R, F>(&mut self, template: impl Into<Resource>, handler: F) -> Result<(), Problem>
    where
        A: DeserializeOwned,
        R: IntoResource,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        let caller = Location::caller();
        self.templates.insert(resource::template_of(template.into(), handler).map_err(|problem| problem.at(caller))?);
        Ok(())
    }

    /// Takes a template away. Returns whether there was one.
    pub fn remove_template(&mut self, template: &str) -> bool {
        self.templates.remove(template)
    }

    /// Adds a prompt, or replaces the one of that name.
    ///
    /// # Errors
    /// A [`Problem`] if its name or its arguments cannot be served; then nothing is changed.
    #[track_caller]
    pub fn add_prompt<A, R, F>(&mut self, prompt: Prompt, handler: F) -> Result<(), Problem>
    where
        A: DeserializeOwned + JsonSchema,
        R: IntoPrompt,
        F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        let caller = Location::caller();
        self.prompts.insert(prompt::prompt_of(prompt, handler).map_err(|problem| problem.at(caller))?);
        Ok(())
    }

    /// Takes a prompt away. Returns whether there was one.
    pub fn remove_prompt(&mut self, name: &str) -> bool {
        self.prompts.remove(name)
    }

    /// The names of the tools, in the order of the list.
    pub fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().map(|entry| entry.name())
    }

    pub(crate) fn tool(&self, name: &str) -> Option<&Arc<Entry>> {
        self.names.get(name)
    }

    pub(crate) fn tools(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.tools.iter()
    }

    /// Tools that nobody could ever call, for what they cost.
    pub(crate) fn unaffordable(&self, limits: &Limits) -> Vec<Problem> {
        self.tools().filter_map(|tool| tool.bounds.unaffordable(limits).map(problem_of(tool.name()))).collect()
    }

    /// Completions of what is not there, or does not have that argument.
    pub(crate) fn uncompletable(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for ((subject, argument), completion) in &self.completions {
            let what = match subject {
                Subject::Prompt(name) => match self.prompts.find(name) {
                    None => "there is no such prompt",
                    Some(prompt) if prompt.it.info.arguments.iter().all(|other| other.name != *argument) => {
                        "the prompt has no such argument"
                    }
                    Some(_) => continue,
                },
                Subject::Template(uri) => match self.templates.find(uri) {
                    None => "there is no such template",
                    Some(template) if template.it.template.variables().all(|other| other != argument) => {
                        "the template has no such variable"
                    }
                    Some(_) => continue,
                },
            };
            problems.push(Problem::new(subject.completed(argument), what).at(completion.at));
        }
        // A table has no order.
        problems.sort_by(|one, other| one.subject().cmp(other.subject()));
        problems
    }

    /// The names of all that asks for a scope.
    pub(crate) fn guarded(&self) -> Vec<&str> {
        let tools = self.tools.iter().map(|entry| (&entry.required, entry.name()));
        let methods = self.methods.requests.iter().map(|method| (&method.required, &*method.name));
        let all = tools
            .chain(self.resources.iter().map(|item| (item.it.required(), item.it.key())))
            .chain(self.templates.iter().map(|item| (item.it.required(), item.it.key())))
            .chain(self.prompts.iter().map(|item| (item.it.required(), item.it.key())))
            .chain(methods);
        all.filter(|(required, _)| !required.is_empty()).map(|(_, name)| name).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// Whether a tool can be run as a task.
    pub(crate) fn has_tasks(&self) -> bool {
        self.tools.iter().any(|entry| entry.info.task_support != TaskSupport::Forbidden)
    }

    /// Not everybody may use all tools.
    pub(crate) fn has_guarded_tools(&self) -> bool {
        self.guarded > 0
    }

    /// A page of the tools that are seen behind a position, and whether there are more.
    pub(crate) fn page(
        &self,
        after: Option<(i32, &str)>,
        size: usize,
        sees: impl Fn(&Required) -> bool,
    ) -> (Vec<&Arc<Entry>>, bool) {
        let from = after.map_or(0, |after| self.tools.partition_point(|entry| entry.position() <= after));
        first(self.tools.get(from..).unwrap_or_default(), size, |entry| sees(&entry.required))
    }

    pub(crate) fn insert(&mut self, entry: Entry) {
        let entry = Arc::new(entry);
        self.remove_tool(entry.name());
        self.guarded += usize::from(!entry.required.is_empty());
        let at = self.tools.partition_point(|other| other.position() < entry.position());
        self.tools.insert(at, Arc::clone(&entry));
        self.names.insert(entry.name().to_owned(), entry);
    }

    /// Which lists are others than before.
    pub(crate) fn changed_since(&self, before: &Self) -> Vec<ListKind> {
        let same = |(a, b): (&Arc<Entry>, &Arc<Entry>)| Arc::ptr_eq(a, b);
        let tools = self.tools.len() != before.tools.len() || !self.tools.iter().zip(&before.tools).all(same);
        let resources =
            self.resources.differs_from(&before.resources) || self.templates.differs_from(&before.templates);
        let prompts = self.prompts.differs_from(&before.prompts);
        [(tools, ListKind::Tools), (prompts, ListKind::Prompts), (resources, ListKind::Resources)]
            .into_iter()
            .filter_map(|(changed, kind)| changed.then_some(kind))
            .collect()
    }

    /// Who reads that address. A resource comes before a template, and what a caller may not read is not read by another way.
    pub(crate) fn resource(&self, uri: &str) -> Option<Reader<'_>> {
        if let Some(resource) = self.resources.find(uri) {
            let ResourceEntry { required, handler, .. } = &resource.it;
            return Some(Reader { handler, variables: "{}".to_owned(), required, key: resource.it.key() });
        }
        let mut fitting = self.templates.iter().filter_map(|template| {
            let found = template.it.template.matches(uri)?;
            Some((&template.it, found))
        });
        let first = fitting.next()?;
        // Which comes first is a matter of their spelling, and no way around a scope.
        let guarded = |(template, _): &(&TemplateEntry, _)| !template.required.is_empty();
        let (template, found) = if guarded(&first) { first } else { fitting.find(guarded).unwrap_or(first) };
        let TemplateEntry { required, handler, .. } = template;
        Some(Reader { handler, variables: resource::variables(&found), required, key: template.key() })
    }
}

/// What reads an address.
pub(crate) struct Reader<'r> {
    pub(crate) handler: &'r ResourceHandler,
    /// Those of its template, as JSON text.
    pub(crate) variables: String,
    pub(crate) required: &'r Required,
    /// The address or the template, as it is registered.
    pub(crate) key: &'r str,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("tools", &self.tool_names().collect::<Vec<_>>()).finish()
    }
}

/// An entry from a typed closure.
pub(crate) fn entry_of<A, R, F>(tool: Tool, handler: F) -> Result<Entry, Problem>
where
    A: DeserializeOwned + JsonSchema,
    R: IntoToolOutput,
    F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
{
    let problem = problem_of(&tool.name);
    let input = schema::of_input::<A>().map_err(&problem)?;
    let output = R::output_schema().transpose().map_err(&problem)?;
    entry(tool, input, output, |contract| typed(contract, handler)).map_err(problem)
}

/// An entry whose schema the author brings.
pub(crate) fn raw_entry<R, F>(tool: Tool, schema: &Value, handler: F) -> Result<Entry, Problem>
where
    R: IntoToolOutput,
    F: Fn(&Ctx, Value) -> ToolResult<R> + Send + Sync + 'static,
{
    let problem = problem_of(&tool.name);
    if schema.get("type").is_none_or(|kind| kind != "object") {
        return Err(problem("its schema has to have \"type\": \"object\" at its root".into()));
    }
    let input = Input { shown: schema.clone(), checked: schema.clone() };
    let output = R::output_schema().transpose().map_err(&problem)?;
    entry(tool, input, output, |contract| raw(contract, handler)).map_err(problem)
}

fn problem_of(name: &str) -> impl Fn(String) -> Problem + use<> {
    let subject = format!("tool `{}`", name.escape_debug());
    move |what| Problem::new(subject.clone(), what)
}

fn entry(
    tool: Tool,
    mut input: Input,
    output: Option<Box<RawValue>>,
    handler: impl FnOnce(Contract) -> Handler,
) -> Result<Entry, String> {
    check_name(&tool.name)?;
    meta_key::check_all(tool.meta.as_ref())?;
    if tool.task.detaches && tool.task_support == TaskSupport::Forbidden {
        return Err("it says where its task begins, and may not be one: see `Tool::task`".into());
    }
    let output = match &tool.output_schema {
        Some(own) => Some(json::to_raw(own).map_err(|error| format!("its outputSchema cannot be written: {error}"))?),
        None => output,
    };
    // First: behind this schemas are known to be of a depth that one can walk through.
    let contract = Contract::new(&tool, input.checked, output.as_deref())?;
    for (argument, header) in &tool.headers {
        headers::annotate(&mut input.shown, argument, header)?;
    }
    let mirrored = Mirrored::of_schema(&input.shown)?;
    let shown = json::to_raw(&input.shown).map_err(|error| format!("its schema cannot be written: {error}"))?;
    let (deadline, quick, rank) = (tool.deadline.map(clamp_time), AtomicBool::new(tool.quick), tool.rank);
    let (task, confirm, bounds) = (tool.task.clone(), tool.confirm, tool.bounds.clone().build()?);
    let (text_in, text_out, unchecked) = (tool.text_in, tool.text_out, tool.unchecked);
    tool.required.check()?;
    let required = tool.required.clone();
    let info = tool.into_info(shown, output);
    let (handler, slow, shown) = (handler(contract), AtomicU32::new(0), Shown::default());
    Ok(Entry {
        info,
        deadline,
        task,
        required,
        confirm,
        bounds,
        handler,
        mirrored,
        text_in,
        text_out,
        unchecked,
        rank,
        quick,
        slow,
        shown,
    })
}

/// 2026-07-28, `server/tools`: names SHOULD be 1 to 128 of these letters, and are case-sensitive.
fn check_name(name: &str) -> Result<(), String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    if name.is_empty() || name.len() > 128 {
        return Err("its name has to have 1 to 128 characters".into());
    }
    if !name.bytes().all(letter) {
        return Err("its name may hold only letters and digits of ASCII and _ . - /".into());
    }
    if name.len() > 64 {
        // Hosts put a prefix before it, and models' providers take 64 letters in all.
        log::warn!(target: "mcp_blocking::registry", "the name of tool {name} has {} letters: some clients take 64 at the most", name.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::tool::NoArgs;

    const SLOW: Duration = Duration::from_millis(6);

    fn quick_tool() -> Arc<Entry> {
        let mut registry = Registry::default();
        registry.add_tool(Tool::new("t", "A tool").quick(), |_ctx, NoArgs| Ok("done")).unwrap();
        Arc::clone(registry.tool("t").unwrap())
    }

    #[test]
    fn a_quick_tool_that_lost_its_core_now_and_then_stays_quick() {
        let tool = quick_tool();
        for _ in 0..20 {
            assert!(!tool.called_here(SLOW));
            assert!((0..200).all(|_| !tool.called_here(Duration::ZERO)));
        }
        assert!(tool.is_quick());
    }

    #[test]
    fn a_quick_tool_that_is_often_slow_or_once_far_too_slow_is_quick_no_more() {
        let tool = quick_tool();
        assert_eq!([(); 5].map(|()| tool.called_here(SLOW)), [false, false, false, true, false]);
        assert!(!tool.is_quick());
        let tool = quick_tool();
        assert!(tool.called_here(Duration::from_secs(1)));
        assert!(!tool.is_quick());
    }
}

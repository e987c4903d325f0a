//! Which methods are there, and which parameters do they read?
//!
//! All names are case-sensitive. The tables follow the schemas of the five revisions, taken together; extensions have one of their own.

use crate::protocol::params::Field;

/// Opens a legacy session.
pub(crate) const INITIALIZE: &str = "initialize";
/// Is the other side alive? Legacy era only.
pub(crate) const PING: &str = "ping";
/// What a modern server can do.
pub(crate) const DISCOVER: &str = "server/discover";
/// Lists tools, page by page.
pub(crate) const TOOLS_LIST: &str = "tools/list";
/// Runs a tool.
pub(crate) const TOOLS_CALL: &str = "tools/call";
/// Lists resources, page by page.
pub(crate) const RESOURCES_LIST: &str = "resources/list";
/// Lists resource templates, page by page.
pub(crate) const RESOURCE_TEMPLATES_LIST: &str = "resources/templates/list";
/// Reads one resource.
pub(crate) const RESOURCES_READ: &str = "resources/read";
/// Watches one resource; legacy era only.
pub(crate) const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";
/// Ends watching one resource; legacy era only.
pub(crate) const RESOURCES_UNSUBSCRIBE: &str = "resources/unsubscribe";
/// Lists prompts, page by page.
pub(crate) const PROMPTS_LIST: &str = "prompts/list";
/// Renders one prompt.
pub(crate) const PROMPTS_GET: &str = "prompts/get";
/// Suggests values for an argument.
pub(crate) const COMPLETE: &str = "completion/complete";
/// Sets the session's log level; legacy era only.
pub(crate) const SET_LEVEL: &str = "logging/setLevel";
/// Opens a stream of change notices; modern era only.
pub(crate) const LISTEN: &str = "subscriptions/listen";
/// The state of a task; 2025-11-25, and the modern tasks extension.
pub(crate) const TASKS_GET: &str = "tasks/get";
/// The result of a task; 2025-11-25 only.
pub(crate) const TASKS_RESULT: &str = "tasks/result";
/// Lists tasks; 2025-11-25 only.
pub(crate) const TASKS_LIST: &str = "tasks/list";
/// Stops a task; 2025-11-25, and the modern tasks extension.
pub(crate) const TASKS_CANCEL: &str = "tasks/cancel";
/// Gives a task its input; the modern tasks extension only.
pub(crate) const TASKS_UPDATE: &str = "tasks/update";
/// The client has read the answer to `initialize`.
pub(crate) const INITIALIZED: &str = "notifications/initialized";
/// The sender of a request does not want its answer any more.
pub(crate) const CANCELLED: &str = "notifications/cancelled";
/// How far a request has come.
pub(crate) const PROGRESS: &str = "notifications/progress";
/// The client's roots are others now; legacy era only.
pub(crate) const ROOTS_LIST_CHANGED: &str = "notifications/roots/list_changed";
/// A task that the client runs changed its state; 2025-11-25 only.
pub(crate) const TASKS_STATUS: &str = "notifications/tasks/status";

/// Name, and parameters that the method reads.
type Row = (&'static str, &'static [Field]);

const PAGE: &[Field] = &[Field::Cursor];
const TASK: &[Field] = &[Field::TaskId];

const ANSWERS: Field = Field::InputResponses;
const STATE: Field = Field::RequestState;

const REQUESTS: &[Row] = &[
    (TOOLS_CALL, &[Field::Name, Field::Arguments, Field::Task, ANSWERS, STATE]),
    (TOOLS_LIST, PAGE),
    (RESOURCES_READ, &[Field::Uri, ANSWERS, STATE]),
    (RESOURCES_LIST, PAGE),
    (RESOURCE_TEMPLATES_LIST, PAGE),
    (PROMPTS_GET, &[Field::Name, Field::Arguments, ANSWERS, STATE]),
    (PROMPTS_LIST, PAGE),
    (COMPLETE, &[Field::Ref, Field::Argument, Field::Context]),
    (PING, &[]),
    (INITIALIZE, &[Field::ProtocolVersion, Field::Capabilities, Field::ClientInfo]),
    (DISCOVER, &[]),
    (LISTEN, &[Field::Notifications]),
    (SET_LEVEL, &[Field::Level]),
    (RESOURCES_SUBSCRIBE, &[Field::Uri]),
    (RESOURCES_UNSUBSCRIBE, &[Field::Uri]),
    (TASKS_GET, TASK),
    (TASKS_RESULT, TASK),
    (TASKS_LIST, PAGE),
    (TASKS_CANCEL, TASK),
];

/// What only extensions have: here the one for tasks, which has `tasks/get` and `tasks/cancel` as well.
const EXTENSIONS: &[Row] = &[(TASKS_UPDATE, &[Field::TaskId, ANSWERS])];

const NOTIFICATIONS: &[Row] = &[
    (INITIALIZED, &[]),
    (CANCELLED, &[Field::RequestId, Field::Reason]),
    (PROGRESS, &[Field::ProgressToken]),
    (ROOTS_LIST_CHANGED, &[]),
    (TASKS_STATUS, TASK),
];

/// Every request that the protocol or one of its extensions defines, of any revision.
#[cfg(test)]
pub(crate) fn requests() -> impl Iterator<Item = &'static str> {
    REQUESTS.iter().chain(EXTENSIONS).map(|row| row.0)
}

/// The parameters that the protocol defines for a method of any revision: these must have the right type. None
/// for methods of the application, whose parameters are its own.
pub(crate) fn fields(method: &str) -> &'static [Field] {
    find_any(method).map_or(&[], |row| row.1)
}

/// Whether the protocol or one of its extensions defines this method or notification, in any revision.
pub(crate) fn is_known(method: &str) -> bool {
    find_any(method).is_some()
}

fn find_any(method: &str) -> Option<&'static Row> {
    [REQUESTS, NOTIFICATIONS, EXTENSIONS].into_iter().find_map(|rows| find(rows, method))
}

fn find(rows: &'static [Row], method: &str) -> Option<&'static Row> {
    rows.iter().find(|row| row.0 == method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_protocol_defines_is_known_with_its_parameters() {
        assert!(is_known(TASKS_UPDATE) && fields(TASKS_UPDATE).contains(&Field::TaskId));
        assert!(fields("acme/search").is_empty() && !is_known("acme/search"));
        assert!(fields(TOOLS_CALL).contains(&Field::RequestState));
    }
}

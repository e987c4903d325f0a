//! Which methods belong to which revision, and which parameters do they read?
//!
//! All names are case-sensitive. The tables follow the schemas of the five revisions; extensions have one of their own.

use crate::protocol::params::Field;
use crate::protocol::revision::Revision;

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

use Revision::{R2024_11_05 as R1, R2025_11_25 as R4, R2026_07_28 as R5};

/// Name, first revision, last revision, parameters that the method reads.
type Row = (&'static str, Revision, Revision, &'static [Field]);

const PAGE: &[Field] = &[Field::Cursor];
const TASK: &[Field] = &[Field::TaskId];

const ANSWERS: Field = Field::InputResponses;
const STATE: Field = Field::RequestState;

const REQUESTS: &[Row] = &[
    (TOOLS_CALL, R1, R5, &[Field::Name, Field::Arguments, Field::Task, ANSWERS, STATE]),
    (TOOLS_LIST, R1, R5, PAGE),
    (RESOURCES_READ, R1, R5, &[Field::Uri, ANSWERS, STATE]),
    (RESOURCES_LIST, R1, R5, PAGE),
    (RESOURCE_TEMPLATES_LIST, R1, R5, PAGE),
    (PROMPTS_GET, R1, R5, &[Field::Name, Field::Arguments, ANSWERS, STATE]),
    (PROMPTS_LIST, R1, R5, PAGE),
    (COMPLETE, R1, R5, &[Field::Ref, Field::Argument, Field::Context]),
    (PING, R1, R4, &[]),
    (INITIALIZE, R1, R4, &[Field::ProtocolVersion, Field::Capabilities, Field::ClientInfo]),
    (DISCOVER, R5, R5, &[]),
    (LISTEN, R5, R5, &[Field::Notifications]),
    (SET_LEVEL, R1, R4, &[Field::Level]),
    (RESOURCES_SUBSCRIBE, R1, R4, &[Field::Uri]),
    (RESOURCES_UNSUBSCRIBE, R1, R4, &[Field::Uri]),
    (TASKS_GET, R4, R4, TASK),
    (TASKS_RESULT, R4, R4, TASK),
    (TASKS_LIST, R4, R4, PAGE),
    (TASKS_CANCEL, R4, R4, TASK),
];

/// What only extensions have: here the one for tasks, which has `tasks/get` and `tasks/cancel` as well.
const EXTENSIONS: &[Row] = &[(TASKS_UPDATE, R5, R5, &[Field::TaskId, ANSWERS])];

const NOTIFICATIONS: &[Row] = &[
    (INITIALIZED, R1, R4, &[]),
    (CANCELLED, R1, R5, &[Field::RequestId, Field::Reason]),
    (PROGRESS, R1, R4, &[Field::ProgressToken]),
    (ROOTS_LIST_CHANGED, R1, R4, &[]),
    (TASKS_STATUS, R4, R4, TASK),
];

/// Every request that the protocol or one of its extensions defines, of any revision.
#[cfg(test)]
pub(crate) fn requests() -> impl Iterator<Item = &'static str> {
    REQUESTS.iter().chain(EXTENSIONS).map(|row| row.0)
}

/// Whether a client may send this request in this revision. Extensions (modern tasks) are not counted.
pub(crate) fn is_request_of(method: &str, revision: Revision) -> bool {
    find(REQUESTS, method).is_some_and(|row| (row.1..=row.2).contains(&revision))
}

/// Whether a client may send this notification in this revision.
pub(crate) fn is_notification_of(method: &str, revision: Revision) -> bool {
    find(NOTIFICATIONS, method).is_some_and(|row| (row.1..=row.2).contains(&revision))
}

/// The parameters that the protocol defines for a method of any revision: these must have the right type. None
/// for methods of the application, whose parameters are its own.
pub(crate) fn fields(method: &str) -> &'static [Field] {
    find_any(method).map_or(&[], |row| row.3)
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
    fn methods_come_and_go_with_the_revisions() {
        for revision in Revision::ALL {
            let modern = revision == R5;
            for method in [INITIALIZE, PING, SET_LEVEL, RESOURCES_SUBSCRIBE, RESOURCES_UNSUBSCRIBE] {
                assert_eq!(is_request_of(method, revision), !modern, "{method} {revision}");
            }
            for method in [DISCOVER, LISTEN] {
                assert_eq!(is_request_of(method, revision), modern, "{method} {revision}");
            }
            for method in [TASKS_GET, TASKS_RESULT, TASKS_LIST, TASKS_CANCEL] {
                assert_eq!(is_request_of(method, revision), revision == R4, "{method} {revision}");
            }
            for method in [TOOLS_LIST, TOOLS_CALL, RESOURCES_READ, PROMPTS_GET, COMPLETE] {
                assert!(is_request_of(method, revision));
            }
            assert!(!is_request_of(TASKS_UPDATE, revision));
            assert!(!is_request_of("Tools/Call", revision) && !is_request_of(CANCELLED, revision));
            assert!(is_notification_of(CANCELLED, revision));
            assert_eq!(is_notification_of(INITIALIZED, revision), !modern);
            assert_eq!(is_notification_of(TASKS_STATUS, revision), revision == R4);
        }
        assert!(is_known(TASKS_UPDATE) && fields(TASKS_UPDATE).contains(&Field::TaskId));
        assert!(fields("acme/search").is_empty() && !is_known("acme/search"));
        assert!(fields(TOOLS_CALL).contains(&Field::RequestState));
    }
}

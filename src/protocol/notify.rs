//! How does a notification from the server look?
//!
//! In the modern era change notices travel only on a listen stream and name it in `_meta`; in the legacy era they
//! come unasked and name nothing. So each takes the id of the listen request, or `None`.

use serde_json::value::RawValue;

use crate::protocol::capabilities::LogLevel;
use crate::protocol::encode::write_notification_with;
use crate::protocol::id::{ProgressToken, RequestId};
use crate::protocol::json::{self, Object};
use crate::protocol::method;
use crate::protocol::params::meta_keys;
use crate::protocol::revision::Revision;
use crate::protocol::subscribe::ListenFilter;
use crate::protocol::tasks;

/// A list that clients can be told about when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ListKind {
    /// The tools.
    Tools,
    /// The prompts.
    Prompts,
    /// The resources.
    Resources,
}

impl ListKind {
    /// The notification that says so.
    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources => "notifications/resources/list_changed",
        }
    }
}

/// Appends `notifications/progress`: how far the request with this token has come. `message` from 2025-03-26 on; `task` is the one that it
/// runs as (2025-11-25).
pub(crate) fn write_progress(
    out: &mut Vec<u8>,
    token: &ProgressToken,
    progress: f64,
    total: Option<f64>,
    message: Option<&str>,
    revision: Revision,
    task: Option<&str>,
) {
    write_notification_with(
        out,
        method::PROGRESS,
        Some(|out: &mut Vec<u8>| {
            let mut params = Object::begin(out);
            token.write_to(params.key("progressToken"));
            params.f64("progress", progress);
            if let Some(total) = total {
                params.f64("total", total);
            }
            params.opt_str("message", message.filter(|_| revision >= Revision::R2025_03_26));
            write_related_task(&mut params, task);
            params.end();
        }),
    );
}

/// Appends `notifications/message`: a log message. The data must be free of secrets (all revisions: MUST NOT).
pub(crate) fn write_log_message(
    out: &mut Vec<u8>,
    level: LogLevel,
    logger: Option<&str>,
    data: &RawValue,
    task: Option<&str>,
) {
    write_notification_with(
        out,
        "notifications/message",
        Some(|out: &mut Vec<u8>| {
            let mut params = Object::begin(out);
            params.str("level", level.as_str());
            params.opt_str("logger", logger);
            params.raw("data", data);
            write_related_task(&mut params, task);
            params.end();
        }),
    );
}

/// Appends the notice that a list has changed.
pub(crate) fn write_list_changed(out: &mut Vec<u8>, kind: ListKind, subscription: Option<&RequestId>) {
    write_notification_with(
        out,
        kind.method(),
        subscription.map(|id| {
            |out: &mut Vec<u8>| {
                let mut params = Object::begin(out);
                write_subscription(&mut params, id);
                params.end();
            }
        }),
    );
}

/// Appends `notifications/resources/updated`: a watched resource has changed.
pub(crate) fn write_resource_updated(out: &mut Vec<u8>, uri: &str, subscription: Option<&RequestId>) {
    write_notification_with(
        out,
        "notifications/resources/updated",
        Some(|out: &mut Vec<u8>| {
            let mut params = Object::begin(out);
            params.str("uri", uri);
            if let Some(id) = subscription {
                write_subscription(&mut params, id);
            }
            params.end();
        }),
    );
}

/// Appends `notifications/subscriptions/acknowledged`, the first message of a listen stream, with what is honored.
pub(crate) fn write_acknowledged(out: &mut Vec<u8>, subscription: &RequestId, honored: &ListenFilter) {
    write_notification_with(
        out,
        "notifications/subscriptions/acknowledged",
        Some(|out: &mut Vec<u8>| {
            let mut params = Object::begin(out);
            let filter = params.key("notifications");
            if json::write_value(filter, honored).is_err() {
                filter.extend_from_slice(b"{}");
            }
            write_subscription(&mut params, subscription);
            params.end();
        }),
    );
}

/// Appends `notifications/cancelled`: a request of ours (legacy), or a listen stream that the server ends (modern).
pub(crate) fn write_cancelled(out: &mut Vec<u8>, request: &RequestId, reason: Option<&str>) {
    write_notification_with(
        out,
        method::CANCELLED,
        Some(|out: &mut Vec<u8>| {
            let mut params = Object::begin(out);
            request.write_to(params.key("requestId"));
            params.opt_str("reason", reason);
            params.end();
        }),
    );
}

fn write_related_task(params: &mut Object<'_>, task: Option<&str>) {
    if let Some(task) = task {
        tasks::write_related(params.key("_meta"), task);
    }
}

pub(crate) fn write_subscription(params: &mut Object<'_>, id: &RequestId) {
    let mut meta = Object::begin(params.key("_meta"));
    id.write_to(meta.key(meta_keys::SUBSCRIPTION_ID));
    meta.end();
}

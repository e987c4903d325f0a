//! How does a task look?
//!
//! 2025-11-25 has tasks in its core (basic/utilities/tasks), 2026-07-28 in the extension `io.modelcontextprotocol/tasks`: the same states under
//! other names, and in the extension a task carries its questions, its result or its error.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::protocol::content::Implementation;
use crate::protocol::encode::{begin_result, end_result, write_input_requests, write_notification_with};
use crate::protocol::error::RpcError;
use crate::protocol::id::RequestId;
use crate::protocol::json::{self, Object};
use crate::protocol::method;
use crate::protocol::notify::write_subscription;
use crate::protocol::params::meta_keys;
use crate::protocol::revision::Revision;
use crate::protocol::show::cut;
use crate::protocol::time::rfc3339;

/// The extension of 2026-07-28.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Most characters of a text about a task.
const MESSAGE_CHARS: usize = 256;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TaskStatus {
    /// Its handler runs, or waits for a thread.
    Working,
    /// It waits for its client.
    InputRequired,
    /// There is a result.
    Completed,
    /// There is an error; in 2025-11-25 also: the result is one of a tool that failed.
    Failed,
    /// Its client, or the server, has given it up.
    Cancelled,
}

impl TaskStatus {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it has ended: such a status is never left.
    pub(crate) const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// What both eras tell of a task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskView<'t> {
    pub id: &'t str,
    pub status: TaskStatus,
    /// For people, and perhaps the model.
    pub message: Option<&'t str>,
    /// When it began, in milliseconds since 1970.
    pub created: u64,
    /// When its status or message was last set, likewise.
    pub updated: u64,
    /// How long it is kept from its creation, in milliseconds.
    pub ttl: u64,
    /// How long a client should wait between two looks, likewise.
    pub poll_interval: u64,
}

/// What 2026-07-28 tells besides.
#[derive(Debug, Clone)]
pub(crate) enum Detail<'t> {
    None,
    /// Key, method and parameters of each question that is open.
    Questions(Vec<(&'t str, &'t str, &'t RawValue)>),
    /// The JSON of the result that the request would have had.
    Result(&'t [u8]),
    /// The JSON of the error.
    Error(&'t [u8]),
}

/// Appends the result that tells that a task has begun.
///
/// `immediate` is for the model, until there is a result (2025-11-25).
pub(crate) fn encode_created(
    out: &mut Vec<u8>,
    task: TaskView<'_>,
    revision: Revision,
    server: Option<&Implementation>,
    immediate: Option<&str>,
) {
    let mut result = Object::begin(out);
    if revision.is_modern() {
        result.str("resultType", "task");
        write_members(&mut result, task, revision);
        return end_result(result, revision, server, None);
    }
    write_task(result.key("task"), task, revision);
    let mut meta = Object::begin(result.key("_meta"));
    write_related_member(&mut meta, task.id);
    meta.opt_str(meta_keys::IMMEDIATE_RESPONSE, immediate);
    meta.end();
    result.end();
}

/// Appends the result of `tasks/get`, and of `tasks/cancel` in 2025-11-25.
pub(crate) fn encode_task(
    out: &mut Vec<u8>,
    task: TaskView<'_>,
    detail: &Detail<'_>,
    revision: Revision,
    server: Option<&Implementation>,
) {
    let mut result = begin_result(out, revision);
    write_members(&mut result, task, revision);
    if revision.is_modern() {
        write_detail(&mut result, detail);
    }
    end_result(result, revision, server, None);
}

/// Appends a task, as an element of `tasks/list` say.
pub(crate) fn write_task(out: &mut Vec<u8>, task: TaskView<'_>, revision: Revision) {
    let mut object = Object::begin(out);
    write_members(&mut object, task, revision);
    object.end();
}

/// Appends `notifications/tasks/status` (2025-11-25).
pub(crate) fn write_status(out: &mut Vec<u8>, task: TaskView<'_>) {
    let params = |out: &mut Vec<u8>| write_task(out, task, Revision::R2025_11_25);
    write_notification_with(out, method::TASKS_STATUS, Some(params));
}

/// Appends `notifications/tasks` of a listen stream (2026-07-28): all that `tasks/get` would tell.
pub(crate) fn write_changed(out: &mut Vec<u8>, task: TaskView<'_>, detail: &Detail<'_>, subscription: &RequestId) {
    let params = |out: &mut Vec<u8>| {
        let mut params = Object::begin(out);
        write_members(&mut params, task, Revision::R2026_07_28);
        write_detail(&mut params, detail);
        write_subscription(&mut params, subscription);
        params.end();
    };
    write_notification_with(out, "notifications/tasks", Some(params));
}

fn write_members(object: &mut Object<'_>, task: TaskView<'_>, revision: Revision) {
    object.str("taskId", task.id);
    object.str("status", task.status.as_str());
    object.opt_str("statusMessage", task.message);
    object.str("createdAt", &rfc3339(task.created));
    object.str("lastUpdatedAt", &rfc3339(task.updated));
    let (ttl, poll) = if revision.is_modern() { ("ttlMs", "pollIntervalMs") } else { ("ttl", "pollInterval") };
    object.u64(ttl, task.ttl);
    object.u64(poll, task.poll_interval);
}

fn write_detail(object: &mut Object<'_>, detail: &Detail<'_>) {
    match detail {
        Detail::None => {}
        Detail::Questions(questions) => write_input_requests(object, questions.iter().copied()),
        Detail::Result(json) => object.key("result").extend_from_slice(json),
        Detail::Error(json) => object.key("error").extend_from_slice(json),
    }
}

/// Appends a response with what a task has come to: the JSON of a result, or of an error.
pub(crate) fn write_outcome(out: &mut Vec<u8>, id: &RequestId, json: &[u8], is_error: bool) {
    let mut response = Object::begin(out);
    response.str("jsonrpc", "2.0");
    id.write_to(response.key("id"));
    response.key(if is_error { "error" } else { "result" }).extend_from_slice(json);
    response.end();
}

/// Appends the `_meta` of what belongs to a task (2025-11-25: MUST).
pub(crate) fn write_related(out: &mut Vec<u8>, task: &str) {
    let mut meta = Object::begin(out);
    write_related_member(&mut meta, task);
    meta.end();
}

fn write_related_member(meta: &mut Object<'_>, task: &str) {
    let mut related = Object::begin(meta.key(meta_keys::RELATED_TASK));
    related.str("taskId", task);
    related.end();
}

/// The parameters of a request of the server that belongs to a task. They have no `_meta` of their own.
pub(crate) fn with_related(params: &RawValue, task: &str) -> Box<RawValue> {
    let mut out = Vec::with_capacity(params.get().len() + task.len() + 80);
    let mut object = Object::begin(&mut out);
    let whole = json::for_each_member(params.get(), |key, value| {
        object.any_key(&key).extend_from_slice(value.get().as_bytes());
    });
    write_related(object.key("_meta"), task);
    object.end();
    json::raw_from_bytes(out).ok().filter(|_| whole).unwrap_or_else(|| params.to_owned())
}

/// How long a client of 2025-11-25 wants its task kept: `ttl` of `params.task`, in milliseconds.
///
/// # Errors
///
/// -32602 if it is no object, or the time no whole number. A negative one counts as zero.
pub(crate) fn requested_ttl(task: &RawValue) -> Result<Option<u64>, RpcError> {
    if !json::is_object(task) {
        return Err(RpcError::invalid_params("params.task must be an object"));
    }
    let Some(ttl) = json::member(task, "ttl").filter(|raw| !json::is_null(raw)) else { return Ok(None) };
    let wrong = || RpcError::invalid_params("params.task.ttl must be a number of milliseconds");
    let ttl: f64 = serde_json::from_str(ttl.get()).map_err(|_| wrong())?;
    // The cast ends at both ends of the range.
    if ttl.is_finite() && ttl.fract() == 0.0 { Ok(Some(ttl as u64)) } else { Err(wrong()) }
}

/// What a result or an error says about why it is none that was hoped for: the message of an error, the first text of a tool's.
pub(crate) fn failure_message(json: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Failure<'a> {
        #[serde(borrow)]
        message: Option<Cow<'a, str>>,
        #[serde(default, borrow)]
        content: Vec<Block<'a>>,
    }
    #[derive(Deserialize)]
    struct Block<'a> {
        #[serde(borrow)]
        text: Option<Cow<'a, str>>,
    }
    let Failure { message, content } = serde_json::from_slice(json).ok()?;
    let message = message.or_else(|| content.into_iter().find_map(|block| block.text))?;
    Some(cut_message(&message).to_owned())
}

/// A text about a task, no longer than such a text may be.
pub(crate) fn cut_message(message: &str) -> &str {
    cut(message, MESSAGE_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const R4: Revision = Revision::R2025_11_25;
    const R5: Revision = Revision::R2026_07_28;

    fn view(status: TaskStatus) -> TaskView<'static> {
        let (created, updated) = (1_785_196_800_123, 1_785_196_801_000);
        TaskView { id: "t", status, message: Some("half"), created, updated, ttl: 60_000, poll_interval: 500 }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        write(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn times_are_written_as_iso_8601_has_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_785_196_800_123, "2026-07-28T00:00:00.123Z"),
            (4_102_444_799_000, "2099-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(millis), text);
        }
        rfc3339(u64::MAX);
    }

    #[test]
    fn a_task_has_the_names_of_its_revision() {
        let common = json!({
            "taskId": "t", "status": "working", "statusMessage": "half",
            "createdAt": "2026-07-28T00:00:00.123Z", "lastUpdatedAt": "2026-07-28T00:00:01.000Z",
        });
        let mut old = common.clone();
        (old["ttl"], old["pollInterval"]) = (60_000.into(), 500.into());
        let task = view(TaskStatus::Working);
        assert_eq!(written(|out| encode_task(out, task, &Detail::None, R4, None)), old);
        assert_eq!(
            written(|out| write_status(out, task)),
            json!({ "jsonrpc": "2.0", "method": "notifications/tasks/status", "params": old })
        );
        let related = json!({ "io.modelcontextprotocol/related-task": { "taskId": "t" } });
        let created = written(|out| encode_created(out, task, R4, None, None));
        assert_eq!(created, json!({ "task": old, "_meta": related }));
        let created = written(|out| encode_created(out, task, R4, None, Some("wait")));
        assert_eq!(created["_meta"]["io.modelcontextprotocol/model-immediate-response"], "wait");
        let mut new = common;
        (new["ttlMs"], new["pollIntervalMs"], new["resultType"]) = (60_000.into(), 500.into(), "task".into());
        assert_eq!(written(|out| encode_created(out, task, R5, None, Some("wait"))), new);
        new["resultType"] = "complete".into();
        assert_eq!(written(|out| encode_task(out, task, &Detail::None, R5, None)), new);
    }

    #[test]
    fn the_extension_tells_what_a_task_waits_for_and_what_it_has_come_to() {
        let params = json::to_raw(&json!({ "message": "?" })).unwrap();
        let questions = Detail::Questions(vec![("k\"", "elicitation/create", &params)]);
        let asking = written(|out| encode_task(out, view(TaskStatus::InputRequired), &questions, R5, None));
        assert_eq!(
            asking["inputRequests"],
            json!({ "k\"": { "method": "elicitation/create", "params": { "message": "?" } } })
        );
        let old = written(|out| encode_task(out, view(TaskStatus::InputRequired), &questions, R4, None));
        assert_eq!(old.get("inputRequests"), None);
        let id = RequestId::from(7_u64);
        let done = Detail::Result(b"{\"content\":[]}");
        let notice = written(|out| write_changed(out, view(TaskStatus::Completed), &done, &id));
        assert_eq!(notice["params"]["result"], json!({ "content": [] }));
        assert_eq!(notice["params"]["_meta"], json!({ "io.modelcontextprotocol/subscriptionId": 7 }));
        let failed = Detail::Error(b"{\"code\":-1,\"message\":\"no\"}");
        let failed = written(|out| encode_task(out, view(TaskStatus::Failed), &failed, R5, None));
        assert_eq!((&failed["error"]["code"], failed.get("result")), (&json!(-1), None));
    }

    #[test]
    fn a_request_of_a_task_says_so() {
        let params = json::to_raw(&json!({ "message": "?", "list": [1] })).unwrap();
        let value: Value = serde_json::from_str(with_related(&params, "t").get()).unwrap();
        let related = json!({ "io.modelcontextprotocol/related-task": { "taskId": "t" } });
        assert_eq!(value, json!({ "message": "?", "list": [1], "_meta": related }));
    }

    #[test]
    fn a_time_to_live_is_a_whole_number() {
        let read = |text: &str| requested_ttl(serde_json::from_str(text).unwrap());
        assert_eq!(read("{}"), Ok(None));
        assert_eq!(read(r#"{"ttl":null,"x":1}"#), Ok(None));
        assert_eq!(read(r#"{"ttl":60000}"#), Ok(Some(60_000)));
        assert_eq!(read(r#"{"ttl":6e4}"#), Ok(Some(60_000)));
        assert_eq!(read(r#"{"ttl":-5}"#), Ok(Some(0)));
        assert_eq!(read(r#"{"ttl":1e300}"#), Ok(Some(u64::MAX)));
        for wrong in ["[]", "null", "5", r#"{"ttl":"5"}"#, r#"{"ttl":0.5}"#, r#"{"ttl":{}}"#] {
            assert_eq!(read(wrong).unwrap_err().code, -32602, "{wrong}");
        }
    }

    #[test]
    fn a_failure_is_told_in_its_own_words() {
        assert_eq!(failure_message(br#"{"code":-1,"message":"no \"way\""}"#).as_deref(), Some("no \"way\""));
        let output = br#"{"content":[{"type":"image"},{"type":"text","text":"first"},{"type":"text","text":"x"}]}"#;
        assert_eq!(failure_message(output).as_deref(), Some("first"));
        assert_eq!(failure_message(br#"{"content":[]}"#), None);
        let long = format!(r#"{{"message":"{}"}}"#, "é".repeat(5_000));
        assert_eq!(failure_message(long.as_bytes()).unwrap().chars().count(), MESSAGE_CHARS);
    }
}

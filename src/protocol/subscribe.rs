//! What does a `subscriptions/listen` ask for? (2026-07-28, basic/patterns/subscriptions)

use std::collections::HashSet;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::protocol::capabilities::ServerCapabilities;
use crate::protocol::error::RpcError;
use crate::protocol::json;

/// Most resources, and most tasks, that one subscription can watch.
pub(crate) const MAX_URIS: usize = 1_024;
/// Longest URI or id that can be watched, in bytes.
pub(crate) const MAX_URI_BYTES: usize = 4 * 1024;

/// The kinds of change that a subscription wants to hear of: only what was asked for may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListenFilter {
    /// The list of tools.
    #[serde(skip_serializing_if = "is_false")]
    pub tools_list_changed: bool,
    /// The list of prompts.
    #[serde(skip_serializing_if = "is_false")]
    pub prompts_list_changed: bool,
    /// The list of resources.
    #[serde(skip_serializing_if = "is_false")]
    pub resources_list_changed: bool,
    /// Single resources, each once, at most [`MAX_URIS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_subscriptions: Vec<String>,
    /// Single tasks, each once, at most [`MAX_URIS`] (extension `io.modelcontextprotocol/tasks`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub task_ids: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl ListenFilter {
    /// Reads `params.notifications`. Unknown kinds are ignored: the acknowledgement shows that they were.
    ///
    /// # Errors
    ///
    /// -32602 if it is missing or no object, a flag is no boolean, a URI or id no string, or there is too much of it.
    pub(crate) fn parse(notifications: Option<&RawValue>) -> Result<Self, RpcError> {
        let wrong = |what: &str| RpcError::invalid_params(format!("params.notifications{what}"));
        let Some(raw) = notifications else {
            return Err(wrong(" must be an object"));
        };
        let mut filter = Self::default();
        let mut fault = None;
        let whole = json::for_each_member(raw.get(), |key, value| {
            let flag = match &*key {
                _ if json::is_null(value) => return,
                "toolsListChanged" => &mut filter.tools_list_changed,
                "promptsListChanged" => &mut filter.prompts_list_changed,
                "resourcesListChanged" => &mut filter.resources_list_changed,
                "resourceSubscriptions" | "taskIds" => {
                    let tasks = key == "taskIds";
                    let slot = if tasks { &mut filter.task_ids } else { &mut filter.resource_subscriptions };
                    match texts(value, &key) {
                        Ok(texts) => *slot = texts,
                        Err(problem) => fault = fault.take().or(Some(problem)),
                    }
                    return;
                }
                _ => return,
            };
            match json::as_bool(value) {
                Some(set) => *flag = set,
                None => fault = fault.take().or_else(|| Some(wrong(&format!(".{key} must be a boolean")))),
            }
        });
        match fault {
            Some(fault) => Err(fault),
            None if whole => Ok(filter),
            None => Err(wrong(" must be an object")),
        }
    }

    /// The part of this filter that a server with these capabilities can deliver: what the acknowledgement names. Which tasks there are is not among
    /// them.
    #[must_use]
    pub(crate) fn honored(&self, capabilities: &ServerCapabilities) -> Self {
        let resources = capabilities.resources.unwrap_or_default();
        let changes =
            |list: Option<crate::protocol::capabilities::ListCapability>| list.is_some_and(|list| list.list_changed);
        Self {
            tools_list_changed: self.tools_list_changed && changes(capabilities.tools),
            prompts_list_changed: self.prompts_list_changed && changes(capabilities.prompts),
            resources_list_changed: self.resources_list_changed && resources.list_changed,
            resource_subscriptions: if resources.subscribe { self.resource_subscriptions.clone() } else { Vec::new() },
            task_ids: self.task_ids.clone(),
        }
    }

    /// Whether it watches exactly this resource.
    pub(crate) fn watches(&self, uri: &str) -> bool {
        self.resource_subscriptions.iter().any(|watched| watched == uri)
    }

    /// Bytes held for the URIs and ids: for the budgets that count what a peer makes us keep.
    pub(crate) fn heap_bytes(&self) -> usize {
        [&self.resource_subscriptions, &self.task_ids].into_iter().fold(0, |sum, texts| {
            let slots = texts.capacity() * size_of::<String>();
            sum + texts.iter().fold(slots, |sum, text| sum + text.capacity())
        })
    }
}

/// The texts of a list, each once.
fn texts(raw: &RawValue, member: &str) -> Result<Vec<String>, RpcError> {
    let wrong = |what: &str| RpcError::invalid_params(format!("params.notifications.{member} {what}"));
    let entries: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| wrong("must be an array of strings"))?;
    if entries.len() > MAX_URIS {
        return Err(wrong(&format!("may hold {MAX_URIS} entries at most")));
    }
    let mut seen = HashSet::with_capacity(entries.len());
    let mut texts = Vec::with_capacity(entries.len());
    for entry in entries {
        let text = json::as_str(entry).ok_or_else(|| wrong("must be an array of strings"))?;
        if text.len() > MAX_URI_BYTES {
            return Err(wrong(&format!("may hold texts of {MAX_URI_BYTES} bytes at most")));
        }
        if seen.insert(text.clone()) {
            texts.push(text.into_owned());
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::capabilities::{ListCapability, ResourcesCapability};
    use serde_json::json;

    fn read(text: &str) -> Result<ListenFilter, RpcError> {
        ListenFilter::parse(Some(serde_json::from_str(text).unwrap()))
    }

    #[test]
    fn what_is_asked_for_is_read_and_acknowledged() {
        let filter = read(
            r#"{"toolsListChanged":true,"promptsListChanged":false,"resourcesListChanged":null,
            "resourceSubscriptions":["a://1","a://2","a://1"],"taskIds":["x"],"future":5}"#,
        )
        .unwrap();
        assert!(filter.tools_list_changed && !filter.prompts_list_changed && !filter.resources_list_changed);
        assert!(filter.watches("a://2") && !filter.watches("a://"));
        assert_eq!(
            serde_json::to_value(&filter).unwrap(),
            json!({"toolsListChanged": true, "resourceSubscriptions": ["a://1", "a://2"], "taskIds": ["x"]})
        );
        assert_eq!(read("{}").unwrap(), ListenFilter::default());
        assert_eq!(serde_json::to_value(ListenFilter::default()).unwrap(), json!({}));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("[]", "must be an object"),
            ("null", "must be an object"),
            (r#"{"toolsListChanged":1}"#, ".toolsListChanged must be a boolean"),
            (r#"{"resourceSubscriptions":"a"}"#, "array of strings"),
            (r#"{"resourceSubscriptions":[1]}"#, "array of strings"),
            (r#"{"resourceSubscriptions":{}}"#, "array of strings"),
            (r#"{"taskIds":[{}]}"#, ".taskIds must be an array of strings"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code, -32602);
            assert!(error.message.contains(part), "{} {part}", error.message);
        }
        assert!(ListenFilter::parse(None).is_err());
    }

    #[test]
    fn the_number_and_length_of_watched_resources_are_bounded() {
        let list = |count: usize| {
            format!(
                r#"{{"resourceSubscriptions":{}}}"#,
                json!((0..count).map(|n| format!("a://{n}")).collect::<Vec<_>>())
            )
        };
        assert_eq!(read(&list(MAX_URIS)).unwrap().resource_subscriptions.len(), MAX_URIS);
        assert!(read(&list(MAX_URIS + 1)).is_err());
        let long = |bytes: usize| format!(r#"{{"resourceSubscriptions":["{}"]}}"#, "x".repeat(bytes));
        assert!(read(&long(MAX_URI_BYTES)).is_ok());
        assert!(read(&long(MAX_URI_BYTES + 1)).is_err());
    }

    #[test]
    fn only_what_is_offered_is_honored() {
        let filter = read(r#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a"]}"#).unwrap();
        assert_eq!(filter.honored(&ServerCapabilities::default()), ListenFilter::default());
        let capabilities = ServerCapabilities {
            tools: Some(ListCapability { list_changed: true }),
            prompts: Some(ListCapability { list_changed: false }),
            resources: Some(ResourcesCapability { subscribe: true, list_changed: false }),
            ..Default::default()
        };
        let honored = filter.honored(&capabilities);
        assert_eq!(
            serde_json::to_value(honored).unwrap(),
            json!({"toolsListChanged": true, "resourceSubscriptions": ["a"]})
        );
    }
}

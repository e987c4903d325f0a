//! What can the client do, what does the server offer, and how loud may its log be?

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::protocol::error::RpcError;
use crate::protocol::json::{self, Object};
use crate::protocol::revision::Revision;
use crate::protocol::show::cut;
use crate::protocol::tasks;

/// Most extensions of a client that are remembered; further ones count as not declared.
pub(crate) const MAX_EXTENSIONS: usize = 32;
/// Longest extension id that is remembered, in bytes.
const MAX_EXTENSION_BYTES: usize = 256;
/// Bytes of the settings of all extensions of a client; those that do not fit count as not declared.
const MAX_SETTINGS_BYTES: usize = 8 << 10;
/// Most characters kept of a client's name or version.
const MAX_INFO_CHARS: usize = 128;

/// What a client declared: in `initialize` for its session, or in a modern request for that request alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClientCapabilities {
    /// Can list its roots.
    pub roots: bool,
    /// Tells when they change (legacy era).
    pub roots_list_changed: bool,
    /// Can ask its language model.
    pub sampling: bool,
    /// … with tools (2025-11-25 and later).
    pub sampling_tools: bool,
    /// … with context of servers (2025-11-25 and later).
    pub sampling_context: bool,
    /// Can ask the user to fill in a form.
    pub elicitation_form: bool,
    /// Can ask the user to open a URL (2025-11-25 and later).
    pub elicitation_url: bool,
    /// Ids of the extensions it supports, at most 32.
    pub extensions: Vec<Box<str>>,
    /// Those with their settings, as the text of an object.
    settings: Box<str>,
}

impl ClientCapabilities {
    /// Reads a capabilities object. What is unknown is ignored, what is no object counts as not declared.
    ///
    /// An empty `elicitation` means forms (2025-11-25 and 2026-07-28, client/elicitation: "an empty capabilities object
    /// is equivalent to declaring support for form mode only").
    ///
    /// # Errors
    ///
    /// [`NotAnObject`] if `raw` is something else as a whole.
    pub(crate) fn parse(raw: &RawValue) -> Result<Self, NotAnObject> {
        let mut found = Self::default();
        let whole = json::for_each_member(raw.get(), |key, value| {
            if !json::is_object(value) {
                return;
            }
            let has = |name| json::member(value, name);
            let declares = |name| has(name).is_some_and(json::is_object);
            match &*key {
                "roots" => {
                    found.roots = true;
                    found.roots_list_changed = has("listChanged").and_then(json::as_bool) == Some(true);
                }
                "sampling" => {
                    found.sampling = true;
                    found.sampling_tools = declares("tools");
                    found.sampling_context = declares("context");
                }
                "elicitation" => {
                    found.elicitation_url = declares("url");
                    found.elicitation_form = declares("form") || !found.elicitation_url;
                }
                "extensions" => (found.extensions, found.settings) = extensions(value),
                _ => {}
            }
        });
        if whole { Ok(found) } else { Err(NotAnObject) }
    }

    /// Whether the client declared this extension.
    pub fn has_extension(&self, id: &str) -> bool {
        self.extensions.iter().any(|known| &**known == id)
    }

    /// The settings that the client declared for this extension; `None` if it did not declare it.
    pub fn extension(&self, id: &str) -> Option<Map<String, Value>> {
        let mut settings = None;
        json::for_each_member(&self.settings, |known, value| {
            if known == id {
                settings = serde_json::from_str(value.get()).ok();
            }
        });
        settings
    }

    /// The memory that the extensions hold.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.settings.len() + self.extensions.iter().map(|id| id.len() + size_of::<Box<str>>()).sum::<usize>()
    }
}

/// The value is no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAnObject;

/// The ids, and the text of an object with their settings.
fn extensions(raw: &RawValue) -> (Vec<Box<str>>, Box<str>) {
    let mut ids: Vec<Box<str>> = Vec::new();
    let (mut text, mut bytes) = (Vec::new(), 0);
    let mut settings = Object::begin(&mut text);
    json::for_each_member(raw.get(), |key, value| {
        let more = bytes + value.get().len();
        let fits = ids.len() < MAX_EXTENSIONS && key.len() <= MAX_EXTENSION_BYTES && more <= MAX_SETTINGS_BYTES;
        // What cannot be read as a whole is not declared either.
        let readable = || serde_json::from_str::<Map<String, Value>>(value.get()).is_ok();
        if fits && !ids.iter().any(|known| **known == *key) && readable() {
            settings.any_key(&key).extend_from_slice(value.get().as_bytes());
            bytes = more;
            ids.push(key.into());
        }
    });
    settings.end();
    (ids, String::from_utf8(text).unwrap_or_default().into())
}

/// Who the client says it is. For display and logs; nothing may be decided on it (2026-07-28, basic/index).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub(crate) struct ClientInfo {
    /// Its name, cut to 128 characters, not escaped. Empty if it was not readable.
    pub name: String,
    /// Its version, likewise.
    pub version: String,
}

impl ClientInfo {
    /// Reads what can be read of an `Implementation` object.
    pub(crate) fn parse(raw: &RawValue) -> Self {
        let mut info = Self::default();
        json::for_each_member(raw.get(), |key, value| {
            let slot = match &*key {
                "name" => &mut info.name,
                "version" => &mut info.version,
                _ => return,
            };
            *slot = json::as_str(value).map(|text| cut(&text, MAX_INFO_CHARS).to_owned()).unwrap_or_default();
        });
        info
    }
}

/// How severe a log message is (all revisions, server/utilities/logging). More severe compares as greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Details for debugging.
    Debug,
    /// Normal events.
    Info,
    /// Normal but significant events.
    Notice,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
    /// A part has failed.
    Critical,
    /// Someone must act now.
    Alert,
    /// Nothing works.
    Emergency,
}

impl LogLevel {
    /// All levels, least severe first.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// The level of exactly this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }

    /// The level that a parameter names.
    ///
    /// # Errors
    ///
    /// -32602 if there is none of this name.
    pub(crate) fn from_param(text: &str) -> Result<Self, RpcError> {
        Self::parse(text).ok_or_else(|| RpcError::unknown("log level", text))
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }
}

/// What the server offers. A method whose capability is not here is answered -32601.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub(crate) struct ServerCapabilities {
    /// Has tools.
    pub tools: Option<ListCapability>,
    /// Has prompts.
    pub prompts: Option<ListCapability>,
    /// Has resources.
    pub resources: Option<ResourcesCapability>,
    /// Sends log messages.
    pub logging: bool,
    /// Completes arguments. There is no such capability in 2024-11-05, only the method.
    pub completions: bool,
    /// Runs tools as tasks: a capability of 2025-11-25, an extension of 2026-07-28.
    pub tasks: bool,
    /// Extensions by id, each with its settings object (2025-11-25 and later).
    pub extensions: Map<String, Value>,
    /// Experiments by name, each with its settings object.
    pub experimental: Map<String, Value>,
}

/// Settings of a list that clients can page through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ListCapability {
    /// Clients are told when it changes.
    pub list_changed: bool,
}

/// Settings of the resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ResourcesCapability {
    /// Clients can watch single resources.
    pub subscribe: bool,
    /// Clients are told when the list changes.
    pub list_changed: bool,
}

impl ServerCapabilities {
    /// Appends the capabilities object as this revision knows it.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>, revision: Revision) {
        let mut object = Object::begin(out);
        if !self.experimental.is_empty() {
            write_settings(object.key("experimental"), &self.experimental);
        }
        if self.logging {
            Object::begin(object.key("logging")).end();
        }
        if self.completions && revision >= Revision::R2025_03_26 {
            Object::begin(object.key("completions")).end();
        }
        for (key, list) in [("prompts", self.prompts), ("tools", self.tools)] {
            if let Some(list) = list {
                write_flags(object.key(key), &[("listChanged", list.list_changed)]);
            }
        }
        if let Some(resources) = self.resources {
            let flags = [("subscribe", resources.subscribe), ("listChanged", resources.list_changed)];
            write_flags(object.key("resources"), &flags);
        }
        if self.tasks && revision == Revision::R2025_11_25 {
            // Requests of no other type can be tasks (2025-11-25, basic/utilities/tasks).
            object.key("tasks").extend_from_slice(br#"{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}"#);
        }
        let tasks = self.tasks && revision.is_modern();
        if (tasks || !self.extensions.is_empty()) && revision >= Revision::R2025_11_25 {
            let mut extensions = self.extensions.clone();
            if tasks {
                extensions.entry(tasks::EXTENSION).or_insert_with(|| Map::new().into());
            }
            write_settings(object.key("extensions"), &extensions);
        }
        object.end();
    }
}

fn write_flags(out: &mut Vec<u8>, flags: &[(&'static str, bool)]) {
    let mut object = Object::begin(out);
    for (key, _) in flags.iter().filter(|(_, set)| *set) {
        object.bool(key, true);
    }
    object.end();
}

/// Settings by name. Each must be an object by the schema; anything else is written as an empty one.
fn write_settings(out: &mut Vec<u8>, settings: &Map<String, Value>) {
    let mut object = Object::begin(out);
    for (key, value) in settings {
        let out = object.any_key(key);
        if !value.is_object() || json::write_value(out, value).is_err() {
            out.extend_from_slice(b"{}");
        }
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn client(text: &str) -> ClientCapabilities {
        ClientCapabilities::parse(serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn a_client_has_what_it_declares_as_an_object() {
        assert_eq!(client("{}"), ClientCapabilities::default());
        let all = client(
            r#"{"roots":{"listChanged":true},"sampling":{"tools":{},"context":{}},"elicitation":{"form":{},"url":{}},
                "experimental":{"x":{}},"tasks":{},"future":[1],"extensions":{"io.modelcontextprotocol/ui":{"a":1},"bad":3}}"#,
        );
        assert!(all.roots && all.roots_list_changed && all.sampling && all.sampling_tools && all.sampling_context);
        assert!(all.elicitation_form && all.elicitation_url);
        assert!(all.has_extension("io.modelcontextprotocol/ui") && !all.has_extension("bad"));
        assert_eq!(all.extension("io.modelcontextprotocol/ui").map(Value::from), Some(json!({ "a": 1 })));
        assert_eq!((all.extension("bad"), all.extension("none")), (None, None));
        for odd in
            [r#"{"sampling":null,"roots":true,"elicitation":5}"#, r#"{"sampling":[],"roots":"x","elicitation":1.5e3}"#]
        {
            assert_eq!(client(odd), ClientCapabilities::default());
        }
        for wrong in ["null", "[]", "5", "1.5", "\"{}\"", "true"] {
            assert_eq!(ClientCapabilities::parse(serde_json::from_str(wrong).unwrap()), Err(NotAnObject));
        }
    }

    #[test]
    fn an_empty_elicitation_means_forms() {
        let form_and_url = |text| {
            let found = client(text);
            (found.elicitation_form, found.elicitation_url)
        };
        assert_eq!(form_and_url(r#"{"elicitation":{}}"#), (true, false));
        assert_eq!(form_and_url(r#"{"elicitation":{"form":{}}}"#), (true, false));
        assert_eq!(form_and_url(r#"{"elicitation":{"url":{}}}"#), (false, true));
        assert_eq!(form_and_url(r#"{"elicitation":{"url":{},"form":{}}}"#), (true, true));
        assert_eq!(form_and_url(r#"{"elicitation":null}"#), (false, false));
    }

    #[test]
    fn extensions_of_a_client_are_bounded() {
        let many: Vec<String> = (0..10_000).map(|n| format!("\"a.b/{n}\":{{}}")).collect();
        let found = client(&format!("{{\"extensions\":{{{}}}}}", many.join(",")));
        assert_eq!(found.extensions.len(), MAX_EXTENSIONS);
        let long = format!("{{\"extensions\":{{\"{}\":{{}}}}}}", "x".repeat(257));
        assert!(client(&long).extensions.is_empty());
        let large =
            format!(r#"{{"extensions":{{"a.b/large":{{"x":"{}"}},"a.b/small":{{"y":[1]}}}}}}"#, "x".repeat(9_000));
        let found = client(&large);
        assert!(!found.has_extension("a.b/large") && found.extension("a.b/large").is_none());
        assert_eq!(found.extension("a.b/small").map(Value::from), Some(json!({ "y": [1] })));
        assert!(
            client(r#"{"extensions":{"a.b/x":{"n":1e999}}}"#)
                .extension("a.b/x")
                .is_none_or(|settings| settings.len() == 1)
        );
    }

    #[test]
    fn client_info_is_read_as_far_as_it_goes() {
        let info = |text: &str| ClientInfo::parse(serde_json::from_str(text).unwrap());
        assert_eq!(info(r#"{"name":"a","version":"1","x":2}"#), ClientInfo { name: "a".into(), version: "1".into() });
        assert_eq!(info(r#"{"name":5}"#), ClientInfo::default());
        assert_eq!(info("[]"), ClientInfo::default());
        assert_eq!(info(&format!("{{\"name\":\"{}\"}}", "é".repeat(500))).name.chars().count(), 128);
    }

    #[test]
    fn log_levels_are_ordered_and_named() {
        assert!(LogLevel::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        for level in LogLevel::ALL {
            assert_eq!(LogLevel::from_param(level.as_str()), Ok(level));
        }
        for wrong in ["", "Debug", "warn", "debug "] {
            assert_eq!(LogLevel::from_param(wrong).unwrap_err().code, -32602);
        }
    }

    #[test]
    fn the_server_offers_what_a_revision_knows() {
        let mut all = ServerCapabilities { logging: true, completions: true, ..Default::default() };
        all.tools = Some(ListCapability { list_changed: true });
        all.prompts = Some(ListCapability { list_changed: false });
        all.resources = Some(ResourcesCapability { subscribe: true, list_changed: true });
        all.extensions.insert("a.b/c".into(), json!({"x": 1}));
        all.experimental.insert("e".into(), json!(5));
        let written = |revision| {
            let mut out = Vec::new();
            all.write_to(&mut out, revision);
            serde_json::from_slice::<Value>(&out).unwrap()
        };
        let mut expected = json!({
            "experimental": {"e": {}}, "logging": {}, "completions": {}, "prompts": {}, "tools": {"listChanged": true},
            "resources": {"subscribe": true, "listChanged": true}, "extensions": {"a.b/c": {"x": 1}}
        });
        assert_eq!(written(Revision::R2026_07_28), expected);
        assert_eq!(written(Revision::R2025_11_25), expected);
        expected.as_object_mut().unwrap().remove("extensions");
        assert_eq!(written(Revision::R2025_06_18), expected);
        assert_eq!(written(Revision::R2025_03_26), expected);
        expected.as_object_mut().unwrap().remove("completions");
        assert_eq!(written(Revision::R2024_11_05), expected);
    }

    #[test]
    fn each_era_has_its_own_tasks() {
        let mut all = ServerCapabilities { tasks: true, ..Default::default() };
        all.extensions.insert("a.b/c".into(), json!({"x": 1}));
        let written = |revision| {
            let mut out = Vec::new();
            all.write_to(&mut out, revision);
            serde_json::from_slice::<Value>(&out).unwrap()
        };
        let extensions = json!({"a.b/c": {"x": 1}, "io.modelcontextprotocol/tasks": {}});
        assert_eq!(written(Revision::R2026_07_28), json!({"extensions": extensions}));
        let tasks = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
        assert_eq!(written(Revision::R2025_11_25), json!({"extensions": {"a.b/c": {"x": 1}}, "tasks": tasks}));
        assert_eq!(written(Revision::R2025_06_18), json!({}));
    }
}

//! The description of a tool, and arguments for one that takes none.

use crate::protocol::content::{Icon, ToolAnnotations, ToolInfo};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What a tool is called, what it does, and how it behaves.
///
/// ```
/// # use mcp_blocking::Tool;
/// # use std::time::Duration;
/// let tool = Tool::new("wipe", "Delete a folder").destructive().deadline(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
pub struct Tool {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) description: String,
    pub(crate) annotations: ToolAnnotations,
    pub(crate) icons: Vec<Icon>,
    pub(crate) meta: Option<Map<String, Value>>,
    pub(crate) output_schema: Option<Value>,
    /// Arguments that HTTP clients say again in a header, and its name.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) quick: bool,
    pub(crate) unchecked: bool,
    pub(crate) rank: i32,
}

impl Tool {
    /// A tool with that name (1 to 128 of `A-Z a-z 0-9 _ . - /`) and a description for the model.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: description.into(),
            annotations: ToolAnnotations::default(),
            icons: Vec::new(),
            meta: None,
            output_schema: None,
            headers: Vec::new(),
            deadline: None,
            quick: false,
            unchecked: false,
            rank: 0,
        }
    }

    /// A name for people, for revisions that have one (2025-06-18 and later).
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// A hint: the tool changes nothing.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.annotations.read_only = Some(true);
        self
    }

    /// A hint: the tool may destroy something. That is what clients assume of a tool that says nothing.
    #[must_use]
    pub fn destructive(mut self) -> Self {
        self.annotations.destructive = Some(true);
        self
    }

    /// A hint: what the tool changes, it only adds.
    #[must_use]
    pub fn additive(mut self) -> Self {
        self.annotations.destructive = Some(false);
        self
    }

    /// A hint: a second call with the same arguments changes nothing more.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.annotations.idempotent = Some(true);
        self
    }

    /// A hint: the tool stays within a closed domain, unlike, say, a search of the web.
    #[must_use]
    pub fn closed_world(mut self) -> Self {
        self.annotations.open_world = Some(false);
        self
    }

    /// A picture for clients that show one (2025-11-25 and later).
    #[must_use]
    pub fn icon(mut self, icon: Icon) -> Self {
        self.icons.push(icon);
        self
    }

    /// A member of the tool's `_meta` (2025-06-18 and later). `bind` reports keys that the protocol does not allow, see
    /// [`Ctx::set_meta`](crate::Ctx::set_meta).
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    /// The schema of the tool's structured results, for [`Server::tool_raw`](crate::Server::tool_raw) and handlers that return a
    /// [`ToolOutput`](crate::content::ToolOutput); [`Json`](crate::Json) brings its own. Any JSON Schema; clients of 2025-06-18 and 2025-11-25 see it if it is one
    /// of objects.
    ///
    /// The handler then has to return structured content that fits, unless it returns a failure. What does not fit does not leave: it is
    /// logged, and the client is answered -32603 with an incident number, as no model could mend it.
    #[must_use]
    pub fn output_schema(mut self, schema: impl Into<Value>) -> Self {
        self.output_schema = Some(schema.into());
        self
    }

    /// Has clients of 2026-07-28 repeat an argument in the HTTP header `Mcp-Param-<name>`, for proxies that do not read bodies
    /// (`x-mcp-header`, `server/tools`). The server refuses calls whose header is missing or says something else. Not for secrets.
    ///
    /// ```
    /// # use mcp_blocking::Tool;
    /// let tool = Tool::new("deploy", "Deploy to a region").header("region", "Region").header("target/cluster", "Cluster");
    /// ```
    ///
    /// The argument has to be a string, an integer or a boolean; `/` leads to a member of an object. The same can be said of a
    /// field by `#[schemars(extend("x-mcp-header" = "Region"))]`. `bind` reports what does not fit.
    #[must_use]
    pub fn header(mut self, argument: impl Into<String>, name: impl Into<String>) -> Self {
        self.headers.push((argument.into(), name.into()));
        self
    }

    /// Leaves out the checks of arguments and results against their schemas, for a tool that is called very often and checks for
    /// itself. Arguments are still read as the handler's type.
    ///
    /// What it saves: nothing worth it where all arguments are strings, numbers and booleans; else about what it takes to read the arguments once more. Without the
    /// feature `validation` nothing is checked in any case.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.unchecked = true;
        self
    }

    /// How long a call may take, instead of [`Limits::handler_deadline`](crate::Limits::handler_deadline). A deadline
    /// of a tool's own is not extended by progress.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The tool never blocks and takes microseconds: it may run on the connection's own thread, which spares a hand-over.
    ///
    /// While it runs, nothing else of that client is read: no cancellation, no answer, no ping. A quick tool whose calls take longer than 5 ms
    /// again and again, or once longer than 250 ms, is named in the log and runs on the pool from then on.
    #[must_use]
    pub fn quick(mut self) -> Self {
        self.quick = true;
        self
    }

    /// Where the tool stands in the list: lower ranks first, then by name. Default 0. Hosts that show or send only the
    /// first tools get the ones that matter.
    #[must_use]
    pub fn rank(mut self, rank: i32) -> Self {
        self.rank = rank;
        self
    }

    pub(crate) fn into_info(self, input: Box<RawValue>, output: Option<Box<RawValue>>) -> ToolInfo {
        let mut info = ToolInfo::new(self.name, input);
        info.title = self.title;
        info.description = Some(self.description);
        info.output_schema = output;
        info.annotations = self.annotations;
        info.icons = self.icons;
        info.meta = self.meta;
        info
    }
}

/// The arguments of a tool that takes none. Accepts an empty object, an object with members (which are ignored), and
/// nothing at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoArgs;

impl<'de> Deserialize<'de> for NoArgs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = NoArgs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without members")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<NoArgs, A::Error> {
                while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
                Ok(NoArgs)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl JsonSchema for NoArgs {
    fn schema_name() -> Cow<'static, str> {
        "NoArgs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

//! What can a tool return, and how are tools and the server itself described?
//!
//! Everything here is written once, in the terms of the newest revision; the encoder turns it into what the client's
//! revision knows. Binary data is given as bytes: base64 is made when it is sent.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Free metadata: members of a `_meta` object.
pub type MetaMap = Map<String, Value>;

/// One block of what a tool returns or a prompt says.
///
/// ```text
/// Content::text("done").audience([Role::User]).priority(0.9)
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// Plain text.
    Text(TextContent),
    /// A picture.
    Image(MediaContent),
    /// A sound. Clients of 2024-11-05 get a text that stands for it.
    Audio(MediaContent),
    /// A resource that the client may read by itself. Clients before 2025-06-18 get a text with its address.
    ResourceLink(ResourceLink),
    /// A resource, contents included.
    Resource(EmbeddedResource),
}

/// Plain text.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct TextContent {
    /// The text.
    pub text: String,
    /// Hints for the client.
    pub annotations: Annotations,
    /// `_meta` of the block (2025-06-18 and later).
    pub meta: Option<MetaMap>,
}

/// A picture or a sound.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct MediaContent {
    /// The bytes.
    pub data: Blob,
    /// What they are, such as `image/png`.
    pub mime_type: String,
    /// Hints for the client.
    pub annotations: Annotations,
    /// `_meta` of the block (2025-06-18 and later).
    pub meta: Option<MetaMap>,
}

/// Where to find a resource, and what it is.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ResourceLink {
    /// Its address.
    pub uri: String,
    /// Its name for programs.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Its type, such as `text/markdown`.
    pub mime_type: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Pictures to show beside it (2025-11-25 and later).
    pub icons: Vec<Icon>,
    /// Hints for the client.
    pub annotations: Annotations,
    /// `_meta` of the block.
    pub meta: Option<MetaMap>,
}

/// A resource with its contents.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EmbeddedResource {
    /// Address, type and contents.
    pub resource: ResourceContents,
    /// Hints for the client.
    pub annotations: Annotations,
    /// `_meta` of the block (2025-06-18 and later).
    pub meta: Option<MetaMap>,
}

/// The contents of a resource.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ResourceContents {
    /// Its address.
    pub uri: String,
    /// Its type.
    pub mime_type: Option<String>,
    /// What is in it.
    pub body: ResourceBody,
    /// `_meta` of the contents (2025-06-18 and later).
    pub meta: Option<MetaMap>,
}

/// What is in a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum ResourceBody {
    /// Text.
    Text(String),
    /// Anything else.
    Blob(Blob),
}

/// Bytes that are sent as base64. `Debug` shows how many there are.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Blob(Vec<u8>);

/// Hints for the client about one block or resource.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Annotations {
    /// Whom it is for. Empty: not said.
    pub audience: Vec<Role>,
    /// How important it is, from 0 (can be left out) to 1 (is needed).
    pub priority: Option<f64>,
    /// When it last changed, as an ISO 8601 time (2025-06-18 and later).
    pub last_modified: Option<String>,
}

/// A side of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// A picture that stands for a tool, a resource or the server (2025-11-25 and later).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Icon {
    /// An `https:` or `data:` address.
    pub src: String,
    /// Its type, such as `image/svg+xml`.
    pub mime_type: Option<String>,
    /// Sizes such as `48x48`, or `any`.
    pub sizes: Vec<String>,
    /// The background that it is made for.
    pub theme: Option<Theme>,
}

/// The background that an icon is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Theme {
    /// A light one.
    Light,
    /// A dark one.
    Dark,
}

/// Who a program is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Implementation {
    /// Its name for programs.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its name for people (2025-06-18 and later).
    pub title: Option<String>,
    /// What it is (2025-11-25 and later).
    pub description: Option<String>,
    /// Its home (2025-11-25 and later).
    pub website_url: Option<String>,
    /// Pictures of it (2025-11-25 and later).
    pub icons: Vec<Icon>,
}

/// Hints on what a tool does (2025-03-26 and later). Clients must not trust them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ToolAnnotations {
    /// A name for people.
    pub title: Option<String>,
    /// Changes nothing. Clients assume `false`.
    pub read_only: Option<bool>,
    /// May destroy something. Clients assume `true`.
    pub destructive: Option<bool>,
    /// Doing it twice is as good as once. Clients assume `false`.
    pub idempotent: Option<bool>,
    /// Reaches out into an open world, such as the web. Clients assume `true`.
    pub open_world: Option<bool>,
}

/// How a tool is described to clients.
#[derive(Debug, Clone)]
pub(crate) struct ToolInfo {
    /// Its name for programs.
    pub name: String,
    /// Its name for people (2025-06-18 and later).
    pub title: Option<String>,
    /// What it does; models read this.
    pub description: Option<String>,
    /// JSON Schema of the arguments; its root has `"type":"object"`.
    pub input_schema: Box<RawValue>,
    /// JSON Schema of the structured result (2025-06-18 and later; before 2026-07-28 only with `"type":"object"`).
    pub output_schema: Option<Box<RawValue>>,
    /// Hints on what it does.
    pub annotations: ToolAnnotations,
    /// Whether it can be run as a task (2025-11-25).
    pub task_support: TaskSupport,
    /// Pictures of it.
    pub icons: Vec<Icon>,
    /// `_meta` of the tool (2025-06-18 and later).
    pub meta: Option<MetaMap>,
}

/// Whether calls of a tool run as tasks: in the background, to be fetched later. See [`Tool::task`](crate::Tool::task).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TaskSupport {
    /// They never do.
    #[default]
    Forbidden,
    /// They do for clients that know tasks; all others get the result as the answer.
    Optional,
    /// They do, and clients that do not know tasks cannot call it.
    Required,
}

/// What a tool returns.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ToolOutput {
    /// Blocks for the model and the user.
    pub content: Vec<Content>,
    /// The result as data (2025-06-18 and later; before 2026-07-28 only an object). If there are no blocks, its JSON text is
    /// sent as one, as the specification recommends.
    pub structured: Option<Box<RawValue>>,
    /// Whether the tool failed in a way that the model should read about.
    pub is_error: bool,
    /// `_meta` of the result.
    pub meta: Option<MetaMap>,
}

impl Content {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextContent { text: text.into(), ..TextContent::default() })
    }

    /// A picture; `mime_type` such as `image/png`.
    pub fn image(data: impl Into<Blob>, mime_type: impl Into<String>) -> Self {
        Self::Image(MediaContent { data: data.into(), mime_type: mime_type.into(), ..MediaContent::default() })
    }

    /// A sound; `mime_type` such as `audio/wav`.
    pub fn audio(data: impl Into<Blob>, mime_type: impl Into<String>) -> Self {
        Self::Audio(MediaContent { data: data.into(), mime_type: mime_type.into(), ..MediaContent::default() })
    }

    /// A link to a resource. More can be said with [`ResourceLink::new`].
    pub fn link(uri: impl Into<String>, name: impl Into<String>) -> Self {
        Self::ResourceLink(ResourceLink::new(uri, name))
    }

    /// A resource with its contents.
    pub fn resource(contents: ResourceContents) -> Self {
        Self::Resource(EmbeddedResource { resource: contents, annotations: Annotations::default(), meta: None })
    }

    /// Says whom the block is for.
    #[must_use]
    pub fn audience(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.annotations_mut().audience = roles.into_iter().collect();
        self
    }

    /// Says how important the block is, from 0 to 1; what lies outside is moved to the nearer end.
    #[must_use]
    pub fn priority(mut self, priority: f64) -> Self {
        self.annotations_mut().set_priority(priority);
        self
    }

    /// Says when the block last changed, as an ISO 8601 time such as `2025-01-12T15:00:58Z`.
    #[must_use]
    pub fn last_modified(mut self, time: impl Into<String>) -> Self {
        self.annotations_mut().last_modified = Some(time.into());
        self
    }

    /// Adds one member to the block's `_meta`. A key that the protocol does not allow
    /// ([`Ctx::set_meta`](crate::Ctx::set_meta)) is left out when the block is sent.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta_mut().get_or_insert_default().insert(key.into(), value.into());
        self
    }

    /// The block's hints, to be changed.
    pub fn annotations_mut(&mut self) -> &mut Annotations {
        match self {
            Self::Text(block) => &mut block.annotations,
            Self::Image(block) | Self::Audio(block) => &mut block.annotations,
            Self::ResourceLink(block) => &mut block.annotations,
            Self::Resource(block) => &mut block.annotations,
        }
    }

    /// The block's `_meta`, to be changed.
    pub fn meta_mut(&mut self) -> &mut Option<MetaMap> {
        match self {
            Self::Text(block) => &mut block.meta,
            Self::Image(block) | Self::Audio(block) => &mut block.meta,
            Self::ResourceLink(block) => &mut block.meta,
            Self::Resource(block) => &mut block.meta,
        }
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<ResourceLink> for Content {
    fn from(link: ResourceLink) -> Self {
        Self::ResourceLink(link)
    }
}

impl From<ResourceContents> for Content {
    fn from(contents: ResourceContents) -> Self {
        Self::resource(contents)
    }
}

impl ResourceLink {
    /// A link with nothing but address and name.
    pub fn new(uri: impl Into<String>, name: impl Into<String>) -> Self {
        Self { uri: uri.into(), name: name.into(), ..Self::default() }
    }

    /// Gives it a name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Says what it is.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Says of which type it is.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// Says how large it is, in bytes.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Adds a picture.
    #[must_use]
    pub fn icon(mut self, icon: Icon) -> Self {
        self.icons.push(icon);
        self
    }

    /// Says whom it is for.
    #[must_use]
    pub fn audience(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.annotations.audience = roles.into_iter().collect();
        self
    }

    /// Says how important it is, from 0 to 1; what lies outside is moved to the nearer end.
    #[must_use]
    pub fn priority(mut self, priority: f64) -> Self {
        self.annotations.set_priority(priority);
        self
    }

    /// Says when it last changed, as an ISO 8601 time such as `2025-01-12T15:00:58Z`.
    #[must_use]
    pub fn last_modified(mut self, time: impl Into<String>) -> Self {
        self.annotations.last_modified = Some(time.into());
        self
    }

    /// Adds one member to its `_meta`. For a resource or template that is registered, `bind` reports keys that the protocol
    /// does not allow ([`Ctx::set_meta`](crate::Ctx::set_meta)).
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.get_or_insert_default().insert(key.into(), value.into());
        self
    }
}

impl ResourceContents {
    /// A resource of text.
    pub fn text(uri: impl Into<String>, text: impl Into<String>) -> Self {
        Self { uri: uri.into(), mime_type: None, body: ResourceBody::Text(text.into()), meta: None }
    }

    /// A resource of bytes.
    pub fn blob(uri: impl Into<String>, data: impl Into<Blob>) -> Self {
        Self { uri: uri.into(), mime_type: None, body: ResourceBody::Blob(data.into()), meta: None }
    }

    /// Says of which type it is.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// Adds one member to the `_meta` of the contents, likewise.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.get_or_insert_default().insert(key.into(), value.into());
        self
    }
}

impl Blob {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Blob {
    fn from(bytes: &[u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Annotations {
    fn set_priority(&mut self, priority: f64) {
        self.priority = Some(priority.clamp(0.0, 1.0)).filter(|priority| !priority.is_nan());
    }

    /// Whether nothing is said at all.
    pub fn is_empty(&self) -> bool {
        self.audience.is_empty() && self.priority.is_none() && self.last_modified.is_none()
    }
}

impl Role {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl Icon {
    /// An icon at an `https:` or `data:` address.
    pub fn new(src: impl Into<String>) -> Self {
        Self { src: src.into(), ..Self::default() }
    }

    /// Says of which type it is.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// Adds a size such as `48x48`, or `any`.
    #[must_use]
    pub fn size(mut self, size: impl Into<String>) -> Self {
        self.sizes.push(size.into());
        self
    }

    /// Says for which background it is made.
    #[must_use]
    pub fn theme(mut self, theme: Theme) -> Self {
        self.theme = Some(theme);
        self
    }
}

impl Theme {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl Implementation {
    /// A program of this name and version.
    pub(crate) fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), ..Self::default() }
    }
}

impl ToolAnnotations {
    /// Whether nothing is said at all.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ToolInfo {
    /// A tool with nothing but a name and a schema for its arguments.
    pub(crate) fn new(name: impl Into<String>, input_schema: Box<RawValue>) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: None,
            input_schema,
            output_schema: None,
            annotations: ToolAnnotations::default(),
            task_support: TaskSupport::Forbidden,
            icons: Vec::new(),
            meta: None,
        }
    }
}

impl TaskSupport {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

impl ToolOutput {
    /// One text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::from(Content::text(text))
    }

    /// A failure that the model should read about.
    pub fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    /// Data, sent as JSON text too.
    ///
    /// # Errors
    ///
    /// When the value's own `Serialize` fails, or a map has keys that are not strings.
    pub fn structured<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        let structured = serde_json::value::to_raw_value(value)?;
        Ok(Self { structured: Some(structured), ..Self::default() })
    }

    /// Adds a block.
    #[must_use]
    pub fn with(mut self, content: impl Into<Content>) -> Self {
        self.content.push(content.into());
        self
    }

    /// Adds one member to the result's `_meta`. A key that the protocol does not allow
    /// ([`Ctx::set_meta`](crate::Ctx::set_meta)) is left out when the result is sent.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.get_or_insert_default().insert(key.into(), value.into());
        self
    }
}

impl From<Content> for ToolOutput {
    fn from(content: Content) -> Self {
        Self { content: vec![content], ..Self::default() }
    }
}

impl From<Vec<Content>> for ToolOutput {
    fn from(content: Vec<Content>) -> Self {
        Self { content, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_built_in_one_expression() {
        let block = Content::image(b"abc", "image/png")
            .audience([Role::User])
            .priority(7.0)
            .last_modified("2025")
            .meta("a/b", 1);
        let Content::Image(image) = &block else { panic!() };
        assert_eq!((image.data.as_bytes(), image.annotations.priority), (&b"abc"[..], Some(1.0)));
        assert_eq!(image.annotations.audience, [Role::User]);
        assert_eq!(image.meta.as_ref().unwrap()["a/b"], 1);
        assert!(format!("{block:?}").contains("Blob(3 bytes)"));
        let Content::Text(text) = Content::from("x").priority(f64::NAN) else { panic!() };
        assert!(text.annotations.is_empty());
    }

    #[test]
    fn outputs_are_made_from_what_tools_have() {
        assert!(ToolOutput::error("no").is_error);
        assert_eq!(ToolOutput::text("a").with("b").content, [Content::text("a"), Content::text("b")]);
        assert_eq!(ToolOutput::structured(&[1, 2]).unwrap().structured.unwrap().get(), "[1,2]");
        assert_eq!(ToolOutput::from(vec![Content::link("a://b", "b")]).content.len(), 1);
        assert!(ToolAnnotations::default().is_empty());
    }
}

//! Resources and templates: what clients can read by its address.

use super::catalog::Listed;
use super::ctx::Ctx;
use super::tool_error::{ToolError, ToolResult};
use crate::error::Problem;
use crate::guard::scopes::Required;
use crate::protocol::content::{Blob, ResourceBody, ResourceContents, ResourceLink};
use crate::protocol::convert;
use crate::protocol::error::{RpcError, codes};
use crate::protocol::json;
use crate::protocol::meta_key;
use crate::protocol::revision::Revision;
use crate::protocol::uri_template::{MAX_URI, UriTemplate};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Reads a resource: its URI, and the variables of its template as JSON text.
pub(crate) type ResourceHandler = Arc<dyn Fn(&Ctx, &str, &str) -> ToolResult<Vec<ResourceContents>> + Send + Sync>;

/// What reading a resource can give: text (`String`, `&str`), bytes (`Vec<u8>`, [`Blob`]), or one or several
/// [`ResourceContents`] with addresses and types of their own.
pub trait IntoResource {
    /// As contents of that address and type.
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Vec<ResourceContents>;
}

fn whole(uri: &str, mime_type: Option<&str>, body: ResourceBody) -> Vec<ResourceContents> {
    vec![ResourceContents { uri: uri.to_owned(), mime_type: mime_type.map(str::to_owned), body, meta: None }]
}

impl IntoResource for String {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Vec<ResourceContents> {
        whole(uri, mime_type, ResourceBody::Text(self))
    }
}

impl IntoResource for &str {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Vec<ResourceContents> {
        self.to_owned().into_contents(uri, mime_type)
    }
}

impl IntoResource for Blob {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Vec<ResourceContents> {
        whole(uri, mime_type, ResourceBody::Blob(self))
    }
}

impl IntoResource for Vec<u8> {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Vec<ResourceContents> {
        Blob::from(self).into_contents(uri, mime_type)
    }
}

impl IntoResource for ResourceContents {
    fn into_contents(self, _uri: &str, _mime_type: Option<&str>) -> Vec<ResourceContents> {
        vec![self]
    }
}

impl IntoResource for Vec<ResourceContents> {
    fn into_contents(self, _uri: &str, _mime_type: Option<&str>) -> Vec<ResourceContents> {
        self
    }
}

/// A resource or a template as it is registered: what it is, and who may read it. A [`ResourceLink`] becomes one by [`ResourceLink::scope`].
#[derive(Debug, Clone)]
pub struct Resource {
    pub(crate) link: ResourceLink,
    required: Required,
}

impl From<ResourceLink> for Resource {
    fn from(link: ResourceLink) -> Self {
        Self { link, required: Required::default() }
    }
}

impl ResourceLink {
    /// Only callers with this scope may read it, once it is registered: see [`Tool::scope`](crate::Tool::scope).
    ///
    /// ```
    /// # use mcp_blocking::Server;
    /// # use mcp_blocking::content::ResourceLink;
    /// let salaries = ResourceLink::new("hr://salaries", "All salaries").scope("hr:read");
    /// let server = Server::new("hr", "1.0.0").resource_with(salaries, |_ctx| Ok("…"));
    /// ```
    ///
    /// An address that is registered decides. Otherwise it is the first of the templates that fit it, in the order they are listed in, and one that
    /// asks for a scope comes before all that ask for none: so nothing is read by way of another template that asks for less.
    /// Other spellings of it are other addresses: a handler that takes a variable for a path has to look at what it gets.
    #[must_use]
    pub fn scope(self, scope: impl Into<String>) -> Resource {
        Resource::from(self).scope(scope)
    }
}

impl Resource {
    /// One more scope: all are needed.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.required.add(scope);
        self
    }

    /// Callers without its scopes see it, and are told which they need: see [`Tool::step_up`](crate::Tool::step_up).
    #[must_use]
    pub fn step_up(mut self) -> Self {
        self.required.set_step_up();
        self
    }
}

/// A registered resource.
pub(crate) struct ResourceEntry {
    pub(crate) info: ResourceLink,
    pub(crate) required: Required,
    pub(crate) handler: ResourceHandler,
}

impl Listed for ResourceEntry {
    fn key(&self) -> &str {
        &self.info.uri
    }

    fn encode(&self, out: &mut Vec<u8>, revision: Revision) {
        convert::encode_resource_info(out, "uri", &self.info, revision);
    }

    fn required(&self) -> &Required {
        &self.required
    }
}

/// A registered template.
pub(crate) struct TemplateEntry {
    pub(crate) info: ResourceLink,
    pub(crate) required: Required,
    pub(crate) template: UriTemplate,
    pub(crate) handler: ResourceHandler,
}

impl Listed for TemplateEntry {
    fn key(&self) -> &str {
        self.template.as_str()
    }

    fn encode(&self, out: &mut Vec<u8>, revision: Revision) {
        convert::encode_resource_info(out, "uriTemplate", &self.info, revision);
    }

    fn required(&self) -> &Required {
        &self.required
    }
}

pub(crate) fn resource_of<R, F>(resource: Resource, handler: F) -> Result<ResourceEntry, Problem>
where
    R: IntoResource,
    F: Fn(&Ctx) -> ToolResult<R> + Send + Sync + 'static,
{
    let Resource { link: info, required } = resource;
    let problem = |what| Problem::new(format!("resource `{}`", info.uri.escape_debug()), what);
    required.check().map_err(problem)?;
    check_uri(&info.uri).and_then(|()| meta_key::check_all(info.meta.as_ref())).map_err(problem)?;
    let mime_type = info.mime_type.clone();
    let handler: ResourceHandler =
        Arc::new(move |ctx, uri, _| Ok(handler(ctx)?.into_contents(uri, mime_type.as_deref())));
    Ok(ResourceEntry { info, required, handler })
}

pub(crate) fn template_of<A, R, F>(template: Resource, handler: F) -> Result<TemplateEntry, Problem>
where
    A: DeserializeOwned,
    R: IntoResource,
    F: Fn(&Ctx, A) -> ToolResult<R> + Send + Sync + 'static,
{
    let Resource { link: info, required } = template;
    let problem = |what| Problem::new(format!("template `{}`", info.uri.escape_debug()), what);
    required.check().map_err(problem)?;
    let template = UriTemplate::parse(&info.uri).map_err(problem)?;
    meta_key::check_all(info.meta.as_ref()).map_err(problem)?;
    let mime_type = info.mime_type.clone();
    let handler: ResourceHandler = Arc::new(move |ctx, uri, variables| {
        // Variables that cannot be read name no resource.
        let variables = read::<A>(variables).ok_or_else(|| not_found(uri, ctx.revision()))?;
        Ok(handler(ctx, variables)?.into_contents(uri, mime_type.as_deref()))
    });
    Ok(TemplateEntry { info, required, template, handler })
}

/// -32002 or -32602, with the address.
pub(crate) fn not_found(uri: &str, revision: Revision) -> ToolError {
    ToolError::from_rpc(RpcError::resource_not_found(uri, revision.era()))
}

/// The variables as the author's type: as texts, or as numbers and truth values where it wants those.
fn read<A: DeserializeOwned>(variables: &str) -> Option<A> {
    let texts: Map<String, Value> = serde_json::from_str(variables).ok()?;
    if let Ok(read) = serde_json::from_value(Value::Object(texts.clone())) {
        return Some(read);
    }
    let plain = texts.into_iter().map(|(name, value)| {
        let scalar = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        (name, scalar.filter(|scalar| scalar.is_number() || scalar.is_boolean()).unwrap_or(value))
    });
    serde_json::from_value(Value::Object(plain.collect())).ok()
}

/// The variables of a match as JSON text.
pub(crate) fn variables(found: &[(&str, String)]) -> String {
    let mut out = Vec::new();
    let mut object = json::Object::begin(&mut out);
    for (name, value) in found {
        json::write_str(object.any_key(name), value);
    }
    object.end();
    String::from_utf8(out).unwrap_or_else(|_| "{}".to_owned())
}

fn check_uri(uri: &str) -> Result<(), String> {
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
    let named = scheme.is_some_and(|scheme| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    if !named || uri.chars().any(|c| c.is_whitespace() || c.is_control()) || uri.len() > MAX_URI {
        return Err("its address has to be a URI with a scheme, say `config://app`".into());
    }
    Ok(())
}

/// The `uri` of a request.
pub(crate) fn uri_of(uri: Option<&str>) -> Result<&str, RpcError> {
    let uri = uri.ok_or_else(|| RpcError::invalid_params("params.uri must be a string"))?;
    if uri.len() > MAX_URI {
        return Err(RpcError::new(codes::INVALID_PARAMS, format!("params.uri may have {MAX_URI} bytes")));
    }
    Ok(uri)
}

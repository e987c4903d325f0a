//! Lists, resources, prompts and completion: which request is answered how. Runs on the connection's thread; what runs an
//! author's code goes to the pool.

use super::batch::Reply;
use super::cache::{self, Cacheable, Hint};
use super::catalog::{Catalog, Listed};
use super::client::{Legacy, Watched};
use super::complete::{Asked, Subject};
use super::registry::{Reader, Registry};
use super::resource;
use super::session::{Caller, Done, Session};
use super::target::{Arguments, Job, Target};
use crate::engine::pool::Busy;
use crate::protocol::capabilities::ServerCapabilities;
use crate::protocol::encode;
use crate::protocol::envelope::Request;
use crate::protocol::error::RpcError;
use crate::protocol::method;
use crate::service::Text;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Most resources that one session can watch, and the bytes of their addresses.
const MAX_WATCHED: usize = 1_024;

impl Session {
    /// Methods that both eras have, beside tools.
    pub(super) fn feature(
        &self,
        text: &Text,
        own: &str,
        request: &Request<'_>,
        caller: Caller<'_>,
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        let registry = self.mcp().registry();
        let offered = self.offered(&registry, &caller);
        let has = |offered: bool| if offered { Ok(()) } else { Err(RpcError::method_not_found(&request.method)) };
        match &*request.method {
            method::RESOURCES_LIST => {
                has(offered.resources.is_some())?;
                let cache = registry.cache.of(Cacheable::Resources);
                self.list("resources", &registry.resources, cache, request, &caller).map(Done::Answer)
            }
            method::RESOURCE_TEMPLATES_LIST => {
                has(offered.resources.is_some())?;
                let cache = registry.cache.of(Cacheable::Templates);
                self.list("resourceTemplates", &registry.templates, cache, request, &caller).map(Done::Answer)
            }
            method::PROMPTS_LIST => {
                has(offered.prompts.is_some())?;
                let cache = registry.cache.of(Cacheable::Prompts);
                self.list("prompts", &registry.prompts, cache, request, &caller).map(Done::Answer)
            }
            method::RESOURCES_READ => {
                has(offered.resources.is_some())?;
                self.read_resource(&registry, request, caller, reply)
            }
            method::PROMPTS_GET => {
                has(offered.prompts.is_some())?;
                self.get_prompt(text, &registry, request, caller, reply)
            }
            method::COMPLETE => {
                has(offered.completions)?;
                self.complete(&registry, request, caller, reply)
            }
            method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
                has(offered.resources.is_some())?;
                match caller {
                    Caller::Legacy(legacy) => self.watch(&registry, legacy, request).map(Done::Answer),
                    Caller::Modern(_) => Err(RpcError::method_not_found(&request.method)),
                }
            }
            _ => self.custom(text, own, request, caller, reply),
        }
    }

    /// What there is now, or was when the session began.
    pub(super) fn offered(&self, registry: &Registry, caller: &Caller<'_>) -> ServerCapabilities {
        let mut offered = self.mcp().capabilities(registry);
        if let Caller::Legacy(legacy) = caller {
            offered.tools = offered.tools.or(legacy.offered.tools);
            offered.resources = offered.resources.or(legacy.offered.resources);
            offered.prompts = offered.prompts.or(legacy.offered.prompts);
            // In 2024-11-05 there is the method, and no capability.
            offered.completions |= legacy.offered.completions;
        }
        offered
    }

    fn list<T: Listed>(
        &self,
        key: &'static str,
        catalog: &Catalog<T>,
        cache: Hint,
        request: &Request<'_>,
        caller: &Caller<'_>,
    ) -> Result<Vec<u8>, RpcError> {
        let (ttl_ms, scope) = cache::narrowed(cache, catalog.is_guarded());
        let (revision, size) = (caller.revision(), self.mcp().limits().page_size);
        let (access, grant) = (&self.mcp().access, self.grant());
        let sees = |required: &_| access.shows(&grant, required);
        let (page, next) = catalog.page(request.params.cursor.as_deref(), size, sees)?;
        let server = Some(&self.mcp().identity);
        let page_of = encode::Page { key, next_cursor: next.as_deref(), revision, ttl_ms, scope, server };
        Ok(answer(request, page_of, page.iter().map(|item| item.listed(revision))))
    }

    fn read_resource(
        &self,
        registry: &Registry,
        request: &Request<'_>,
        caller: Caller<'_>,
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        let uri = resource::uri_of(request.params.uri.as_deref())?;
        let unknown = || RpcError::resource_not_found(uri, caller.revision().era());
        let Reader { handler, variables, required, key } = registry.resource(uri).ok_or_else(unknown)?;
        if !self.admits(required, (&request.method, Some(key)))? {
            return Err(unknown());
        }
        let (handler, required) = (Arc::clone(handler), required.clone());
        let cache = registry.cache.of(Cacheable::Contents);
        let target = Target::Resource { handler, uri: uri.into(), cache, required };
        self.run(request, caller, target, registry, Arguments::Copied(variables.into()), reply)
    }

    fn get_prompt(
        &self,
        text: &Text,
        registry: &Registry,
        request: &Request<'_>,
        caller: Caller<'_>,
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        let params = &request.params;
        let name = params.name.as_deref().ok_or_else(|| RpcError::invalid_params("params.name must be a string"))?;
        let unknown = || RpcError::unknown("prompt", name);
        let entry = registry.prompts.find(name).ok_or_else(unknown)?;
        if !self.admits(&entry.it.required, (&request.method, Some(name)))? {
            return Err(unknown());
        }
        let arguments = super::session::object(params.arguments)?.map(RawValue::get);
        let arguments = Arguments::of(text, arguments);
        self.run(request, caller, Target::Prompt(Arc::clone(entry)), registry, arguments, reply)
    }

    fn complete(
        &self,
        registry: &Registry,
        request: &Request<'_>,
        caller: Caller<'_>,
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        let params = &request.params;
        let asked = Asked::read(params.reference, params.argument, params.context)?;
        let found = match &asked.subject {
            Subject::Prompt(name) => registry.prompts.find(name).map(|item| (&item.it.required, item.it.key())),
            Subject::Template(uri) => match registry.templates.find(uri) {
                Some(item) => Some((&item.it.required, item.it.key())),
                None => registry.resource(uri).map(|reader| (reader.required, reader.key)),
            },
        };
        let known = found.map(|(required, key)| self.admits(required, (&request.method, Some(key))));
        if !known.transpose()?.unwrap_or(false) {
            return Err(match &asked.subject {
                Subject::Prompt(name) => RpcError::unknown("prompt", name),
                Subject::Template(uri) => RpcError::unknown("resource template", uri),
            });
        }
        // An argument that nothing is known of has no suggestions.
        let handler =
            registry.completions.get(&(asked.subject, asked.argument)).map(|known| Arc::clone(&known.handler));
        let target = Target::Completion(handler.unwrap_or_else(|| Arc::new(|_, _| Ok(Vec::new()))));
        let prefix = serde_json::to_string(&asked.prefix).unwrap_or_else(|_| "{\"value\":\"\"}".to_owned());
        self.run(request, caller, target, registry, Arguments::Copied(prefix.into()), reply)
    }

    /// Hands a request to the pool.
    fn run(
        &self,
        request: &Request<'_>,
        caller: Caller<'_>,
        target: Target,
        registry: &Registry,
        arguments: Arguments,
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        self.refuse_if_stopping()?;
        let job = Job { target, layers: Arc::clone(&registry.layers), arguments, reply: reply.clone() };
        let call = self.call(request, caller, job)?;
        self.spawn(request, call)
    }

    /// `resources/subscribe` and `resources/unsubscribe`.
    fn watch(&self, registry: &Registry, legacy: &Legacy, request: &Request<'_>) -> Result<Vec<u8>, RpcError> {
        let uri = resource::uri_of(request.params.uri.as_deref())?;
        if request.method == method::RESOURCES_UNSUBSCRIBE {
            legacy.watched.lock().remove(uri);
            return Ok(self.empty(request));
        }
        let unknown = || RpcError::resource_not_found(uri, legacy.revision.era());
        let reader = registry.resource(uri).ok_or_else(unknown)?;
        if !self.admits(reader.required, (&request.method, Some(reader.key)))? {
            return Err(unknown());
        }
        let busy = || self.busy(Busy::Overloaded);
        let memory = self.mcp().core.memory.reserve(Watched::cost(uri)).ok_or_else(busy)?;
        let mut watched = legacy.watched.lock();
        if watched.len() >= MAX_WATCHED && !watched.contains_key(uri) {
            return Err(RpcError::invalid_params(format!("a session can watch {MAX_WATCHED} resources")));
        }
        watched.insert(uri.into(), Watched { grant: self.grant(), _memory: memory });
        drop(watched);
        Ok(self.empty(request))
    }
}

/// The answer with a page of a list, its items written as they are listed.
pub(super) fn answer<'i>(
    request: &Request<'_>,
    page: encode::Page<'_>,
    items: impl Iterator<Item = &'i [u8]> + Clone,
) -> Vec<u8> {
    let size: usize = items.clone().map(|item| item.len() + 1).sum();
    let mut json = Vec::with_capacity(256 + size);
    encode::write_response(&mut json, &request.id, |out| {
        encode::encode_page(out, page, items, |out, item| out.extend_from_slice(item));
    });
    json
}

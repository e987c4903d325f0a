//! Where the policies of text are held against what comes in and what goes out.
//!
//! What comes in is looked at before a handler sees it, on the handler's own thread; what goes out when it has been written, whatever it is made of.

use super::call::Call;
use super::fault::{Fault, Faults};
use super::target::Target;
use super::tool_error::{ToolError, ToolResult};
use crate::engine::Core;
use crate::guard::policy::{TextPolicy, Texts};
use crate::guard::sanitize::{self, Refused, Verdict};
use crate::guard::text::Escaped;
use crate::protocol::encode;
use crate::protocol::error::{RpcError, codes};
use crate::protocol::exact;
use crate::protocol::id::RequestId;
use serde_json::value::RawValue;
use std::borrow::Cow;

impl Core {
    /// The policies of this server.
    pub(super) fn texts(&self) -> Texts {
        self.texts.get().copied().unwrap_or_default()
    }
}

/// Text that goes out and cannot be refused, as nobody waits for it: what would be refused is left out.
pub(super) fn notice<'t>(core: &Core, text: &'t str) -> Cow<'t, str> {
    match sanitize::plain(text, &core.texts().outgoing.lenient()) {
        Verdict::Changed(clean, _) => Cow::Owned(clean),
        Verdict::Clean | Verdict::Refused(_) => Cow::Borrowed(text),
    }
}

/// The same for JSON.
pub(super) fn notice_json<'t>(core: &Core, raw: &'t RawValue) -> Cow<'t, RawValue> {
    match sanitize::json(raw.get(), &core.texts().outgoing.lenient()) {
        Verdict::Changed(clean, _) => RawValue::from_string(clean).map_or(Cow::Borrowed(raw), Cow::Owned),
        Verdict::Clean | Verdict::Refused(_) => Cow::Borrowed(raw),
    }
}

/// The same for an error.
pub(super) fn error<'e>(core: &Core, error: &'e RpcError) -> Cow<'e, RpcError> {
    let message = notice(core, &error.message);
    let data = error.data.as_deref().map(|data| notice_json(core, data));
    if matches!(message, Cow::Borrowed(_)) && matches!(data, None | Some(Cow::Borrowed(_))) {
        return Cow::Borrowed(error);
    }
    Cow::Owned(RpcError { code: error.code, message: message.into_owned().into(), data: data.map(Cow::into_owned) })
}

/// The same for the result in a response to this request: lists, what a server says of itself.
pub(super) fn answer(core: &Core, id: &RequestId, mut json: Vec<u8>) -> Vec<u8> {
    // The id is the client's own, and goes back as it came.
    let mut head = Vec::new();
    encode::write_response(&mut head, id, |_| ());
    // Nothing is refused.
    let _ = sanitize::written(&mut json, head.len().saturating_sub(1), &core.texts().outgoing.lenient());
    json
}

impl Call {
    fn policy(&self, own: impl FnOnce(&Target) -> Option<TextPolicy>, of_all: TextPolicy) -> TextPolicy {
        own(&self.target).unwrap_or(of_all)
    }

    fn incoming(&self) -> TextPolicy {
        let own = |target: &Target| match target {
            Target::Tool(entry) => entry.text_in,
            _ => None,
        };
        self.policy(own, self.mcp.core.texts().incoming)
    }

    fn outgoing(&self) -> TextPolicy {
        let own = |target: &Target| match target {
            Target::Tool(entry) => entry.text_out,
            _ => None,
        };
        self.policy(own, self.mcp.core.texts().outgoing)
    }

    /// Looks at the arguments before anybody uses them. What takes their place, if the policy changes them.
    ///
    /// # Errors
    /// Something stands there twice, or the policy refuses them.
    pub(super) fn screened(&self) -> ToolResult<Option<String>> {
        let policy = self.incoming();
        let text = self.arguments.text();
        let strict = match &self.target {
            // Another address would be another resource, and another name another method.
            Target::Resource { uri, .. } => Some(("params.uri", &**uri)),
            Target::Method(entry) => Some(("method", &*entry.name)),
            _ => None,
        };
        if let Some((what, text)) = strict
            && let Verdict::Refused(refused) = sanitize::plain(text, &policy.strict())
        {
            return Err(ToolError::rpc(codes::INVALID_PARAMS, format!("{what} {refused}")));
        }
        if self.speech.repeats {
            exact::look(text, false).map_err(|flaw| self.unfit(&Faults::from(flaw)))?;
        }
        if let Target::Resource { .. } = &self.target {
            // Variables are a part of the address, with its escapes resolved.
            return match sanitize::json(text, &policy.strict()) {
                Verdict::Refused(refused) => {
                    Err(ToolError::rpc(codes::INVALID_PARAMS, format!("params.uri {refused}")))
                }
                Verdict::Clean | Verdict::Changed(..) => Ok(None),
            };
        }
        match sanitize::json(text, &policy) {
            Verdict::Clean => Ok(None),
            Verdict::Refused(refused) => Err(self.unfit(&fault(&refused))),
            Verdict::Changed(clean, count) => {
                // Names that were different may be the same now.
                exact::look(&clean, false).map_err(|flaw| self.unfit(&Faults::from(flaw)))?;
                self.changed("arguments", count);
                Ok(Some(clean))
            }
        }
    }

    /// Looks at what a client has answered to a question.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn screen_answer(&self, answer: &mut Box<RawValue>) -> Result<(), Faults> {
        exact::look(answer.get(), false)?;
        match sanitize::json(answer.get(), &self.incoming()) {
            Verdict::Clean => Ok(()),
            Verdict::Refused(refused) => Err(fault(&refused)),
            Verdict::Changed(clean, count) => {
                exact::look(&clean, false)?;
                self.changed("answer of the client", count);
                *answer = RawValue::from_string(clean).unwrap_or_else(|_| std::mem::take(answer));
                Ok(())
            }
        }
    }

    /// Arguments that are not taken: a result for a model, an error for a program.
    fn unfit(&self, faults: &Faults) -> ToolError {
        let message = format!("invalid arguments:{faults}");
        match self.target {
            Target::Tool(_) => ToolError::new(message),
            _ => ToolError::rpc(codes::INVALID_PARAMS, message),
        }
    }

    /// Cleans what was written behind a place.
    ///
    /// # Errors
    /// It must not be sent. The client is told a number, under which the log says why.
    pub(super) fn clean(&self, json: &mut Vec<u8>, from: usize) -> Result<(), RpcError> {
        match sanitize::written(json, from, &self.outgoing()) {
            Ok(0) => Ok(()),
            Ok(count) => {
                self.changed("result", count);
                Ok(())
            }
            Err(refused) => Err(self.held_back(&refused)),
        }
    }

    /// The same for the parameters of a question.
    ///
    /// # Errors
    /// They must not be sent.
    pub(super) fn clean_question<'p>(&self, params: &'p RawValue) -> ToolResult<Cow<'p, RawValue>> {
        match sanitize::json(params.get(), &self.outgoing()) {
            Verdict::Clean => Ok(Cow::Borrowed(params)),
            Verdict::Refused(refused) => Err(ToolError::from_rpc(self.held_back(&refused))),
            Verdict::Changed(clean, count) => {
                self.changed("question", count);
                Ok(RawValue::from_string(clean).map_or(Cow::Borrowed(params), Cow::Owned))
            }
        }
    }

    fn held_back(&self, refused: &Refused) -> RpcError {
        let incident = self.mcp.incident();
        log::error!(
            target: "mcp_blocking::call", connection = self.link.id.0, tool:% = Escaped::short(self.name()), incident = incident.as_str();
            "{} returned text that its policy does not let out, incident {incident}:{:#}", self.label(), fault(refused)
        );
        RpcError::internal(format!("internal error, incident {incident}"))
    }

    fn changed(&self, what: &str, count: usize) {
        log::debug!(
            target: "mcp_blocking::call", connection = self.link.id.0, tool:% = Escaped::short(self.name());
            "{}: {count} hidden or control characters in the {what} were left out or marked", self.label()
        );
    }
}

fn fault(refused: &Refused) -> Faults {
    Faults::from(Fault { pointer: refused.pointer.clone(), what: refused.to_string() })
}

//! How a handler says that it could not do what it was asked for.

use crate::protocol::error::{BusyReason, RpcError};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What a handler returns.
pub type ToolResult<T> = Result<T, ToolError>;

/// Why a handler failed.
///
/// Any [`std::error::Error`] becomes one by `?`. It then is a *result that the model can read* (`isError`), with the
/// error's message and those of its sources: so that the model can try something else. A JSON-RPC error, which only the client's
/// program reads, is asked for by name ([`rpc`](Self::rpc)).
///
/// It is no `std::error::Error` itself: that is what makes the conversion possible.
///
/// ```
/// # use mcp_blocking::ToolError;
/// fn read() -> Result<String, ToolError> {
///     Ok(std::fs::read_to_string("/no/such/file")?)
/// }
/// assert!(read().unwrap_err().to_string().contains("No such file"));
/// ```
pub struct ToolError(Box<Kind>);

pub(crate) enum Kind {
    /// A result with `isError`.
    Failed(String),
    /// The same, for somebody who may not do this.
    Denied(String),
    /// A JSON-RPC error.
    Rpc(RpcError),
    /// The request was cancelled, or its time is over: somebody else has answered or nobody will.
    Stopped,
    /// The answer is a question; the context knows which.
    Asked,
    /// The answer is that a task goes on.
    Detached,
    /// The client lacks a capability.
    Capability(serde_json::Value),
}

impl ToolError {
    /// A failure the model is told about in these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self::from_kind(Kind::Failed(message.into()))
    }

    /// A JSON-RPC error with that code. Codes of an application belong outside -32768 to -32000
    /// (2026-07-28, `basic/index`).
    pub fn rpc(code: i64, message: impl Into<String>) -> Self {
        Self::from_kind(Kind::Rpc(RpcError::new(code, message.into())))
    }

    /// The same with `data`. What cannot be serialized is left out.
    pub fn rpc_with_data(code: i64, message: impl Into<String>, data: &impl Serialize) -> Self {
        let error = RpcError::new(code, message.into());
        Self::from_kind(Kind::Rpc(match serde_json::value::to_raw_value(data) {
            Ok(data) => error.with_data(data),
            Err(_) => error,
        }))
    }

    /// The caller may not do this: a failure that the audit log calls a refused authorization.
    pub fn denied(message: impl fmt::Display) -> Self {
        Self::from_kind(Kind::Denied(format!("denied: {message}")))
    }

    pub(crate) fn is_denied(&self) -> bool {
        matches!(*self.0, Kind::Denied(_))
    }

    /// Not now: error -31001 with the delay after which to try again.
    pub fn busy(after: Duration) -> Self {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Self::from_kind(Kind::Rpc(RpcError::busy(BusyReason::Busy, after)))
    }

    /// The client did not declare a capability that is needed, given as the object it would have declared, say
    /// `{"sampling": {}}`: error -32021 towards clients of 2026-07-28, a result that says so towards older ones.
    pub fn missing_capability(required: serde_json::Value) -> Self {
        Self::from_kind(Kind::Capability(required))
    }

    /// Whether this is the end of a request that was cancelled or ran out of time.
    pub fn is_cancelled(&self) -> bool {
        matches!(*self.0, Kind::Stopped)
    }

    /// Whether this says that a question to the client is on its way ([`Ctx::ask`](crate::Ctx::ask)).
    pub fn is_asking(&self) -> bool {
        matches!(*self.0, Kind::Asked)
    }

    /// Whether this says that the request goes on as a task ([`Ctx::detach`](crate::Ctx::detach)).
    pub fn is_detaching(&self) -> bool {
        matches!(*self.0, Kind::Detached)
    }

    pub(crate) fn from_rpc(error: RpcError) -> Self {
        Self::from_kind(Kind::Rpc(error))
    }

    pub(crate) fn asking() -> Self {
        Self::from_kind(Kind::Asked)
    }

    pub(crate) fn detaching() -> Self {
        Self::from_kind(Kind::Detached)
    }

    pub(crate) fn stopped() -> Self {
        Self::from_kind(Kind::Stopped)
    }

    /// As an error for the client's program, where there is no model to read a result.
    pub(crate) fn into_rpc(self) -> RpcError {
        match *self.0 {
            Kind::Rpc(error) => error,
            Kind::Capability(required) => RpcError::missing_capability(&required),
            Kind::Failed(message) | Kind::Denied(message) => RpcError::internal(message),
            Kind::Stopped => RpcError::internal("the request was cancelled"),
            Kind::Asked => RpcError::internal("a question that nobody has asked"),
            Kind::Detached => RpcError::internal("a task that nobody has begun"),
        }
    }

    pub(crate) fn into_kind(self) -> Kind {
        *self.0
    }

    fn from_kind(kind: Kind) -> Self {
        Self(Box::new(kind))
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for ToolError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Many errors repeat their source in their own words.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = error.source();
        }
        Self::new(message)
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Failed(message) | Kind::Denied(message) => f.write_str(message),
            Kind::Rpc(error) => write!(f, "{} ({})", error.message, error.code),
            Kind::Stopped => f.write_str("the request was cancelled or ran out of time"),
            Kind::Asked => f.write_str("a question to the client is on its way"),
            Kind::Detached => f.write_str("the request goes on as a task"),
            Kind::Capability(required) => write!(f, "the client lacks a capability: {required}"),
        }
    }
}

impl fmt::Debug for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolError({self})")
    }
}

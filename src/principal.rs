//! Who a caller is, once it has authenticated.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// An authenticated caller. Cheap to clone.
///
/// The `id` is what limits, sessions and logs are keyed by: it should be stable and name one caller, and it is not a
/// secret. An author's own `authenticate` hook may attach a value of its own, found again by [`user`](Self::user).
#[derive(Clone)]
pub struct Principal {
    id: Arc<str>,
    user: Option<Arc<dyn Any + Send + Sync>>,
}

impl Principal {
    /// A caller with that id.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), user: None }
    }

    /// Attaches a value of the author's own type.
    #[must_use]
    pub fn with_user<T: Send + Sync + 'static>(mut self, user: T) -> Self {
        self.user = Some(Arc::new(user));
        self
    }

    /// The stable id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The attached value, if there is one of this type.
    pub fn user<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.user.as_deref()?.downcast_ref()
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").field("id", &self.id).finish_non_exhaustive()
    }
}

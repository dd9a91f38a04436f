//! The routes of a server, which change when the process has started.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;

use super::request::starting;

/// The routes of a server. Clones share them. A connection keeps the routes that it began with.
#[derive(Debug, Clone)]
pub struct Routes(Arc<RwLock<Router>>);

impl Routes {
    /// The routes of a process that has not started yet. Beside these, every path is answered with 503 `starting`, and the connection
    /// is closed, so that the next one gets the routes of the started process.
    #[must_use]
    pub fn before_start(router: Router) -> Self {
        router.fallback(async || starting()).into()
    }

    /// Replaces the routes, for connections that begin from now on.
    pub fn replace(&self, router: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    /// The present routes.
    pub(super) fn current(&self) -> Router {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self(Arc::new(RwLock::new(router)))
    }
}

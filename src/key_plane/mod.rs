//! PLANE: programs ask whether a key is good. API keys and service keys come in here; cookies and access tokens are
//! nothing here.

pub mod credential;
pub mod handlers;
pub mod router;
pub mod wire;

use std::sync::Arc;

use sqlx::PgPool;

use crate::{catalog::Catalog, clock::Clock, usage::Recorder};

/// What the key plane works with.
#[derive(Clone)]
pub struct KeyPlane {
    /// As `keydesk_keys`.
    pub keys: PgPool,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub usage: Arc<Recorder>,
}

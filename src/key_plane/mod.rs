//! PLANE: programs ask whether a key is good. API keys and service keys come in here; cookies and access tokens are
//! nothing here.

mod audit_chain;
pub mod forward_auth;
pub mod handlers;
mod judge;
pub mod limiter;
pub mod metrics;
pub mod ready;
pub mod router;
pub mod wire;

use std::sync::Arc;

use sqlx::PgPool;

use crate::{
    catalog::Catalog,
    client::TrustedProxies,
    clock::Clock,
    revocation::memory::Memory,
    usage::{UsageRecorder, refusals::RefusalRecorder},
};
use limiter::Limiter;

/// What the key plane works with.
#[derive(Clone)]
pub struct KeyPlane {
    /// As `keydesk_keys`.
    pub keys: PgPool,
    pub memory: Arc<Memory>,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub limiter: Arc<Limiter>,
    pub proxies: Arc<TrustedProxies>,
    pub usage: Arc<UsageRecorder>,
    pub refusals: Arc<RefusalRecorder>,
}

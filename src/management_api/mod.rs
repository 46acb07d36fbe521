//! PLANE: a person's scripts do what the person may do, with an access token minted from one of their sessions. Cookies, API
//! keys and service keys are nothing here.

mod audit_log;
mod body;
mod door;
mod keys;
mod members;
pub mod openapi;
mod receipts;
mod refusals;
pub mod repeat;
pub mod router;
pub mod store;
mod tokens;
mod webhooks;

use std::sync::Arc;

use sqlx::PgPool;

use crate::{catalog::Catalog, client::TrustedProxies, clock::Clock, config::Origin, server_keys::ServerKeys};

/// What the management API works with.
pub struct Management {
    /// As `keydesk_console`.
    pub db: PgPool,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub server_keys: Arc<ServerKeys>,
    pub origin: Origin,
    pub proxies: Arc<TrustedProxies>,
}

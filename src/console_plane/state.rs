//! What the console works with, the same for every request.

use std::sync::Arc;

use sqlx::PgPool;

use super::assets::Site;
use crate::{
    accounts::password::Hasher, catalog::Catalog, client::TrustedProxies, clock::Clock, config::Origin,
    server_keys::ServerKeys,
};

pub struct Console {
    /// As `keydesk_console`.
    pub db: PgPool,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub server_keys: Arc<ServerKeys>,
    pub hasher: Hasher,
    pub origin: Origin,
    /// Where programs reach the key plane, for ready-made commands: `http://127.0.0.1:3001`.
    pub keys_url: String,
    pub proxies: Arc<TrustedProxies>,
    pub site: Site,
}

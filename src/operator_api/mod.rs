//! PLANE: the provider's back office. Service keys that may operate come in here, as Bearer; cookies, access tokens and API
//! keys are nothing here. On the key plane's listener, with a database role of its own.

mod door;
mod error;
mod onboard;
pub mod router;
mod tenants;
mod usage;
mod wire;

use std::{sync::Arc, time::Instant};

use sqlx::{PgPool, Postgres, Transaction};

use crate::{
    catalog::Catalog,
    client::TrustedProxies,
    clock::Clock,
    database::{self, RlsScope},
    orgs::{
        Slug,
        store::{self, Org},
    },
    revocation::{self, Receipt, memory::Memory},
    server_keys::ServerKeys,
};
use error::OperatorError;

/// What the operator API works with.
#[derive(Clone)]
pub struct Operator {
    /// As `keydesk_operator`.
    pub db: PgPool,
    /// The key plane's, so that a service key ends here when it ends there.
    pub memory: Arc<Memory>,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub server_keys: Arc<ServerKeys>,
    pub proxies: Arc<TrustedProxies>,
}

impl Operator {
    /// The organization that a request calls a tenant.
    async fn tenant(&self, tenant_id: &str) -> Result<Org, OperatorError> {
        let unknown = || OperatorError::NoTenant(tenant_id.to_owned());
        let slug = Slug::parse(tenant_id).map_err(|_| unknown())?;
        let mut tx = database::begin(&self.db, RlsScope::Operator).await?;
        store::find_by_slug(&mut tx, &slug).await?.ok_or_else(unknown)
    }

    /// Commits, and waits until the change holds on every node: also one that widens, so that whoever was answered can rely
    /// on it in the next request.
    async fn settle(&self, tx: Transaction<'static, Postgres>, begun: Instant) -> Result<Receipt, OperatorError> {
        let revision = revocation::commit(tx).await?;
        Ok(revocation::wait(&self.db, revision, begun).await?)
    }
}

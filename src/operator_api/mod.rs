//! PLANE: the provider's back office. Service keys that may operate come in here, as Bearer; cookies, access tokens and API
//! keys are nothing here. On the key plane's listener, with a database role of its own.

mod door;
mod onboard;
mod openapi;
pub mod router;
mod tenants;
mod usage;
mod wire;

use std::sync::Arc;

use http::StatusCode;
use sqlx::{PgConnection, PgPool};

use crate::{
    catalog::Catalog,
    client::TrustedProxies,
    clock::Clock,
    database::RlsScope,
    machine_http::Problem,
    mutation::Mutation,
    node::memory::Memory,
    orgs::{
        Slug,
        store::{self, Org},
    },
    server_keys::ServerKeys,
};
use door::Caller;

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
    /// Begins a change by a caller, in the scope of nothing, an organization, or all of them.
    async fn begin(&self, caller: Caller, rls: RlsScope) -> sqlx::Result<Mutation> {
        Mutation::begin(&self.db, &self.server_keys.audit, rls, caller.0, self.clock.now()).await
    }

    /// Begins a change of the organization that a request calls a tenant.
    async fn begin_in(&self, caller: Caller, tenant_id: &str) -> Result<(Mutation, Org), Problem> {
        let mut m = self.begin(caller, RlsScope::Operator).await?;
        let org = tenant(&mut m, tenant_id).await?;
        m.set_rls_scope(RlsScope::Org(org.id)).await?;
        Ok((m, org))
    }
}

/// The organization that a request calls a tenant. Needs the operator's reach.
async fn tenant(db: &mut PgConnection, tenant_id: &str) -> Result<Org, Problem> {
    let unknown =
        || Problem::new(StatusCode::NOT_FOUND, "no-such-tenant", format!("There is no tenant {tenant_id:?}."));
    let slug = Slug::parse(tenant_id).map_err(|_| unknown())?;
    store::find_by_slug(db, &slug).await?.ok_or_else(unknown)
}

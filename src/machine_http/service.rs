//! Service keys, as the planes for programs let them in.

use std::sync::Arc;

use sqlx::PgPool;

use super::{
    Problem,
    credential::{Ambiguous, PresentedCredential, WHERE_SERVICE_KEYS_BELONG},
};
use crate::{
    catalog::Catalog,
    keys::{secret, service_keys::store::ServiceKey, verdict::Verdict},
    node::memory::Memory,
};

/// The service key that is presented, if it has a capability. `db` is asked for a key that is not in memory.
pub async fn enter(
    presented: Result<PresentedCredential<'_>, Ambiguous>,
    capability: &str,
    memory: &Memory,
    db: &PgPool,
    catalog: &Catalog,
) -> Result<Arc<ServiceKey>, Problem> {
    let refuse =
        |verdict: &Verdict, detail: &str| Problem { detail: detail.to_owned(), ..Problem::refusal(verdict, catalog) };
    let PresentedCredential::Key(key) = presented? else {
        return Err(Problem::refusal(&Verdict::Missing(WHERE_SERVICE_KEYS_BELONG), catalog));
    };
    let digest = secret::digest_of_key(key).map_err(|why| Problem::refusal(&Verdict::Malformed(why), catalog))?;
    let found =
        memory.find::<ServiceKey>(db, digest).await.map_err(|_| Problem::refusal(&Verdict::Unavailable, catalog))?;
    let service = found
        .ok_or_else(|| refuse(&Verdict::NotFound, "There is no such service key. An API key does not count as one."))?;
    if service.capabilities.iter().any(|known| known == capability) {
        return Ok(service);
    }
    let missing = Verdict::InsufficientScope { missing: vec![capability.to_owned()] };
    Err(refuse(&missing, &format!("The service key lacks the capability {capability}.")))
}

//! Service keys at a door.

use std::sync::Arc;

use sqlx::PgPool;

use super::{Problem, credential::Credential};
use crate::{
    catalog::Catalog,
    keys::{
        secret::Presented,
        store::{self, ServiceKey},
        verdict::Verdict,
    },
    revocation::memory::Memory,
};

/// The service key that is shown, if it may do `capability`. `db` is asked for what is not remembered.
pub async fn enter(
    shown: Credential<'_>,
    capability: &str,
    memory: &Memory,
    db: &PgPool,
    catalog: &Catalog,
) -> Result<Arc<ServiceKey>, Problem> {
    let refuse =
        |verdict: &Verdict, detail: &str| Problem { detail: detail.to_owned(), ..Problem::refusal(verdict, catalog) };
    let credential = match shown {
        Credential::One(credential) => credential,
        Credential::None | Credential::BearerDoesNotCount => {
            let missing = Verdict::Missing { bearer: true };
            return Err(refuse(&missing, "Send your service key as Authorization: Bearer."));
        }
        Credential::Ambiguous(detail) => return Err(Problem::ambiguous(detail)),
    };
    let digest =
        Presented::parse(credential).map_err(|why| Problem::refusal(&Verdict::Malformed(why), catalog))?.digest;
    let found = memory
        .get(digest, || store::service_key(db, digest))
        .await
        .map_err(|_| Problem::refusal(&Verdict::Unavailable, catalog))?;
    let service = found
        .ok_or_else(|| refuse(&Verdict::NotFound, "There is no such service key. An API key does not count as one."))?;
    if service.capabilities.iter().any(|known| known == capability) {
        return Ok(service);
    }
    let missing = Verdict::InsufficientScope { missing: vec![capability.to_owned()] };
    Err(refuse(&missing, &format!("The service key lacks the capability {capability}.")))
}

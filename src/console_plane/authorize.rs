//! What whoever is signed in may do. Nothing behind this asks again.

use super::{
    context::{CurrentUser, RequestContext},
    error::ConsoleError,
};
use crate::{
    database,
    ids::OrgId,
    orgs::{Permit, lifecycle::note_refusal, permit::Act},
};

/// Let in, with the permit to do `A`.
pub struct Authorized<A> {
    pub cx: RequestContext,
    pub who: CurrentUser,
    pub permit: Permit<A>,
}

impl RequestContext {
    /// Lets in whoever is signed in and may do `A` in their own organization, or, for staff, in the deployment. A refusal
    /// is in the audit log.
    pub async fn enter<A: Act>(self) -> Result<Authorized<A>, ConsoleError> {
        let who = self.who().await?.ok_or(ConsoleError::SignedOut)?;
        let org = who.org.as_ref().map_or(OrgId::NONE, |org| org.id);
        match Permit::grant(&who.actor, org) {
            Ok(permit) => Ok(Authorized { cx: self, who, permit }),
            Err(denied) => {
                let mut tx = database::begin(&self.console.db, who.rls_scope()).await?;
                let (key, now) = (&self.console.server_keys.audit, self.console.clock.now());
                note_refusal(&mut tx, key, who.chain(), &who.actor, &denied, now).await?;
                tx.commit().await?;
                Err(denied.into())
            }
        }
    }
}

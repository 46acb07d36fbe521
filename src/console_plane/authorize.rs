//! What whoever is signed in may do. Nothing behind this asks again.

use super::{
    context::{CurrentUser, RequestContext},
    error::ConsoleError,
};
use crate::{
    actor::Principal,
    database::RlsScope,
    ids::UserId,
    mutation::Mutation,
    orgs::standing,
    permissions::{Permit, permit::Act},
};

/// Let in, with the permit to do `A`.
pub struct Authorized<A: Act> {
    pub cx: RequestContext,
    pub who: CurrentUser,
    pub permit: Permit<A>,
}

impl RequestContext {
    /// Lets in whoever is signed in and may do `A` in their own organization, or, for staff, in the deployment. A refusal
    /// is in the audit log.
    pub async fn enter<A: Act>(self) -> Result<Authorized<A>, ConsoleError> {
        let who = self.who().await?.ok_or(ConsoleError::SignedOut)?;
        match Permit::grant(&who.actor, who.scope()) {
            Ok(permit) => Ok(Authorized { cx: self, who, permit }),
            Err(denied) => {
                self.begin::<A>().await?;
                Err(denied.into())
            }
        }
    }

    /// Begins a change by whoever is signed in, if they may do `A` where they belong. A refusal is in the audit log.
    pub async fn begin<A: Act>(&self) -> Result<(Mutation, Permit<A>), ConsoleError> {
        let (m, _) = self.begin_own().await?;
        Ok(m.authorize().await??)
    }

    /// Begins a change by whoever is signed in, where they belong.
    pub async fn begin_own(&self) -> Result<(Mutation, CurrentUser), ConsoleError> {
        let session = self.signed_in().await?.ok_or(ConsoleError::SignedOut)?;
        let (console, user) = (&self.console, UserId(session.user));
        let actor = |principal| self.actor(principal);
        let begun = standing::begin_as(&console.db, &console.server_keys.audit, user, actor, console.clock.now());
        let (m, standing) = begun.await?.ok_or(ConsoleError::SignedOut)?;
        Ok((m, self.current_user(&session, standing)))
    }

    /// Begins a change by somebody who needs no session.
    pub async fn begin_as(&self, principal: Principal, rls: RlsScope) -> Result<Mutation, ConsoleError> {
        let console = &self.console;
        let (audit_key, now) = (&console.server_keys.audit, console.clock.now());
        Ok(Mutation::begin(&console.db, audit_key, rls, self.actor(principal), now).await?)
    }
}

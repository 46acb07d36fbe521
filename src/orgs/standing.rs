//! What a person may do today. Read anew for every request, so that a change of it holds at once.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::store::{self, Org};
use crate::{
    accounts::store::Person,
    actor::{Actor, Principal, Role},
    audit::AuditKey,
    database::RlsScope,
    ids::{Scope, UserId},
    mutation::Mutation,
};

pub struct Standing {
    pub person: Person,
    /// `None` for staff.
    pub org: Option<Org>,
    pub role: Role,
    pub principal: Principal,
}

/// `None`: their account is shut, or they belong nowhere. Needs the person's reach; the rest of the transaction has their
/// organization's, or none.
pub async fn standing(db: &mut PgConnection, user: UserId) -> sqlx::Result<Option<Standing>> {
    let Some((person, membership)) = store::standing(db, user).await? else { return Ok(None) };
    let name = person.name.clone();
    Ok(match membership {
        _ if person.staff => {
            let principal = Principal::Staff { user, name };
            Some(Standing { person, org: None, role: Role::Support, principal })
        }
        Some(membership) => {
            let (org, role) = (membership.org, membership.role);
            let principal = Principal::Member { user, name, org: org.id, role };
            Some(Standing { person, org: Some(org), role, principal })
        }
        None => None,
    })
}

/// Begins a change by a person, in their organization. What they may do is read in the same transaction. `None`: their
/// account is shut, or they belong nowhere.
pub async fn begin_as(
    pool: &PgPool,
    audit_key: &AuditKey,
    user: UserId,
    actor: impl FnOnce(Principal) -> Actor,
    now: OffsetDateTime,
) -> sqlx::Result<Option<(Mutation, Standing)>> {
    let anonymous = actor(Principal::Anonymous);
    let mut m = Mutation::begin(pool, audit_key, RlsScope::Person(user), anonymous, now).await?;
    let Some(standing) = standing(&mut m, user).await? else { return Ok(None) };
    m.set_principal_in(standing.principal.clone(), standing.scope());
    Ok(Some((m, standing)))
}

impl Standing {
    /// Where they act.
    pub fn scope(&self) -> Scope {
        self.org.as_ref().map_or(Scope::Deployment, |org| Scope::Org(org.id))
    }
}

//! What a person may do today. Read anew for every request, so that a change of it holds at once.

use sqlx::PgConnection;

use super::store::{self, Org};
use crate::{
    accounts::{self, store::Person},
    actor::{Principal, Role},
    ids::UserId,
};

pub struct Standing {
    pub person: Person,
    /// `None` for staff.
    pub org: Option<Org>,
    pub role: Role,
    pub principal: Principal,
}

/// `None`: their account is shut, or they belong nowhere. Needs the person's reach.
pub async fn standing(db: &mut PgConnection, user: UserId) -> sqlx::Result<Option<Standing>> {
    let Some(person) = accounts::store::person(db, user).await? else { return Ok(None) };
    let name = person.name.clone();
    if person.staff {
        let principal = Principal::Staff { user, name };
        return Ok(Some(Standing { person, org: None, role: Role::Support, principal }));
    }
    let membership = store::memberships(db, user).await?.into_iter().next();
    Ok(membership.map(|membership| {
        let (org, role) = (membership.org, membership.role);
        Standing { person, principal: Principal::Member { user, name, org: org.id, role }, org: Some(org), role }
    }))
}

//! What a person may do today. Read anew for every request, so that a change of it holds at once.

use sqlx::PgConnection;

use super::store::{self, Org};
use crate::{
    accounts::store::Person,
    actor::{Principal, Role},
    ids::{Scope, UserId},
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

impl Standing {
    /// Where they act.
    pub fn scope(&self) -> Scope {
        self.org.as_ref().map_or(Scope::Deployment, |org| Scope::Org(org.id))
    }
}

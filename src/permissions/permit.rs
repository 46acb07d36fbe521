//! Permission as a value. A function that changes something asks for `&Permit<ThatAction>`; there is one way to get one,
//! and it consults the table in [`Role::may`].

use super::Action;
use crate::{
    actor::{Actor, Principal, Role},
    error_kind::{DomainError, ErrorKind},
    ids::{Deployment, OrgId, Scope},
};

/// A type for each action that something is permitted by.
pub trait Act {
    const ACTION: Action;
    /// Where it is done: in an organization, in the deployment, or ([`Scope`]) in either.
    type Place: Copy + Into<Scope> + TryFrom<Scope>;
}

macro_rules! acts {
    ($($place:ident: $($name:ident),*;)*) => {$($(
        #[doc = concat!("See [`Action::", stringify!($name), "`].")]
        pub enum $name {}
        impl Act for $name {
            const ACTION: Action = Action::$name;
            type Place = $place;
        }
    )*)*};
}
acts!(
    OrgId: ViewKeys, IssueKey, EditKey, RotateKey, RevokeKey, RevokeAllKeys, RevokeAnyKey;
    OrgId: ViewWebhooks, ManageWebhooks, ViewAudit, ViewMembers, ManageMembers, AddMember;
    OrgId: CreateOrg, SuspendOrg, AddNamespace;
    Deployment: FindAnyKey, ViewNodes, ViewOrgs, AddStaff, IssueServiceKey, RevokeServiceKey;
    Scope: ManagePeople;
);

/// Proof that somebody may do `A` in a place.
pub struct Permit<A: Act> {
    place: A::Place,
}

/// The role does not allow the action, or the organization is not theirs.
#[derive(Debug, thiserror::Error)]
#[error("the role {} may not {}", .role.as_str(), .action.words())]
pub struct Denied {
    pub role: Role,
    pub action: Action,
}

impl DomainError for Denied {
    fn kind(&self) -> ErrorKind<'_> {
        ErrorKind::Forbidden
    }

    /// Speaks to whoever was refused.
    fn sentence(&self) -> String {
        format!("Your role, {}, may not {}.", self.role.as_str(), self.action.words())
    }
}

impl<A: Act> Permit<A> {
    /// The only constructor.
    pub fn grant(actor: &Actor, scope: impl Into<Scope>) -> Result<Self, Denied> {
        let scope = scope.into();
        let (role, theirs) = match &actor.principal {
            Principal::Member { org, role, .. } => (*role, scope == Scope::Org(*org)),
            Principal::Staff { .. } => (Role::Support, true),
            Principal::Operator => (Role::Operator, true),
            Principal::Service { .. } => (Role::Service, true),
            Principal::Anonymous => (Role::Anonymous, false),
        };
        match A::Place::try_from(scope) {
            Ok(place) if theirs && role.may(A::ACTION) => Ok(Self { place }),
            _ => Err(Denied { role, action: A::ACTION }),
        }
    }
}

impl<A: Act<Place = OrgId>> Permit<A> {
    pub fn org(&self) -> OrgId {
        self.place
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::UserId;

    #[test]
    fn no_role_reaches_into_an_organization_that_is_not_theirs() {
        let own = OrgId(Uuid::from_u128(1));
        let other = OrgId(Uuid::from_u128(2));
        let mut actor = Actor::operator();
        actor.principal =
            Principal::Member { user: UserId(Uuid::from_u128(3)), name: "Ada".to_owned(), org: own, role: Role::Owner };
        assert!(Permit::<RevokeKey>::grant(&actor, own).is_ok());
        assert!(Permit::<RevokeKey>::grant(&actor, other).is_err());
    }
}

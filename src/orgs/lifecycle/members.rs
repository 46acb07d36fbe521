//! Members are removed and get other roles. An organization always keeps an owner, and owners are touched by owners only.

use serde_json::{Value, json};

use super::OrgError;
use crate::{
    accounts,
    actor::Role,
    audit::Event,
    ids::UserId,
    mutation::Mutation,
    orgs::store::{self, Member},
    permissions::{Permit, permit::ManageMembers},
};

/// A member as a change left them.
#[derive(Debug, PartialEq, Eq)]
pub struct ChangedMember {
    pub name: String,
    /// Whether anything is other than before.
    pub changed: bool,
}

/// Ends somebody's membership. Their sessions show them this organization no more; keys they made stay the
/// organization's, and go on unless the catalog binds them to who made them.
pub async fn remove_member(
    m: &mut Mutation,
    permit: &Permit<ManageMembers>,
    user: UserId,
) -> Result<ChangedMember, OrgError> {
    let member = member(m, permit, user, None).await?;
    store::delete_member(m, permit.org(), user).await?;
    m.restricts_access();
    let (summary, details) =
        (format!("Removed {} ({})", member.name, member.email), json!({ "role": member.role.as_str() }));
    note(m, user, "member.remove", summary, details).await?;
    Ok(ChangedMember { name: member.name, changed: true })
}

/// Gives a member another role.
pub async fn set_role(
    m: &mut Mutation,
    permit: &Permit<ManageMembers>,
    user: UserId,
    role: Role,
) -> Result<ChangedMember, OrgError> {
    let member = member(m, permit, user, Some(role)).await?;
    // Keys may be bound to who made them. Also where the role is this one already: perhaps the answer to the same request
    // got lost, and nobody saw that it holds.
    m.restricts_access();
    let changed = member.role != role;
    if changed {
        store::set_role(m, permit.org(), user, role).await?;
        let summary = format!("Made {} ({}) {}", member.name, member.email, role.as_str());
        let details = json!({ "before": member.role.as_str(), "after": role.as_str() });
        note(m, user, "member.role", summary, details).await?;
    }
    Ok(ChangedMember { name: member.name, changed })
}

/// The member who is to have another role (`None`: none), if the permit's actor may do that to them. The organization is
/// locked: two who demote each other come one after the other, and who acts is judged by what they are now.
async fn member(
    m: &mut Mutation,
    permit: &Permit<ManageMembers>,
    user: UserId,
    to: Option<Role>,
) -> Result<Member, OrgError> {
    store::lock(m, permit.org()).await?.ok_or(OrgError::NoOrg)?;
    let members = store::list_members(m, permit.org()).await?;
    let is_owner = |user: UserId| members.iter().any(|member| member.user == user && member.role == Role::Owner);
    if (is_owner(user) || to == Some(Role::Owner)) && !m.actor().user().is_some_and(is_owner) {
        return Err(OrgError::OwnersOnly);
    }
    let stays = |member: &Member| member.user != user && member.role == Role::Owner && !member.disabled;
    if to != Some(Role::Owner) && is_owner(user) && !members.iter().any(stays) {
        return Err(OrgError::LastOwner);
    }
    members.into_iter().find(|member| member.user == user).ok_or(OrgError::NoMember)
}

async fn note(
    m: &mut Mutation,
    user: UserId,
    action: &'static str,
    summary: String,
    details: Value,
) -> sqlx::Result<()> {
    m.record(Event { action, subject: accounts::subject(user), summary, details }).await
}

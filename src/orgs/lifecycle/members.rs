//! Members are removed and get other roles. An organization always keeps an owner, and owners are touched by owners only.

use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::OrgError;
use crate::{
    actor::Role,
    audit::{self, AuditKey, Chain, Event},
    ids::UserId,
    orgs::{
        Permit,
        permit::ManageMembers,
        store::{self, Member},
    },
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
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<ManageMembers>,
    user: UserId,
    now: OffsetDateTime,
) -> Result<ChangedMember, OrgError> {
    let member = member(db, permit, user, None).await?;
    store::delete_member(db, permit.org(), user).await?;
    let (summary, details) =
        (format!("Removed {} ({})", member.name, member.email), json!({ "role": member.role.as_str() }));
    note(db, audit_key, permit, user, "member.remove", summary, details, now).await?;
    Ok(ChangedMember { name: member.name, changed: true })
}

/// Gives a member another role.
pub async fn set_role(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<ManageMembers>,
    user: UserId,
    role: Role,
    now: OffsetDateTime,
) -> Result<ChangedMember, OrgError> {
    let member = member(db, permit, user, Some(role)).await?;
    let changed = member.role != role;
    if changed {
        store::set_role(db, permit.org(), user, role).await?;
        let summary = format!("Made {} ({}) {}", member.name, member.email, role.as_str());
        let details = json!({ "before": member.role.as_str(), "after": role.as_str() });
        note(db, audit_key, permit, user, "member.role", summary, details, now).await?;
    }
    Ok(ChangedMember { name: member.name, changed })
}

/// The member who is to have another role (`None`: none), if the permit's actor may do that to them. The organization is
/// locked: two who demote each other come one after the other, and who acts is judged by what they are now.
async fn member(
    db: &mut PgConnection,
    permit: &Permit<ManageMembers>,
    user: UserId,
    to: Option<Role>,
) -> Result<Member, OrgError> {
    store::lock(db, permit.org()).await?.ok_or(OrgError::NoOrg)?;
    let members = store::list_members(db, permit.org()).await?;
    let is_owner = |user: UserId| members.iter().any(|member| member.user == user && member.role == Role::Owner);
    if (is_owner(user) || to == Some(Role::Owner)) && !permit.actor().user().is_some_and(is_owner) {
        return Err(OrgError::OwnersOnly);
    }
    let stays = |member: &Member| member.user != user && member.role == Role::Owner && !member.disabled;
    if to != Some(Role::Owner) && is_owner(user) && !members.iter().any(stays) {
        return Err(OrgError::LastOwner);
    }
    members.into_iter().find(|member| member.user == user).ok_or(OrgError::NoMember)
}

#[allow(clippy::too_many_arguments, reason = "the two functions above are what others call")]
async fn note(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<ManageMembers>,
    user: UserId,
    action: &'static str,
    summary: String,
    details: Value,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let subject = format!("user:{}", user.0);
    let event = Event { action, subject, summary, details, refused: false, actor: permit.actor(), at: now };
    audit::record(db, audit_key, Chain::Org(permit.org()), event).await
}

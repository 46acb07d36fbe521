//! Roles change and memberships end. Keys may be bound to who made them, so that either waits until it holds everywhere.

use uuid::Uuid;

use crate::{
    actor::Role,
    console_plane::{
        answers::Change,
        context::RequestContext,
        domain_errors::receipt,
        error::ConsoleError,
        members::forms::{RemoveMemberForm, SetRoleForm},
    },
    ids::UserId,
    orgs::lifecycle::{self, ChangedMember, OrgError},
    permissions::permit::ManageMembers,
};

pub async fn set_role(form: SetRoleForm) -> Result<Change, ConsoleError> {
    let (mut m, permit) = RequestContext::current().await?.begin::<ManageMembers>().await?;
    let role =
        Role::member(&form.role).ok_or_else(|| ConsoleError::field("role", "Choose one of the roles in the list."))?;
    let ChangedMember { name, changed } = lifecycle::set_role(&mut m, &permit, user(&form.user_id)?, role).await?;
    let role = role.label().to_lowercase();
    let text = if changed {
        format!("The role of {name} is {role} now.")
    } else {
        format!("The role of {name} is {role} already.")
    };
    Ok(Change { text, receipt: receipt(m.commit().await)? })
}

pub async fn remove(form: RemoveMemberForm) -> Result<Change, ConsoleError> {
    let (mut m, permit) = RequestContext::current().await?.begin::<ManageMembers>().await?;
    let ChangedMember { name, .. } = lifecycle::remove_member(&mut m, &permit, user(&form.user_id)?).await?;
    Ok(Change { text: format!("{name} is no longer a member."), receipt: receipt(m.commit().await)? })
}

/// What is no id is nobody's.
fn user(id: &str) -> Result<UserId, OrgError> {
    id.parse::<Uuid>().map(UserId).map_err(|_| OrgError::NoMember)
}

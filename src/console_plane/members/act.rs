//! Roles change and memberships end. Keys may be bound to who made them, so that either waits until it holds everywhere.

use uuid::Uuid;

use crate::{
    actor::Role,
    console_plane::{door, error::ConsoleError, model::Change},
    ids::UserId,
    orgs::{
        lifecycle::{self, ChangedMember, OrgError},
        permit::ManageMembers,
    },
};

pub async fn set_role(user_id: String, role: String) -> Result<Change, ConsoleError> {
    let (mut m, permit) = door::cx()?.begin::<ManageMembers>().await?;
    let role =
        Role::member(&role).ok_or_else(|| ConsoleError::field("role", "Choose one of the roles in the list."))?;
    let ChangedMember { name, changed } = lifecycle::set_role(&mut m, &permit, user(&user_id)?, role).await?;
    let role = role.label().to_lowercase();
    let text = if changed {
        format!("The role of {name} is {role} now.")
    } else {
        format!("The role of {name} is {role} already.")
    };
    Ok(Change { text, receipt: door::receipt(m.commit().await)? })
}

pub async fn remove(user_id: String) -> Result<Change, ConsoleError> {
    let (mut m, permit) = door::cx()?.begin::<ManageMembers>().await?;
    let ChangedMember { name, .. } = lifecycle::remove_member(&mut m, &permit, user(&user_id)?).await?;
    Ok(Change { text: format!("{name} is no longer a member."), receipt: door::receipt(m.commit().await)? })
}

/// What is no id is nobody's.
fn user(id: &str) -> Result<UserId, OrgError> {
    id.parse::<Uuid>().map(UserId).map_err(|_| OrgError::NoMember)
}

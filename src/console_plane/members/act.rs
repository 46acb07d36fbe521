//! Roles change and memberships end. Keys may be bound to who made them, so that either waits until it holds everywhere.

use std::time::Instant;

use uuid::Uuid;

use crate::{
    actor::Role,
    console_plane::{
        answers::Change,
        authorize::Authorized,
        context::RequestContext,
        error::ConsoleError,
        members::forms::{RemoveMemberForm, SetRoleForm},
    },
    database::{self, RlsScope},
    ids::UserId,
    orgs::{
        lifecycle::{self, ChangedMember, OrgError},
        permit::ManageMembers,
    },
};

pub async fn set_role(form: SetRoleForm) -> Result<Change, ConsoleError> {
    let SetRoleForm { user_id, role } = form;
    let begun = Instant::now();
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<ManageMembers>().await?;
    let role =
        Role::member(&role).ok_or_else(|| ConsoleError::field("role", "Choose one of the roles in the list."))?;
    let (key, now) = (&cx.console.server_keys.audit, cx.console.clock.now());
    let mut tx = database::begin(&cx.console.db, RlsScope::Org(permit.org())).await?;
    let ChangedMember { name, changed } =
        lifecycle::set_role(&mut tx, key, &permit, user(&user_id)?, role, now).await?;
    let role = role.label().to_lowercase();
    let text = if changed {
        format!("The role of {name} is {role} now.")
    } else {
        format!("The role of {name} is {role} already.")
    };
    cx.console.settle(tx, changed, text, begun).await
}

pub async fn remove(form: RemoveMemberForm) -> Result<Change, ConsoleError> {
    let RemoveMemberForm { user_id } = form;
    let begun = Instant::now();
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<ManageMembers>().await?;
    let (key, now) = (&cx.console.server_keys.audit, cx.console.clock.now());
    let mut tx = database::begin(&cx.console.db, RlsScope::Org(permit.org())).await?;
    let ChangedMember { name, changed } = lifecycle::remove_member(&mut tx, key, &permit, user(&user_id)?, now).await?;
    cx.console.settle(tx, changed, format!("{name} is no longer a member."), begun).await
}

/// What is no id is nobody's.
fn user(id: &str) -> Result<UserId, OrgError> {
    id.parse::<Uuid>().map(UserId).map_err(|_| OrgError::NoMember)
}

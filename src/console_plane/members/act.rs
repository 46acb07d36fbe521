//! Roles change and memberships end. Keys may be bound to who made them, so that either waits until it holds everywhere.

use std::time::Instant;

use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use crate::{
    accounts::UserId,
    console_plane::{
        door::{self, Entry, Visit},
        error::ConsoleError,
        model::Notice,
    },
    database::{self, Reach},
    orgs::{
        Role,
        lifecycle::{self, ChangedMember, OrgError},
        permit::ManageMembers,
    },
    revocation,
};

pub async fn set_role(user_id: String, role: String) -> Result<Notice, ConsoleError> {
    let begun = Instant::now();
    let Entry { visit, permit, .. } = door::enter::<ManageMembers>().await?;
    let role =
        Role::member(&role).ok_or_else(|| ConsoleError::field("role", "Choose one of the roles in the list."))?;
    let (key, now) = (&visit.console.server_keys.audit, visit.console.clock.now());
    let mut tx = database::begin(&visit.console.db, Reach::Org(permit.org())).await?;
    let ChangedMember { name, changed } =
        lifecycle::set_role(&mut tx, key, &permit, user(&user_id)?, role, now).await?;
    let role = role.label().to_lowercase();
    let text = if changed {
        format!("The role of {name} is {role} now.")
    } else {
        format!("The role of {name} is {role} already.")
    };
    settle(&visit, tx, text, changed, begun).await
}

pub async fn remove(user_id: String) -> Result<Notice, ConsoleError> {
    let begun = Instant::now();
    let Entry { visit, permit, .. } = door::enter::<ManageMembers>().await?;
    let (key, now) = (&visit.console.server_keys.audit, visit.console.clock.now());
    let mut tx = database::begin(&visit.console.db, Reach::Org(permit.org())).await?;
    let ChangedMember { name, changed } = lifecycle::remove_member(&mut tx, key, &permit, user(&user_id)?, now).await?;
    settle(&visit, tx, format!("{name} is no longer a member."), changed, begun).await
}

/// What is no id is nobody's.
fn user(id: &str) -> Result<UserId, OrgError> {
    id.parse::<Uuid>().map(UserId).map_err(|_| OrgError::NoMember)
}

async fn settle(
    visit: &Visit,
    tx: Transaction<'static, Postgres>,
    text: String,
    changed: bool,
    begun: Instant,
) -> Result<Notice, ConsoleError> {
    let revision = revocation::commit(tx).await?;
    let detail = if changed { Some(visit.console.receipt(revision, begun).await) } else { None };
    Ok(Notice { text, detail })
}

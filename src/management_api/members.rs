//! Who belongs to the organization.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Management,
    body::Listed,
    door::Entry,
    problem::{Problem, Refusals},
};
use crate::{
    database::{self, Reach},
    orgs::{self, permit::ViewMembers},
};

#[derive(Serialize, ToSchema)]
pub struct Member {
    id: Uuid,
    name: String,
    email: String,
    #[schema(example = "developer")]
    role: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    last_sign_in_at: Option<OffsetDateTime>,
    /// Their account is shut.
    disabled: bool,
}

/// List the members, by name
#[utoipa::path(
    get, path = "/api/v1/members", tag = "Members", operation_id = "listMembers",
    responses((status = 200, description = "All of them.", body = Listed<Member>), Refusals)
)]
pub async fn list(
    State(management): State<Arc<Management>>,
    Entry { permit, .. }: Entry<ViewMembers>,
) -> Result<Json<Listed<Member>>, Problem> {
    let mut tx = database::begin(&management.db, Reach::Org(permit.org())).await?;
    let members = orgs::store::members(&mut tx, permit.org()).await?;
    tx.commit().await?;
    let data = members.into_iter().map(|member| Member {
        id: member.user.0,
        name: member.name,
        email: member.email,
        role: member.role.as_str(),
        since: member.since,
        last_sign_in_at: member.last_sign_in_at,
        disabled: member.disabled,
    });
    Ok(Json(Listed { data: data.collect(), next_cursor: None }))
}

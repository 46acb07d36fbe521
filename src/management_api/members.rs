//! Who belongs to the organization.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Management,
    body::{Listed, MemberPath},
    door::{Authorized, Bearer, Change},
    receipts::{Confirmed, confirmed},
    refusals::Refusals,
};
use crate::{
    actor::Role,
    machine_http::Problem,
    orgs::{
        self,
        lifecycle::{self, ChangedMember, OrgError},
    },
    permissions::permit::{ManageMembers, ViewMembers},
    revocation::Receipt,
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

impl From<orgs::store::Member> for Member {
    fn from(member: orgs::store::Member) -> Self {
        Self {
            id: member.user.0,
            name: member.name,
            email: member.email,
            role: member.role.as_str(),
            since: member.since,
            last_sign_in_at: member.last_sign_in_at,
            disabled: member.disabled,
        }
    }
}

/// A member with another role.
#[derive(Serialize, ToSchema)]
pub struct ChangedRole {
    #[serde(flatten)]
    member: Member,
    /// Where the role holds for keys that are bound to who made them.
    receipt: Option<Receipt>,
}

/// What a member is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRoleRequest {
    #[schema(pattern = "^(owner|admin|developer|viewer)$")]
    role: String,
}

#[derive(Serialize, ToSchema)]
pub struct RemovedMember {
    name: String,
    /// Where it holds for keys that are bound to who made them.
    receipt: Option<Receipt>,
}

/// List the members, by name
#[utoipa::path(
    get, path = "/api/v1/members", tag = "Members", operation_id = "listMembers",
    responses((status = 200, description = "All of them.", body = Listed<Member>), Refusals)
)]
pub async fn list(Authorized { mut tx, permit }: Authorized<ViewMembers>) -> Result<Json<Listed<Member>>, Problem> {
    let members = orgs::store::list_members(&mut tx, permit.org()).await?;
    let data = members.into_iter().map(Member::from);
    Ok(Json(Listed { data: data.collect(), next_cursor: None }))
}

/// Give a member another role
///
/// Owners are changed and made by owners only, and one is always left.
#[utoipa::path(
    patch, path = "/api/v1/members/{id}", tag = "Members", operation_id = "setRole",
    params(("id" = Uuid, Path, description = "The member's id.")), request_body = SetRoleRequest,
    responses(
        (status = 200, description = "The member as they are now.", body = ChangedRole),
        (status = 202, description = "Done, but not everywhere yet: the receipt says for whom is waited.", body = ChangedRole),
        Refusals
    )
)]
pub async fn set_role(
    change: Change<ManageMembers, SetRoleRequest, MemberPath>,
) -> Result<Confirmed<ChangedRole>, Problem> {
    let Change { mut m, permit, path: MemberPath(user), body, .. } = change;
    let role = Role::member(&body.value.role)
        .ok_or_else(|| Problem::fields(&[("role", "Choose one of: owner, admin, developer, viewer.".to_owned())]))?;
    lifecycle::set_role(&mut m, &permit, user, role).await?;
    let members = orgs::store::list_members(&mut m, permit.org()).await?;
    let member = members.into_iter().find(|member| member.user == user).ok_or(OrgError::NoMember)?;
    let member = member.into();
    Ok(confirmed(m.commit().await?, |receipt| ChangedRole { member, receipt }))
}

/// Remove a member
///
/// They lose access at once. Keys they made stay the organization's, and go on unless the catalog binds keys to who made
/// them.
#[utoipa::path(
    delete, path = "/api/v1/members/{id}", tag = "Members", operation_id = "removeMember",
    params(("id" = Uuid, Path, description = "The member's id.")),
    responses(
        (status = 200, description = "They are no longer a member.", body = RemovedMember),
        (status = 202, description = "Done, but not everywhere yet: the receipt says for whom is waited.", body = RemovedMember),
        Refusals
    )
)]
pub async fn remove(
    State(management): State<Arc<Management>>,
    bearer: Bearer,
    member: Result<MemberPath, Problem>,
) -> Result<Confirmed<RemovedMember>, Problem> {
    let (mut m, _, permit) = bearer.begin(&management).await?;
    let MemberPath(user) = member?;
    let ChangedMember { name, .. } = lifecycle::remove_member(&mut m, &permit, user).await?;
    Ok(confirmed(m.commit().await?, |receipt| RemovedMember { name, receipt }))
}

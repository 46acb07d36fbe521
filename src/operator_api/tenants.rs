//! `/gate/admin/tenants`: organizations, as the back office calls them.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::{
    Operator,
    door::Caller,
    openapi::Refusals,
    wire::{Asked, Body, Limit, List, Params},
};
use crate::{
    clock,
    database::{self, RlsScope},
    ids::{Deployment, OrgId},
    machine_http::Problem,
    orgs::{OrgName, Slug, lifecycle, store},
    permissions::permit::ViewOrgs,
    revocation::Receipt,
};

#[derive(Serialize, ToSchema)]
pub struct Tenant {
    tenant_id: String,
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    suspended: bool,
    /// Those that are not revoked.
    keys: i64,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many at most.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
}

impl Asked for Page {
    const SHAPE: &'static str = "The query may hold \"cursor\" (the next_cursor of the page before) and \"limit\" (1 to 1000), once each, and nothing \
                                 else.";
}

/// List the tenants, in the order in which they were made
#[utoipa::path(
    get, path = "/gate/admin/tenants", tag = "Tenants", operation_id = "listTenants", params(Page),
    responses((status = 200, description = "A page of the list.", body = List<Tenant>), Refusals)
)]
pub async fn list(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Params(page): Params<Page>,
) -> Result<Json<List<Tenant>>, Problem> {
    caller.permit::<ViewOrgs>(Deployment)?;
    let limit = Limit::parse(page.limit.as_deref()).ok_or_else(|| Problem::bad_request(Page::SHAPE))?;
    let after = page.cursor.map(|text| text.parse().map(OrgId)).transpose();
    let after = after.map_err(|_| Problem::bad_request(Page::SHAPE))?;
    let mut tx = database::read(&operator.db, RlsScope::Operator).await?;
    let rows = store::list_tenants(&mut tx, after, limit.and_one()).await?;
    let tenant = |row: store::Tenant| Tenant {
        tenant_id: row.slug,
        name: row.name,
        created_at: row.created_at,
        suspended: row.suspended_at.is_some(),
        keys: row.keys,
    };
    Ok(Json(limit.page(rows, |row| row.id.to_string(), tenant)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// The organization's slug.
    tenant_id: String,
    name: String,
}

impl Asked for NewTenant {
    const SHAPE: &'static str = "Send an object with \"tenant_id\" and \"name\"; any other field is refused.";
}

/// Create a tenant, without people and keys
#[utoipa::path(
    post, path = "/gate/admin/tenants", tag = "Tenants", operation_id = "createTenant", request_body = NewTenant,
    responses((status = 201, description = "The tenant.", body = Tenant), Refusals)
)]
pub async fn create(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<NewTenant>,
) -> Result<Response, Problem> {
    let mut errors = Vec::new();
    let slug = Slug::parse(&new.tenant_id).map_err(|message| errors.push(("tenant_id", message.to_owned())));
    let name = OrgName::parse(&new.name).map_err(|message| errors.push(("name", message.to_owned())));
    let (Ok(slug), Ok(name)) = (slug, name) else { return Err(Problem::fields(&errors)) };
    let now = operator.clock.now();
    let org = OrgId(clock::id(now));
    let mut m = operator.begin(caller, RlsScope::Org(org)).await?;
    let permit = m.permit()?;
    lifecycle::create_org(&mut m, &permit, &slug, &name).await?;
    m.commit().await?;
    let tenant =
        Tenant { tenant_id: new.tenant_id, name: name.as_str().to_owned(), created_at: now, suspended: false, keys: 0 };
    Ok((StatusCode::CREATED, Json(tenant)).into_response())
}

/// A tenant as a request left it.
#[derive(Serialize, ToSchema)]
pub struct SuspendedTenant {
    tenant_id: String,
    suspended: bool,
    /// Whether it was not so already.
    changed: bool,
    /// Where it holds, and how soon it did.
    receipt: Receipt,
}

/// Suspend a tenant
///
/// Every key of it is refused, everywhere, when this is answered.
#[utoipa::path(
    post, path = "/gate/admin/tenants/{tenant_id}/suspend", tag = "Tenants", operation_id = "suspendTenant", params(("tenant_id" = String, Path, description = "The organization's slug.")),
    responses((status = 200, description = "The tenant is suspended.", body = SuspendedTenant), (status = 202, description = "It is, but not everywhere yet: repeat the request to wait on.", body = SuspendedTenant), Refusals)
)]
pub async fn suspend(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    tenant_id: Result<Path<String>, PathRejection>,
) -> Result<(StatusCode, Json<SuspendedTenant>), Problem> {
    set_suspended(&operator, caller, tenant_id, true).await
}

/// Serve a tenant again
#[utoipa::path(
    post, path = "/gate/admin/tenants/{tenant_id}/resume", tag = "Tenants", operation_id = "resumeTenant", params(("tenant_id" = String, Path, description = "The organization's slug.")),
    responses((status = 200, description = "Its keys are good again.", body = SuspendedTenant), (status = 202, description = "They are, but not everywhere yet: repeat the request to wait on.", body = SuspendedTenant), Refusals)
)]
pub async fn resume(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    tenant_id: Result<Path<String>, PathRejection>,
) -> Result<(StatusCode, Json<SuspendedTenant>), Problem> {
    set_suspended(&operator, caller, tenant_id, false).await
}

async fn set_suspended(
    operator: &Operator,
    caller: Caller,
    tenant_id: Result<Path<String>, PathRejection>,
    suspended: bool,
) -> Result<(StatusCode, Json<SuspendedTenant>), Problem> {
    let tenant_id = tenant_id.map(|Path(text)| text).unwrap_or_default();
    let (mut m, org) = operator.begin_in(caller, &tenant_id).await?;
    let permit = m.permit()?;
    let changed = match suspended {
        true => lifecycle::suspend(&mut m, &permit).await?,
        false => lifecycle::resume(&mut m, &permit).await?,
    };
    let receipt = m.commit_everywhere().await?;
    // Whoever repeats the request waits on.
    let status = if receipt.is_complete() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(SuspendedTenant { tenant_id: org.slug, suspended, changed, receipt })))
}

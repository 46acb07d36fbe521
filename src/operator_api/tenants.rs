//! `/gate/admin/tenants`: organizations, as the back office calls them.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use super::{
    Operator,
    door::Caller,
    error::OperatorError,
    wire::{Asked, Body, Limit, List, Params},
};
use crate::{
    clock,
    database::{self, RlsScope},
    ids::{Deployment, OrgId},
    keys::error::KeyError,
    orgs::{OrgName, Slug, lifecycle, permit::ViewOrgs, store},
};

#[derive(Serialize)]
pub struct Tenant {
    tenant_id: String,
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    suspended: bool,
    /// Those that are not revoked.
    keys: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    cursor: Option<String>,
    limit: Option<String>,
}

impl Asked for Page {
    const SHAPE: &'static str = "The query may hold \"cursor\" (the next_cursor of the page before) and \"limit\" (1 to 1000), once each, and nothing \
                                 else.";
}

/// `GET`: all tenants, in the order they were made.
pub async fn list(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Params(page): Params<Page>,
) -> Result<Json<List<Tenant>>, OperatorError> {
    caller.permit::<ViewOrgs>(Deployment)?;
    let limit = Limit::parse(page.limit.as_deref()).ok_or(OperatorError::Query(Page::SHAPE))?;
    let after = page.cursor.map(|text| text.parse().map(OrgId)).transpose();
    let after = after.map_err(|_| OperatorError::Query(Page::SHAPE))?;
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    tenant_id: String,
    name: String,
}

impl Asked for NewTenant {
    const SHAPE: &'static str = "Send an object with \"tenant_id\" and \"name\"; any other field is refused.";
}

/// `POST`: a new tenant, without people and keys.
pub async fn create(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<NewTenant>,
) -> Result<Response, OperatorError> {
    let mut errors = Vec::new();
    let slug = Slug::parse(&new.tenant_id).map_err(|message| errors.push(("tenant_id", message.to_owned())));
    let name = OrgName::parse(&new.name).map_err(|message| errors.push(("name", message.to_owned())));
    let (Ok(slug), Ok(name)) = (slug, name) else { return Err(KeyError::Fields(errors).into()) };
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

/// `POST …/suspend`: every key of the tenant is refused, everywhere, when this is answered.
pub async fn suspend(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    tenant_id: Result<Path<String>, PathRejection>,
) -> Result<Response, OperatorError> {
    set_suspended(&operator, caller, tenant_id, true).await
}

/// `POST …/resume`: the tenant's keys are good again.
pub async fn resume(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    tenant_id: Result<Path<String>, PathRejection>,
) -> Result<Response, OperatorError> {
    set_suspended(&operator, caller, tenant_id, false).await
}

async fn set_suspended(
    operator: &Operator,
    caller: Caller,
    tenant_id: Result<Path<String>, PathRejection>,
    suspended: bool,
) -> Result<Response, OperatorError> {
    let tenant_id = tenant_id.map(|Path(text)| text).unwrap_or_default();
    let (mut m, org) = operator.begin_in(caller, &tenant_id).await?;
    let permit = m.permit()?;
    let changed = match suspended {
        true => lifecycle::suspend(&mut m, &permit).await?,
        false => lifecycle::resume(&mut m, &permit).await?,
    };
    let receipt = m.commit_everywhere().await?;
    let answer = json!({ "tenant_id": org.slug, "suspended": suspended, "changed": changed, "receipt": receipt });
    // Whoever repeats the request waits on.
    let status = if receipt.is_complete() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(answer)).into_response())
}

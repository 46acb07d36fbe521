//! `GET /gate/admin/usage`: how much was called, by whom, with which verdict; for bills.

use axum::{Extension, Json, extract::State};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::{IntoParams, ToSchema};

use super::{
    Operator,
    door::Caller,
    openapi::Refusals,
    tenant,
    wire::{Asked, Limit, List, Params},
};
use crate::{
    database::{self, RlsScope},
    ids::{Deployment, KeyId, OrgId},
    machine_http::Problem,
    permissions::permit::ViewOrgs,
    usage::{
        RETENTION,
        store::{self, Rollup, Wanted},
    },
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Span {
    /// Left out: every tenant.
    tenant_id: Option<String>,
    /// From this moment on. Left out: all that is kept.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Until before this moment. Left out: until now.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// The length of a bucket: `minute` or `day` (UTC).
    #[param(value_type = Option<String>, default = "minute", pattern = "^(minute|day)$")]
    by: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many at most.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
}

impl Asked for Span {
    const SHAPE: &'static str = "The query may hold \"tenant_id\", \"from\" and \"to\" (as in 2026-11-01T00:00:00Z), \"by\" (minute or day), \
                                 \"cursor\" (the next_cursor of the page before) and \"limit\" (1 to 1000), once each, and nothing else.";
}

#[derive(Serialize, ToSchema)]
pub struct Calls {
    tenant_id: String,
    #[schema(value_type = String, format = Uuid)]
    key_id: KeyId,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    code: String,
    calls: i64,
}

/// Read how much was called
#[utoipa::path(
    get, path = "/gate/admin/usage", tag = "Usage", operation_id = "usage", params(Span),
    responses((status = 200, description = "A page of the calls, by time, key and verdict.", body = List<Calls>), Refusals)
)]
pub async fn export(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Params(span): Params<Span>,
) -> Result<Json<List<Calls>>, Problem> {
    caller.permit::<ViewOrgs>(Deployment)?;
    let mut tx = database::read(&operator.db, RlsScope::Operator).await?;
    let org = match &span.tenant_id {
        Some(tenant_id) => Some(tenant(&mut tx, tenant_id).await?.id),
        None => None,
    };
    let now = operator.clock.now();
    let (wanted, limit) = wanted(&span, org, now).ok_or_else(|| Problem::bad_request(Span::SHAPE))?;
    let rows = store::rollups(&mut tx, &wanted).await?;
    let calls =
        |row: Rollup| Calls { tenant_id: row.org, key_id: row.key, at: row.at, code: row.code, calls: row.calls };
    Ok(Json(limit.page(rows, cursor, calls)))
}

/// `None`: something is not understood.
fn wanted(span: &Span, org: Option<OrgId>, now: OffsetDateTime) -> Option<(Wanted, Limit)> {
    let moment = |text: &Option<String>, default: OffsetDateTime| match text {
        Some(text) => OffsetDateTime::parse(text, &Rfc3339).ok(),
        None => Some(default),
    };
    let limit = Limit::parse(span.limit.as_deref())?;
    let wanted = Wanted {
        org,
        from: moment(&span.from, now - RETENTION)?,
        until: moment(&span.to, now + time::Duration::MINUTE)?,
        daily: match span.by.as_deref() {
            None | Some("minute") => false,
            Some("day") => true,
            Some(_) => return None,
        },
        after: match span.cursor.as_deref() {
            Some(text) => Some(place(text)?),
            None => None,
        },
        limit: limit.and_one(),
    };
    Some((wanted, limit))
}

fn cursor(row: &Rollup) -> String {
    format!("{}.{}.{}", row.at.unix_timestamp(), row.key, row.code)
}

fn place(cursor: &str) -> Option<(OffsetDateTime, KeyId, String)> {
    let mut parts = cursor.splitn(3, '.');
    let at = OffsetDateTime::from_unix_timestamp(parts.next()?.parse().ok()?).ok()?;
    Some((at, parts.next()?.parse().ok()?, parts.next()?.to_owned()))
}

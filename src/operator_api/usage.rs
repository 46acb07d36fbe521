//! `GET /gate/admin/usage`: how much was called, by whom, with which verdict; for bills.

use axum::{Extension, Json, extract::State};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Operator,
    door::Caller,
    error::OperatorError,
    wire::{Asked, Limit, List, Params},
};
use crate::{
    database::{self, RlsScope},
    ids::{KeyId, OrgId},
    orgs::permit::ViewOrgs,
    usage::{
        RETENTION,
        store::{self, Rollup, Wanted},
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    tenant_id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    by: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

impl Asked for Span {
    const SHAPE: &'static str = "The query may hold \"tenant_id\", \"from\" and \"to\" (as in 2026-11-01T00:00:00Z), \"by\" (minute or day), \
                                 \"cursor\" (the next_cursor of the page before) and \"limit\" (1 to 1000), once each, and nothing else.";
}

#[derive(Serialize)]
pub struct Calls {
    tenant_id: String,
    key_id: KeyId,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    code: String,
    calls: i64,
}

/// Everybody's calls, or one tenant's, from a moment until before another: all that is kept, if none is named.
pub async fn export(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Params(span): Params<Span>,
) -> Result<Json<List<Calls>>, OperatorError> {
    caller.permit::<ViewOrgs>(OrgId::NONE)?;
    let org = match &span.tenant_id {
        Some(tenant_id) => Some(operator.tenant(tenant_id).await?.id),
        None => None,
    };
    let now = operator.clock.now();
    let (wanted, limit) = wanted(&span, org, now).ok_or(OperatorError::Query(Span::SHAPE))?;
    let mut tx = database::begin(&operator.db, RlsScope::Operator).await?;
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

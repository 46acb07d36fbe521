//! What happened in the organization.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Management,
    body::{Listed, Page},
    door::Authorized,
    problem::{Problem, Refusals},
};
use crate::{
    audit::{self, Chain, Row},
    database::{self, RlsScope},
    orgs::permit::ViewAudit,
};

/// A row of the organization's hash chain.
#[derive(Serialize, ToSchema)]
pub struct AuditRow {
    /// From 1, without gaps.
    seq: i64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    #[schema(example = "member")]
    actor_kind: String,
    actor_id: Option<Uuid>,
    actor_name: String,
    #[schema(example = "key.issue")]
    action: String,
    /// What it happened to, such as `key:0192…`.
    subject: String,
    summary: String,
    #[schema(value_type = Object)]
    details: Value,
    refused: bool,
    address: String,
    agent: String,
    request_id: Uuid,
    /// In hexadecimal.
    hash: String,
}

impl From<Row> for AuditRow {
    fn from(row: Row) -> Self {
        Self {
            seq: row.seq,
            at: row.at,
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            actor_name: row.actor_name,
            action: row.action,
            subject: row.subject,
            summary: row.summary,
            details: serde_json::from_str(&row.details).unwrap_or(Value::Null),
            refused: row.refused,
            address: row.address,
            agent: row.agent,
            request_id: row.request_id,
            hash: hex::encode(&row.hash),
        }
    }
}

/// Read the audit log, newest first
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "Audit", operation_id = "listAudit", params(Page),
    responses((status = 200, description = "Part of the log.", body = Listed<AuditRow>), Refusals)
)]
pub async fn list(
    State(management): State<Arc<Management>>,
    Authorized { permit, .. }: Authorized<ViewAudit>,
    page: Page,
) -> Result<Json<Listed<AuditRow>>, Problem> {
    let before = page.after::<i64>()?;
    let mut tx = database::begin(&management.db, RlsScope::Org(permit.org())).await?;
    let rows = audit::store::page(&mut tx, Chain::Org(permit.org()), before, page.limit + 1).await?;
    tx.commit().await?;
    let rows = rows.into_iter().map(AuditRow::from).collect();
    Ok(Json(Listed::page(rows, page.limit, |row| row.seq.to_string())))
}

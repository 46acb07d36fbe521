//! What happened in the organization.

use axum::Json;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    body::{Listed, Page},
    door::Authorized,
    refusals::Refusals,
};
use crate::{
    audit::{self, Row},
    machine_http::Problem,
    permissions::permit::ViewAudit,
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
    Authorized { mut tx, permit }: Authorized<ViewAudit>,
    page: Page,
) -> Result<Json<Listed<AuditRow>>, Problem> {
    let before = page.after::<i64>()?;
    let rows = audit::store::page(&mut tx, permit.org().into(), before, page.limit + 1).await?;
    let rows = rows.into_iter().map(AuditRow::from).collect();
    Ok(Json(Listed::page(rows, page.limit, |row| row.seq.to_string())))
}

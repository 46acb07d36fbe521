//! What the audit page shows.

use time::OffsetDateTime;

use crate::{
    audit::{self, Row},
    console_plane::{
        audit_log::page::{AuditPageModel, AuditRow},
        authorize::Authorized,
        error::ConsoleError,
        moment::When,
    },
    database::{self, RlsScope},
    permissions::permit::ViewAudit,
};

const PER_PAGE: usize = 50;

/// The newest rows, or those before `before`.
pub async fn page(entry: &Authorized<ViewAudit>, before: Option<i64>) -> Result<AuditPageModel, ConsoleError> {
    let console = &entry.cx.console;
    let org = entry.permit.org();
    let now = console.clock.now();
    let mut tx = database::read(&console.db, RlsScope::Org(org)).await?;
    // One more than is shown, to know whether there are older ones.
    let mut rows = audit::store::page(&mut tx, org.into(), before, PER_PAGE as i64 + 1).await?;
    let more = rows.len() > PER_PAGE;
    rows.truncate(PER_PAGE);
    let older = rows.last().map(|row| row.seq).filter(|_| more);
    Ok(AuditPageModel {
        rows: rows.into_iter().map(|row| audit_row(row, now)).collect(),
        older,
        paged: before.is_some(),
    })
}

pub fn audit_row(row: Row, now: OffsetDateTime) -> AuditRow {
    AuditRow {
        seq: row.seq,
        when: When::at(row.at, now),
        actor: row.actor_name,
        actor_kind: row.actor_kind,
        action: row.action,
        summary: row.summary,
        address: row.address,
        refused: row.refused,
    }
}

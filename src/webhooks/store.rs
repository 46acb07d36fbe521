//! SQL for webhook secrets.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::{OrgId, UserId};

pub struct NewRow<'a> {
    pub id: Uuid,
    pub org: OrgId,
    pub environment: &'a str,
    pub ciphertext: Vec<u8>,
    pub sealed_by: &'a str,
    pub created_by: Option<UserId>,
    pub created_at: OffsetDateTime,
    pub idempotency_key: Uuid,
}

/// Adds a secret. `Ok(false)`: the environment has a live one, or the form made one before.
pub async fn insert(db: &mut PgConnection, row: &NewRow<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into webhook_secrets (id, org_id, environment, ciphertext, sealed_by, created_by, created_at, idempotency_key)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
        row.id,
        row.org.0,
        row.environment,
        row.ciphertext,
        row.sealed_by,
        row.created_by.map(|user| user.0),
        row.created_at,
        row.idempotency_key
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Retires the live secret of an environment and forgets its ciphertext. `Ok(false)`: there was none.
pub async fn retire(db: &mut PgConnection, org: OrgId, environment: &str, now: OffsetDateTime) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update webhook_secrets set retired_at = $3, ciphertext = null
         where org_id = $1 and environment = $2 and retired_at is null",
        org.0,
        environment,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// When, and by whom, an environment's live secret was made.
pub async fn current(
    db: &mut PgConnection,
    org: OrgId,
    environment: &str,
) -> sqlx::Result<Option<(OffsetDateTime, String)>> {
    let row = sqlx::query!(
        "select s.created_at, u.name from webhook_secrets s join users u on u.id = s.created_by
         where s.org_id = $1 and s.environment = $2 and s.retired_at is null",
        org.0,
        environment
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.created_at, row.name)))
}

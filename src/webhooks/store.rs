//! SQL for webhook secrets.

use crate::ids::{OrgId, UserId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::Inserted;

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

/// Adds a secret, unless the environment has an active one or the same request made one before.
pub async fn insert(db: &mut PgConnection, row: &NewRow<'_>) -> sqlx::Result<Inserted> {
    let done = sqlx::query!(
        "insert into webhook_secrets (id, org_id, environment, ciphertext, sealed_by, created_by, created_at, idempotency_key)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
        row.id,
        row.org as _,
        row.environment,
        row.ciphertext,
        row.sealed_by,
        row.created_by as _,
        row.created_at,
        row.idempotency_key
    )
    .execute(db)
    .await?;
    Ok(done.into())
}

/// Retires the live secret of an environment and forgets its ciphertext. `Ok(false)`: there was none.
pub async fn retire(db: &mut PgConnection, org: OrgId, environment: &str, now: OffsetDateTime) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update webhook_secrets set retired_at = $3, ciphertext = null
         where org_id = $1 and environment = $2 and retired_at is null",
        org as _,
        environment,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// An environment's active secret, as people see it.
pub struct ActiveSecret {
    pub created_at: OffsetDateTime,
    /// The creator's name.
    pub created_by: String,
}

pub async fn find_active(db: &mut PgConnection, org: OrgId, environment: &str) -> sqlx::Result<Option<ActiveSecret>> {
    sqlx::query_as!(
        ActiveSecret,
        "select s.created_at, u.name as created_by from webhook_secrets s join users u on u.id = s.created_by
         where s.org_id = $1 and s.environment = $2 and s.retired_at is null",
        org as _,
        environment
    )
    .fetch_optional(db)
    .await
}

//! SQL for requests that may be repeated.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    ids::{OrgId, UserId},
    secrets::Digest,
};

/// Takes a key for a request. `Ok(false)`: it is taken. Of two at once, one waits here for the end of the other.
pub async fn take(
    db: &mut PgConnection,
    org: OrgId,
    user: UserId,
    key: &str,
    digest: Digest,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into repeatable_requests (org_id, user_id, key, digest, created_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        org.0,
        user.0,
        key,
        digest.as_bytes(),
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What a key was taken for, and what that made.
pub async fn taken(
    db: &mut PgConnection,
    org: OrgId,
    user: UserId,
    key: &str,
) -> sqlx::Result<Option<(Vec<u8>, Option<serde_json::Value>)>> {
    let row = sqlx::query!(
        "select digest, answer from repeatable_requests where org_id = $1 and user_id = $2 and key = $3",
        org.0,
        user.0,
        key
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.digest, row.answer)))
}

pub async fn keep(
    db: &mut PgConnection,
    org: OrgId,
    user: UserId,
    key: &str,
    answer: &serde_json::Value,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update repeatable_requests set answer = $4 where org_id = $1 and user_id = $2 and key = $3",
        org.0,
        user.0,
        key,
        answer
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets what was made before a time. Needs the operator's reach.
pub async fn forget(db: &mut PgConnection, before: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!("delete from repeatable_requests where created_at < $1", before).execute(db).await?;
    Ok(())
}

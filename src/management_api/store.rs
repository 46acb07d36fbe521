//! SQL for requests that may be repeated.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    ids::{OrgId, UserId},
    secrets::Digest,
};

/// Whether an idempotency key is a request's first.
pub enum Taken {
    New,
    /// The key was taken for this request, which made this.
    Before {
        digest: Digest,
        answer: Option<serde_json::Value>,
    },
}

/// Takes an idempotency key for a request. Of two at once, one waits here for the end of the other.
pub async fn take(
    db: &mut PgConnection,
    org: OrgId,
    user: UserId,
    key: &str,
    digest: Digest,
    now: OffsetDateTime,
) -> sqlx::Result<Taken> {
    let done = sqlx::query!(
        "insert into repeatable_requests (org_id, user_id, key, digest, created_at) values ($1, $2, $3, $4, $5)
         on conflict on constraint repeatable_requests_pkey do nothing",
        org as _,
        user as _,
        key,
        digest as _,
        now
    )
    .execute(&mut *db)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(Taken::New);
    }
    let before = sqlx::query!(
        r#"select digest as "digest: Digest", answer from repeatable_requests where org_id = $1 and user_id = $2 and key = $3"#,
        org as _,
        user as _,
        key
    );
    let before = before.fetch_one(db).await?;
    Ok(Taken::Before { digest: before.digest, answer: before.answer })
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
        org as _,
        user as _,
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

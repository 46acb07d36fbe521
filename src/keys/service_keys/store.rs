//! SQL for service keys. What changes one is called from `lifecycle` alone.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    database::Inserted,
    revocation::{Revision, Snapshot},
    secrets::Digest,
};

/// A service key that is not revoked.
#[derive(Debug)]
pub struct ServiceKey {
    pub name: String,
    pub capabilities: Vec<String>,
}

/// The service key of a digest, and the token at `applied` in the same snapshot.
pub async fn find(db: &mut PgConnection, digest: Digest, applied: Revision) -> sqlx::Result<Snapshot<ServiceKey>> {
    let row = sqlx::query!(
        r#"select c.token as "token?", s.name as "name?", s.capabilities as "capabilities?"
           from (select (select token from key_changes where revision = $2 limit 1) as token) c
           left join service_keys s on s.digest = $1 and s.revoked_at is null"#,
        digest as _,
        applied as _
    )
    .fetch_one(db)
    .await?;
    let found = row.name.zip(row.capabilities).map(|(name, capabilities)| ServiceKey { name, capabilities });
    Ok(Snapshot { token: row.token, found })
}

pub async fn insert(
    db: &mut PgConnection,
    name: &str,
    digest: Digest,
    hint: &str,
    capabilities: &[String],
    now: OffsetDateTime,
) -> sqlx::Result<Inserted> {
    let done = sqlx::query!(
        "insert into service_keys (id, name, digest, hint, capabilities, created_at) values ($1, $2, $3, $4, $5, $6)
         on conflict on constraint service_keys_name_unique do nothing",
        crate::clock::id(now),
        name,
        digest as _,
        hint,
        capabilities,
        now
    )
    .execute(db)
    .await?;
    Ok(Inserted::from(done))
}

/// The name of the service key of a digest, unless it is revoked.
pub async fn find_name(db: &mut PgConnection, digest: Digest) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select name from service_keys where digest = $1 and revoked_at is null", digest as _)
        .fetch_optional(db)
        .await
}

/// `Ok(false)`: there is none of that name, or it is revoked already.
pub async fn set_revoked(db: &mut PgConnection, name: &str, now: OffsetDateTime) -> sqlx::Result<bool> {
    let done =
        sqlx::query!("update service_keys set revoked_at = $2 where name = $1 and revoked_at is null", name, now)
            .execute(db)
            .await?;
    Ok(done.rows_affected() == 1)
}

//! SQL for the key planes that are alive.

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::nodes::{GONE_AFTER, Node};

/// Says that a node is alive, and forgets those long gone.
pub async fn beat(keys: &PgPool, node: &Node, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into key_plane_nodes (id, limiter, started_at, seen_at) values ($1, $2, $3, $3)
         on conflict (id) do update set seen_at = excluded.seen_at",
        node.id,
        node.limiter,
        now
    )
    .execute(keys)
    .await?;
    let long_gone: OffsetDateTime = now - Duration::minutes(1);
    sqlx::query!("delete from key_plane_nodes where seen_at < $1", long_gone).execute(keys).await?;
    Ok(())
}

pub async fn leave(keys: &PgPool, node: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from key_plane_nodes where id = $1", node).execute(keys).await?;
    Ok(())
}

/// How many nodes are alive that count their calls in their own memory.
pub async fn alone(keys: &PgPool, now: OffsetDateTime) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "alive!" from key_plane_nodes where seen_at > $1 and limiter = 'memory'"#,
        now - GONE_AFTER
    )
    .fetch_one(keys)
    .await
}

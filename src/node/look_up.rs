//! Reads of what is not in memory, which prove how old they are.
//!
//! A pooled connection may lead to a server that lags, such as a stand-by that the database's address led to for a moment.
//! So the statement that reads a record also reads, in the same snapshot, the token of the revision that the node has
//! applied. Only a server that has come so far in the same history knows it.

use sqlx::PgPool;

use super::memory::Remembered;
use crate::{revocation::Mark, secrets::Digest};

/// What a look-up came to.
#[derive(Debug)]
pub enum LookUp<V> {
    /// The database knew at least what the node has applied.
    Current(Option<V>),
    /// It did not, or its history is another one.
    Outdated,
}

/// Reads on a pooled connection, which is kept only if its server has come as far as this node.
pub async fn look_up<V: Remembered>(pool: &PgPool, digest: Digest, applied: Mark) -> sqlx::Result<LookUp<V>> {
    let mut db = pool.acquire().await?;
    let read = V::find(&mut db, digest, applied.revision).await?;
    if read.token == Some(applied.token) {
        return Ok(LookUp::Current(read.found));
    }
    tracing::warn!(revision = applied.revision.0, "a connection led to a server that lags, or has another history");
    // Those that are idle were made at about the same time, so they are not asked first.
    drop(db.detach());
    while let Some(idle) = pool.try_acquire() {
        drop(idle.detach());
    }
    Ok(LookUp::Outdated)
}

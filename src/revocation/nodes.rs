//! Which key planes are alive: each says so every few seconds.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use super::store;
use crate::clock::Clock;

/// How often a node says that it is alive.
const EVERY: Duration = Duration::from_secs(3);
/// A node that said nothing for so long counts as gone.
pub const GONE_AFTER: time::Duration = time::Duration::seconds(10);

/// One running key plane.
pub struct Node {
    /// Fresh at every start.
    pub id: Uuid,
    /// What counts its calls: `memory` or `redis`.
    pub limiter: &'static str,
}

impl Node {
    pub fn new(limiter: &'static str) -> Self {
        Self { id: Uuid::new_v4(), limiter }
    }

    /// Says that it is alive, again and again. A database that is away is no news here: the verdicts say so.
    pub async fn run(&self, keys: &PgPool, clock: &Clock) {
        loop {
            if let Err(error) = store::beat(keys, self, clock.now()).await {
                tracing::debug!(%error, "this node could not say that it is alive");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Leaves.
    pub async fn leave(&self, keys: &PgPool) {
        if let Err(error) = store::leave(keys, self.id).await {
            tracing::debug!(%error, "this node could not say that it leaves");
        }
    }
}

//! What the console works with, the same for every request.

use std::{sync::Arc, time::Instant};

use sqlx::{PgPool, Postgres, Transaction};

use super::{answers::Change, assets::Site, error::ConsoleError};
use crate::{
    accounts::password::Hasher,
    catalog::Catalog,
    client::TrustedProxies,
    clock::Clock,
    config::Origin,
    revocation::{self, Revision},
    server_keys::ServerKeys,
};

pub struct Console {
    /// As `keydesk_console`.
    pub db: PgPool,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub server_keys: Arc<ServerKeys>,
    pub hasher: Hasher,
    pub origin: Origin,
    /// Where programs reach the key plane, for ready-made commands: `http://127.0.0.1:3001`.
    pub keys_url: String,
    pub proxies: Arc<TrustedProxies>,
    pub site: Site,
}

impl Console {
    /// Commits a change. Where it takes something away, only what holds everywhere is said to be done.
    pub async fn settle(
        &self,
        tx: Transaction<'static, Postgres>,
        narrows: bool,
        text: String,
        begun: Instant,
    ) -> Result<Change, ConsoleError> {
        let receipt = if narrows {
            let revision = revocation::commit(tx).await?;
            Some(self.receipt(revision, begun).await)
        } else {
            tx.commit().await?;
            None
        };
        Ok(Change { text, receipt })
    }

    /// Waits until a narrowing change holds everywhere, and says where and how soon. The change is made by now: where its
    /// receipt fails, that is said, and not that it failed.
    pub async fn receipt(&self, revision: Revision, begun: Instant) -> String {
        match revocation::wait(&self.db, revision, begun).await {
            Ok(receipt) => receipt.to_string(),
            Err(error) => {
                tracing::error!(%error, "a change could not be seen to hold everywhere");
                "It is recorded, but the server could not see whether every node knows yet. Do it once more to be sure."
                    .to_owned()
            }
        }
    }
}

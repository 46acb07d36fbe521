//! DOMAIN: when, from where and by what each key was last used. Noted in memory, written in batches.

pub mod store;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::{keys::model::KeyId, orgs::OrgId};

/// How long a use may wait to be written. The console shows it within five seconds; this leaves room.
const EVERY: Duration = Duration::from_secs(2);
/// Of a user agent, no more than this many characters are kept.
const AGENT_CHARS: usize = 200;

/// One use of a key.
#[derive(Clone, Debug)]
pub struct Use {
    pub key: KeyId,
    pub org: OrgId,
    pub at: OffsetDateTime,
    pub address: IpAddr,
    pub agent: String,
    /// The service that asked on the client's behalf.
    pub via: Option<String>,
}

/// The latest use of each key that is not written yet: bounded by the number of keys used in [`EVERY`].
#[derive(Default)]
pub struct Recorder {
    latest: Mutex<HashMap<KeyId, Use>>,
}

impl Recorder {
    pub fn note(&self, mut used: Use) {
        used.agent = used.agent.chars().filter(|c| !c.is_control()).take(AGENT_CHARS).collect();
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.get(&used.key).is_none_or(|known| known.at <= used.at) {
            latest.insert(used.key, used);
        }
    }

    /// Writes what was noted. On an error it stays noted, for the next time.
    pub async fn flush(&self, keys: &PgPool) -> sqlx::Result<()> {
        let batch: Vec<Use> =
            self.latest.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, used)| used).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let written = store::write(keys, &batch).await;
        if written.is_err() {
            batch.into_iter().for_each(|used| self.note(used));
        }
        written
    }

    /// Flushes again and again until told to stop, and then once more.
    pub async fn run(&self, keys: &PgPool, mut stop: watch::Receiver<bool>) {
        let mut stopping = false;
        while !stopping {
            stopping = tokio::time::timeout(EVERY, stop.wait_for(|stop| *stop)).await.is_ok();
            if let Err(error) = self.flush(keys).await {
                tracing::warn!(%error, "uses of keys could not be written; they are kept and tried again");
            }
        }
    }
}

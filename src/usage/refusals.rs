//! Refused requests by their id. They are kept for some days, so that the console and the key plane can explain why a
//! request was refused.

use crate::ids::{KeyId, OrgId};
use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::store;
use crate::keys::verdict::{Code, Requirements};

/// How long refusals are kept.
pub const RETENTION: time::Duration = time::Duration::days(7);
/// The number of newest refusals that staff and operators see.
pub const MAX_SHOWN: i64 = 20;
/// The most refusals that wait to be written. Further ones are dropped, and only counted.
const MAX_WAITING: usize = 10_000;

/// One refused request. It holds no secret.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub request_id: Uuid,
    pub at: OffsetDateTime,
    pub code: Code,
    /// `None`: no key matched.
    pub key: Option<(KeyId, OrgId)>,
    pub address: Option<IpAddr>,
    /// The family of the user agent.
    pub agent: Arc<str>,
    /// The request and its requirements, from [`requirements_json`].
    pub asked: Value,
    /// The outcome at each gate.
    pub gates: Value,
}

/// What was asked of a key, as a refusal keeps it: with which request (method, path without a query), and through which
/// service.
pub fn requirements_json(request: (&str, &str), requirements: &Requirements<'_>, via: Option<&str>) -> Value {
    json!({
        "request": { "method": request.0, "path": request.1 }, "environment": requirements.environment,
        "namespace": requirements.namespace, "scopes": requirements.scopes, "via": via,
    })
}

/// Collects refusals in memory and writes them in batches.
#[derive(Default)]
pub struct RefusalRecorder {
    waiting: Mutex<Vec<Refusal>>,
    dropped: AtomicU64,
}

impl RefusalRecorder {
    pub fn record(&self, refusal: Refusal) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MAX_WAITING {
            waiting.push(refusal);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The number of refusals that wait to be written.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The number of refusals that were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes all that wait. On an error they are kept for the next flush.
    pub async fn flush(&self, keys_db: &PgPool) -> sqlx::Result<()> {
        let batch = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if batch.is_empty() {
            return Ok(());
        }
        let written = store::write_refusals(keys_db, &batch).await;
        if written.is_err() {
            batch.into_iter().for_each(|refusal| self.record(refusal));
        }
        written
    }
}

//! Why requests were refused, by request id: kept for some days, so that whoever asks "why?" can be told.

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
use crate::{
    keys::{
        model::KeyId,
        verdict::{Code, Requirements},
    },
    orgs::OrgId,
};

/// How long a refusal can be asked about.
pub const RETENTION: time::Duration = time::Duration::days(7);
/// So many of the newest are shown to staff and operators.
pub const SHOWN: i64 = 20;
/// More than this between two writes are not kept one by one; they are counted all the same.
const MAX_WAITING: usize = 10_000;

/// One refused request. Nothing in it is secret.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub request_id: Uuid,
    pub at: OffsetDateTime,
    pub code: Code,
    /// `None` where no key matched.
    pub key: Option<(KeyId, OrgId)>,
    pub address: Option<IpAddr>,
    /// Its family.
    pub agent: Arc<str>,
    /// What was asked of the key.
    pub asked: Value,
    /// What each gate said.
    pub gates: Value,
}

/// What was asked of a key, as a refusal keeps it: with which request (method, path without a query), and through which
/// service.
pub fn asked(request: (&str, &str), requirements: &Requirements<'_>, via: Option<&str>) -> Value {
    json!({
        "request": { "method": request.0, "path": request.1 }, "environment": requirements.environment,
        "namespace": requirements.namespace, "scopes": requirements.scopes, "via": via,
    })
}

/// Refusals that are not written yet.
#[derive(Default)]
pub struct Refusals {
    waiting: Mutex<Vec<Refusal>>,
    dropped: AtomicU64,
}

impl Refusals {
    pub fn note(&self, refusal: Refusal) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MAX_WAITING {
            waiting.push(refusal);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many were not kept so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes what waits. On an error it waits on.
    pub async fn flush(&self, keys: &PgPool) -> sqlx::Result<()> {
        let batch = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if batch.is_empty() {
            return Ok(());
        }
        let written = store::write_refusals(keys, &batch).await;
        if written.is_err() {
            batch.into_iter().for_each(|refusal| self.note(refusal));
        }
        written
    }
}

//! DOMAIN: when, from where and by what each key was used and refused. Rolled up in memory, written in batches.

mod agent;
pub mod callers;
pub mod refusals;
pub mod store;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::watch;

use agent::Agents;
pub use agent::{Agent, browser};
use refusals::Refusals;

use crate::{
    ids::{KeyId, OrgId},
    keys::verdict::Code,
};

/// How long a use may wait to be written. The console shows it within five seconds; this leaves room.
const EVERY: Duration = Duration::from_secs(2);
/// So many buckets are written at once. When more are waiting they are written more rarely, and count more calls each:
/// writing must not take from Postgres what it needs for leases and revokes.
const BATCH: usize = 5_000;
/// More buckets than this are not kept apart: what comes on top is counted under [`OTHER`].
const MAX_BUCKETS: usize = 200_000;
/// The agent family of what could not be told apart any more.
const OTHER: &str = "other";
/// How long rollups are kept.
pub const RETENTION: time::Duration = time::Duration::days(90);

/// One call with a key that exists: let in or refused.
#[derive(Clone, Debug)]
pub struct Use {
    pub key: KeyId,
    pub org: OrgId,
    pub at: OffsetDateTime,
    /// `None`: not known.
    pub address: Option<IpAddr>,
    pub agent: Agent,
    /// The service that asked on the client's behalf.
    pub via: Option<String>,
    pub code: Code,
}

/// What calls are counted under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket {
    pub key: KeyId,
    pub org: OrgId,
    /// The beginning of the minute.
    pub minute: OffsetDateTime,
    pub code: Code,
    pub address: IpAddr,
    /// The agent's family: `curl`, not `curl/8.5.0`.
    pub agent: Arc<str>,
    /// Empty where the key came itself.
    pub via: String,
}

/// The calls of a bucket.
#[derive(Debug, Default)]
pub struct Calls {
    pub count: i64,
    /// The latest of them that was let in.
    pub latest: Option<Use>,
}

impl Calls {
    fn add(&mut self, count: i64, latest: Option<Use>) {
        self.count += count;
        let at = |used: &Option<Use>| used.as_ref().map(|used| used.at);
        if at(&latest) >= at(&self.latest) {
            self.latest = latest;
        }
    }
}

/// What is not written yet.
#[derive(Default)]
pub struct Recorder {
    pub agents: Agents,
    noted: Mutex<HashMap<Bucket, Calls>>,
    lumped: AtomicU64,
}

impl Recorder {
    pub fn note(&self, used: Use) {
        self.note_calls(used, 1);
    }

    /// Calls that were alike, in the same minute.
    pub fn note_calls(&self, used: Use, count: i64) {
        let mut bucket = Bucket {
            key: used.key,
            org: used.org,
            minute: minute_of(used.at),
            code: used.code,
            address: used.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            agent: Arc::clone(&used.agent.family),
            via: used.via.clone().unwrap_or_default(),
        };
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= MAX_BUCKETS && !noted.contains_key(&bucket) {
            self.lumped.fetch_add(1, Ordering::Relaxed);
            bucket.address = Ipv4Addr::UNSPECIFIED.into();
            bucket.agent = OTHER.into();
            bucket.via = String::new();
        }
        noted.entry(bucket).or_default().add(count, (used.code == Code::Valid).then_some(used));
    }

    /// How many buckets wait to be written.
    pub fn waiting(&self) -> usize {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many calls had to be counted under `other` so far.
    pub fn lumped(&self) -> u64 {
        self.lumped.load(Ordering::Relaxed)
    }

    /// Writes a batch of what was noted. On an error it stays noted, for the next time.
    pub async fn flush(&self, keys: &PgPool) -> sqlx::Result<()> {
        let mut batch = self.take();
        if batch.is_empty() {
            return Ok(());
        }
        // In one order everywhere, so that two nodes do not wait for each other in a circle.
        batch.sort_by(|(one, _), (other, _)| one.cmp(other));
        let written = store::write(keys, &batch, &latest_of(&batch)).await;
        if written.is_err() {
            self.keep(batch);
        }
        written
    }

    fn take(&self) -> Vec<(Bucket, Calls)> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).extract_if(|_, _| true).take(BATCH).collect()
    }

    fn keep(&self, batch: Vec<(Bucket, Calls)>) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        for (bucket, calls) in batch {
            noted.entry(bucket).or_default().add(calls.count, calls.latest);
        }
    }

    /// Flushes again and again until told to stop, and then once more.
    pub async fn run(&self, refusals: &Refusals, keys: &PgPool, mut stop: watch::Receiver<bool>) {
        let mut stopping = false;
        while !stopping {
            stopping = tokio::time::timeout(EVERY, stop.wait_for(|stop| *stop)).await.is_ok();
            self.flush_once(refusals, keys).await;
        }
    }

    /// Writes all that waits, unless the database does not take it.
    pub async fn flush_all(&self, refusals: &Refusals, keys: &PgPool) {
        while self.flush_once(refusals, keys).await && self.waiting() > 0 {}
    }

    /// Writes a batch of uses, and refusals. `false`: the uses could not be written.
    async fn flush_once(&self, refusals: &Refusals, keys: &PgPool) -> bool {
        let uses = self.flush(keys).await;
        if let Err(error) = &uses {
            tracing::warn!(%error, "uses of keys could not be written; they are kept and tried again");
        }
        if let Err(error) = refusals.flush(keys).await {
            tracing::warn!(%error, "refusals could not be written; they are kept and tried again");
        }
        uses.is_ok()
    }
}

/// Of each key in a sorted batch, the latest call that was let in.
fn latest_of(batch: &[(Bucket, Calls)]) -> Vec<&Use> {
    let of_each_key = batch.chunk_by(|(one, _), (other, _)| one.key == other.key);
    of_each_key
        .filter_map(|calls| calls.iter().filter_map(|(_, c)| c.latest.as_ref()).max_by_key(|used| used.at))
        .collect()
}

fn minute_of(at: OffsetDateTime) -> OffsetDateTime {
    let into =
        time::Duration::seconds(i64::from(at.second())) + time::Duration::nanoseconds(i64::from(at.nanosecond()));
    at - into
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    fn call(n: u32) -> Use {
        Use {
            key: KeyId(Uuid::from_u128(1)),
            org: OrgId(Uuid::from_u128(2)),
            at: datetime!(2026-11-24 12:00:59 UTC),
            address: Some(Ipv4Addr::from(n).into()),
            agent: Agent::parse("curl/8.5.0"),
            via: None,
            code: Code::Valid,
        }
    }

    #[test]
    fn the_same_minute_address_agent_and_verdict_are_one_bucket() {
        let recorder = Recorder::default();
        recorder.note(call(1));
        recorder.note(Use { at: datetime!(2026-11-24 12:00 UTC), agent: Agent::parse("curl/8.6.0"), ..call(1) });
        assert_eq!(recorder.waiting(), 1);
        for other in [
            Use { at: datetime!(2026-11-24 12:01 UTC), ..call(1) },
            Use { address: None, ..call(1) },
            Use { agent: Agent::parse("axios/1"), ..call(1) },
            Use { via: Some("gateway".into()), ..call(1) },
            Use { code: Code::RateLimited, ..call(1) },
        ] {
            recorder.note(other);
        }
        assert_eq!(recorder.waiting(), 6);
    }

    #[test]
    fn memory_is_bounded_and_nothing_goes_uncounted() {
        let recorder = Recorder::default();
        for n in 0..250_000 {
            recorder.note(call(n));
        }
        assert_eq!(recorder.waiting(), MAX_BUCKETS + 1);
        assert_eq!(recorder.lumped(), 50_000);
        let noted = recorder.noted.lock().unwrap();
        assert_eq!(noted.values().map(|calls| calls.count).sum::<i64>(), 250_000);
    }

    #[test]
    fn a_batch_is_bounded_and_brings_the_latest_use_of_its_keys_along() {
        let recorder = Recorder::default();
        for n in 0..12_000_u32 {
            recorder.note(Use { key: KeyId(Uuid::from_u128(n.into())), ..call(1) });
        }
        for left in [7_000, 2_000, 0] {
            let batch = recorder.take();
            let latest = latest_of(&batch);
            assert_eq!((batch.len(), recorder.waiting()), (latest.len(), left));
            assert!(batch.iter().zip(&latest).all(|((bucket, _), used)| bucket.key == used.key));
        }
    }

    #[test]
    fn a_key_was_last_used_when_it_was_last_let_in_wherever_that_was() {
        let recorder = Recorder::default();
        let at = |second| datetime!(2026-11-24 12:00 UTC) + time::Duration::seconds(second);
        recorder.note(Use { at: at(30), ..call(1) });
        recorder.note(Use { at: at(50), ..call(2) });
        // Noted late, and refused: neither is the last use.
        recorder.note(Use { at: at(40), ..call(2) });
        recorder.note(Use { at: at(59), code: Code::RateLimited, ..call(3) });
        let written = |batch: &mut Vec<(Bucket, Calls)>| {
            batch.sort_by(|(one, _), (other, _)| one.cmp(other));
            latest_of(batch).iter().map(|used| (used.at, used.address)).collect::<Vec<_>>()
        };
        let mut batch = recorder.take();
        let last = (at(50), Some(Ipv4Addr::from(2).into()));
        assert_eq!(written(&mut batch), [last]);
        // It could not be written, and a call came in between.
        recorder.note(Use { at: at(55), ..call(1) });
        recorder.keep(batch);
        let mut batch = recorder.take();
        assert_eq!(written(&mut batch), [(at(55), Some(Ipv4Addr::from(1).into()))]);
        assert_eq!(batch.iter().map(|(_, calls)| calls.count).sum::<i64>(), 5);
    }
}

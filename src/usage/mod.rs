//! DOMAIN: the usage of keys: when, from which address and by which agent each was used or refused. Calls are counted
//! in memory and written in batches, so that a verdict waits for no write.

mod agent;
pub mod callers;
pub mod refusals;
pub mod store;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::watch;

use agent::AgentCache;
pub use agent::{Agent, browser};
use refusals::RefusalRecorder;

use crate::{
    ids::{KeyId, OrgId},
    keys::verdict::Code,
};

/// The pause between two writes. The console promises to show a use within five seconds.
const FLUSH_INTERVAL: Duration = Duration::from_secs(2);
/// The most buckets that one flush writes. Under a load that fills more, buckets wait longer and count more calls each,
/// because leases and revocations need Postgres more than usage does.
const MAX_BATCH_ROWS: usize = 5_000;
/// The most buckets in memory. Beyond it, calls are counted in buckets of [`OVERFLOW_AGENT`].
const MAX_BUCKETS: usize = 200_000;
/// The agent family of calls that were not counted by address and agent, because there were too many buckets.
const OVERFLOW_AGENT: &str = "other";
/// How long counted calls are kept.
pub const RETENTION: time::Duration = time::Duration::days(90);

/// One call with a key that exists, let in or refused.
#[derive(Clone, Debug)]
pub struct Use {
    pub key: KeyId,
    pub org: OrgId,
    pub at: OffsetDateTime,
    /// `None`: the address is not known.
    pub address: Option<IpAddr>,
    pub agent: Agent,
    /// The service that asked for the client. `None`: the client sent the key itself.
    pub via: Option<String>,
    pub code: Code,
}

/// The attributes by which calls are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsageBucket {
    pub key: KeyId,
    pub org: OrgId,
    /// The beginning of the minute.
    pub minute: OffsetDateTime,
    pub code: Code,
    /// `None`: not known, or too many to tell apart.
    pub address: Option<IpAddr>,
    /// The agent's family: `curl`, not `curl/8.5.0`.
    pub agent: Arc<str>,
    /// The service that asked; `None` where the client called with the key itself.
    pub via: Option<String>,
}

/// The calls of a bucket.
#[derive(Debug, Default)]
pub struct UsageCount {
    pub calls: i64,
    /// The latest call that was let in.
    pub latest: Option<Use>,
}

impl UsageCount {
    fn add(&mut self, calls: i64, latest: Option<Use>) {
        self.calls += calls;
        let at = |used: &Option<Use>| used.as_ref().map(|used| used.at);
        if at(&latest) >= at(&self.latest) {
            self.latest = latest;
        }
    }
}

/// Counts calls in memory and writes them in batches.
#[derive(Default)]
pub struct UsageRecorder {
    pub agents: AgentCache,
    waiting: Mutex<HashMap<UsageBucket, UsageCount>>,
    lumped: AtomicU64,
}

impl UsageRecorder {
    pub fn record(&self, used: Use) {
        self.record_calls(used, 1);
    }

    /// Records a number of calls that were alike and in the same minute.
    pub fn record_calls(&self, used: Use, calls: i64) {
        let mut bucket = UsageBucket {
            key: used.key,
            org: used.org,
            minute: minute_of(used.at),
            code: used.code,
            address: used.address,
            agent: Arc::clone(&used.agent.family),
            via: used.via.clone(),
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_BUCKETS && !waiting.contains_key(&bucket) {
            self.lumped.fetch_add(1, Ordering::Relaxed);
            bucket.address = None;
            bucket.agent = OVERFLOW_AGENT.into();
            bucket.via = None;
        }
        waiting.entry(bucket).or_default().add(calls, (used.code == Code::Valid).then_some(used));
    }

    /// The number of buckets that wait to be written.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The number of records that were counted under [`OVERFLOW_AGENT`] since the start.
    pub fn lumped(&self) -> u64 {
        self.lumped.load(Ordering::Relaxed)
    }

    /// Writes one batch. On an error it is kept for the next flush.
    pub async fn flush(&self, keys_db: &PgPool) -> sqlx::Result<()> {
        let mut batch = self.take_batch();
        if batch.is_empty() {
            return Ok(());
        }
        // All nodes write rows in the same order, so that two cannot deadlock.
        batch.sort_by(|(one, _), (other, _)| one.cmp(other));
        let written = store::write(keys_db, &batch, &latest_uses(&batch)).await;
        if written.is_err() {
            self.put_back(batch);
        }
        written
    }

    fn take_batch(&self) -> Vec<(UsageBucket, UsageCount)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extract_if(|_, _| true).take(MAX_BATCH_ROWS).collect()
    }

    fn put_back(&self, batch: Vec<(UsageBucket, UsageCount)>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (bucket, count) in batch {
            waiting.entry(bucket).or_default().add(count.calls, count.latest);
        }
    }

    /// Flushes at every [`FLUSH_INTERVAL`] until `stop` is true, and then once more.
    pub async fn run(&self, refusals: &RefusalRecorder, keys_db: &PgPool, mut stop: watch::Receiver<bool>) {
        let mut stopping = false;
        while !stopping {
            stopping = tokio::time::timeout(FLUSH_INTERVAL, stop.wait_for(|stop| *stop)).await.is_ok();
            self.flush_once(refusals, keys_db).await;
        }
    }

    /// Writes all that waits. It gives up at the first batch that cannot be written.
    pub async fn flush_all(&self, refusals: &RefusalRecorder, keys_db: &PgPool) {
        while self.flush_once(refusals, keys_db).await && self.waiting() > 0 {}
    }

    /// Writes a batch of uses, and the refusals. `false`: the uses could not be written.
    async fn flush_once(&self, refusals: &RefusalRecorder, keys_db: &PgPool) -> bool {
        let uses = self.flush(keys_db).await;
        if let Err(error) = &uses {
            tracing::warn!(%error, "uses of keys could not be written; they are kept and tried again");
        }
        if let Err(error) = refusals.flush(keys_db).await {
            tracing::warn!(%error, "refusals could not be written; they are kept and tried again");
        }
        uses.is_ok()
    }
}

/// The latest call of each key that was let in. The batch must be sorted.
fn latest_uses(batch: &[(UsageBucket, UsageCount)]) -> Vec<&Use> {
    let by_key = batch.chunk_by(|(one, _), (other, _)| one.key == other.key);
    by_key
        .filter_map(|of_key| of_key.iter().filter_map(|(_, count)| count.latest.as_ref()).max_by_key(|used| used.at))
        .collect()
}

/// The beginning of a time's minute.
fn minute_of(at: OffsetDateTime) -> OffsetDateTime {
    let past = time::Duration::seconds(at.second().into()) + time::Duration::nanoseconds(at.nanosecond().into());
    at - past
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

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
        let recorder = UsageRecorder::default();
        recorder.record(call(1));
        recorder.record(Use { at: datetime!(2026-11-24 12:00 UTC), agent: Agent::parse("curl/8.6.0"), ..call(1) });
        assert_eq!(recorder.waiting(), 1);
        for other in [
            Use { at: datetime!(2026-11-24 12:01 UTC), ..call(1) },
            Use { address: None, ..call(1) },
            Use { agent: Agent::parse("axios/1"), ..call(1) },
            Use { via: Some("gateway".into()), ..call(1) },
            Use { code: Code::RateLimited, ..call(1) },
        ] {
            recorder.record(other);
        }
        assert_eq!(recorder.waiting(), 6);
    }

    #[test]
    fn memory_is_bounded_and_nothing_goes_uncounted() {
        let recorder = UsageRecorder::default();
        for n in 0..250_000 {
            recorder.record(call(n));
        }
        assert_eq!(recorder.waiting(), MAX_BUCKETS + 1);
        assert_eq!(recorder.lumped(), 50_000);
        let waiting = recorder.waiting.lock().unwrap();
        assert_eq!(waiting.values().map(|count| count.calls).sum::<i64>(), 250_000);
    }

    #[test]
    fn a_batch_is_bounded_and_brings_the_latest_use_of_its_keys_along() {
        let recorder = UsageRecorder::default();
        for n in 0..12_000_u32 {
            recorder.record(Use { key: KeyId(Uuid::from_u128(n.into())), ..call(1) });
        }
        for left in [7_000, 2_000, 0] {
            let batch = recorder.take_batch();
            let latest = latest_uses(&batch);
            assert_eq!((batch.len(), recorder.waiting()), (latest.len(), left));
            assert!(batch.iter().zip(&latest).all(|((bucket, _), used)| bucket.key == used.key));
        }
    }

    #[test]
    fn a_key_was_last_used_when_it_was_last_let_in_wherever_that_was() {
        let recorder = UsageRecorder::default();
        let at = |second| datetime!(2026-11-24 12:00 UTC) + time::Duration::seconds(second);
        recorder.record(Use { at: at(30), ..call(1) });
        recorder.record(Use { at: at(50), ..call(2) });
        // The first is recorded late and the second is refused, so neither is the last use.
        recorder.record(Use { at: at(40), ..call(2) });
        recorder.record(Use { at: at(59), code: Code::RateLimited, ..call(3) });
        let written = |batch: &mut Vec<(UsageBucket, UsageCount)>| {
            batch.sort_by(|(one, _), (other, _)| one.cmp(other));
            latest_uses(batch).iter().map(|used| (used.at, used.address)).collect::<Vec<_>>()
        };
        let mut batch = recorder.take_batch();
        let last = (at(50), Some(Ipv4Addr::from(2).into()));
        assert_eq!(written(&mut batch), [last]);
        // The batch could not be written, and a call came in between.
        recorder.record(Use { at: at(55), ..call(1) });
        recorder.put_back(batch);
        let mut batch = recorder.take_batch();
        assert_eq!(written(&mut batch), [(at(55), Some(Ipv4Addr::from(1).into()))]);
        assert_eq!(batch.iter().map(|(_, count)| count.calls).sum::<i64>(), 5);
    }
}

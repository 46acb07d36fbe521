//! What a node remembers of keys, and when it must not.
//!
//! Forgetting and remembering exclude each other: a record that was read from the database is put here only if nothing has
//! changed it since before the read. A cache's own "get or fill" does not give that.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::sync::Cache;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::sync::{Notify, OnceCell};
use uuid::Uuid;

use super::look_up::{LookUp, look_up};
use crate::{
    clock::Clock,
    keys::{
        service_keys::{self, store::ServiceKey},
        verdict::{self, KeyRecord},
    },
    revocation::{
        Change, ChangeBatch, HistoryBack, Mark, Revision, Snapshot,
        lease::{Incarnation, Lease, LeaseLength},
    },
    secrets::Digest,
};

/// How many keys are remembered at most. Those that are asked for least make room.
const MAX_KEYS: usize = 1 << 20;
/// How many digests are remembered at most that belong to no key.
const MAX_UNKNOWN_DIGESTS: usize = 10_000;
/// How long it is remembered that a digest belongs to no key.
const UNKNOWN_TTL: Duration = Duration::from_secs(2);
/// How many past changes are known one by one. A read that began before them has to be repeated.
const MAX_RECENT_CHANGES: usize = 4_096;
/// How long a call waits for a lease where there is none, for example when the node has just started.
const LEASE_WAIT: Duration = Duration::from_millis(500);
/// How long a call waits for what is read of a key.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a key is read again that changes while it is read.
const MAX_READ_ATTEMPTS: u32 = 16;
/// How many connections are tried that lead to a server that lags.
const MAX_OUTDATED_READS: u32 = 3;

/// Keydesk cannot know: there is no lease, or no database.
#[derive(Debug, thiserror::Error)]
#[error("this node may not answer from memory, and cannot ask the database")]
pub struct Unavailable;

/// How far a node is, and what it knows.
#[derive(Debug)]
pub struct Memory {
    pub lease: Lease,
    /// Notified when a lease begins.
    leased: Notify,
    state: Mutex<State>,
    keys: CacheSegment<KeyRecord>,
    services: CacheSegment<ServiceKey>,
    hits: AtomicU64,
    misses: AtomicU64,
    /// The database's clock less ours, in microseconds, as the last round saw it.
    offset: AtomicU64,
    newest: AtomicU64,
    nodes: AtomicU64,
    /// Whether `went_back` is set, so that calls ask for no lock while it is not.
    is_back: AtomicBool,
    went_back: RwLock<Option<Arc<WentBack>>>,
}

/// The database's history is not the one that this node knows, or an earlier state of it.
#[derive(Debug)]
pub struct WentBack {
    /// For people.
    pub reason: String,
    /// The digests of keys that were revoked, whatever the database says.
    pub revoked: HashSet<Digest>,
    /// What is answered for other keys.
    pub others: HistoryBack,
}

/// What changes only together with what is remembered, under one lock.
#[derive(Debug)]
struct State {
    /// `None`: not registered. Nothing is put here then.
    applied: Option<Mark>,
    recent: VecDeque<(Revision, Change)>,
    /// Changes up to here are not in `recent` any more.
    floor: Revision,
    /// Invalidation groups: the records of one organization or of one creator share a flag. Raising it forgets all of them
    /// at once.
    groups: HashMap<Uuid, Arc<AtomicBool>>,
}

/// Something remembered. Once one of its invalidation groups is invalidated, it is as good as forgotten.
#[derive(Debug)]
struct CacheEntry<V> {
    value: Arc<V>,
    invalidated: [Option<Arc<AtomicBool>>; 2],
}

impl<V> CacheEntry<V> {
    fn is_valid(&self) -> bool {
        !self.invalidated.iter().flatten().any(|flag| flag.load(Ordering::Acquire))
    }
}

/// A read of the database in progress, shared by all calls that want the same.
type SharedRead<V> = Arc<OnceCell<Option<Arc<V>>>>;

/// One kind of thing remembered.
#[derive(Debug)]
pub struct CacheSegment<V> {
    known: Cache<Digest, Arc<CacheEntry<V>>>,
    /// Digests that belong to no key, and until when (since boot) that is believed.
    unknown: Cache<Digest, Duration>,
    reading: Mutex<HashMap<Digest, SharedRead<V>>>,
}

impl<V> CacheSegment<V> {
    fn new(room: usize) -> Self {
        Self { known: Cache::new(room), unknown: Cache::new(MAX_UNKNOWN_DIGESTS.min(room)), reading: Mutex::default() }
    }

    fn peek(&self, digest: &Digest, lease: &Lease) -> Option<Option<Arc<V>>> {
        if let Some(entry) = self.known.get(digest) {
            return entry.is_valid().then(|| Some(Arc::clone(&entry.value)));
        }
        self.unknown.get(digest).filter(|until| lease.now() < *until).map(|_| None)
    }

    fn forget(&self, digest: &Digest) {
        self.known.remove(digest);
        self.unknown.remove(digest);
    }

    fn clear(&self) {
        self.known.clear();
        self.unknown.clear();
        locked(&self.reading).clear();
    }
}

/// What can be remembered.
pub trait Remembered: Sized + Send + Sync + 'static {
    /// The organization and the person whose change changes this too.
    fn invalidation_groups(&self) -> [Option<Uuid>; 2];
    fn change(digest: Digest) -> Change;
    fn segment(memory: &Memory) -> &CacheSegment<Self>;
    /// What it is when it is revoked. `None`: those that are revoked are not found.
    fn revoked(&self) -> Option<Self>;
    /// Reads it, and the token at `applied`, in one statement.
    fn find(
        db: &mut PgConnection,
        digest: Digest,
        applied: Revision,
    ) -> impl Future<Output = sqlx::Result<Snapshot<Self>>> + Send;
}

impl Remembered for KeyRecord {
    fn invalidation_groups(&self) -> [Option<Uuid>; 2] {
        [Some(self.org_id.0), self.created_by.map(|user| user.0)]
    }
    fn change(digest: Digest) -> Change {
        Change::Key(digest)
    }
    fn segment(memory: &Memory) -> &CacheSegment<Self> {
        &memory.keys
    }
    fn revoked(&self) -> Option<Self> {
        // When, nobody knows any more.
        let revoked_at = self.revoked_at.or(Some(OffsetDateTime::UNIX_EPOCH));
        Some(Self { revoked_at, ..self.clone() })
    }
    async fn find(db: &mut PgConnection, digest: Digest, applied: Revision) -> sqlx::Result<Snapshot<Self>> {
        verdict::store::find_by_digest(db, digest, applied).await
    }
}

impl Remembered for ServiceKey {
    fn invalidation_groups(&self) -> [Option<Uuid>; 2] {
        [None, None]
    }
    fn change(digest: Digest) -> Change {
        Change::ServiceKey(digest)
    }
    fn segment(memory: &Memory) -> &CacheSegment<Self> {
        &memory.services
    }
    fn revoked(&self) -> Option<Self> {
        None
    }
    async fn find(db: &mut PgConnection, digest: Digest, applied: Revision) -> sqlx::Result<Snapshot<Self>> {
        service_keys::store::find(db, digest, applied).await
    }
}

/// Taken before a read of the database, so that what was read is remembered only if nothing changed it meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct ReadToken {
    incarnation: Incarnation,
    /// How far the node is. The read has to prove that it saw as much.
    pub applied: Mark,
}

/// What was read may have changed since.
#[derive(Debug)]
pub struct Outdated;

/// The registration is over: its row is gone, or changes are missing from the log.
#[derive(Debug, thiserror::Error)]
#[error("this node's registration is over: {0}")]
pub struct Lost(pub &'static str);

impl Memory {
    pub fn new(clock: Clock, lease: LeaseLength) -> Self {
        Self {
            lease: Lease::new(clock, lease),
            leased: Notify::new(),
            state: Mutex::new(State {
                applied: None,
                recent: VecDeque::new(),
                floor: Revision(0),
                groups: HashMap::new(),
            }),
            keys: CacheSegment::new(MAX_KEYS),
            services: CacheSegment::new(MAX_UNKNOWN_DIGESTS),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            offset: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            nodes: AtomicU64::new(0),
            is_back: AtomicBool::new(false),
            went_back: RwLock::new(None),
        }
    }

    /// Ends the registration: first the lease, then everything that was remembered under it.
    pub fn end(&self) -> Incarnation {
        let mut state = locked(&self.state);
        let incarnation = self.lease.end();
        *state = State { applied: None, recent: VecDeque::new(), floor: Revision(0), groups: HashMap::new() };
        self.keys.clear();
        self.services.clear();
        incarnation
    }

    /// A registration begins, at the revision that its row says.
    pub fn begin(&self, at: Mark) -> Incarnation {
        let incarnation = self.end();
        let mut state = locked(&self.state);
        state.applied = Some(at);
        state.floor = at.revision;
        incarnation
    }

    /// How far this node is.
    pub fn applied(&self) -> Option<Mark> {
        locked(&self.state).applied
    }

    /// Forgets what has changed. An error means that the registration is over; then everything has to be forgotten.
    pub fn apply(&self, batch: &ChangeBatch) -> Result<Mark, Lost> {
        let mut state = locked(&self.state);
        let Some(applied) = state.applied else { return Err(Lost("it was ended")) };
        follows(applied, batch)?;
        for (revision, change) in &batch.changes {
            match change {
                Change::Key(digest) => self.keys.forget(digest),
                Change::ServiceKey(digest) => self.services.forget(digest),
                Change::Org(org) => state.invalidate(org.0),
                Change::Person(user) => state.invalidate(user.0),
            }
            if state.recent.len() == MAX_RECENT_CHANGES
                && let Some((old, _)) = state.recent.pop_front()
            {
                state.floor = old;
            }
            state.recent.push_back((*revision, *change));
        }
        state.applied = Some(batch.head);
        let micros = i64::try_from(batch.offset.as_micros()).unwrap_or(i64::MAX);
        self.offset.store(micros.unsigned_abs(), Ordering::Relaxed);
        self.newest.store(batch.head.revision.0.unsigned_abs(), Ordering::Relaxed);
        self.nodes.store(batch.nodes, Ordering::Relaxed);
        Ok(batch.head)
    }

    /// The round has been written down: answers may come from memory until a lease after it began.
    pub fn extend(&self, incarnation: Incarnation, begun: Duration) {
        self.lease.extend(incarnation, begun);
        self.leased.notify_waiters();
    }

    /// Take one before reading the database. `None`: there is no registration.
    pub fn read_token(&self) -> Option<ReadToken> {
        let state = locked(&self.state);
        Some(ReadToken { incarnation: self.lease.incarnation(), applied: state.applied? })
    }

    /// Remembers what was read, or that nothing was found.
    ///
    /// # Errors
    /// It may have changed since the token was taken, so it has to be read again.
    pub fn remember<V: Remembered>(
        &self,
        token: ReadToken,
        digest: Digest,
        read: Option<V>,
    ) -> Result<Option<Arc<V>>, Outdated> {
        let mut state = locked(&self.state);
        let groups = read.as_ref().map_or([None, None], V::invalidation_groups);
        if self.lease.incarnation() != token.incarnation
            || state.touched(token.applied.revision, V::change(digest), groups)
        {
            return Err(Outdated);
        }
        let segment = V::segment(self);
        let value = read.map(Arc::new);
        match &value {
            Some(value) => {
                let invalidated = groups.map(|group| group.map(|group| state.group(group)));
                segment.known.insert(digest, Arc::new(CacheEntry { value: Arc::clone(value), invalidated }));
            }
            None => segment.unknown.insert(digest, self.lease.now() + UNKNOWN_TTL),
        }
        // Calls from now on find it in the segment, where it can be forgotten.
        locked(&segment.reading).remove(&digest);
        Ok(value)
    }

    /// What a digest belongs to, from memory or from the database. After the database has gone back, what was revoked is so
    /// still, and of the rest nothing may be known.
    pub async fn find<V: Remembered>(&self, db: &PgPool, digest: Digest) -> Result<Option<Arc<V>>, Unavailable> {
        let found = self.get(digest, |applied| look_up(db, digest, applied)).await?;
        // After the look-up: it may have waited for the registration that noticed.
        match self.went_back() {
            None => Ok(found),
            Some(back) if back.revoked.contains(&digest) => Ok(found.and_then(|found| found.revoked()).map(Arc::new)),
            Some(back) if back.others == HistoryBack::Answer => Ok(found),
            Some(_) => Err(Unavailable),
        }
    }

    /// Whether, and how, the database's history is not the one that this node knows.
    pub fn went_back(&self) -> Option<Arc<WentBack>> {
        if !self.is_back.load(Ordering::Acquire) {
            return None;
        }
        self.went_back.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Call it while there is no lease, so that no answer is between the two histories.
    pub fn set_went_back(&self, back: Option<WentBack>) {
        let mut went_back = self.went_back.write().unwrap_or_else(PoisonError::into_inner);
        self.is_back.store(back.is_some(), Ordering::Release);
        *went_back = back.map(Arc::new);
    }

    /// What a digest belongs to, from memory or from one read that all calls at once share. The read is told how far the
    /// node is.
    pub async fn get<V, R>(&self, digest: Digest, read: impl Fn(Mark) -> R) -> Result<Option<Arc<V>>, Unavailable>
    where
        V: Remembered,
        R: Future<Output = sqlx::Result<LookUp<V>>>,
    {
        for _ in 0..MAX_READ_ATTEMPTS {
            let incarnation = self.leased().await?;
            let value = match V::segment(self).peek(&digest, &self.lease) {
                Some(value) => {
                    self.hits.fetch_add(1, Ordering::Relaxed);
                    value
                }
                None => {
                    self.misses.fetch_add(1, Ordering::Relaxed);
                    // What is seldom is boxed; otherwise the future of every call would have room for it.
                    Box::pin(self.read(digest, &read)).await?
                }
            };
            if self.lease.holds(incarnation) {
                return Ok(value);
            }
        }
        Err(Unavailable)
    }

    /// The incarnation that holds a lease; waits a moment for one.
    async fn leased(&self) -> Result<Incarnation, Unavailable> {
        let incarnation = self.lease.incarnation();
        if self.lease.holds(incarnation) {
            return Ok(incarnation);
        }
        let wait = async {
            loop {
                let notified = self.leased.notified();
                let incarnation = self.lease.incarnation();
                if self.lease.holds(incarnation) {
                    return incarnation;
                }
                notified.await;
            }
        };
        Box::pin(tokio::time::timeout(LEASE_WAIT, wait)).await.map_err(|_| Unavailable)
    }

    async fn read<V, R>(&self, digest: Digest, read: &impl Fn(Mark) -> R) -> Result<Option<Arc<V>>, Unavailable>
    where
        V: Remembered,
        R: Future<Output = sqlx::Result<LookUp<V>>>,
    {
        let segment = V::segment(self);
        let reading = Arc::clone(locked(&segment.reading).entry(digest).or_default());
        let in_flight = InFlightRead { segment, digest, reading };
        let read_until_unchanged = async {
            let mut outdated = 0;
            for _ in 0..MAX_READ_ATTEMPTS {
                let token = self.read_token().ok_or(Unavailable)?;
                let read = read(token.applied).await.map_err(|error| {
                    tracing::error!(%error, "a key could not be looked up");
                    Unavailable
                })?;
                match read {
                    LookUp::Current(found) => {
                        if let Ok(value) = self.remember(token, digest, found) {
                            return Ok(value);
                        }
                    }
                    LookUp::Outdated if outdated < MAX_OUTDATED_READS => outdated += 1,
                    LookUp::Outdated => break,
                }
            }
            Err(Unavailable)
        };
        tokio::time::timeout(READ_TIMEOUT, in_flight.reading.get_or_try_init(|| read_until_unchanged))
            .await
            .map_err(|_| Unavailable)?
            .cloned()
    }

    /// Frees the invalidation groups that have no records any more.
    pub fn tidy(&self) {
        locked(&self.state).groups.retain(|_, group| Arc::strong_count(group) > 1);
    }

    /// (keys remembered, answers from memory, answers that had to read)
    pub fn counts(&self) -> (usize, u64, u64) {
        (self.keys.known.len(), self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// How many digests are remembered that belong to no key.
    pub fn unknown(&self) -> usize {
        self.keys.unknown.len()
    }

    /// How far the database's clock is from ours.
    pub fn clock_offset(&self) -> Duration {
        Duration::from_micros(self.offset.load(Ordering::Relaxed))
    }

    /// How many nodes the last round saw, this one included.
    pub fn nodes(&self) -> u64 {
        self.nodes.load(Ordering::Relaxed)
    }

    /// The newest revision that was batch.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }
}

/// The changes must begin with the one that was applied last, as it was, and leave none out: otherwise this is another
/// history, or part of it is missing.
fn follows(applied: Mark, batch: &ChangeBatch) -> Result<(), Lost> {
    if batch.marks.first() != Some(&applied) {
        return Err(Lost("its last change is not in the log"));
    }
    let steady = batch.marks.windows(2).all(|pair| matches!(pair, [a, b] if b.revision.0 == a.revision.0 + 1));
    if !steady || batch.marks.last() != Some(&batch.head) {
        return Err(Lost("changes are missing from the log"));
    }
    Ok(())
}

impl State {
    fn group(&mut self, id: Uuid) -> Arc<AtomicBool> {
        Arc::clone(self.groups.entry(id).or_default())
    }

    fn invalidate(&mut self, id: Uuid) {
        if let Some(group) = self.groups.remove(&id) {
            group.store(true, Ordering::Release);
        }
    }

    /// Whether a change after `since` touched a digest, or an invalidation group of its record.
    fn touched(&self, since: Revision, itself: Change, groups: [Option<Uuid>; 2]) -> bool {
        since < self.floor
            || self.recent.iter().rev().take_while(|(revision, _)| *revision > since).any(|(_, change)| match change {
                Change::Org(org) => groups.contains(&Some(org.0)),
                Change::Person(user) => groups.contains(&Some(user.0)),
                change => *change == itself,
            })
    }
}

/// A call that waits for a read. The last one to leave clears up, so that a read that failed leaves nothing behind.
struct InFlightRead<'a, V> {
    segment: &'a CacheSegment<V>,
    digest: Digest,
    reading: SharedRead<V>,
}

impl<V> Drop for InFlightRead<'_, V> {
    fn drop(&mut self) {
        let mut reading = locked(&self.segment.reading);
        let last = |known: &SharedRead<V>| Arc::ptr_eq(known, &self.reading) && Arc::strong_count(known) == 2;
        if reading.get(&self.digest).is_some_and(last) {
            reading.remove(&self.digest);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What a node remembers of keys, and when it must not.
//!
//! Forgetting and remembering exclude each other: whoever has read a record from the database may put it here only if
//! nothing has changed it since before they read. A cache's own "get or fill" does not give that.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::sync::Cache;
use tokio::sync::{Notify, OnceCell};
use uuid::Uuid;

use super::{
    Change, LEASE, Mark, Revision,
    lease::{Incarnation, Lease},
};
use crate::{
    clock::Clock,
    keys::{service_keys::store::ServiceKey, verdict::Record},
    secrets::Digest,
};

/// So many keys are remembered; those asked for least make room.
const KNOWN: usize = 1 << 20;
/// Of digests that are nobody's, so many are remembered…
const UNKNOWN: usize = 10_000;
/// …for so long.
const UNKNOWN_FOR: Duration = Duration::from_secs(2);
/// Of past changes, so many are known one by one; whoever began to read before them reads again.
const RECENT: usize = 4_096;
/// Whoever asks while there is no lease (at the start, say) waits so long for one.
const WAIT_FOR_LEASE: Duration = Duration::from_millis(500);
/// A key that changes while it is read is read again, so often.
const ATTEMPTS: u32 = 16;

/// Keydesk cannot know: there is no lease, or no database.
#[derive(Debug, thiserror::Error)]
#[error("this node may not answer from memory, and cannot ask the database")]
pub struct Unavailable;

/// How far a node is, and what it knows.
#[derive(Debug)]
pub struct Memory {
    pub lease: Lease,
    /// Rung when a lease begins.
    leased: Notify,
    state: Mutex<State>,
    keys: Shelf<Record>,
    services: Shelf<ServiceKey>,
    hits: AtomicU64,
    misses: AtomicU64,
    /// The database's clock less ours, in microseconds, as the last round saw it.
    offset: AtomicU64,
    newest: AtomicU64,
    nodes: AtomicU64,
}

/// What is changed only together with what is remembered.
#[derive(Debug)]
struct State {
    /// `None`: not registered. Nothing is put here then.
    applied: Option<Mark>,
    recent: VecDeque<(Revision, Change)>,
    /// Changes up to here are not in `recent` any more.
    floor: Revision,
    /// What all records of one organization, or of one maker, are tied to: cut once, all are forgotten.
    ties: HashMap<Uuid, Arc<AtomicBool>>,
}

/// Something remembered. Once one of its ties is cut, it is as good as forgotten.
#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    cut: [Option<Arc<AtomicBool>>; 2],
}

impl<V> Entry<V> {
    fn stands(&self) -> bool {
        !self.cut.iter().flatten().any(|cut| cut.load(Ordering::Acquire))
    }
}

/// A read of the database in progress, shared by all who want the same.
type Reading<V> = Arc<OnceCell<Option<Arc<V>>>>;

/// One kind of thing remembered.
#[derive(Debug)]
pub struct Shelf<V> {
    known: Cache<Digest, Arc<Entry<V>>>,
    /// Digests that are nobody's, and until when (since boot) that is believed.
    unknown: Cache<Digest, Duration>,
    reading: Mutex<HashMap<Digest, Reading<V>>>,
}

impl<V> Shelf<V> {
    fn new(room: usize) -> Self {
        Self { known: Cache::new(room), unknown: Cache::new(UNKNOWN.min(room)), reading: Mutex::default() }
    }

    fn peek(&self, digest: &Digest, lease: &Lease) -> Option<Option<Arc<V>>> {
        if let Some(entry) = self.known.get(digest) {
            return entry.stands().then(|| Some(Arc::clone(&entry.value)));
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
    fn ties(&self) -> [Option<Uuid>; 2];
    fn change(digest: Digest) -> Change;
    fn shelf(memory: &Memory) -> &Shelf<Self>;
}

impl Remembered for Record {
    fn ties(&self) -> [Option<Uuid>; 2] {
        [Some(self.org_id.0), self.created_by.map(|user| user.0)]
    }
    fn change(digest: Digest) -> Change {
        Change::Key(digest)
    }
    fn shelf(memory: &Memory) -> &Shelf<Self> {
        &memory.keys
    }
}

impl Remembered for ServiceKey {
    fn ties(&self) -> [Option<Uuid>; 2] {
        [None, None]
    }
    fn change(digest: Digest) -> Change {
        Change::ServiceKey(digest)
    }
    fn shelf(memory: &Memory) -> &Shelf<Self> {
        &memory.services
    }
}

/// The moment before a read of the database.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    incarnation: Incarnation,
    applied: Revision,
}

/// The registration is over: its row is gone, or the changes do not follow upon each other.
#[derive(Debug, thiserror::Error)]
#[error("this node's registration is over: {0}")]
pub struct Lost(pub &'static str);

/// What a round read.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When the round began, before it read.
    pub begun: Duration,
    pub head: Mark,
    /// In order, beginning with the last one that was applied (as the table has it), without gaps.
    pub marks: Vec<Mark>,
    pub changes: Vec<(Revision, Change)>,
    pub offset: Duration,
    /// How many nodes there are.
    pub nodes: u64,
}

impl Memory {
    pub fn new(clock: Clock) -> Self {
        Self {
            lease: Lease::new(clock),
            leased: Notify::new(),
            state: Mutex::new(State {
                applied: None,
                recent: VecDeque::new(),
                floor: Revision(0),
                ties: HashMap::new(),
            }),
            keys: Shelf::new(KNOWN),
            services: Shelf::new(UNKNOWN),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            offset: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            nodes: AtomicU64::new(0),
        }
    }

    /// Ends the registration: the lease first, then everything that was remembered under it.
    pub fn end(&self) -> Incarnation {
        let mut state = locked(&self.state);
        let incarnation = self.lease.end();
        *state = State { applied: None, recent: VecDeque::new(), floor: Revision(0), ties: HashMap::new() };
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

    /// Forgets what has changed. An error means that the registration is over.
    pub fn apply(&self, seen: &Seen) -> Result<Mark, Lost> {
        let mut state = locked(&self.state);
        let Some(applied) = state.applied else { return Err(Lost("it was ended")) };
        follows(applied, seen)?;
        for (revision, change) in &seen.changes {
            match change {
                Change::Key(digest) => self.keys.forget(digest),
                Change::ServiceKey(digest) => self.services.forget(digest),
                Change::Org(org) => state.cut(org.0),
                Change::Person(user) => state.cut(user.0),
            }
            if state.recent.len() == RECENT
                && let Some((old, _)) = state.recent.pop_front()
            {
                state.floor = old;
            }
            state.recent.push_back((*revision, *change));
        }
        state.applied = Some(seen.head);
        let micros = i64::try_from(seen.offset.as_micros()).unwrap_or(i64::MAX);
        self.offset.store(micros.unsigned_abs(), Ordering::Relaxed);
        self.newest.store(seen.head.revision.0.unsigned_abs(), Ordering::Relaxed);
        self.nodes.store(seen.nodes, Ordering::Relaxed);
        Ok(seen.head)
    }

    /// The round has been written down: answers may come from memory until [`LEASE`] after it began.
    pub fn extend(&self, incarnation: Incarnation, begun: Duration) {
        self.lease.extend(incarnation, begun);
        self.leased.notify_waiters();
    }

    /// Remember this before reading the database. `None`: there is no registration.
    pub fn before(&self) -> Option<Before> {
        let state = locked(&self.state);
        Some(Before { incarnation: self.lease.incarnation(), applied: state.applied?.revision })
    }

    /// Puts what was read here, unless it may have changed since. `None`: it may have; read again.
    pub fn remember<V: Remembered>(&self, before: Before, digest: Digest, read: Option<V>) -> Option<Option<Arc<V>>> {
        let mut state = locked(&self.state);
        let ties = read.as_ref().map_or([None, None], V::ties);
        if self.lease.incarnation() != before.incarnation || state.touched(before.applied, V::change(digest), ties) {
            return None;
        }
        let shelf = V::shelf(self);
        let value = read.map(Arc::new);
        match &value {
            Some(value) => {
                let cut = ties.map(|tie| tie.map(|tie| state.tie(tie)));
                shelf.known.insert(digest, Arc::new(Entry { value: Arc::clone(value), cut }));
            }
            None => shelf.unknown.insert(digest, self.lease.now() + UNKNOWN_FOR),
        }
        // Whoever comes from now on finds it on the shelf, where it can be forgotten.
        locked(&shelf.reading).remove(&digest);
        Some(value)
    }

    /// What a digest is, from memory or from one read of the database that all who ask at once share.
    pub async fn get<V, R>(&self, digest: Digest, read: impl Fn() -> R) -> Result<Option<Arc<V>>, Unavailable>
    where
        V: Remembered,
        R: Future<Output = sqlx::Result<Option<V>>>,
    {
        for _ in 0..ATTEMPTS {
            let incarnation = self.leased().await?;
            let value = match V::shelf(self).peek(&digest, &self.lease) {
                Some(value) => {
                    self.hits.fetch_add(1, Ordering::Relaxed);
                    value
                }
                None => {
                    self.misses.fetch_add(1, Ordering::Relaxed);
                    // Boxed, as is all that is seldom: otherwise every call would carry room for it.
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
                let rung = self.leased.notified();
                let incarnation = self.lease.incarnation();
                if self.lease.holds(incarnation) {
                    return incarnation;
                }
                rung.await;
            }
        };
        Box::pin(tokio::time::timeout(WAIT_FOR_LEASE, wait)).await.map_err(|_| Unavailable)
    }

    async fn read<V, R>(&self, digest: Digest, read: &impl Fn() -> R) -> Result<Option<Arc<V>>, Unavailable>
    where
        V: Remembered,
        R: Future<Output = sqlx::Result<Option<V>>>,
    {
        let shelf = V::shelf(self);
        let reading = Arc::clone(locked(&shelf.reading).entry(digest).or_default());
        let joined = Joined { shelf, digest, reading };
        let until_it_stands = async {
            for _ in 0..ATTEMPTS {
                let before = self.before().ok_or(Unavailable)?;
                let found = read().await.map_err(|error| {
                    tracing::error!(%error, "a key could not be looked up");
                    Unavailable
                })?;
                if let Some(value) = self.remember(before, digest, found) {
                    return Ok(value);
                }
            }
            Err(Unavailable)
        };
        // The lease would be over by then.
        tokio::time::timeout(LEASE, joined.reading.get_or_try_init(|| until_it_stands))
            .await
            .map_err(|_| Unavailable)?
            .cloned()
    }

    /// Lets go of ties that hold nothing any more.
    pub fn tidy(&self) {
        locked(&self.state).ties.retain(|_, tie| Arc::strong_count(tie) > 1);
    }

    /// (keys remembered, answers from memory, answers that had to read)
    pub fn counts(&self) -> (usize, u64, u64) {
        (self.keys.known.len(), self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// How many digests are remembered to be nobody's.
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

    /// The newest revision that was seen.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }
}

/// The changes must begin with the one that was applied last, as it was, and leave none out: otherwise this is another
/// history, or part of it is missing.
fn follows(applied: Mark, seen: &Seen) -> Result<(), Lost> {
    if seen.marks.first() != Some(&applied) {
        return Err(Lost("its last change is not in the log"));
    }
    let steady = seen.marks.windows(2).all(|pair| matches!(pair, [a, b] if b.revision.0 == a.revision.0 + 1));
    if !steady || seen.marks.last() != Some(&seen.head) {
        return Err(Lost("changes are missing from the log"));
    }
    Ok(())
}

impl State {
    fn tie(&mut self, id: Uuid) -> Arc<AtomicBool> {
        Arc::clone(self.ties.entry(id).or_default())
    }

    fn cut(&mut self, id: Uuid) {
        if let Some(tie) = self.ties.remove(&id) {
            tie.store(true, Ordering::Release);
        }
    }

    /// Whether a change after `since` touched a digest, or what its record is tied to.
    fn touched(&self, since: Revision, itself: Change, ties: [Option<Uuid>; 2]) -> bool {
        since < self.floor
            || self.recent.iter().rev().take_while(|(revision, _)| *revision > since).any(|(_, change)| match change {
                Change::Org(org) => ties.contains(&Some(org.0)),
                Change::Person(user) => ties.contains(&Some(user.0)),
                change => *change == itself,
            })
    }
}

/// Somebody who waits for a read. The last to leave clears up, so that a read that failed leaves nothing behind.
struct Joined<'a, V> {
    shelf: &'a Shelf<V>,
    digest: Digest,
    reading: Reading<V>,
}

impl<V> Drop for Joined<'_, V> {
    fn drop(&mut self) {
        let mut reading = locked(&self.shelf.reading);
        let last = |known: &Reading<V>| Arc::ptr_eq(known, &self.reading) && Arc::strong_count(known) == 2;
        if reading.get(&self.digest).is_some_and(last) {
            reading.remove(&self.digest);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

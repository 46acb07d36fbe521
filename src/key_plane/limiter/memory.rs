//! Counts in this process, for one node.

use crate::ids::KeyId;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Subject,
    window::{Count, MICROS_PER_SECOND, SlidingWindow},
};
use crate::catalog::Limit;

/// One flooded key holds up only the keys that share its lock.
pub(super) const SHARDS: usize = 64;
/// Anybody can call from ever new addresses, so no more than 200,000 are told apart at a time.
pub(super) const MAX_ADDRESSES_PER_SHARD: usize = 200_000 / SHARDS;

/// Counts in this process. A subject takes about 150 bytes while it calls seldom and 1.2 kB at most.
pub struct MemoryCounters {
    pub(super) shards: Box<[Mutex<Shard>; SHARDS]>,
    hasher: RandomState,
}

impl Default for MemoryCounters {
    fn default() -> Self {
        Self { shards: Box::new(std::array::from_fn(|_| Mutex::default())), hasher: RandomState::new() }
    }
}

impl MemoryCounters {
    pub fn take(&self, subject: Subject, limit: Limit, now: i64) -> Count {
        let mut shard = self.shard(subject);
        let now = shard.not_before_pruning(now);
        shard.open(subject, now).take(limit, now)
    }

    pub fn peek(&self, subject: Subject, limit: Limit, now: i64) -> Count {
        let shard = self.shard(subject);
        shard.look(subject).take(limit, shard.not_before_pruning(now))
    }

    pub fn give_back(&self, subject: Subject, taken: Count) {
        let mut shard = self.shard(subject);
        shard.open(subject, taken.at).give_back(taken.at, taken.limit);
    }

    pub fn prune(&self, now: i64) {
        self.shards.iter().for_each(|shard| lock(shard).prune(now));
    }

    pub(super) fn shard(&self, subject: Subject) -> MutexGuard<'_, Shard> {
        let [first, ..] = &*self.shards;
        let number = self.hasher.hash_one(subject) % SHARDS as u64;
        lock(usize::try_from(number).ok().and_then(|number| self.shards.get(number)).unwrap_or(first))
    }
}

/// A poisoned lock is taken all the same, since nothing in here can panic half way through a change.
pub(super) fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
pub(super) struct Shard {
    pub keys: HashMap<KeyId, SlidingWindow>,
    pub addresses: HashMap<IpAddr, SlidingWindow>,
    /// What the addresses spent together for which there is no room.
    others: SlidingWindow,
    pruned: Option<i64>,
}

impl Shard {
    /// No time before the last pruning: what was forgotten then would count again.
    fn not_before_pruning(&self, now: i64) -> i64 {
        self.pruned.map_or(now, |pruned| pruned.max(now))
    }

    fn open(&mut self, subject: Subject, now: i64) -> &mut SlidingWindow {
        match subject {
            Subject::Key(key) => self.keys.entry(key).or_default(),
            Subject::Address(address) => self.open_address(address, now),
        }
    }

    fn open_address(&mut self, address: IpAddr, now: i64) -> &mut SlidingWindow {
        if self.addresses.len() >= MAX_ADDRESSES_PER_SHARD && !self.addresses.contains_key(&address) {
            // Not at every call: it looks at all of them.
            if self.pruned.is_none_or(|pruned| now - pruned >= MICROS_PER_SECOND) {
                self.prune(now);
            }
            if self.addresses.len() >= MAX_ADDRESSES_PER_SHARD {
                return &mut self.others;
            }
        }
        // Some of what the others spent may have been this address.
        self.addresses.entry(address).or_insert_with(|| self.others.clone())
    }

    /// What [`Self::open`] would give, as a copy.
    fn look(&self, subject: Subject) -> SlidingWindow {
        match subject {
            Subject::Key(key) => self.keys.get(&key).cloned().unwrap_or_default(),
            Subject::Address(address) => self.addresses.get(&address).unwrap_or(&self.others).clone(),
        }
    }

    fn prune(&mut self, now: i64) {
        let now = self.not_before_pruning(now);
        self.pruned = Some(now);
        self.keys.retain(|_, spent| now < spent.until);
        self.addresses.retain(|_, spent| now < spent.until);
        if self.others.until <= now {
            self.others = SlidingWindow::default();
        }
    }
}

//! The right to answer from memory: for a while, and only within one registration.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::Clock;

/// How long a node may answer from memory, counted from when a round began. A longer lease rides over a longer outage of the
/// database. The price is how long a change waits for a node that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseLength(Duration);

impl LeaseLength {
    pub const SHORTEST: Self = Self(Duration::from_secs(2));
    pub const LONGEST: Self = Self(Duration::from_secs(300));

    /// `None`: shorter or longer than a lease can be.
    pub fn new(length: Duration) -> Option<Self> {
        let length = Self(length);
        (Self::SHORTEST..=Self::LONGEST).contains(&length).then_some(length)
    }

    pub const fn get(self) -> Duration {
        self.0
    }

    /// As the node's row has it.
    pub fn millis(self) -> i32 {
        i32::try_from(self.0.as_millis()).unwrap_or(i32::MAX)
    }
}

impl Default for LeaseLength {
    fn default() -> Self {
        Self(Duration::from_secs(10))
    }
}

/// Which registration something belongs to. It is over when the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation(u64);

#[derive(Debug)]
pub struct Lease {
    clock: Clock,
    pub length: LeaseLength,
    /// On the clock that counts suspended time, in nanoseconds. Zero: none.
    until: AtomicU64,
    incarnation: AtomicU64,
}

impl Lease {
    pub fn new(clock: Clock, length: LeaseLength) -> Self {
        Self { clock, length, until: AtomicU64::new(0), incarnation: AtomicU64::new(0) }
    }

    pub fn incarnation(&self) -> Incarnation {
        Incarnation(self.incarnation.load(Ordering::Acquire))
    }

    /// When a round begins: take it before anything is read.
    pub fn now(&self) -> Duration {
        self.clock.since_boot()
    }

    /// Whether what was read within `incarnation` may be answered now. Ask at the moment of the decision, after all waiting.
    pub fn holds(&self, incarnation: Incarnation) -> bool {
        // The clock is read first: whoever is paused after this still decides by a moment after the question was asked.
        // The end is read before the incarnation, since a new registration changes the incarnation before it gets a new
        // end: a lease of the next one is never taken for this one's.
        nanos(self.now()) < self.until.load(Ordering::Acquire) && self.incarnation() == incarnation
    }

    /// How long it still lasts; zero if it is over.
    pub fn left(&self) -> Duration {
        Duration::from_nanos(self.until.load(Ordering::Acquire).saturating_sub(nanos(self.now())))
    }

    /// A round that began at `begun` has been written down.
    pub fn extend(&self, incarnation: Incarnation, begun: Duration) {
        if self.incarnation() == incarnation {
            self.until.store(nanos(begun.saturating_add(self.length.get())), Ordering::Release);
        }
    }

    /// Nothing of before may be answered any more. Returns the new incarnation, which has no lease yet.
    pub fn end(&self) -> Incarnation {
        self.until.store(0, Ordering::Release);
        Incarnation(self.incarnation.fetch_add(1, Ordering::AcqRel) + 1)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use time::{Duration as Span, macros::datetime};

    use super::*;

    #[test]
    fn a_lease_lasts_from_the_beginning_of_its_round_and_not_beyond_its_incarnation() {
        let clock = Clock::manual(datetime!(2026-11-25 12:00 UTC));
        let lease = Lease::new(clock.clone(), LeaseLength::SHORTEST);
        let first = lease.end();
        assert!(!lease.holds(first), "a registration alone is no lease");
        let begun = lease.now();
        clock.advance(Span::milliseconds(500));
        lease.extend(first, begun);
        assert!(lease.holds(first));
        assert_eq!(lease.left(), Duration::from_millis(1_500), "counted from before the round, not from its end");
        clock.advance(Span::milliseconds(1_499));
        assert!(lease.holds(first));
        clock.advance(Span::milliseconds(1));
        assert!(!lease.holds(first), "two seconds are over");

        lease.extend(first, lease.now());
        let second = lease.end();
        assert!(!lease.holds(first) && !lease.holds(second), "the end ends it at once");
        lease.extend(first, lease.now());
        assert!(!lease.holds(second), "a round of before gives nothing to the one after");
        lease.extend(second, lease.now());
        assert!(lease.holds(second) && !lease.holds(first), "what was read before is not answered under the new lease");
    }
}

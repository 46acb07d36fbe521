//! The arithmetic of a window that slides. Times are in microseconds.
//!
//! Calls are counted in sub-buckets of a sixtieth of the window. A sub-bucket counts in full until its last call is a
//! whole window old, so that no span of a window ever holds more calls than the limit, at the price of at most one
//! sub-bucket's delay. (GCRA would be smaller, but after a full burst it admits up to twice the limit in one window.)

use crate::catalog::Limit;

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
/// Sub-buckets in a window. One more can count at a time, since the window's ends cut two of them.
const SUB_BUCKETS: i64 = 60;

impl Limit {
    /// The window in microseconds.
    pub(super) fn window_micros(self) -> i64 {
        i64::try_from(self.window().as_micros()).unwrap_or(i64::MAX)
    }

    /// A sub-bucket in microseconds, rounded up so that 60 of them are no shorter than the window.
    pub(super) fn sub_bucket_micros(self) -> i64 {
        (self.window_micros() + SUB_BUCKETS - 1) / SUB_BUCKETS
    }
}

/// The answer to one call, the same from memory and from Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub limit: Limit,
    /// Whether the call fits. One that does not has spent nothing.
    pub taken: bool,
    /// How many calls count, with this one if it was taken.
    pub(super) used: u32,
    /// See [`Count::reset_seconds`].
    pub(super) wait: i64,
    /// When this call counts as made.
    pub(super) at: i64,
}

impl Count {
    /// Calls that would be admitted at once from now on.
    pub fn remaining(&self) -> u32 {
        self.limit.calls().saturating_sub(self.used)
    }

    /// Seconds until `remaining` grows if nothing else is called; of a refused call, until one is admitted (at least 1).
    pub fn reset_seconds(&self) -> u64 {
        u64::try_from((self.wait + MICROS_PER_SECOND - 1) / MICROS_PER_SECOND).unwrap_or(0)
    }
}

/// The calls of one sub-bucket.
#[derive(Clone, Copy)]
pub(super) struct SubBucket {
    calls: u32,
    last: i64,
}

/// What a subject spent: its sub-buckets that still count, oldest first.
#[derive(Clone, Default)]
pub(super) struct SlidingWindow {
    pub sub_buckets: Vec<SubBucket>,
    /// From then on none of it counts.
    pub until: i64,
}

impl SlidingWindow {
    pub fn take(&mut self, limit: Limit, asked: i64) -> Count {
        let (window, width) = (limit.window_micros(), limit.sub_bucket_micros());
        // When the clock was put back, time stands still until the clock has caught up.
        let now = self.sub_buckets.last().map_or(asked, |latest| latest.last.max(asked));
        let live = |bucket: &&SubBucket| now - bucket.last < window;
        let used = self.sub_buckets.iter().filter(live).fold(0u32, |sum, bucket| sum.saturating_add(bucket.calls));
        let taken = used < limit.calls();
        if taken {
            self.sub_buckets.retain(|bucket| live(&bucket));
            self.record(now, width);
            self.until = now + window;
        }
        let needed = if taken { 1 } else { used - limit.calls() + 1 };
        let wait = oldest(self.sub_buckets.iter().filter(live), needed).map_or(0, |last| last + window - asked);
        Count { limit, taken, used: used + u32::from(taken), wait, at: now }
    }

    fn record(&mut self, now: i64, width: i64) {
        match self.sub_buckets.last_mut() {
            Some(bucket) if bucket.last.div_euclid(width) == now.div_euclid(width) => {
                *bucket = SubBucket { calls: bucket.calls.saturating_add(1), last: now };
            }
            _ => self.sub_buckets.push(SubBucket { calls: 1, last: now }),
        }
    }

    /// Uncounts a call that was made at `at` under a limit. A sub-bucket of no calls stays: it knows how late it was,
    /// should the clock be put back.
    pub fn give_back(&mut self, at: i64, limit: Limit) {
        let number = |time: i64| time.div_euclid(limit.sub_bucket_micros());
        let taken_in = |bucket: &&mut SubBucket| bucket.calls > 0 && number(bucket.last) == number(at);
        if let Some(bucket) = self.sub_buckets.iter_mut().find(taken_in) {
            bucket.calls -= 1;
        }
    }
}

/// When the last call was in the sub-bucket with which the `needed` oldest calls are gone.
fn oldest<'a>(mut buckets: impl Iterator<Item = &'a SubBucket>, needed: u32) -> Option<i64> {
    let mut gone = 0u32;
    let bucket = buckets.find(|bucket| {
        gone = gone.saturating_add(bucket.calls);
        gone >= needed
    });
    bucket.map(|bucket| bucket.last)
}

//! The only module that reads the wall clock. Everywhere else, time is a parameter.

use std::sync::{Arc, Mutex, PoisonError};

use nix::time::{ClockId, clock_gettime};
use time::{Duration, OffsetDateTime, UtcOffset};
use uuid::{NoContext, Timestamp, Uuid};

/// The system's clock, or one that a test sets.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    Manual(Arc<Mutex<ManualTime>>),
}

#[derive(Debug)]
pub struct ManualTime {
    now: OffsetDateTime,
    since_boot: std::time::Duration,
}

/// How far apart two clocks may be where rows are deleted for their age.
const MAX_APART: Duration = Duration::MINUTE;
/// How long the clocks have to agree, without a jump, before anything is deleted for its age. A machine that has just
/// started may get the right time only after a while.
const STEADY_FOR: std::time::Duration = std::time::Duration::from_secs(600);

/// Whether a clock can be trusted with deleting what is old.
#[derive(Debug, Default)]
pub struct ClockWatch {
    /// The moment of the boot, by the clock that is watched.
    boot: Option<OffsetDateTime>,
    /// Since when it has been steady, counted from the boot.
    steady_since: std::time::Duration,
}

impl ClockWatch {
    /// `ours` and `theirs` are two clocks now: this machine's and the database's. False if they are apart, or if ours has
    /// jumped or was first looked at a moment ago.
    pub fn is_steady(&mut self, ours: OffsetDateTime, theirs: OffsetDateTime, since_boot: std::time::Duration) -> bool {
        let boot = ours - since_boot;
        let jumped = self.boot.is_none_or(|before| (boot - before).abs() > MAX_APART);
        if jumped || (theirs - ours).abs() > MAX_APART {
            self.steady_since = since_boot;
        }
        self.boot = Some(boot);
        since_boot.saturating_sub(self.steady_since) >= STEADY_FOR
    }
}

impl Clock {
    pub fn manual(start: OffsetDateTime) -> Self {
        let since_boot = (start - OffsetDateTime::UNIX_EPOCH).unsigned_abs();
        Self::Manual(Arc::new(Mutex::new(ManualTime { now: start, since_boot })))
    }

    /// The current time, as Postgres can store it.
    #[allow(clippy::disallowed_methods, reason = "here it is read")]
    pub fn now(&self) -> OffsetDateTime {
        let now = match self {
            Self::System => OffsetDateTime::now_utc(),
            Self::Manual(time) => time.lock().unwrap_or_else(PoisonError::into_inner).now,
        };
        storable(now)
    }

    /// The time since boot. It only goes forward, also while the machine is suspended, so leases are counted in it.
    pub fn since_boot(&self) -> std::time::Duration {
        match self {
            // The call fails only where the kernel lacks this clock. Then every lease must count as expired.
            Self::System => clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(std::time::Duration::MAX, Into::into),
            Self::Manual(time) => time.lock().unwrap_or_else(PoisonError::into_inner).since_boot,
        }
    }

    /// A moment on the clock that only goes forward. It says nothing of the date.
    pub fn steady(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + self.since_boot()
    }

    /// Moves a manual clock. The system's stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(time) = self {
            let mut time = time.lock().unwrap_or_else(PoisonError::into_inner);
            time.now += by;
            time.since_boot += by.unsigned_abs();
        }
    }

    /// Sets a manual clock to another date, as a correction of the time does. Leases do not see it.
    pub fn jump(&self, by: Duration) {
        if let Self::Manual(time) = self {
            time.lock().unwrap_or_else(PoisonError::into_inner).now += by;
        }
    }
}

/// The beginning of a time's minute.
pub fn minute_of(at: OffsetDateTime) -> OffsetDateTime {
    let past = Duration::seconds(at.second().into()) + Duration::nanoseconds(at.nanosecond().into());
    at - past
}

/// The same moment in UTC and in whole microseconds. Postgres stores no more, and the audit chain hashes times, so a
/// time must be the same when it is read back.
pub fn storable(at: OffsetDateTime) -> OffsetDateTime {
    let at = at.to_offset(UtcOffset::UTC);
    at - Duration::nanoseconds(i64::from(at.nanosecond() % 1_000))
}

/// A fresh UUID v7 of the moment `now`, so that ids sort by the time they were made.
pub fn id(now: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond()))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_clock_is_trusted_with_deleting_when_two_agree_and_it_has_not_jumped_for_a_while() {
        let (clock, mut watch) = (Clock::manual(datetime!(2026-11-25 12:00 UTC)), ClockWatch::default());
        let right = clock.clone();
        let mut look = |theirs: Duration| watch.is_steady(clock.now(), clock.now() + theirs, clock.since_boot());
        assert!(!look(Duration::ZERO), "it may be corrected in a moment");
        right.advance(Duration::seconds(599));
        assert!(!look(Duration::ZERO));
        right.advance(Duration::SECOND);
        assert!(look(Duration::seconds(60)));
        assert!(!look(Duration::seconds(61)) && !look(Duration::seconds(-61)), "apart from the database's");
        right.advance(Duration::seconds(600));
        assert!(look(Duration::ZERO));
        // Both are on one machine, and a hundred days ahead from now on.
        right.jump(Duration::days(100));
        assert!(!look(Duration::ZERO));
        right.advance(Duration::seconds(599));
        assert!(!look(Duration::ZERO));
        right.advance(Duration::SECOND);
        assert!(look(Duration::ZERO), "then it is taken for right");
    }
}

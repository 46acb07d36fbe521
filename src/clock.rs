//! The only module that reads the wall clock. Everywhere else, time is a parameter.

use std::sync::{Arc, Mutex, PoisonError};

use nix::time::{ClockId, clock_gettime};
use time::{Duration, OffsetDateTime, UtcOffset};
use uuid::{NoContext, Timestamp, Uuid};

/// The system's clock, or one that a test sets.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    Manual(Arc<Mutex<OffsetDateTime>>),
}

impl Clock {
    pub fn manual(start: OffsetDateTime) -> Self {
        Self::Manual(Arc::new(Mutex::new(start)))
    }

    /// The current time, as Postgres can store it.
    #[allow(clippy::disallowed_methods, reason = "here it is read")]
    pub fn now(&self) -> OffsetDateTime {
        let now = match self {
            Self::System => OffsetDateTime::now_utc(),
            Self::Manual(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
        };
        storable(now)
    }

    /// The time since boot. It only goes forward, also while the machine is suspended, so leases are counted in it.
    pub fn since_boot(&self) -> std::time::Duration {
        match self {
            // The call fails only where the kernel lacks this clock. Then every lease must count as expired.
            Self::System => clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(std::time::Duration::MAX, Into::into),
            Self::Manual(_) => (self.now() - OffsetDateTime::UNIX_EPOCH).unsigned_abs(),
        }
    }

    /// Moves a manual clock. The system's stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(time) = self {
            *time.lock().unwrap_or_else(PoisonError::into_inner) += by;
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

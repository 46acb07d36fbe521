//! The one place that reads the wall clock. Everywhere else, time is a parameter.

use std::sync::{Arc, Mutex, PoisonError};

use nix::time::{ClockId, clock_gettime};
use time::{Duration, OffsetDateTime, UtcOffset};
use uuid::{NoContext, Timestamp, Uuid};

/// Tells the time: the system's, or, in tests, whatever it was set to.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    Manual(Arc<Mutex<OffsetDateTime>>),
}

impl Clock {
    pub fn manual(start: OffsetDateTime) -> Self {
        Self::Manual(Arc::new(Mutex::new(start)))
    }

    /// Now, as it can be stored.
    #[allow(clippy::disallowed_methods, reason = "here it is read")]
    pub fn now(&self) -> OffsetDateTime {
        let now = match self {
            Self::System => OffsetDateTime::now_utc(),
            Self::Manual(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
        };
        storable(now)
    }

    /// Time that only goes forward, and goes on while the machine is suspended: what leases are counted in.
    pub fn since_boot(&self) -> std::time::Duration {
        match self {
            // The call fails for clocks that do not exist; for a lease, time without end is the safe side.
            Self::System => clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(std::time::Duration::MAX, Into::into),
            Self::Manual(_) => (self.now() - OffsetDateTime::UNIX_EPOCH).unsigned_abs(),
        }
    }

    /// Moves a manual clock; does nothing to the system's.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(time) = self {
            *time.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }
}

/// In UTC and in whole microseconds: Postgres keeps no more, and what is hashed must read back the same.
pub fn storable(at: OffsetDateTime) -> OffsetDateTime {
    let at = at.to_offset(UtcOffset::UTC);
    at - Duration::nanoseconds(i64::from(at.nanosecond() % 1_000))
}

/// A fresh UUID v7 of the moment `now`: ids sort by when they were made.
pub fn id(now: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond()))
}

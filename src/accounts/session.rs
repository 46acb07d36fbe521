//! How long a browser session lives: it is over after an hour of idleness or twelve hours in all.

use time::{Duration, OffsetDateTime};

pub const IDLE: Duration = Duration::hours(1);
pub const ABSOLUTE: Duration = Duration::hours(12);

/// Sessions must have been used since the first time and begun since the second to be alive.
pub fn bounds(now: OffsetDateTime) -> (OffsetDateTime, OffsetDateTime) {
    (now - IDLE, now - ABSOLUTE)
}

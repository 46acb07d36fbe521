//! Who has changed over from a key to its successor, and who has not. A caller is an address and an agent's family, seen by
//! the minute.

use std::net::IpAddr;

use time::{Duration, OffsetDateTime};

use crate::clock;

/// Who used the old key in so long before it was replaced is expected to come again.
pub const BEFORE: Duration = Duration::days(7);

/// One caller of a key and of its successor.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `None`: not known.
    pub address: Option<IpAddr>,
    pub agent: String,
    /// The minute of the last call with the old key.
    pub old: Option<OffsetDateTime>,
    /// The minute of the last call with the new one.
    pub new: Option<OffsetDateTime>,
}

/// How far a caller has come. Sorted by how much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Calls with the old key.
    Still,
    /// Called with the old key before it was replaced, and not at all since.
    Unseen,
    /// Calls with the new key.
    Moved,
}

impl Caller {
    /// Where a minute saw both keys, or the old one and its replacement, nobody knows which came first: then it is still
    /// on the old one, since cutting it off may hurt and waiting does not.
    pub fn progress(&self, rotated_at: OffsetDateTime) -> Progress {
        let minute = clock::minute_of(rotated_at);
        match (self.old, self.new) {
            (Some(old), new) if old >= minute && new.is_none_or(|new| new <= old) => Progress::Still,
            (_, Some(_)) => Progress::Moved,
            _ => Progress::Unseen,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn how_far_a_caller_has_come() {
        let rotated_at = datetime!(2026-11-24 12:00:30 UTC);
        let minute = |offset: i64| Some(datetime!(2026-11-24 12:00 UTC) + Duration::minutes(offset));
        for (old, new, progress) in [
            (minute(-1), None, Progress::Unseen),
            (minute(0), None, Progress::Still),
            (minute(5), None, Progress::Still),
            (minute(5), minute(5), Progress::Still),
            (minute(5), minute(4), Progress::Still),
            (minute(5), minute(6), Progress::Moved),
            (minute(-1), minute(0), Progress::Moved),
            (None, minute(3), Progress::Moved),
        ] {
            let caller = Caller { address: None, agent: String::new(), old, new };
            assert_eq!(caller.progress(rotated_at), progress, "{old:?} {new:?}");
        }
    }
}

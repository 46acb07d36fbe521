//! How a node is doing, as its row says. This is for people; no rule of the protocol depends on it.

use std::time::Duration;

use super::{Revision, store::NodeRow};

/// A node makes a round four times a second. One that has made none for longer than this is late.
const LATE_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Following,
    Late,
    /// Its lease is over, so it answers for no key until it has caught up.
    CutOff,
}

impl Health {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Following => "following",
            Self::Late => "late",
            Self::CutOff => "cut_off",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Following => "Following",
            Self::Late => "Late",
            Self::CutOff => "Cut off",
        }
    }

    fn of(quiet: Duration, lease: Duration) -> Self {
        if quiet > lease {
            Self::CutOff
        } else if quiet > LATE_AFTER {
            Self::Late
        } else {
            Self::Following
        }
    }
}

impl NodeRow {
    pub fn health(&self) -> Health {
        Health::of(self.quiet, self.lease)
    }

    /// How many revisions the node has not applied. It may have come further since the newest one was read.
    pub fn behind(&self, newest: Revision) -> u64 {
        u64::try_from(newest.0 - self.applied.0).unwrap_or_default()
    }

    /// `0.2 s ago`, `3 min ago`.
    pub fn renewed(&self) -> String {
        ago(self.quiet)
    }
}

fn ago(quiet: Duration) -> String {
    match quiet.as_secs() {
        0..60 => format!("{:.1} s ago", quiet.as_secs_f64()),
        seconds @ 60..3_600 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_does_not_move_is_late_and_then_cut_off() {
        let health = |millis| Health::of(Duration::from_millis(millis), Duration::from_secs(2));
        assert_eq!((health(0), health(1_000)), (Health::Following, Health::Following));
        assert_eq!((health(1_001), health(2_000)), (Health::Late, Health::Late));
        assert_eq!(health(2_001), Health::CutOff);
    }

    #[test]
    fn the_last_round_is_told_in_the_unit_that_fits() {
        for (millis, words) in
            [(180, "0.2 s ago"), (59_400, "59.4 s ago"), (60_000, "1 min ago"), (7_300_000, "2 h ago")]
        {
            assert_eq!(ago(Duration::from_millis(millis)), words);
        }
    }
}

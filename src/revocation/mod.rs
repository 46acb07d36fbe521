//! DOMAIN: since when, and where, a narrowing change holds.
//!
//! In this version the key plane reads a key's record from Postgres at every call, so a change holds everywhere from the
//! moment its transaction commits, and the receipt says just that.

pub mod nodes;
pub mod store;

use std::time::Duration;

/// Proof that a change holds, and how long it took from being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub took: Duration,
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Effective everywhere since it was committed, after {} ms.", self.took.as_millis())
    }
}

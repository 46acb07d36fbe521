//! Which of an organization's keys somebody wants to see, and in which order.

pub mod store;

use time::{Duration, OffsetDateTime};

use super::model::KeyState;
use crate::ids::UserId;

/// What a key has to be to be listed. `None`: anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Part of its name or hint; capitals and small letters are the same.
    pub text: Option<String>,
    pub environment: Option<String>,
    pub tier: Option<String>,
    pub status: Option<KeyState>,
    pub scope: Option<String>,
    pub creator: Option<Creator>,
    /// Not used for this many days, nor younger than that.
    pub unused_days: Option<u16>,
}

/// Who made a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creator {
    Person(UserId),
    /// On the command line.
    Operator,
}

impl Filter {
    fn unused_since(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.unused_days.map(|days| now - Duration::days(i64::from(days)))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    #[default]
    Created,
    Name,
    LastUsed,
    Expires,
}

/// Keys never used, and those that never expire, come last either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub by: Column,
    pub descending: bool,
}

impl Default for Order {
    /// Newest first.
    fn default() -> Self {
        Self { by: Column::Created, descending: true }
    }
}

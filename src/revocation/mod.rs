//! DOMAIN: revoked means revoked. Verdicts come from memory, and yet no node accepts a key after its revoke was
//! acknowledged. The protocol, in the order of a change's journey (and at length in `docs/revocation.md`):
//!
//! 1. Triggers give each transaction that changes an input of a verdict the next *revision* and log what changed
//!    (migration 0007). Revisions become visible in order.
//! 2. Each key plane is a [`crate::node`] with a row of its own. Several times a second, and at once when a change wakes it, it
//!    reads the changes, forgets what they touch, writes down how far it is, and may answer from [`crate::node::memory`] for the next
//!    [`lease`], counted from before it read. If it loses the database, what it remembers and the rest of its lease stay.
//! 3. A change that restricts access waits for its [`receipt`]: until every row has come so far, or until a node that has
//!    not can no longer hold a lease; then that row is deleted, and its node finds out before it answers again.

pub mod health;
pub mod lease;
pub mod receipt;
pub mod store;

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    ids::{OrgId, UserId},
    secrets::Digest,
};
pub use lease::LeaseLength;
pub use receipt::{Pending, Receipt};

/// The place of a change in the one order of all changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::Type, Serialize, ToSchema)]
#[sqlx(transparent)]
pub struct Revision(pub i64);

impl From<i64> for Revision {
    fn from(revision: i64) -> Self {
        Self(revision)
    }
}

/// A revision, and the token it was made under: two histories that count alike differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub revision: Revision,
    pub token: Uuid,
}

/// What a node answers for keys of which it knows nothing, while the database's history is not the one that it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryBack {
    /// What the database says now.
    Answer,
    /// That nobody can know whether the key is good.
    #[default]
    Refuse,
}

/// What a revision changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Key(Digest),
    ServiceKey(Digest),
    /// Everything of an organization.
    Org(OrgId),
    /// Everything that a person made.
    Person(UserId),
}

/// The changes that a round read.
#[derive(Clone, Debug)]
pub struct ChangeBatch {
    /// When the round began, before it read.
    pub begun: Duration,
    pub head: Mark,
    /// In order, beginning with the last one that was applied (as the table has it), without gaps.
    pub marks: Vec<Mark>,
    pub changes: Vec<(Revision, Change)>,
    /// The digests of those changed keys and service keys that are revoked now, for a node that keeps them.
    pub revoked: Vec<Digest>,
    pub offset: Duration,
    /// How many nodes there are.
    pub nodes: u64,
}

/// What one statement read.
#[derive(Debug)]
pub struct Snapshot<V> {
    /// The token at the revision that was asked about. `None`: this server does not have that revision.
    pub token: Option<Uuid>,
    pub found: Option<V>,
}

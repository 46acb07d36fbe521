//! A key as lists and pages show it.

use serde::{Deserialize, Serialize};

use crate::{console_plane::moment::When, keys::model::KeyState};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    pub id: String,
    pub name: String,
    pub hint: String,
    pub environment: String,
    pub tier: String,
    pub scopes: Vec<String>,
    pub created: When,
    pub created_by: String,
    pub last_used: Option<LastUse>,
    pub expires: Option<When>,
    pub status: KeyState,
    /// Nothing has used it, and nobody has said that it is stored.
    pub unconfirmed: bool,
    pub revoked: Option<Revoked>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    pub when: When,
    /// The client's address.
    pub address: String,
    /// The client's user agent; empty when it sent none.
    pub agent: String,
    /// The service that asked on the client's behalf, if one did.
    pub via: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    pub when: When,
    pub by: String,
    pub reason: String,
}

/// Which key a revoke dialog is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeTarget {
    pub id: String,
    pub name: String,
    pub hint: String,
    /// `last used 3 minutes ago`, `never used`: what the person should know before.
    pub use_note: String,
}

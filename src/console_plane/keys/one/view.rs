//! What a key's own page shows, as plain data.

use crate::console_plane::model::{AuditRow, Choice, KeyRow, Notice, Refill};

/// What the page's address asks to be open, or a form that has to be mended.
#[derive(Clone)]
pub enum Panel {
    Closed,
    Edit(Refill),
    Revoke,
    /// What was asked could not be done, and no form is open that could say why.
    Refused(Refill),
}

/// The edit form.
#[derive(Clone)]
pub struct EditModel {
    /// Those the tier allows; none to choose from, nothing asked.
    pub scopes: Vec<Choice>,
    /// The key as it is, or what was typed.
    pub refill: Refill,
    pub expiry: Vec<Choice>,
    /// What a key without namespaces may enter.
    pub namespaces_hint: &'static str,
    /// From where the page is looked at.
    pub address: String,
    pub open: bool,
}

#[derive(Clone)]
pub struct KeyPageModel {
    pub key: KeyRow,
    /// What the tier admits: `1,000 per 15 min`; empty for no limit.
    pub limit: String,
    /// Empty: all.
    pub namespaces: Vec<String>,
    /// Addresses and blocks; empty: from anywhere.
    pub addresses: Vec<String>,
    /// For how many days nothing has used it since it was made.
    pub unused_days: Option<i64>,
    /// `None`: the role may not, or there is nothing left to change.
    pub edit: Option<EditModel>,
    /// The role may, and it is not revoked.
    pub may_revoke: bool,
    pub revoke_open: bool,
    /// Newest first; what the audit log knows of this key. `None` for a role that may not read it.
    pub history: Option<Vec<AuditRow>>,
    pub notice: Option<Notice>,
    /// Why what was asked was not done.
    pub problem: Option<String>,
}

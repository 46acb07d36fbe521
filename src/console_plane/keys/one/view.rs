//! What a key's own page shows, as plain data.

use crate::{
    console_plane::model::{AuditRow, Choice, IssuedKey, KeyRow, Notice, Refill, When},
    usage::callers::Progress,
};

/// What the page's address asks to be open, or a form that has to be mended.
#[derive(Clone)]
pub enum Panel {
    Closed,
    Edit(Refill),
    Revoke,
    Rotate(Refill),
    Finish(Refill),
    /// The answer to a rotation that came without JavaScript.
    Issued(IssuedKey),
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

/// The rotate form.
#[derive(Clone)]
pub struct RotateModel {
    pub form_id: String,
    pub windows: Vec<Choice>,
    pub reasons: Vec<Choice>,
    pub refill: Refill,
    pub open: bool,
}

/// A key and its successor.
#[derive(Clone)]
pub struct RotationModel {
    pub old: KeyRow,
    pub new: KeyRow,
    /// Whether the old key still works, or could.
    pub lives: bool,
    pub ends: When,
    pub callers: Vec<CallerRow>,
    /// Whether who looks may end the old key, or give it time, and it lives.
    pub may_act: bool,
    pub may_extend: bool,
    /// What more time would be.
    pub extend_words: &'static str,
    pub finish_refill: Refill,
    pub finish_open: bool,
}

#[derive(Clone)]
pub struct CallerRow {
    pub progress: Progress,
    pub address: String,
    /// Empty when it sent none.
    pub agent: String,
    pub old: Option<When>,
    pub new: Option<When>,
}

impl CallerRow {
    /// `10.0.4.7 curl`
    pub fn name(&self) -> String {
        format!("{} {}", self.address, self.agent).trim_end().to_owned()
    }
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
    /// What the rotate form asks; `None`: the role may not, or the key cannot be replaced now.
    pub rotate: Option<RotateModel>,
    /// The rotation that the key is part of.
    pub rotation: Option<RotationModel>,
    /// SECRET: its successor, just made.
    pub issued: Option<IssuedKey>,
    /// When it ends, if it was replaced and has not ended.
    pub ends: Option<When>,
    /// The role may, and it is not revoked.
    pub may_revoke: bool,
    pub revoke_open: bool,
    /// Newest first; what the audit log knows of this key. `None` for a role that may not read it.
    pub history: Option<Vec<AuditRow>>,
    pub notice: Option<Notice>,
    /// Why what was asked was not done.
    pub problem: Option<String>,
}

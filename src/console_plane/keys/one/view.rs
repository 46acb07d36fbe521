//! What a key's own page shows, as plain data.

use crate::{
    console_plane::{
        audit_log::page::AuditRow,
        form::FormState,
        keys::{forms::IssuedKey, row::KeyRow},
        moment::When,
        ui::{Choice, Notice},
    },
    keys::callers::CallerProgress,
};

/// What the page's address asks to be open, or a form that has to be mended.
#[derive(Clone)]
pub enum Panel {
    Closed,
    Edit(FormState),
    Revoke,
    Rotate(FormState),
    Finish(FormState),
    /// A key was said to be stored, wrongly.
    Confirm(FormState),
    /// The answer to a rotation that came without JavaScript.
    Issued(IssuedKey),
    /// What was asked could not be done, and no form is open that could say why.
    Refused(FormState),
}

impl Panel {
    /// What a form in it was refused with.
    pub fn state(&self) -> Option<&FormState> {
        match self {
            Self::Edit(state)
            | Self::Rotate(state)
            | Self::Finish(state)
            | Self::Confirm(state)
            | Self::Refused(state) => Some(state),
            Self::Closed | Self::Revoke | Self::Issued(_) => None,
        }
    }
}

/// The edit form.
#[derive(Clone)]
pub struct EditModel {
    /// Those the tier allows; none to choose from, nothing asked.
    pub scopes: Vec<Choice>,
    /// The key as it is, or what was typed.
    pub refill: FormState,
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
    pub idempotency_key: String,
    pub windows: Vec<Choice>,
    pub reasons: Vec<Choice>,
    pub refill: FormState,
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
    pub finish_refill: FormState,
    pub finish_open: bool,
}

#[derive(Clone)]
pub struct CallerRow {
    pub progress: CallerProgress,
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

/// How far back its usage is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    #[default]
    Day,
    Week,
    Month,
}

impl Span {
    pub const ALL: [Span; 3] = [Self::Day, Self::Week, Self::Month];

    /// What an address calls it; anything else is a day.
    pub fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|span| span.as_str() == text).unwrap_or_default()
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// A page's address that says so.
    pub fn of(self, page: &str) -> String {
        if self == Self::default() { page.to_owned() } else { format!("{page}?usage={}", self.as_str()) }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Day => "24 hours",
            Self::Week => "7 days",
            Self::Month => "30 days",
        }
    }

    /// How many bars that is, how many seconds each has, and what that is called.
    pub fn bars(self) -> (u16, i64, &'static str) {
        match self {
            Self::Day => (24, 3_600, "an hour"),
            Self::Week => (28, 6 * 3_600, "six hours"),
            Self::Month => (30, 24 * 3_600, "a day"),
        }
    }
}

/// What the page's address says to look at.
#[derive(Clone, Default)]
pub struct Looks {
    pub span: Span,
    /// A refused request, by the id that somebody typed.
    pub request: Option<String>,
}

/// A key's calls in a span of time.
#[derive(Clone)]
pub struct UsageModel {
    pub span: Span,
    /// Oldest first; every stretch of the span, with a call or without.
    pub bars: Vec<Bar>,
    pub good: i64,
    pub refused: i64,
    pub callers: Vec<ShareRow>,
    /// How many more there are.
    pub more_callers: i64,
    /// `VALID`, and how often.
    pub codes: Vec<(String, i64)>,
}

#[derive(Clone)]
pub struct Bar {
    /// When it begins.
    pub when: When,
    pub good: i64,
    pub refused: i64,
}

#[derive(Clone)]
pub struct ShareRow {
    pub address: String,
    /// Empty when it sent none.
    pub agent: String,
    pub good: i64,
    pub refused: i64,
    pub last: When,
}

/// Why requests were refused.
#[derive(Clone)]
pub struct RefusedModel {
    /// The newest.
    pub rows: Vec<Refused>,
    /// The one asked for by its request's id.
    pub found: Option<Refused>,
    /// What was asked for, and why it is not shown.
    pub refill: FormState,
}

#[derive(Clone)]
pub struct Refused {
    pub request_id: String,
    pub when: When,
    /// `IP_NOT_ALLOWED`
    pub code: String,
    /// Another key's page, if it is about another key.
    pub other_key: Option<String>,
    /// Empty where it was not known.
    pub address: String,
    pub agent: String,
    /// What was asked of the key: `GET /v1/whoami`, `namespace staging`.
    pub asked: Vec<String>,
    pub gates: Vec<GateLine>,
    /// What to do.
    pub fix: String,
}

#[derive(Clone)]
pub struct GateLine {
    pub name: String,
    /// Why it refused; `None`: it let through.
    pub refused: Option<String>,
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
    /// Nothing has used it, and nobody has said that it is stored: the form that asks, for whoever may say so.
    pub unconfirmed: Option<FormState>,
    /// `None`: the role may not, or there is nothing left to change.
    pub edit: Option<EditModel>,
    /// What the rotate form asks; `None`: the role may not, or the key cannot be replaced now.
    pub rotate: Option<RotateModel>,
    /// The rotation that the key is part of.
    pub rotation: Option<RotationModel>,
    /// SECRET: its successor, just made.
    pub issued: Option<IssuedKey>,
    pub usage: UsageModel,
    pub refused: RefusedModel,
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

//! What the console's pages show, as plain data: made on the server, drawn by the pages, and the part that an island
//! needs travels in the page. Nothing here is secret except the two types that say so.

use serde::{Deserialize, Serialize};

use super::error::ConsoleError;
pub use crate::keys::model::KeyState;

/// A moment: exact for machines and tooltips, relative for reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// RFC 3339, UTC.
    pub iso: String,
    /// `24 Nov 2026, 13:20:05 UTC`.
    pub exact: String,
    /// `3 minutes ago`, `in 29 days`.
    pub relative: String,
}

/// Who looks at the page, for the banner and the navigation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub name: String,
    pub email: String,
    /// `None` for staff, who belong to no organization.
    pub org: Option<String>,
    /// `Owner`, `Admin`, `Developer`, `Viewer` or `Support`.
    pub role: &'static str,
    pub staff: bool,
    pub may_view_audit: bool,
}

/// What a form held when it was sent without JavaScript and could not be done: the page is drawn again with it.
/// Passwords are never in `values`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormState {
    pub values: Vec<(String, String)>,
    pub error: Option<ConsoleError>,
}

impl FormState {
    pub fn value(&self, field: &str) -> Option<String> {
        self.values.iter().find(|(name, _)| name == field).map(|(_, value)| value.clone())
    }

    /// Whether a checkbox `field=value` was ticked.
    pub fn ticked(&self, field: &str, value: &str) -> bool {
        self.values.iter().any(|(name, v)| (name == field || name.starts_with(&format!("{field}["))) && v == value)
    }

    pub fn field_error(&self, field: &str) -> Option<String> {
        self.error.as_ref().and_then(|error| error.for_field(field))
    }

    pub fn message(&self) -> Option<String> {
        self.error.as_ref().and_then(ConsoleError::message)
    }
}

/// A calm line above a page's content, after something was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    /// A second, smaller line, such as a receipt.
    pub detail: Option<String>,
}

impl From<Change> for Notice {
    fn from(change: Change) -> Self {
        Self { text: change.text, detail: change.receipt }
    }
}

// ---- keys ----

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub value: String,
    pub label: String,
    /// A word of explanation; empty when the label says it all.
    pub note: String,
}

/// What the create panel offers, from the catalog. Each list's first entry is its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateOptions {
    pub environments: Vec<Choice>,
    pub tiers: Vec<Choice>,
    pub scopes: Vec<Choice>,
    pub lifetimes: Vec<Choice>,
    /// Scopes ticked when the panel opens.
    pub default_scopes: Vec<String>,
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    pub when: When,
    pub by: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Which key a revoke dialog is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeTarget {
    pub id: String,
    pub name: String,
    pub hint: String,
    /// `last used 3 minutes ago`, `never used`: what the person should know before.
    pub use_note: String,
}

/// Which panel the page opens with (from the URL, so that it works without JavaScript too).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysPanel {
    Closed,
    Create(FormState),
    Revoke(RevokeTarget, FormState),
    RevokeAll(FormState),
    /// The answer to a create that came without JavaScript.
    Issued(IssuedKey),
}

/// What was changed, and, where the change takes something away, since when that holds where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `Changed “CI deploys”.`, `Revoked 12 keys.`
    pub text: String,
    /// `Effective on 3 of 3 nodes after 41 ms.`
    pub receipt: Option<String>,
}

/// SECRET. In exactly one response: the answer to the POST that made it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedKey {
    pub id: String,
    pub name: String,
    pub hint: String,
    pub environment: String,
    pub secret: String,
    /// A ready-made curl command that asks the key plane about the key.
    pub curl: String,
    /// A line for a `.env` file.
    pub env_line: String,
    /// Not secret: they read the key from the environment.
    pub snippets: Vec<Snippet>,
    /// What becomes of the key that it replaces, if it replaces one. Not secret.
    pub old_key: Option<String>,
}

impl IssuedKey {
    /// What a page draws before there is one.
    pub fn blank(snippets: Vec<Snippet>) -> Self {
        let empty = String::new;
        Self {
            id: empty(),
            name: empty(),
            hint: empty(),
            environment: empty(),
            secret: empty(),
            curl: empty(),
            env_line: empty(),
            snippets,
            old_key: None,
        }
    }
}

/// How a program calls the provider's API with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snippet {
    /// `curl`, `Python`, `TypeScript`, `Go`
    pub language: String,
    pub code: String,
}

/// SECRET, like [`IssuedKey`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedWebhookSecret {
    pub environment: String,
    pub secret: String,
    pub env_line: String,
}

/// SECRET, like [`IssuedKey`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedAccessToken {
    pub token: String,
    pub curl: String,
}

impl std::fmt::Debug for IssuedAccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedAccessToken").finish_non_exhaustive()
    }
}

// Neither prints what it holds.
impl std::fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedKey").field("id", &self.id).field("hint", &self.hint).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for IssuedWebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedWebhookSecret").field("environment", &self.environment).finish_non_exhaustive()
    }
}

// ---- webhooks ----

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookPanel {
    Closed,
    /// Regenerate was asked for: say what it does before it is done.
    ConfirmRegenerate(FormState),
    /// The secret, shown once.
    Issued(IssuedWebhookSecret),
    Refused(FormState),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhooksPageModel {
    pub environments: Vec<Choice>,
    /// The chosen environment's value.
    pub environment: String,
    /// When and by whom the current secret was made; `None` if there is none.
    pub current: Option<(When, String)>,
    pub may_manage: bool,
    pub idempotency_key: String,
    pub panel: WebhookPanel,
}

// ---- the rest ----

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub seq: i64,
    pub when: When,
    /// `Ada Lovelace`, `Sam (support)`, `Operator`.
    pub actor: String,
    /// `member`, `support`, `operator`, `anonymous`.
    pub actor_kind: String,
    /// `key.revoke`.
    pub action: String,
    /// `Revoked key “CI deploys” (kd_live_AbCd…WxYz)`.
    pub summary: String,
    pub address: String,
    /// Whether it was done, or refused.
    pub refused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPageModel {
    pub rows: Vec<AuditRow>,
    /// `?before=` of the next page, if there is one.
    pub older: Option<i64>,
    /// Whether this is not the first page.
    pub paged: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    pub id: String,
    pub name: String,
    pub email: String,
    /// As it is shown, and as forms send it.
    pub role: &'static str,
    pub role_word: &'static str,
    /// Their account is shut.
    pub disabled: bool,
    /// Whether who looks may change their role or remove them.
    pub manageable: bool,
    pub since: When,
    pub last_sign_in: Option<When>,
    pub you: bool,
}

#[derive(Clone, Debug)]
pub struct MembersPageModel {
    pub rows: Vec<MemberRow>,
    /// Whose panel is open.
    pub managed: Option<MemberRow>,
    /// The organization's.
    pub slug: String,
    pub may_make_owners: bool,
    /// Whether keys do no more than who made them may.
    pub bound: bool,
    pub refill: FormState,
    pub notice: Option<Notice>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: String,
    pub agent: String,
    pub address: String,
    pub started: When,
    pub last_seen: When,
    pub this_one: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsPageModel {
    pub sessions: Vec<SessionRow>,
    /// A token just minted, shown once.
    pub token: Option<IssuedAccessToken>,
    pub refill: FormState,
    pub notice: Option<Notice>,
}

/// A key as the support desk sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundKey {
    pub key: KeyRow,
    pub org: String,
    pub org_slug: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SupportPanel {
    Closed,
    Revoke(RevokeTarget, FormState),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportPageModel {
    /// What was searched for, as it may be shown again: a hint or a digest, never a pasted key.
    pub query: String,
    /// `None` before a search.
    pub found: Option<Vec<FoundKey>>,
    pub error: Option<String>,
    pub panel: SupportPanel,
    pub notice: Option<Notice>,
}

// ---- nodes ----

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLine {
    pub name: String,
    /// `Following`, `Late`, `Cut off`.
    pub state: &'static str,
    /// How urgent that is: `good`, `warn`, `bad`.
    pub tone: &'static str,
    pub applied: i64,
    pub behind: u64,
    /// `renewed 0.2 s ago`: the age of its lease.
    pub renewed: String,
    /// `memory` or `redis`.
    pub limiter: String,
    pub started: When,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalRow {
    pub when: When,
    /// `REVOKED`.
    pub code: String,
    /// Empty where it was not known.
    pub address: String,
    /// `curl`; empty when it sent none.
    pub agent: String,
    /// The organization's slug; `None` where no key matched.
    pub org: Option<String>,
    pub request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodesPageModel {
    pub newest_revision: i64,
    pub nodes: Vec<NodeLine>,
    /// Newest first.
    pub refusals: Vec<RefusalRow>,
}

//! DOMAIN: the audit log, append-only and hash-chained. A row is written in the transaction of what it tells of: no row,
//! no effect.

pub mod chain;
pub mod store;

use secrecy::SecretString;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{actor::Actor, clock, ids::OrgId};
pub use chain::Row;

/// The key of the chains' HMAC. Kept outside the database, so that whoever can write there cannot forge a chain.
#[derive(Clone)]
pub struct AuditKey(pub SecretString);

/// Which chain an event belongs to: an organization's, or the deployment's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    Org(OrgId),
    Deployment,
}

impl Chain {
    pub fn id(self) -> Uuid {
        match self {
            Self::Org(org) => org.0,
            Self::Deployment => Uuid::nil(),
        }
    }
}

/// What happened.
pub struct Event<'a> {
    /// `key.issue`
    pub action: &'static str,
    /// What it happened to, such as `key:0192…`; empty for the organization itself.
    pub subject: String,
    /// One line for people. Never a secret.
    pub summary: String,
    /// More, for machines. Never a secret.
    pub details: serde_json::Value,
    pub refused: bool,
    pub actor: &'a Actor,
    pub at: OffsetDateTime,
}

/// Adds an event to the end of a chain. The chain's head stays locked until the transaction ends, so rows come one after
/// the other; take this lock last.
pub async fn record(db: &mut PgConnection, key: &AuditKey, chain: Chain, event: Event<'_>) -> sqlx::Result<()> {
    let (seq, previous) = store::lock_head(db, chain).await?;
    let mut row = Row {
        chain: chain.id(),
        seq: seq + 1,
        at: clock::storable(event.at),
        actor_kind: event.actor.kind().to_owned(),
        actor_id: event.actor.user().map(|user| user.0),
        actor_name: event.actor.name(),
        action: event.action.to_owned(),
        subject: event.subject,
        summary: event.summary,
        details: event.details.to_string(),
        refused: event.refused,
        address: event.actor.address.clone(),
        agent: event.actor.agent.clone(),
        request_id: event.actor.request_id,
        hash: Vec::new(),
    };
    row.hash = row.seal(key, &previous);
    store::append(db, &row).await
}

//! DOMAIN: the audit log, append-only and hash-chained. A row is written in the transaction of what it tells of: no row,
//! no effect.

pub mod chain;
pub mod heads;
pub mod store;

use secrecy::SecretString;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{actor::Actor, clock, ids::Scope};
pub use chain::Row;

/// The key of the chains' HMAC. Kept outside the database, so that whoever can write there cannot forge a chain.
#[derive(Clone)]
pub struct AuditKey(pub SecretString);

/// What a scope's chain is called in the database: an organization's by its id, the deployment's own by the nil UUID.
pub fn chain_id(scope: Scope) -> Uuid {
    match scope {
        Scope::Org(org) => org.0,
        Scope::Deployment => Uuid::nil(),
    }
}

/// What happened.
pub struct Event {
    /// `key.issue`
    pub action: &'static str,
    /// What it happened to, such as `key:0192…`; empty for the organization itself.
    pub subject: String,
    /// One line for people. Never a secret.
    pub summary: String,
    /// More, for machines. Never a secret.
    pub details: serde_json::Value,
}

impl Event {
    /// A row that has no place in its chain yet.
    pub fn into_row(self, scope: Scope, actor: &Actor, at: OffsetDateTime, refused: bool) -> Row {
        Row {
            chain: chain_id(scope),
            seq: 0,
            at: clock::storable(at),
            actor_kind: actor.kind().to_owned(),
            actor_id: actor.user().map(|user| user.0),
            actor_name: actor.name(),
            action: self.action.to_owned(),
            subject: self.subject,
            summary: self.summary,
            details: self.details.to_string(),
            refused,
            address: actor.address.clone(),
            agent: actor.agent.clone(),
            request_id: actor.request_id,
            hash: Vec::new(),
        }
    }
}

/// Seals a row and adds it to the end of its chain. The chain's head stays locked until the transaction ends, so rows come
/// one after the other; take this lock last.
pub async fn append(db: &mut PgConnection, audit_key: &AuditKey, mut row: Row) -> sqlx::Result<()> {
    let (seq, previous) = store::lock_head(db, row.chain).await?;
    row.seq = seq + 1;
    row.hash = row.seal(audit_key, &previous);
    store::append(db, &row).await
}

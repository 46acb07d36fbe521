//! Whoever has stored a key says so.

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::subject;
use crate::{
    audit::{self, AuditKey, Chain, Event},
    ids::KeyId,
    keys::{error::KeyError, store},
    orgs::{Permit, permit::IssueKey},
};

/// How many of a key's last characters are asked for: those that its hint ends with.
pub const ENDING: usize = 4;

/// Notes that a key is stored, on the word of somebody who can say how it ends. Answers its name; said twice, it changes
/// nothing.
pub async fn confirm(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<IssueKey>,
    id: KeyId,
    ending: &str,
    now: OffsetDateTime,
) -> Result<String, KeyError> {
    let (name, hint, revoked) = store::lock(db, permit.org(), id).await?.ok_or(KeyError::NotFound)?;
    if revoked {
        return Err(KeyError::Revoked);
    }
    if ending.chars().count() != ENDING || !hint.ends_with(ending) {
        let message =
            "The key does not end like that. Look at it where you stored it, and type its last four characters.";
        return Err(KeyError::Fields(vec![("last_four", message.to_owned())]));
    }
    if store::set_confirmed(db, permit.org(), id, now).await? {
        let event = Event {
            action: "key.confirm",
            subject: subject(id),
            summary: format!("Confirmed that key “{name}” ({hint}) is stored"),
            details: json!({}),
            refused: false,
            actor: permit.actor(),
            at: now,
        };
        audit::record(db, audit_key, Chain::Org(permit.org()), event).await?;
    }
    Ok(name)
}

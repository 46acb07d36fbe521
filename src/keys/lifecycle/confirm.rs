//! Whoever has stored a key says so.

use serde_json::json;

use super::subject;
use crate::{
    audit::Event,
    ids::KeyId,
    keys::{error::KeyError, store},
    mutation::Mutation,
    permissions::{Permit, permit::IssueKey},
};

/// How many of a key's last characters are asked for: those that its hint ends with.
pub const ENDING: usize = 4;

/// Notes that a key is stored, on the word of somebody who can say how it ends. Answers its name; said twice, it changes
/// nothing.
pub async fn confirm(
    m: &mut Mutation,
    permit: &Permit<IssueKey>,
    id: KeyId,
    last_four: &str,
) -> Result<String, KeyError> {
    let key = store::lock(m, permit.org(), id).await?.ok_or(KeyError::NotFound)?;
    if key.revoked_at.is_some() {
        return Err(KeyError::Revoked);
    }
    if last_four.chars().count() != ENDING || !key.hint.ends_with(last_four) {
        let message =
            "The key does not end like that. Look at it where you stored it, and type its last four characters.";
        return Err(KeyError::Fields(vec![("last_four", message.to_owned())]));
    }
    let (name, now) = (key.fields.name, m.now());
    if store::set_confirmed(m, permit.org(), id, now).await? {
        m.record(Event {
            action: "key.confirm",
            subject: subject(id),
            summary: format!("Confirmed that key “{name}” ({}) is stored", key.hint),
            details: json!({}),
        })
        .await?;
    }
    Ok(name)
}

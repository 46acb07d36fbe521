//! A key is replaced without a gap: its successor is good at once, and the old key goes on for a while, so that whoever
//! holds it has time to change over.

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Changed, Issued, subject};
use crate::{
    audit::{self, AuditKey, Chain, Event},
    catalog::Catalog,
    clock,
    keys::{
        error::KeyError,
        model::{KeyId, Reason, Window},
        secret::NewSecret,
        store::{self, Held},
    },
    orgs::{Permit, permit::RotateKey},
};

/// How a key is to be replaced.
pub struct Rotation {
    /// How long the old key goes on; not at all where the reason is that somebody else has it.
    pub window: Window,
    pub reason: Reason,
    /// Makes a second submission answer [`KeyError::AlreadyIssued`].
    pub form_id: Option<Uuid>,
}

/// A key that has been replaced.
pub struct Rotated {
    /// The successor, with its secret.
    pub issued: Issued,
    /// When the old key ends.
    pub retire_at: OffsetDateTime,
    /// Whether the old key has ended already: then that is to hold everywhere before anybody is told.
    pub narrows: bool,
}

/// Replaces a key. The successor inherits everything: name, environment, tier, scopes, namespaces, addresses, expiry; but
/// who rotates is its creator, as they are the one who gets to see its secret, and the one to answer for it where the
/// catalog binds keys to who made them.
///
/// A key has one successor at most, and may not be rotated while the one it replaced itself still works: of a name there
/// are two good keys at a time, not a chain of them.
pub async fn rotate(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<RotateKey>,
    id: KeyId,
    rotation: &Rotation,
    catalog: &Catalog,
    now: OffsetDateTime,
) -> Result<Rotated, KeyError> {
    let org = permit.org();
    // Older rows first, as everybody locks them; held until the end, so that its time is not extended meanwhile.
    let predecessor = match store::predecessor(db, org, id).await? {
        Some(predecessor) => store::hold(db, org, predecessor).await?,
        None => None,
    };
    let held = store::hold(db, org, id).await?.ok_or(KeyError::NotFound)?;
    if let Some(form_id) = rotation.form_id
        && let Some((name, hint)) = store::by_form(db, org, form_id).await?
    {
        return Err(KeyError::AlreadyIssued { name, hint });
    }
    rotatable(&held, predecessor.as_ref(), now)?;
    if let Some(hint) = store::successor(db, org, id).await? {
        return Err(KeyError::HasSuccessor { hint });
    }
    let (Some(environment), Some(tier)) = (catalog.environment(&held.environment), catalog.tier(&held.tier)) else {
        return Err(KeyError::NotInCatalog);
    };
    let secret = NewSecret::generate(catalog.prefix(environment, tier))?;
    let successor = KeyId(clock::id(now));
    let inserted = store::insert(
        db,
        &store::NewRow {
            id: successor,
            org,
            environment: &held.environment,
            tier: &held.tier,
            name: &held.parts.name,
            digest: secret.digest,
            hint: &secret.hint,
            scopes: &held.parts.scopes,
            namespaces: &held.parts.namespaces,
            addresses: &held.parts.addresses,
            created_by: permit.actor().user(),
            created_at: now,
            expires_at: held.parts.expires_at,
            form_id: rotation.form_id,
            predecessor: Some(id),
        },
    )
    .await?;
    if !inserted {
        // The same form made another key at this very moment.
        let (name, hint) =
            store::by_form(db, org, rotation.form_id.unwrap_or_default()).await?.ok_or(KeyError::NotFound)?;
        return Err(KeyError::AlreadyIssued { name, hint });
    }
    let window = if rotation.reason == Reason::KeyCompromise { Window::Now } else { rotation.window };
    let retire_at = earlier(now + window.length(), held.parts.expires_at);
    let at_once = window == Window::Now;
    store::set_retire_at(db, org, id, retire_at, at_once, false).await?;
    let ends = if at_once {
        "the old key ended at once".to_owned()
    } else {
        format!("the old key goes on for {}", window.label())
    };
    let event = Event {
        action: "key.rotate",
        subject: subject(id),
        summary: format!("Rotated key “{}” ({}) to {}: {ends}", held.parts.name, held.hint, secret.hint),
        details: json!({
            "successor": successor, "retire_at": retire_at.unix_timestamp(), "window": window.as_str(),
            "reason": rotation.reason.as_str(),
        }),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(db, audit_key, Chain::Org(org), event).await?;
    Ok(Rotated { issued: Issued { id: successor, secret }, retire_at, narrows: at_once })
}

/// Ends an old key before its time.
pub async fn finish_rotation(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<RotateKey>,
    id: KeyId,
    now: OffsetDateTime,
) -> Result<Changed, KeyError> {
    let (held, retire_at) = replaced(db, permit, id).await?;
    // Also where the clock has ended it: that hangs on no clock any more.
    let changed = !held.retired;
    if changed {
        store::set_retire_at(db, permit.org(), id, retire_at.min(now), true, held.retire_extended).await?;
        let summary = format!("Ended the replaced key “{}” ({})", held.parts.name, held.hint);
        note(db, audit_key, permit, id, ("key.rotate_finish", summary), retire_at, retire_at.min(now), now).await?;
    }
    Ok(Changed { name: held.parts.name, changed, narrows: true })
}

/// Gives whoever holds an old key as much time again as the rotation gave them; once, and never beyond the key's own
/// expiry. Answers when it ends now.
pub async fn extend_rotation(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<RotateKey>,
    id: KeyId,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, KeyError> {
    let (held, retire_at) = replaced(db, permit, id).await?;
    if held.is_retired(now) {
        return Err(KeyError::Replaced);
    }
    if held.retire_extended {
        return Err(KeyError::Extended);
    }
    let rotated_at = store::rotated_at(db, permit.org(), id).await?.ok_or(KeyError::NotReplaced)?;
    let until = earlier(retire_at + (retire_at - rotated_at), held.parts.expires_at);
    if until <= retire_at {
        return Err(KeyError::EndsByItself);
    }
    store::set_retire_at(db, permit.org(), id, until, false, true).await?;
    let summary = format!("Gave the replaced key “{}” ({}) more time", held.parts.name, held.hint);
    note(db, audit_key, permit, id, ("key.rotate_extend", summary), retire_at, until, now).await?;
    Ok(until)
}

/// Whether a key may be replaced now.
fn rotatable(held: &Held, predecessor: Option<&Held>, now: OffsetDateTime) -> Result<(), KeyError> {
    if held.revoked_at.is_some() {
        Err(KeyError::Revoked)
    } else if held.is_retired(now) {
        Err(KeyError::Replaced)
    } else if held.is_expired(now) {
        Err(KeyError::Expired)
    } else if held.disabled_at.is_some() {
        Err(KeyError::Disabled)
    } else if predecessor.is_some_and(|old| old.revoked_at.is_none() && !old.is_retired(now) && !old.is_expired(now)) {
        Err(KeyError::PredecessorLives)
    } else {
        Ok(())
    }
}

/// Locks a key that has been replaced and not revoked, and answers when it ends.
async fn replaced(
    db: &mut PgConnection,
    permit: &Permit<RotateKey>,
    id: KeyId,
) -> Result<(Held, OffsetDateTime), KeyError> {
    let held = store::hold(db, permit.org(), id).await?.ok_or(KeyError::NotFound)?;
    if held.revoked_at.is_some() {
        return Err(KeyError::Revoked);
    }
    let retire_at = held.retire_at.ok_or(KeyError::NotReplaced)?;
    Ok((held, retire_at))
}

fn earlier(at: OffsetDateTime, expiry: Option<OffsetDateTime>) -> OffsetDateTime {
    expiry.map_or(at, |expiry| expiry.min(at))
}

#[allow(clippy::too_many_arguments, reason = "the two functions above are what others call")]
async fn note(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<RotateKey>,
    id: KeyId,
    (action, summary): (&'static str, String),
    before: OffsetDateTime,
    after: OffsetDateTime,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let event = Event {
        action,
        subject: subject(id),
        summary,
        details: json!({
            "before": { "retire_at": before.unix_timestamp() }, "after": { "retire_at": after.unix_timestamp() },
        }),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(db, audit_key, Chain::Org(permit.org()), event).await
}

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
    ids::KeyId,
    keys::{
        error::KeyError,
        model::{KeyState, OverlapWindow, Reason},
        secret::NewSecret,
        store::{self, InsertedKey, IssuedBefore, LockedKey},
    },
    orgs::{Permit, permit::RotateKey},
};

/// How a key is to be replaced.
pub struct Rotation {
    /// How long the old key goes on; not at all where the reason is that somebody else has it.
    pub window: OverlapWindow,
    pub reason: Reason,
    /// Makes a second submission answer [`KeyError::AlreadyIssued`].
    pub idempotency_key: Option<Uuid>,
}

/// A key that has been replaced.
pub struct Rotated {
    /// The successor, with its secret.
    pub issued: Issued,
    /// When the old key ends.
    pub overlap_ends_at: OffsetDateTime,
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
    // Older rows first, as everybody locks them; key until the end, so that its time is not extended meanwhile.
    let predecessor = match store::predecessor(db, org, id).await? {
        Some(predecessor) => store::hold(db, org, predecessor).await?,
        None => None,
    };
    let key = store::hold(db, org, id).await?.ok_or(KeyError::NotFound)?;
    if let Some(IssuedBefore { name, hint }) = store::find_by_idempotency_key(db, org, rotation.idempotency_key).await?
    {
        return Err(KeyError::AlreadyIssued { name, hint });
    }
    rotatable(&key, predecessor.as_ref(), now)?;
    if let Some(hint) = store::successor(db, org, id).await? {
        return Err(KeyError::HasSuccessor { hint });
    }
    let (Some(environment), Some(tier)) = (catalog.environment(&key.environment), catalog.tier(&key.tier)) else {
        return Err(KeyError::NotInCatalog);
    };
    let secret = NewSecret::generate(catalog.prefix(environment, tier))?;
    let successor = KeyId(clock::id(now));
    let inserted = store::insert(
        db,
        &store::NewRow {
            id: successor,
            org,
            environment: &key.environment,
            tier: &key.tier,
            name: &key.fields.name,
            digest: secret.digest,
            hint: &secret.hint,
            scopes: &key.fields.scopes,
            namespaces: &key.fields.namespaces,
            addresses: &key.fields.addresses,
            created_by: permit.actor().user(),
            created_at: now,
            expires_at: key.fields.expires_at,
            idempotency_key: rotation.idempotency_key,
            predecessor: Some(id),
        },
    )
    .await?;
    if let InsertedKey::Repeated(IssuedBefore { name, hint }) = inserted {
        // The same request made another key at this very moment.
        return Err(KeyError::AlreadyIssued { name, hint });
    }
    let window = if rotation.reason == Reason::KeyCompromise { OverlapWindow::Now } else { rotation.window };
    let overlap_ends_at = earlier(now + window.length(), key.fields.expires_at);
    let at_once = window == OverlapWindow::Now;
    store::set_overlap(db, org, id, overlap_ends_at, at_once, false).await?;
    let ends = if at_once {
        "the old key ended at once".to_owned()
    } else {
        format!("the old key goes on for {}", window.label())
    };
    let event = Event {
        action: "key.rotate",
        subject: subject(id),
        summary: format!("Rotated key “{}” ({}) to {}: {ends}", key.fields.name, key.hint, secret.hint),
        details: json!({
            "successor": successor, "overlap_ends_at": overlap_ends_at.unix_timestamp(), "window": window.as_str(),
            "reason": rotation.reason.as_str(),
        }),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(db, audit_key, Chain::Org(org), event).await?;
    Ok(Rotated { issued: Issued { id: successor, secret }, overlap_ends_at, narrows: at_once })
}

/// Ends an old key before its time.
pub async fn finish_rotation(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<RotateKey>,
    id: KeyId,
    now: OffsetDateTime,
) -> Result<Changed, KeyError> {
    let (key, overlap_ends_at) = replaced(db, permit, id).await?;
    // Also where the clock has ended it: that hangs on no clock any more.
    let changed = !key.overlap_ended;
    if changed {
        store::set_overlap(db, permit.org(), id, overlap_ends_at.min(now), true, key.overlap_extended).await?;
        let summary = format!("Ended the replaced key “{}” ({})", key.fields.name, key.hint);
        note(db, audit_key, permit, id, ("key.rotate_finish", summary), overlap_ends_at, overlap_ends_at.min(now), now)
            .await?;
    }
    Ok(Changed { name: key.fields.name, changed, narrows: true })
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
    let (key, overlap_ends_at) = replaced(db, permit, id).await?;
    if key.state(now) == KeyState::Rotated {
        return Err(KeyError::Replaced);
    }
    if key.overlap_extended {
        return Err(KeyError::Extended);
    }
    let rotated_at = store::rotated_at(db, permit.org(), id).await?.ok_or(KeyError::NotReplaced)?;
    let until = earlier(overlap_ends_at + (overlap_ends_at - rotated_at), key.fields.expires_at);
    if until <= overlap_ends_at {
        return Err(KeyError::EndsByItself);
    }
    store::set_overlap(db, permit.org(), id, until, false, true).await?;
    let summary = format!("Gave the replaced key “{}” ({}) more time", key.fields.name, key.hint);
    note(db, audit_key, permit, id, ("key.rotate_extend", summary), overlap_ends_at, until, now).await?;
    Ok(until)
}

/// Whether a key may be replaced now.
fn rotatable(key: &LockedKey, predecessor: Option<&LockedKey>, now: OffsetDateTime) -> Result<(), KeyError> {
    match key.state(now) {
        KeyState::Revoked => Err(KeyError::Revoked),
        KeyState::Rotated => Err(KeyError::Replaced),
        KeyState::Disabled => Err(KeyError::Disabled),
        KeyState::Expired => Err(KeyError::Expired),
        KeyState::Active if predecessor.is_some_and(|old| !old.state(now).is_over()) => Err(KeyError::PredecessorLives),
        KeyState::Active => Ok(()),
    }
}

/// Locks a key that has been replaced and not revoked, and answers when it ends.
async fn replaced(
    db: &mut PgConnection,
    permit: &Permit<RotateKey>,
    id: KeyId,
) -> Result<(LockedKey, OffsetDateTime), KeyError> {
    let key = store::hold(db, permit.org(), id).await?.ok_or(KeyError::NotFound)?;
    if key.revoked_at.is_some() {
        return Err(KeyError::Revoked);
    }
    let overlap_ends_at = key.overlap_ends_at.ok_or(KeyError::NotReplaced)?;
    Ok((key, overlap_ends_at))
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
            "before": { "overlap_ends_at": before.unix_timestamp() }, "after": { "overlap_ends_at": after.unix_timestamp() },
        }),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(db, audit_key, Chain::Org(permit.org()), event).await
}

//! A key is replaced without a gap: its successor is good at once, and the old key goes on for a while, so that whoever
//! holds it has time to change over.

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Changed, Issued, insert, subject};
use crate::{
    audit::Event,
    catalog::Catalog,
    clock,
    ids::KeyId,
    keys::{
        callers::{CallerProgress, LOOKBACK},
        error::KeyError,
        model::{KeyState, OverlapWindow, Reason},
        secret::NewSecret,
        store::{self, IssuedBefore, LockedKey},
    },
    mutation::Mutation,
    permissions::{Permit, permit::RotateKey},
};

/// How a key is to be replaced.
pub struct Rotation {
    /// How long the old key goes on; not at all where the reason is that somebody else has it.
    pub overlap: OverlapWindow,
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
    /// Whether the old key has ended already.
    pub ended: bool,
}

/// Replaces a key. The successor inherits everything: name, environment, tier, scopes, namespaces, addresses, expiry; but
/// who rotates is its creator, as they are the one who gets to see its secret, and the one to answer for it where the
/// catalog binds keys to who made them.
///
/// A key has one successor at most, and may not be rotated while the one it replaced itself still works: of a name there
/// are two good keys at a time, not a chain of them.
pub async fn rotate(
    m: &mut Mutation,
    permit: &Permit<RotateKey>,
    id: KeyId,
    rotation: &Rotation,
    catalog: &Catalog,
) -> Result<Rotated, KeyError> {
    let (org, now) = (permit.org(), m.now());
    // Older rows first, as everybody locks them; key until the end, so that its time is not extended meanwhile.
    let predecessor = match store::predecessor(m, org, id).await? {
        Some(predecessor) => store::lock(m, org, predecessor).await?,
        None => None,
    };
    let key = store::lock(m, org, id).await?.ok_or(KeyError::NotFound)?;
    if let Some(IssuedBefore { name, hint }) = store::find_by_idempotency_key(m, org, rotation.idempotency_key).await? {
        return Err(KeyError::AlreadyIssued { name, hint });
    }
    rotatable(&key, predecessor.as_ref(), now)?;
    if let Some(successor) = store::successor(m, org, id).await? {
        return Err(KeyError::HasSuccessor { hint: successor.hint });
    }
    let (Some(environment), Some(tier)) = (catalog.environment(&key.environment), catalog.tier(&key.tier)) else {
        return Err(KeyError::NotInCatalog);
    };
    let secret = NewSecret::generate(catalog.prefix(environment, tier))?;
    let successor = KeyId(clock::id(now));
    let row = store::NewKeyRow {
        id: successor,
        org,
        environment: &key.environment,
        tier: &key.tier,
        name: &key.fields.name,
        digest: secret.digest,
        hint: &secret.hint,
        scopes: &key.fields.scopes,
        namespaces: &key.fields.namespaces,
        ip_allowlist: &key.fields.ip_allowlist,
        created_by: m.actor().user(),
        created_at: now,
        expires_at: key.fields.expires_at,
        idempotency_key: rotation.idempotency_key,
        predecessor: Some(id),
    };
    insert(m, &row).await?;
    let overlap = if rotation.reason == Reason::KeyCompromise { OverlapWindow::Now } else { rotation.overlap };
    let overlap_ends_at = earlier(now + overlap.length(), key.fields.expires_at);
    let ended = overlap == OverlapWindow::Now;
    store::set_overlap(m, org, id, overlap_ends_at, ended, false).await?;
    let ends = if ended {
        m.restricts_access();
        "the old key ended at once".to_owned()
    } else {
        format!("the old key goes on for {}", overlap.label())
    };
    m.record(Event {
        action: "key.rotate",
        subject: subject(id),
        summary: format!("Rotated key “{}” ({}) to {}: {ends}", key.fields.name, key.hint, secret.hint),
        details: json!({
            "successor": successor, "overlap_ends_at": overlap_ends_at.unix_timestamp(), "window": overlap.as_str(),
            "reason": rotation.reason.as_str(),
        }),
    })
    .await?;
    Ok(Rotated { issued: Issued { id: successor, secret }, overlap_ends_at, ended })
}

/// Ends an old key before its time. Callers who are still on it are a reason not to, unless it is to be by force.
pub async fn finish_rotation(
    m: &mut Mutation,
    permit: &Permit<RotateKey>,
    id: KeyId,
    force: bool,
) -> Result<Changed, KeyError> {
    let (org, now) = (permit.org(), m.now());
    let (key, overlap_ends_at) = replaced(m, permit, id).await?;
    // Also where the clock has ended it: that hangs on no clock any more.
    let changed = !key.overlap_ended;
    if changed {
        if !force && let Some(successor) = store::successor(m, org, id).await? {
            let rotated_at = successor.created_at;
            let mut callers = store::callers(m, org, (id, successor.id), rotated_at - LOOKBACK).await?;
            callers.retain(|caller| caller.progress(rotated_at) == CallerProgress::OnOldKey);
            if !callers.is_empty() {
                return Err(KeyError::StillInUse { callers });
            }
        }
        let ends_at = overlap_ends_at.min(now);
        store::set_overlap(m, org, id, ends_at, true, key.overlap_extended).await?;
        m.record(Event {
            action: "key.rotate_finish",
            subject: subject(id),
            summary: format!("Ended the replaced key “{}” ({})", key.fields.name, key.hint),
            details: moved(overlap_ends_at, ends_at),
        })
        .await?;
    }
    m.restricts_access();
    Ok(Changed { name: key.fields.name, changed })
}

/// Gives whoever holds an old key as much time again as the rotation gave them; once, and never beyond the key's own
/// expiry. Answers when it ends now.
pub async fn extend_rotation(
    m: &mut Mutation,
    permit: &Permit<RotateKey>,
    id: KeyId,
) -> Result<OffsetDateTime, KeyError> {
    let (key, overlap_ends_at) = replaced(m, permit, id).await?;
    if key.state(m.now()) == KeyState::Rotated {
        return Err(KeyError::Replaced);
    }
    if key.overlap_extended {
        return Err(KeyError::Extended);
    }
    let rotated_at = store::successor(m, permit.org(), id).await?.ok_or(KeyError::NotReplaced)?.created_at;
    let until = earlier(overlap_ends_at + (overlap_ends_at - rotated_at), key.fields.expires_at);
    if until <= overlap_ends_at {
        return Err(KeyError::EndsByItself);
    }
    store::set_overlap(m, permit.org(), id, until, false, true).await?;
    m.record(Event {
        action: "key.rotate_extend",
        subject: subject(id),
        summary: format!("Gave the replaced key “{}” ({}) more time", key.fields.name, key.hint),
        details: moved(overlap_ends_at, until),
    })
    .await?;
    Ok(until)
}

/// What the audit log says of an end that was moved.
fn moved(before: OffsetDateTime, after: OffsetDateTime) -> serde_json::Value {
    json!({
        "before": { "overlap_ends_at": before.unix_timestamp() }, "after": { "overlap_ends_at": after.unix_timestamp() },
    })
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
    m: &mut Mutation,
    permit: &Permit<RotateKey>,
    id: KeyId,
) -> Result<(LockedKey, OffsetDateTime), KeyError> {
    let key = store::lock(m, permit.org(), id).await?.ok_or(KeyError::NotFound)?;
    if key.revoked_at.is_some() {
        return Err(KeyError::Revoked);
    }
    let overlap_ends_at = key.overlap_ends_at.ok_or(KeyError::NotReplaced)?;
    Ok((key, overlap_ends_at))
}

fn earlier(at: OffsetDateTime, expiry: Option<OffsetDateTime>) -> OffsetDateTime {
    expiry.map_or(at, |expiry| expiry.min(at))
}

//! What the server functions that replace a key do, and how far its callers have changed over.

use std::time::Instant;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{rotation::callers_words, view::CallerRow};
use crate::{
    console_plane::{
        answers::Change,
        authorize::Authorized,
        context::RequestContext,
        error::ConsoleError,
        keys::{
            act::{no_such_key, shown_once, stale_form},
            forms::{FinishRotationForm, IssuedKey, KeyForm, RotateKeyForm},
        },
        moment::When,
    },
    database::{self, RlsScope},
    ids::{KeyId, OrgId},
    keys::{
        error::KeyError,
        lifecycle::{self, Rotation},
        model::{OverlapWindow, Reason},
        store,
    },
    orgs::permit::RotateKey,
    revocation,
    usage::{
        self,
        callers::{CallerProgress, LOOKBACK},
    },
};

pub async fn rotate(form: RotateKeyForm) -> Result<IssuedKey, ConsoleError> {
    let RotateKeyForm { idempotency_key, key_id, window, reason, .. } = form;
    let begun = Instant::now();
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<RotateKey>().await?;
    let console = &cx.console;
    let id: KeyId = key_id.parse().map_err(|_| no_such_key())?;
    let rotation = Rotation {
        window: OverlapWindow::parse(&window).map_err(|message| ConsoleError::field("window", message))?,
        reason: Reason::parse(&reason).map_err(|message| ConsoleError::field("reason", message))?,
        idempotency_key: Some(idempotency_key.parse::<Uuid>().map_err(|_| stale_form())?),
    };
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let (audit_key, now) = (&console.server_keys.audit, console.clock.now());
    let rotated = lifecycle::rotate(&mut tx, audit_key, &permit, id, &rotation, &console.catalog, now).await?;
    let new = store::find(&mut tx, permit.org(), rotated.issued.id).await?.ok_or(KeyError::NotFound)?;
    let revision = revocation::commit(tx).await?;
    let old_key = if rotated.narrows {
        format!("The old key has ended. {}", console.receipt(revision, begun).await)
    } else {
        let until = When::at(rotated.overlap_ends_at, now);
        format!("The old key goes on until {}, {}. Change over until then.", until.exact, until.relative)
    };
    Ok(shown_once(console, &rotated.issued, &new.name, &new.environment, Some(old_key)))
}

pub async fn extend(form: KeyForm) -> Result<Change, ConsoleError> {
    let KeyForm { key_id, .. } = form;
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<RotateKey>().await?;
    let console = &cx.console;
    let id: KeyId = key_id.parse().map_err(|_| no_such_key())?;
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let now = console.clock.now();
    let until = lifecycle::extend_rotation(&mut tx, &console.server_keys.audit, &permit, id, now).await?;
    tx.commit().await?;
    Ok(Change { text: format!("The old key goes on until {}.", When::at(until, now).exact), receipt: None })
}

pub async fn finish(form: FinishRotationForm) -> Result<Change, ConsoleError> {
    let FinishRotationForm { key_id, force, .. } = form;
    let begun = Instant::now();
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<RotateKey>().await?;
    let console = &cx.console;
    let id: KeyId = key_id.parse().map_err(|_| no_such_key())?;
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let now = console.clock.now();
    let changed = lifecycle::finish_rotation(&mut tx, &console.server_keys.audit, &permit, id, now).await?;
    let old = store::find(&mut tx, permit.org(), id).await?.ok_or(KeyError::NotFound)?;
    if let (true, false, Some(new)) = (changed.changed, force, old.successor) {
        let rotated_at = store::rotated_at(&mut tx, permit.org(), id).await?.ok_or(KeyError::NotReplaced)?;
        let callers = callers(&mut tx, permit.org(), (id, new), rotated_at, now).await?;
        let still: Vec<CallerRow> =
            callers.into_iter().filter(|caller| caller.progress == CallerProgress::OnOldKey).collect();
        if !still.is_empty() {
            let message = format!("{} Tick this box to cut them off.", callers_words(&still));
            return Err(ConsoleError::field("force", message));
        }
    }
    let text = if changed.changed { "The old key has ended." } else { "The old key had ended already." };
    console.settle(tx, changed.narrows, text.to_owned(), begun).await
}

/// Who called with a key or its successor, in the order of how much it matters.
pub async fn callers(
    db: &mut PgConnection,
    org: OrgId,
    pair: (KeyId, KeyId),
    rotated_at: OffsetDateTime,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<CallerRow>> {
    let callers = usage::store::callers(db, org, pair, rotated_at - LOOKBACK).await?;
    let mut rows: Vec<CallerRow> = callers
        .into_iter()
        .map(|caller| CallerRow {
            progress: caller.progress(rotated_at),
            address: caller.address.map_or_else(|| "unknown address".to_owned(), |address| address.to_string()),
            agent: caller.agent,
            old: caller.old.map(|at| When::at(at, now)),
            new: caller.new.map(|at| When::at(at, now)),
        })
        .collect();
    rows.sort_by_key(|row| row.progress);
    Ok(rows)
}

//! What the server functions that replace a key do, and how far its callers have changed over.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{rotation::callers_words, view::CallerRow};
use crate::{
    console_plane::{
        answers::Change,
        context::RequestContext,
        domain_errors::receipt,
        error::ConsoleError,
        keys::{
            act::{no_such_key, shown_once, stale_form},
            forms::{FinishRotationForm, IssuedKey, KeyForm, RotateKeyForm},
        },
        moment::When,
    },
    ids::{KeyId, OrgId},
    keys::{
        callers::{CallerProgress, KeyCaller, LOOKBACK},
        error::KeyError,
        lifecycle::{self, Rotation},
        model::{OverlapWindow, Reason},
        store,
    },
    permissions::permit::RotateKey,
};

pub async fn rotate(form: RotateKeyForm) -> Result<IssuedKey, ConsoleError> {
    let cx = RequestContext::current().await?;
    let (mut m, permit) = cx.begin::<RotateKey>().await?;
    let id: KeyId = form.key_id.parse().map_err(|_| no_such_key())?;
    let rotation = Rotation {
        overlap: OverlapWindow::parse(&form.window).map_err(|message| ConsoleError::field("window", message))?,
        reason: Reason::parse(&form.reason).map_err(|message| ConsoleError::field("reason", message))?,
        idempotency_key: Some(form.idempotency_key.parse::<Uuid>().map_err(|_| stale_form())?),
    };
    let rotated = lifecycle::rotate(&mut m, &permit, id, &rotation, &cx.console.catalog).await?;
    let new = store::find(&mut m, permit.org(), rotated.issued.id).await?.ok_or(KeyError::NotFound)?;
    let until = When::at(rotated.overlap_ends_at, m.now());
    let old_key = match receipt(m.commit().await)? {
        Some(receipt) => format!("The old key has ended. {receipt}"),
        None => format!("The old key goes on until {}, {}. Change over until then.", until.exact, until.relative),
    };
    Ok(shown_once(&cx.console, &rotated.issued, &new.name, &new.environment, Some(old_key)))
}

pub async fn extend(form: KeyForm) -> Result<Change, ConsoleError> {
    let (mut m, permit) = RequestContext::current().await?.begin::<RotateKey>().await?;
    let id: KeyId = form.key_id.parse().map_err(|_| no_such_key())?;
    let until = When::at(lifecycle::extend_rotation(&mut m, &permit, id).await?, m.now());
    let text = format!("The old key goes on until {}.", until.exact);
    Ok(Change { text, receipt: receipt(m.commit().await)? })
}

pub async fn finish(form: FinishRotationForm) -> Result<Change, ConsoleError> {
    let (mut m, permit) = RequestContext::current().await?.begin::<RotateKey>().await?;
    let id: KeyId = form.key_id.parse().map_err(|_| no_such_key())?;
    let changed = match lifecycle::finish_rotation(&mut m, &permit, id, form.force).await {
        Err(KeyError::StillInUse { callers }) => {
            let still = callers.into_iter().map(|caller| caller_row(caller, CallerProgress::OnOldKey, m.now()));
            let message = format!("{} Tick this box to cut them off.", callers_words(&still.collect::<Vec<_>>()));
            return Err(ConsoleError::field("force", message));
        }
        changed => changed?,
    };
    let text = if changed.changed { "The old key has ended." } else { "The old key had ended already." };
    Ok(Change { text: text.to_owned(), receipt: receipt(m.commit().await)? })
}

/// Who called with a key or its successor, in the order of how much it matters.
pub async fn callers(
    db: &mut PgConnection,
    org: OrgId,
    pair: (KeyId, KeyId),
    rotated_at: OffsetDateTime,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<CallerRow>> {
    let callers = store::callers(db, org, pair, rotated_at - LOOKBACK).await?;
    let mut rows: Vec<CallerRow> = callers
        .into_iter()
        .map(|caller| {
            let progress = caller.progress(rotated_at);
            caller_row(caller, progress, now)
        })
        .collect();
    rows.sort_by_key(|row| row.progress);
    Ok(rows)
}

fn caller_row(caller: KeyCaller, progress: CallerProgress, now: OffsetDateTime) -> CallerRow {
    CallerRow {
        progress,
        address: caller.address.map_or_else(|| "unknown address".to_owned(), |address| address.to_string()),
        agent: caller.agent,
        old: caller.old.map(|at| When::at(at, now)),
        new: caller.new.map(|at| When::at(at, now)),
    }
}

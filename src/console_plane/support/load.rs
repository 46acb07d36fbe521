//! What the support desk shows.

use time::OffsetDateTime;

use crate::{
    console_plane::{
        authorize::Authorized,
        error::ConsoleError,
        form::FormState,
        keys::load::key_row,
        support::{
            forms::{Found, FoundKey},
            page::{SupportPageModel, SupportPanel},
        },
        ui::{Notice, target_of},
    },
    database::{self, RlsScope},
    ids::KeyId,
    keys::{
        model::KeyState,
        store::{self, KeyDetails},
    },
    permissions::permit::FindAnyKey,
};

pub fn found_key(key: KeyDetails, now: OffsetDateTime) -> FoundKey {
    FoundKey { org: key.org_name.clone(), org_slug: key.org_slug.clone(), key: key_row(key, now) }
}

/// What the page is about.
#[derive(Default)]
pub struct Desk {
    pub found: Option<Found>,
    /// The value of `query` and what was wrong with it.
    pub refused: Option<(String, String)>,
    /// A key to be revoked, and what its form held.
    pub revoke: Option<(String, FormState)>,
    pub notice: Option<Notice>,
}

pub async fn page(entry: &Authorized<FindAnyKey>, desk: Desk) -> Result<SupportPageModel, ConsoleError> {
    let console = &entry.cx.console;
    let now = console.clock.now();
    let panel = match desk.revoke {
        Some((id, refill)) => match key(entry, &id).await?.map(|key| key_row(key, now)) {
            Some(key) if key.status != KeyState::Revoked => SupportPanel::Revoke(target_of(&key), refill),
            _ => SupportPanel::Closed,
        },
        None => SupportPanel::Closed,
    };
    let (query, error) = match (&desk.found, desk.refused) {
        (_, Some((query, error))) => (query, Some(error)),
        (Some(found), None) => {
            let warning = "A whole key was pasted. It was not kept, and its digest stands here instead; whoever sent it to \
                           you has leaked it, so revoke it.";
            (found.query.clone(), found.pasted.then(|| warning.to_owned()))
        }
        (None, None) => (String::new(), None),
    };
    Ok(SupportPageModel { query, found: desk.found.map(|found| found.keys), error, panel, notice: desk.notice })
}

/// A key by its id, whoever's it is.
async fn key(entry: &Authorized<FindAnyKey>, id: &str) -> Result<Option<KeyDetails>, ConsoleError> {
    let Ok(id) = id.parse::<KeyId>() else { return Ok(None) };
    let mut tx = database::read(&entry.cx.console.db, RlsScope::Support).await?;
    let key = store::find_by_id(&mut tx, id).await?;
    Ok(key)
}

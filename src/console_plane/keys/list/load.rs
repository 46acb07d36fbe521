//! What the list shows, read from the domain.

use std::{cmp::Reverse, collections::BTreeSet};

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::view::{self, ListView};
use crate::{
    console_plane::{
        authorize::Authorized,
        error::ConsoleError,
        form::FormState,
        keys::{
            forms::IssuedKey,
            load::{CreateOptions, choice, key_row, options, target},
            row::{KeyRow, RevokeTarget},
        },
        ui::{Choice, Notice},
    },
    database::{self, RlsScope},
    ids::{KeyId, OrgId},
    keys::{
        list::{self, Creator},
        store::{self, KeyCounts},
    },
    permissions::{
        Action,
        permit::{RevokeKey, ViewKeys},
    },
    usage,
};

/// Which panel the page opens with (from the URL, so that it works without JavaScript too).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysPanel {
    Closed,
    Create(FormState),
    Revoke(RevokeTarget, FormState),
    RevokeAll(FormState),
    /// The answer to a create that came without JavaScript.
    Issued(IssuedKey),
}

pub const PER_PAGE: u32 = 50;
/// No more keys are revoked at once, unless it is all of them.
pub const MOST_AT_ONCE: usize = 1000;
/// Whoever has more keys needs no first steps.
const FIRST_KEYS: u32 = 10;

/// What the page's address asks to be open.
pub enum Ask {
    Nothing,
    Create(FormState),
    Revoke(String, FormState),
    RevokeAll(FormState),
    /// A key just made, or what was just done.
    Show(KeysPanel),
}

#[derive(Clone)]
pub struct KeysPageModel {
    pub org_name: String,
    pub view: ListView,
    pub rows: Vec<KeyRow>,
    /// All keys of the org, whatever their state.
    pub total: u32,
    /// How many the filters let through.
    pub hits: u32,
    /// How many keys "Revoke all" would hit: every key that is not revoked.
    pub revocable: u32,
    pub pages: u32,
    /// Everybody who made a key, by what an address calls them.
    pub creators: Vec<Choice>,
    pub may_create: bool,
    pub may_revoke: bool,
    pub may_revoke_all: bool,
    pub options: CreateOptions,
    pub idempotency_key: String,
    /// How far somebody who begins has come; `None` for whoever has, or may not.
    pub progress: Option<store::Progress>,
    /// Where programs reach the key plane.
    pub keys_url: String,
    /// The header that programs send a key in.
    pub key_header: String,
    pub panel: KeysPanel,
    pub notice: Option<Notice>,
}

pub async fn list(
    entry: &Authorized<ViewKeys>,
    mut view: ListView,
    ask: Ask,
    notice: Option<Notice>,
) -> Result<KeysPageModel, ConsoleError> {
    let console = &entry.cx.console;
    let org = entry.permit.org();
    let now = console.clock.now();
    let mut tx = database::read(&console.db, RlsScope::Org(org)).await?;
    let KeyCounts { all: total, revocable } = store::count(&mut tx, org).await?;
    let creators = creators(list::store::creators(&mut tx, org).await?);
    // Somebody who never made a key here is nobody to ask for.
    view.filter.creator = view.filter.creator.filter(|id| creators.iter().any(|c| c.value == view::creator_word(*id)));
    let [total, revocable] = [total, revocable].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    let (mut ids, hits) = looked_at(&mut tx, org, &view, total, now).await?;
    let pages = hits.div_ceil(PER_PAGE).max(1);
    // Past the end is the last page: keys may have gone since the link was made.
    if view.page > pages {
        view.page = pages;
        ids = looked_at(&mut tx, org, &view, total, now).await?.0;
    }
    view.page = view.page.max(1);
    let rows = store::find_many(&mut tx, org, &ids).await?;
    let role = entry.who.role;
    let (may_create, may_revoke) = (role.may(Action::IssueKey), role.may(Action::RevokeKey));
    let begins = may_create && total <= FIRST_KEYS;
    let progress = if begins { Some(store::progress(&mut tx, org).await?) } else { None };
    let panel = match ask {
        Ask::Create(refill) if may_create => KeysPanel::Create(refill),
        Ask::RevokeAll(refill) if role.may(Action::RevokeAllKeys) => KeysPanel::RevokeAll(refill),
        Ask::Revoke(id, refill) if may_revoke => match target(&mut tx, entry, &id, now).await? {
            Some(target) => KeysPanel::Revoke(target, refill),
            None => KeysPanel::Closed,
        },
        Ask::Show(panel) => panel,
        _ => KeysPanel::Closed,
    };
    Ok(KeysPageModel {
        org_name: entry.who.org.as_ref().map(|org| org.name.clone()).unwrap_or_default(),
        view,
        rows: rows.into_iter().map(|row| key_row(row, now)).collect(),
        total,
        hits,
        revocable,
        pages,
        creators,
        may_create,
        may_revoke,
        may_revoke_all: role.may(Action::RevokeAllKeys),
        options: options(&console.catalog),
        idempotency_key: uuid::Uuid::new_v4().to_string(),
        progress: progress.filter(|progress| !progress.used),
        keys_url: console.keys_url.clone(),
        key_header: console.catalog.snippets.header.clone(),
        panel,
        notice,
    })
}

/// The ids of the page that is looked at, and how many keys there are on all of them; `total` if nothing is left out.
async fn looked_at(
    db: &mut PgConnection,
    org: OrgId,
    view: &ListView,
    total: u32,
    now: OffsetDateTime,
) -> Result<(Vec<KeyId>, u32), ConsoleError> {
    let (offset, limit) = (i64::from(view.page.saturating_sub(1)) * i64::from(PER_PAGE), i64::from(PER_PAGE));
    if view.is_filtered() {
        let hits = list::store::page_and_count(db, org, &view.filter, view.order, now, offset, limit).await?;
        Ok((hits.ids, u32::try_from(hits.count).unwrap_or(u32::MAX)))
    } else {
        Ok((list::store::page(db, org, &view.filter, view.order, now, offset, limit).await?, total))
    }
}

fn creators(people: Vec<(crate::ids::UserId, String)>) -> Vec<Choice> {
    let people = people.into_iter().map(|(user, name)| choice(&view::creator_word(Creator::Person(user)), &name, ""));
    people.chain([choice(&view::creator_word(Creator::Operator), "Operator", "")]).collect()
}

/// Which keys of the list somebody would revoke.
pub enum Chosen {
    These(BTreeSet<KeyId>),
    /// Those on the page that is looked at.
    Page,
    /// Those on all its pages; none if nothing is filtered, since that would be "Revoke all keys" without its questions.
    Matching,
}

/// Keys about to be revoked, and how often each was called in the last day: the busiest first.
#[derive(Clone)]
pub struct PreviewModel {
    pub view: ListView,
    pub keys: Vec<(KeyRow, i64)>,
    pub refill: FormState,
}

/// The keys chosen. What is revoked already, or not there, is left out. `None`: they are more than [`MOST_AT_ONCE`].
pub async fn preview(
    entry: &Authorized<RevokeKey>,
    view: ListView,
    chosen: Chosen,
    refill: FormState,
) -> Result<Option<PreviewModel>, ConsoleError> {
    let console = &entry.cx.console;
    let org = entry.permit.org();
    let now = console.clock.now();
    let mut tx = database::read(&console.db, RlsScope::Org(org)).await?;
    let ids: Vec<KeyId> = match chosen {
        Chosen::These(ids) => ids.into_iter().collect(),
        Chosen::Page => looked_at(&mut tx, org, &view, 0, now).await?.0,
        Chosen::Matching if !view.is_filtered() => Vec::new(),
        // One more than may be, to know of it.
        Chosen::Matching => {
            list::store::page(&mut tx, org, &view.filter, view.order, now, 0, MOST_AT_ONCE as i64 + 1).await?
        }
    };
    if ids.len() > MOST_AT_ONCE {
        return Ok(None);
    }
    let rows = store::find_many(&mut tx, org, &ids).await?;
    let calls = usage::store::calls_since(&mut tx, org, &ids, now - Duration::DAY).await?;
    let mut keys: Vec<(KeyRow, i64)> = rows
        .into_iter()
        .filter(|row| row.revoked.is_none())
        .map(|row| {
            let calls = calls.get(&row.id).copied().unwrap_or_default();
            (key_row(row, now), calls)
        })
        .collect();
    keys.sort_by_key(|(_, calls)| Reverse(*calls));
    Ok(Some(PreviewModel { view, keys, refill }))
}

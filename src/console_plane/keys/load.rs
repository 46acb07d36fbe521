//! What the keys pages show, read from the domain.

use time::OffsetDateTime;

use crate::{
    audit::{self, Chain},
    catalog::{Catalog, Tier},
    console_plane::{
        audit_log::load::audit_row,
        door::Entry,
        error::ConsoleError,
        model::{
            Choice, CreateOptions, KeyPageModel, KeyRow, KeysPageModel, KeysPanel, LastUse, Notice, Refill,
            RevokeTarget, Revoked, When,
        },
        ui::target_of,
    },
    database::{self, Reach},
    keys::{
        lifecycle::subject,
        model::{KeyId, Lifetime, Reason, Status},
        store::{self, Listed},
    },
    orgs::{Action, permit::ViewKeys},
};

pub const PER_PAGE: u32 = 50;
/// Of a key's history, no more rows are shown on its page.
const HISTORY: i64 = 50;

/// What the page's address asks to be open.
pub enum Ask {
    Nothing,
    Create(Refill),
    Revoke(String, Refill),
    RevokeAll(Refill),
    /// A key just made, or what was just done.
    Show(KeysPanel),
}

pub async fn list(
    entry: &Entry<ViewKeys>,
    page: u32,
    ask: Ask,
    notice: Option<Notice>,
) -> Result<KeysPageModel, ConsoleError> {
    let console = &entry.visit.console;
    let org = entry.permit.org();
    let now = console.clock.now();
    let mut tx = database::begin(&console.db, Reach::Org(org)).await?;
    let (total, revocable) = store::counts(&mut tx, org).await?;
    let (total, revocable) = (u32::try_from(total).unwrap_or(u32::MAX), u32::try_from(revocable).unwrap_or(u32::MAX));
    let pages = total.div_ceil(PER_PAGE).max(1);
    // Past the end is the last page: keys may have gone since the link was made.
    let page = page.clamp(1, pages);
    let rows = store::page(&mut tx, org, i64::from((page - 1) * PER_PAGE), i64::from(PER_PAGE)).await?;
    let role = entry.who.role;
    let (may_create, may_revoke) = (role.may(Action::IssueKey), role.may(Action::RevokeKey));
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
    tx.commit().await?;
    Ok(KeysPageModel {
        org_name: entry.who.org.as_ref().map(|org| org.name.clone()).unwrap_or_default(),
        rows: rows.into_iter().map(|row| key_row(row, now)).collect(),
        total,
        revocable,
        page,
        pages,
        may_create,
        may_revoke,
        may_revoke_all: role.may(Action::RevokeAllKeys),
        options: options(&console.catalog),
        form_id: uuid::Uuid::new_v4().to_string(),
        panel,
        notice,
    })
}

/// The key a revoke dialog is about, if it is there and not revoked yet.
async fn target(
    db: &mut sqlx::PgConnection,
    entry: &Entry<ViewKeys>,
    id: &str,
    now: OffsetDateTime,
) -> Result<Option<RevokeTarget>, ConsoleError> {
    let Ok(id) = id.parse::<KeyId>() else { return Ok(None) };
    let key = store::one(db, entry.permit.org(), id).await?.map(|key| key_row(key, now));
    Ok(key.filter(|key| key.status != Status::Revoked).map(|key| target_of(&key)))
}

/// One key of the organization; `None` if there is no such.
pub async fn one(
    entry: &Entry<ViewKeys>,
    id: KeyId,
    asks_revoke: bool,
    refill: Refill,
    notice: Option<Notice>,
) -> Result<Option<KeyPageModel>, ConsoleError> {
    let console = &entry.visit.console;
    let org = entry.permit.org();
    let now = console.clock.now();
    let mut tx = database::begin(&console.db, Reach::Org(org)).await?;
    let Some(key) = store::one(&mut tx, org, id).await? else { return Ok(None) };
    let history = if entry.who.role.may(Action::ViewAudit) {
        let rows = audit::store::of_subject(&mut tx, Chain::Org(org), &subject(id), HISTORY).await?;
        Some(rows.into_iter().map(|row| audit_row(row, now)).collect())
    } else {
        None
    };
    tx.commit().await?;
    let limit =
        console.catalog.tier(&key.tier).and_then(|tier| tier.limit).map(|limit| limit.words()).unwrap_or_default();
    let namespaces = key.namespaces.clone();
    let addresses = key.addresses.iter().map(ToString::to_string).collect();
    let key = key_row(key, now);
    let may_revoke = entry.who.role.may(Action::RevokeKey);
    let panel = if asks_revoke && may_revoke && key.status != Status::Revoked {
        KeysPanel::Revoke(target_of(&key), refill)
    } else {
        KeysPanel::Closed
    };
    Ok(Some(KeyPageModel { key, limit, namespaces, addresses, may_revoke, history, panel, notice }))
}

pub fn key_row(key: Listed, now: OffsetDateTime) -> KeyRow {
    let status = key.status(now);
    KeyRow {
        id: key.id.to_string(),
        name: key.name,
        hint: key.hint,
        environment: key.environment,
        tier: key.tier,
        scopes: key.scopes,
        created: When::at(key.created_at, now),
        created_by: key.created_by.unwrap_or_else(|| "Operator".to_owned()),
        last_used: key.last_used.map(|last| LastUse {
            when: When::at(last.at, now),
            address: last.address.addr().to_string(),
            agent: last.agent,
            via: last.via,
        }),
        expires: key.expires_at.map(|at| When::at(at, now)),
        status,
        revoked: key.revoked.map(|revoked| Revoked {
            when: When::at(revoked.at, now),
            by: revoked.by,
            reason: Reason::parse(&revoked.reason).map_or(revoked.reason, |reason| reason.label().to_owned()),
        }),
    }
}

/// `1,000 per 15 min`
fn tier_note(tier: &Tier) -> String {
    match (tier.limit, tier.note.is_empty()) {
        (Some(limit), true) => limit.words(),
        (Some(limit), false) => format!("{}, {}", tier.note, limit.words()),
        (None, _) => tier.note.clone(),
    }
}

fn options(catalog: &Catalog) -> CreateOptions {
    let choice = |value: &str, label: &str, note: &str| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        note: note.to_owned(),
    };
    CreateOptions {
        environments: catalog.environments.iter().map(|e| choice(&e.name, &e.label, &e.note)).collect(),
        tiers: catalog.tiers.iter().map(|tier| choice(&tier.name, &tier.label, &tier_note(tier))).collect(),
        scopes: catalog.scopes.iter().map(|s| choice(&s.name, &s.name, &s.note)).collect(),
        lifetimes: Lifetime::CHOICES.iter().map(|(value, label)| choice(value, label, "")).collect(),
        default_scopes: catalog.scopes.first().map(|scope| scope.name.clone()).into_iter().collect(),
    }
}

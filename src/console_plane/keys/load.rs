//! What the keys pages show, read from the domain.

use time::OffsetDateTime;

use crate::{
    catalog::{Catalog, Tier},
    console_plane::{
        authorize::Authorized,
        error::ConsoleError,
        keys::row::{KeyRow, LastUse, RevokeTarget, Revoked},
        moment::When,
        ui::{Choice, target_of},
    },
    ids::KeyId,
    keys::{
        model::{KeyState, Lifetime, Reason},
        store::{self, KeyDetails},
    },
    permissions::permit::ViewKeys,
};

/// What the create panel offers, from the catalog. Each list's first entry is its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    pub environments: Vec<Choice>,
    pub tiers: Vec<Choice>,
    pub scopes: Vec<Choice>,
    pub lifetimes: Vec<Choice>,
    /// Scopes ticked when the panel opens.
    pub default_scopes: Vec<String>,
}

/// The key a revoke dialog is about, if it is there and not revoked yet.
pub async fn target(
    db: &mut sqlx::PgConnection,
    entry: &Authorized<ViewKeys>,
    id: &str,
    now: OffsetDateTime,
) -> Result<Option<RevokeTarget>, ConsoleError> {
    let Ok(id) = id.parse::<KeyId>() else { return Ok(None) };
    let key = store::find(db, entry.permit.org(), id).await?.map(|key| key_row(key, now));
    Ok(key.filter(|key| key.status != KeyState::Revoked).map(|key| target_of(&key)))
}

pub fn key_row(key: KeyDetails, now: OffsetDateTime) -> KeyRow {
    let status = key.state(now);
    let unconfirmed = status == KeyState::Active && key.last_used.is_none() && key.confirmed_at.is_none();
    KeyRow {
        unconfirmed,
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
            address: last.address.map_or_else(|| "unknown address".to_owned(), |address| address.to_string()),
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

pub fn options(catalog: &Catalog) -> CreateOptions {
    CreateOptions {
        environments: catalog.environments.iter().map(|e| choice(&e.name, &e.label, &e.note)).collect(),
        tiers: catalog.tiers.iter().map(|tier| choice(&tier.name, &tier.label, &tier_note(tier))).collect(),
        scopes: catalog.scopes.iter().map(|s| choice(&s.name, &s.name, &s.note)).collect(),
        lifetimes: Lifetime::CHOICES.iter().map(|(value, label)| choice(value, label, "")).collect(),
        default_scopes: catalog.scopes.first().map(|scope| scope.name.clone()).into_iter().collect(),
    }
}

pub fn choice(value: &str, label: &str, note: &str) -> Choice {
    Choice { value: value.to_owned(), label: label.to_owned(), note: note.to_owned() }
}

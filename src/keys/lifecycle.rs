//! The life of a key: issue, edit, rotate, revoke one, some or all. Each is one transaction with its audit row in it, and
//! asks for a permit.

mod confirm;
mod edit;
mod namespace;
mod rotate;

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use serde_json::json;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    error::KeyError,
    model::{KeyName, Lifetime, Reason},
    secret::NewSecret,
    service_keys,
    store::{self, InsertedKey, IssuedBefore},
};
use crate::{
    actor::Actor,
    audit::{self, AuditKey, Chain, Event},
    catalog::{Catalog, Tier},
    clock,
    database::Inserted,
    ids::{KeyId, OrgId},
    orgs::{
        self, Permit,
        permit::{IssueKey, IssueServiceKey, RevokeAllKeys, RevokeAnyKey, RevokeKey, RevokeServiceKey},
    },
};
pub use confirm::{ENDING, confirm};
pub use edit::{Changed, Edit, disable, edit, enable};
pub use namespace::add_namespace;
pub use rotate::{Rotated, Rotation, extend_rotation, finish_rotation, rotate};

/// What a key is to be, all of it known to the catalog.
pub struct NewKey {
    name: KeyName,
    environment: String,
    prefix: String,
    tier: String,
    scopes: Vec<String>,
    namespaces: Vec<String>,
    /// Whether no namespaces of its own means those of its organization: where the catalog has every key bound to some.
    inherits_namespaces: bool,
    addresses: Vec<IpNet>,
    lifetime: Lifetime,
    idempotency_key: Option<Uuid>,
}

/// What somebody asks a key to be, as they typed it.
#[derive(Default)]
pub struct Wish {
    pub name: String,
    pub environment: String,
    pub tier: String,
    pub scopes: Vec<String>,
    pub namespaces: Vec<String>,
    /// Addresses or CIDR blocks.
    pub addresses: Vec<String>,
    pub expires: String,
    /// Makes a second submission answer [`KeyError::AlreadyIssued`].
    pub idempotency_key: Option<Uuid>,
}

impl NewKey {
    /// Parses a wish against the catalog. Errors: which field, and what to do, for every field that needs mending.
    pub fn parse(wish: Wish, catalog: &Catalog) -> Result<Self, Vec<(&'static str, String)>> {
        let mut errors = Vec::new();
        let name = KeyName::parse(&wish.name).map_err(|e| errors.push(("name", e.to_owned()))).ok();
        let environment = catalog.environment(&wish.environment);
        if environment.is_none() {
            let known = list(catalog.environments.iter().map(|e| &e.name));
            errors.push(("environment", format!("Choose one of: {known}.")));
        }
        let tier = catalog.tier(&wish.tier);
        if tier.is_none() {
            errors.push(("tier", format!("Choose one of: {}.", list(catalog.tiers.iter().map(|t| &t.name)))));
        }
        let mut refuse = |field, message: &str| errors.push((field, message.to_owned()));
        let scopes = scopes(&wish.scopes, tier, catalog).map_err(|message| refuse("scopes", &message)).ok();
        let namespaces = namespaces(&wish.namespaces).map_err(|message| refuse("namespaces", message)).ok();
        let addresses = addresses(&wish.addresses).map_err(|message| refuse("addresses", &message)).ok();
        let lifetime = Lifetime::parse(&wish.expires).map_err(|message| refuse("expires", message)).ok();
        match (name, environment, tier, scopes, namespaces, addresses, lifetime) {
            (
                Some(name),
                Some(environment),
                Some(tier),
                Some(scopes),
                Some(namespaces),
                Some(addresses),
                Some(lifetime),
            ) => Ok(Self {
                name,
                environment: environment.name.clone(),
                prefix: catalog.prefix(environment, tier).to_owned(),
                tier: tier.name.clone(),
                scopes,
                inherits_namespaces: catalog.namespaces_required && namespaces.is_empty(),
                namespaces,
                addresses,
                lifetime,
                idempotency_key: wish.idempotency_key,
            }),
            _ => Err(errors),
        }
    }

    pub fn environment(&self) -> &str {
        &self.environment
    }

    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}

/// In the catalog's order, each once; all of them such as the tier allows, if it is known.
fn scopes(wished: &[String], tier: Option<&Tier>, catalog: &Catalog) -> Result<Vec<String>, String> {
    if let Some(unknown) = wished.iter().find(|scope| catalog.scope(scope).is_none()) {
        let known = list(catalog.scopes.iter().map(|s| &s.name));
        return Err(format!("There is no scope {unknown:?}. Choose from: {known}."));
    }
    if let Some(tier) = tier
        && let Some(beyond) = wished.iter().find(|scope| !tier.allows(scope))
    {
        let allowed = list(catalog.scopes.iter().map(|s| &s.name).filter(|scope| tier.allows(scope)));
        return Err(format!("The tier {} does not allow {beyond:?}. It allows: {allowed}.", tier.name));
    }
    Ok(catalog.scopes.iter().map(|s| s.name.clone()).filter(|name| wished.contains(name)).collect())
}

/// Each once, in the order given.
fn namespaces(wished: &[String]) -> Result<Vec<String>, &'static str> {
    let mut namespaces: Vec<String> = Vec::new();
    for namespace in wished {
        let fits = (1..=64).contains(&namespace.len())
            && namespace.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !fits {
            return Err("A namespace is 1 to 64 letters, digits and - . _");
        }
        if !namespaces.contains(namespace) {
            namespaces.push(namespace.clone());
        }
    }
    Ok(namespaces)
}

/// Addresses and blocks, with the bits after the prefix cleared, and IPv4 out of IPv6 clothes.
fn addresses(wished: &[String]) -> Result<Vec<IpNet>, String> {
    let mut nets: Vec<IpNet> = Vec::new();
    for text in wished {
        let net =
            text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(|address| address.to_canonical().into()));
        let net =
            net.map_err(|_| format!("{text:?} is no address or block, as in 203.0.113.7 or 10.0.0.0/8."))?.trunc();
        if !nets.contains(&net) {
            nets.push(net);
        }
    }
    Ok(nets)
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// A key just made, with its secret.
pub struct Issued {
    pub id: KeyId,
    pub secret: NewSecret,
}

/// Makes a key.
pub async fn issue(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<IssueKey>,
    new: &NewKey,
    now: OffsetDateTime,
) -> Result<Issued, KeyError> {
    let secret = NewSecret::generate(&new.prefix)?;
    let id = KeyId(clock::id(now));
    let expires_at = end_of(new.lifetime, now);
    let namespaces = match new.inherits_namespaces {
        true => &orgs::store::namespaces(db, permit.org()).await?,
        false => &new.namespaces,
    };
    let inserted = store::insert(
        db,
        &store::NewRow {
            id,
            org: permit.org(),
            environment: &new.environment,
            tier: &new.tier,
            name: new.name.as_str(),
            digest: secret.digest,
            hint: &secret.hint,
            scopes: &new.scopes,
            namespaces,
            addresses: &new.addresses,
            created_by: permit.actor().user(),
            created_at: now,
            expires_at,
            idempotency_key: new.idempotency_key,
            predecessor: None,
        },
    )
    .await?;
    if let InsertedKey::Repeated(IssuedBefore { name, hint }) = inserted {
        return Err(KeyError::AlreadyIssued { name, hint });
    }
    audit::record(
        db,
        audit_key,
        Chain::Org(permit.org()),
        Event {
            action: "key.issue",
            subject: subject(id),
            summary: format!("Created key “{}” ({})", new.name.as_str(), secret.hint),
            details: json!({
                "environment": new.environment, "tier": new.tier, "scopes": new.scopes, "namespaces": namespaces,
                "addresses": new.addresses.iter().map(IpNet::to_string).collect::<Vec<_>>(),
                "expires_at": expires_at.map(|at| at.unix_timestamp()),
            }),
            refused: false,
            actor: permit.actor(),
            at: now,
        },
    )
    .await?;
    Ok(Issued { id, secret })
}

/// When a lifetime that begins now is over.
fn end_of(lifetime: Lifetime, now: OffsetDateTime) -> Option<OffsetDateTime> {
    match lifetime {
        Lifetime::Unlimited => None,
        Lifetime::Days(days) => Some(now + Duration::days(i64::from(days))),
    }
}

/// What the audit log calls a key.
pub fn subject(id: KeyId) -> String {
    format!("key:{id}")
}

/// What the audit log calls any number of keys, where one row tells of them all. Its details say which.
pub const KEYS_SUBJECT: &str = "keys";

/// What happened to a key, newest first: to it alone, to it among many, and how it came to be, which is a row of the key that
/// it replaced.
pub async fn history(
    db: &mut PgConnection,
    org: OrgId,
    id: KeyId,
    predecessor: Option<KeyId>,
    limit: i64,
) -> sqlx::Result<Vec<audit::chain::Row>> {
    let others: Vec<String> = predecessor.map(subject).into_iter().chain([KEYS_SUBJECT.to_owned()]).collect();
    audit::store::naming(db, Chain::Org(org), &subject(id), &others, &id.to_string(), limit).await
}

/// A key that is revoked now, whether by this call or before.
pub struct RevokedKey {
    pub name: String,
    pub already: bool,
}

/// Revokes a key of one's own organization.
pub async fn revoke(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<RevokeKey>,
    id: KeyId,
    reason: Reason,
    now: OffsetDateTime,
) -> Result<RevokedKey, KeyError> {
    revoke_in(db, audit_key, permit.actor(), permit.org(), id, reason, None, now).await
}

/// Revokes a customer's key, from the support desk (with its ticket) or the command line.
pub async fn revoke_any(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<RevokeAnyKey>,
    id: KeyId,
    reason: Reason,
    ticket: Option<&str>,
    now: OffsetDateTime,
) -> Result<RevokedKey, KeyError> {
    revoke_in(db, audit_key, permit.actor(), permit.org(), id, reason, ticket, now).await
}

#[allow(clippy::too_many_arguments, reason = "the two doors above are what others call")]
async fn revoke_in(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    actor: &Actor,
    org: OrgId,
    id: KeyId,
    reason: Reason,
    ticket: Option<&str>,
    now: OffsetDateTime,
) -> Result<RevokedKey, KeyError> {
    let (name, hint, already) = store::lock(db, org, id).await?.ok_or(KeyError::NotFound)?;
    if !already {
        end(db, audit_key, actor, org, id, &format!("“{name}” ({hint})"), reason, ticket, now).await?;
    }
    Ok(RevokedKey { name, already })
}

/// Revokes a key that is locked, and is not revoked yet.
#[allow(clippy::too_many_arguments, reason = "what each of them is, is said above")]
async fn end(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    actor: &Actor,
    org: OrgId,
    id: KeyId,
    called: &str,
    reason: Reason,
    ticket: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), KeyError> {
    store::set_revoked(db, org, id, &actor.name(), reason, now).await?;
    let because = ticket.map(|ticket| format!(", ticket {ticket}")).unwrap_or_default();
    let event = Event {
        action: "key.revoke",
        subject: subject(id),
        summary: format!("Revoked key {called}: {}{because}", reason.label().to_lowercase()),
        details: json!({ "reason": reason.as_str(), "ticket": ticket }),
        refused: false,
        actor,
        at: now,
    };
    audit::record(db, audit_key, Chain::Org(org), event).await?;
    Ok(())
}

/// Revokes some keys of one's own organization: all of these, or, where one is not there, none. Each gets its own row in
/// the log, since each has its own history. Answers how many were not revoked before.
pub async fn revoke_some(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<RevokeKey>,
    ids: &BTreeSet<KeyId>,
    reason: Reason,
    now: OffsetDateTime,
) -> Result<usize, KeyError> {
    let org = permit.org();
    let mut hit = Vec::new();
    // Every key is locked, in one order, before the log is: two who do this at once do not wait for each other in a circle.
    for id in ids {
        let (name, hint, already) = store::lock(db, org, *id).await?.ok_or(KeyError::NotFound)?;
        if !already {
            hit.push((*id, format!("“{name}” ({hint})")));
        }
    }
    for (id, called) in &hit {
        end(db, audit_key, permit.actor(), org, *id, called, reason, None, now).await?;
    }
    Ok(hit.len())
}

/// Revokes every key of the organization. Answers how many that were.
pub async fn revoke_all(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<RevokeAllKeys>,
    now: OffsetDateTime,
) -> Result<usize, KeyError> {
    let hit = store::set_all_revoked(db, permit.org(), &permit.actor().name(), Reason::Other, now).await?;
    audit::record(
        db,
        audit_key,
        Chain::Org(permit.org()),
        Event {
            action: "key.revoke_all",
            subject: KEYS_SUBJECT.to_owned(),
            summary: format!("Revoked all keys ({})", hit.len()),
            details: json!({ "keys": hit }),
            refused: false,
            actor: permit.actor(),
            at: now,
        },
    )
    .await?;
    Ok(hit.len())
}

/// What a service key may be made able to do.
pub const CAPABILITIES: [&str; 2] = ["verify", "operate"];

/// Makes a service key, on the command line. `Ok(None)`: the name is taken.
pub async fn issue_service_key(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<IssueServiceKey>,
    prefix: &str,
    name: &KeyName,
    capabilities: &[String],
    now: OffsetDateTime,
) -> Result<Option<NewSecret>, KeyError> {
    let secret = NewSecret::generate(prefix)?;
    let inserted =
        service_keys::store::insert(db, name.as_str(), secret.digest, &secret.hint, capabilities, now).await?;
    if inserted == Inserted::Duplicate {
        return Ok(None);
    }
    let summary = format!("Created service key “{}” ({})", name.as_str(), secret.hint);
    let event = Event {
        action: "service_key.issue",
        subject: String::new(),
        summary,
        details: json!({ "capabilities": capabilities }),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(db, audit_key, Chain::Deployment, event).await?;
    Ok(Some(secret))
}

/// Revokes a service key by its name, which no other may have again. `Ok(false)`: there is none of that name that is not
/// revoked.
pub async fn revoke_service_key(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<RevokeServiceKey>,
    name: &KeyName,
    now: OffsetDateTime,
) -> Result<bool, KeyError> {
    if !service_keys::store::set_revoked(db, name.as_str(), now).await? {
        return Ok(false);
    }
    let event = Event {
        action: "service_key.revoke",
        subject: String::new(),
        summary: format!("Revoked service key “{}”", name.as_str()),
        details: json!({}),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(db, audit_key, Chain::Deployment, event).await?;
    Ok(true)
}

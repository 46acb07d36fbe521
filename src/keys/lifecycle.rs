//! The life of a key: issue, edit, rotate, revoke one, some or all. Each is
//! part of a [`Mutation`] with its audit row in it, and asks for a permit.

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
    store::{self, Duplicate, InsertedKey, IssuedBefore, LockedKey},
};
use crate::{
    audit::{self, Event},
    catalog::{Catalog, Tier},
    clock,
    database::Inserted,
    ids::{KeyId, OrgId},
    mutation::Mutation,
    orgs,
    permissions::{
        Permit,
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
    ip_allowlist: Vec<IpNet>,
    lifetime: Lifetime,
    idempotency_key: Option<Uuid>,
    allow_duplicate_name: bool,
}

/// What somebody asks a key to be, as they typed it.
#[derive(Default)]
pub struct CreateKeyInput {
    pub name: String,
    pub environment: String,
    pub tier: String,
    pub scopes: Vec<String>,
    pub namespaces: Vec<String>,
    /// Addresses or CIDR blocks.
    pub ip_allowlist: Vec<String>,
    pub expires: String,
    /// Makes a second submission answer [`KeyError::AlreadyIssued`].
    pub idempotency_key: Option<Uuid>,
    /// Otherwise a name that another key has, which is not over, is refused.
    pub allow_duplicate_name: bool,
}

impl NewKey {
    /// Parses an input against the catalog. Errors: which field, and what to do, for every field that needs mending.
    pub fn parse(input: CreateKeyInput, catalog: &Catalog) -> Result<Self, Vec<(&'static str, String)>> {
        let mut errors = Vec::new();
        let name = KeyName::parse(&input.name).map_err(|e| errors.push(("name", e.to_owned()))).ok();
        let environment = catalog.environment(&input.environment);
        if environment.is_none() {
            let known = list(catalog.environments.iter().map(|e| &e.name));
            errors.push(("environment", format!("Choose one of: {known}.")));
        }
        let tier = catalog.tier(&input.tier);
        if tier.is_none() {
            errors.push(("tier", format!("Choose one of: {}.", list(catalog.tiers.iter().map(|t| &t.name)))));
        }
        let mut refuse = |field, message: &str| errors.push((field, message.to_owned()));
        let scopes = scopes(&input.scopes, tier, catalog).map_err(|message| refuse("scopes", &message)).ok();
        let namespaces = namespaces(&input.namespaces).map_err(|message| refuse("namespaces", message)).ok();
        let addresses = addresses(&input.ip_allowlist).map_err(|message| refuse("ip_allowlist", &message)).ok();
        let lifetime = Lifetime::parse(&input.expires).map_err(|message| refuse("expires", message)).ok();
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
                ip_allowlist: addresses,
                lifetime,
                idempotency_key: input.idempotency_key,
                allow_duplicate_name: input.allow_duplicate_name,
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

/// Makes a key. Whatever speaks against it is found before anything is written.
pub async fn issue(m: &mut Mutation, permit: &Permit<IssueKey>, new: &NewKey) -> Result<Issued, KeyError> {
    let (org, now) = (permit.org(), m.now());
    let name = (!new.allow_duplicate_name).then(|| new.name.as_str());
    if new.idempotency_key.is_some() || name.is_some() {
        match store::find_duplicate(m, org, new.idempotency_key, name, now).await? {
            Some(Duplicate::SameRequest(IssuedBefore { name, hint })) => {
                return Err(KeyError::AlreadyIssued { name, hint });
            }
            Some(Duplicate::SameName { hint }) => return Err(KeyError::DuplicateName { hint }),
            None => {}
        }
    }
    let secret = NewSecret::generate(&new.prefix)?;
    let id = KeyId(clock::id(now));
    let expires_at = end_of(new.lifetime, now);
    let namespaces = match new.inherits_namespaces {
        true => &orgs::store::namespaces(m, org).await?,
        false => &new.namespaces,
    };
    let row = store::NewKeyRow {
        id,
        org,
        environment: &new.environment,
        tier: &new.tier,
        name: new.name.as_str(),
        digest: secret.digest,
        hint: &secret.hint,
        scopes: &new.scopes,
        namespaces,
        ip_allowlist: &new.ip_allowlist,
        created_by: m.actor().user(),
        created_at: now,
        expires_at,
        idempotency_key: new.idempotency_key,
        predecessor: None,
    };
    insert(m, &row).await?;
    m.record(Event {
        action: "key.issue",
        subject: subject(id),
        summary: format!("Created key “{}” ({})", new.name.as_str(), secret.hint),
        details: json!({
            "environment": new.environment, "tier": new.tier, "scopes": new.scopes, "namespaces": namespaces,
            "ip_allowlist": new.ip_allowlist.iter().map(IpNet::to_string).collect::<Vec<_>>(),
            "expires_at": expires_at.map(|at| at.unix_timestamp()),
        }),
    })
    .await?;
    Ok(Issued { id, secret })
}

/// Adds a key's row, unless the same request is adding one at this very moment.
async fn insert(m: &mut Mutation, row: &store::NewKeyRow<'_>) -> Result<(), KeyError> {
    match store::insert(m, row).await? {
        InsertedKey::New => Ok(()),
        InsertedKey::Repeated(IssuedBefore { name, hint }) => Err(KeyError::AlreadyIssued { name, hint }),
    }
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
    audit::store::naming(db, org.into(), &subject(id), &others, &id.to_string(), limit).await
}

/// A key that is revoked now, whether by this call or before.
pub struct RevokedKey {
    pub name: String,
    pub already: bool,
}

/// Revokes a key of one's own organization.
pub async fn revoke(
    m: &mut Mutation,
    permit: &Permit<RevokeKey>,
    id: KeyId,
    reason: Reason,
) -> Result<RevokedKey, KeyError> {
    revoke_in(m, permit.org(), id, reason, None).await
}

/// Revokes a customer's key, from the support desk (with its ticket) or the command line.
pub async fn revoke_any(
    m: &mut Mutation,
    permit: &Permit<RevokeAnyKey>,
    id: KeyId,
    reason: Reason,
    ticket: Option<&str>,
) -> Result<RevokedKey, KeyError> {
    revoke_in(m, permit.org(), id, reason, ticket).await
}

async fn revoke_in(
    m: &mut Mutation,
    org: OrgId,
    id: KeyId,
    reason: Reason,
    ticket: Option<&str>,
) -> Result<RevokedKey, KeyError> {
    let key = store::lock(m, org, id).await?.ok_or(KeyError::NotFound)?;
    // Also where it is revoked already: whoever did that may still be waiting, or may have been cut off.
    m.restricts_access();
    let already = key.revoked_at.is_some();
    if !already {
        end(m, org, id, &key, reason, ticket).await?;
    }
    Ok(RevokedKey { name: key.fields.name, already })
}

/// Revokes a key that is locked, and is not revoked yet.
async fn end(
    m: &mut Mutation,
    org: OrgId,
    id: KeyId,
    key: &LockedKey,
    reason: Reason,
    ticket: Option<&str>,
) -> Result<(), KeyError> {
    let (by, now) = (m.actor().name(), m.now());
    store::set_revoked(m, org, id, &by, reason, now).await?;
    let because = ticket.map(|ticket| format!(", ticket {ticket}")).unwrap_or_default();
    m.record(Event {
        action: "key.revoke",
        subject: subject(id),
        summary: format!(
            "Revoked key “{}” ({}): {}{because}",
            key.fields.name,
            key.hint,
            reason.label().to_lowercase()
        ),
        details: json!({ "reason": reason.as_str(), "ticket": ticket }),
    })
    .await?;
    Ok(())
}

/// Revokes some keys of one's own organization: all of these, or, where one is not there, none. Each gets its own row in
/// the log, since each has its own history. Answers how many were not revoked before.
pub async fn revoke_some(
    m: &mut Mutation,
    permit: &Permit<RevokeKey>,
    ids: &BTreeSet<KeyId>,
    reason: Reason,
) -> Result<usize, KeyError> {
    let org = permit.org();
    let mut hit = Vec::new();
    // Every key is locked, in one order, before the log is: two who do this at once do not wait for each other in a circle.
    for id in ids {
        let key = store::lock(m, org, *id).await?.ok_or(KeyError::NotFound)?;
        if key.revoked_at.is_none() {
            hit.push((*id, key));
        }
    }
    m.restricts_access();
    for (id, key) in &hit {
        end(m, org, *id, key, reason, None).await?;
    }
    Ok(hit.len())
}

/// Revokes every key of the organization. Answers how many that were.
pub async fn revoke_all(m: &mut Mutation, permit: &Permit<RevokeAllKeys>) -> Result<usize, KeyError> {
    let (by, now) = (m.actor().name(), m.now());
    let hit = store::set_all_revoked(m, permit.org(), &by, Reason::Other, now).await?;
    m.restricts_access();
    m.record(Event {
        action: "key.revoke_all",
        subject: KEYS_SUBJECT.to_owned(),
        summary: format!("Revoked all keys ({})", hit.len()),
        details: json!({ "keys": hit }),
    })
    .await?;
    Ok(hit.len())
}

/// What a service key may be made able to do.
pub const CAPABILITIES: [&str; 2] = ["verify", "operate"];

/// Makes a service key, on the command line. `Ok(None)`: the name is taken.
pub async fn issue_service_key(
    m: &mut Mutation,
    _: &Permit<IssueServiceKey>,
    prefix: &str,
    name: &KeyName,
    capabilities: &[String],
) -> Result<Option<NewSecret>, KeyError> {
    let (secret, now) = (NewSecret::generate(prefix)?, m.now());
    let inserted =
        service_keys::store::insert(m, name.as_str(), secret.digest, &secret.hint, capabilities, now).await?;
    if inserted == Inserted::Duplicate {
        return Ok(None);
    }
    m.record(Event {
        action: "service_key.issue",
        subject: String::new(),
        summary: format!("Created service key “{}” ({})", name.as_str(), secret.hint),
        details: json!({ "capabilities": capabilities }),
    })
    .await?;
    Ok(Some(secret))
}

/// Revokes a service key by its name, which no other may have again. `Ok(false)`: there is none of that name that is not
/// revoked.
pub async fn revoke_service_key(
    m: &mut Mutation,
    _: &Permit<RevokeServiceKey>,
    name: &KeyName,
) -> Result<bool, KeyError> {
    let now = m.now();
    if !service_keys::store::set_revoked(m, name.as_str(), now).await? {
        return Ok(false);
    }
    m.restricts_access();
    m.record(Event {
        action: "service_key.revoke",
        subject: String::new(),
        summary: format!("Revoked service key “{}”", name.as_str()),
        details: json!({}),
    })
    .await?;
    Ok(true)
}

//! `keydesk key …` and `keydesk service-key …`

use std::time::Instant;

use clap::{Args, Subcommand};
use serde_json::json;
use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;

use super::{CommandError, Desk, say, say_json, slug};
use crate::{
    actor::Actor,
    database::{self, RlsScope},
    ids::OrgId,
    keys::{
        lifecycle::{self, CAPABILITIES, NewKey, Wish},
        model::{KeyName, Reason},
        store::{self, Candidate},
    },
    orgs::{
        Permit, Slug,
        permit::{EditKey, RevokeAnyKey},
    },
    secrets::Digest,
};

#[derive(Subcommand)]
pub enum ServiceKeyCommand {
    /// Make one; prints only the secret
    Create(CreateServiceKey),
    /// Revoke one by its name
    Revoke(RevokeServiceKey),
}

#[derive(Args)]
pub struct RevokeServiceKey {
    #[arg(long)]
    name: String,
}

#[derive(Args)]
pub struct CreateServiceKey {
    #[arg(long)]
    name: String,
    /// What it may do; repeat for both
    #[arg(long = "capability", required = true, value_parser = CAPABILITIES)]
    capabilities: Vec<String>,
}

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make a key for an organization; prints only the secret
    Create(Create),
    /// List an organization's keys, newest first
    List(List),
    /// Revoke a key, whoever's it is; prints the receipt
    Revoke(Revoke),
    /// Stop a key until it is enabled again; prints the receipt
    Disable(Switch),
    /// Let a disabled key go on
    Enable(Switch),
}

#[derive(Args)]
pub struct Create {
    /// The organization's slug
    #[arg(long, value_parser = slug)]
    org: Slug,
    #[arg(long)]
    name: String,
    /// The catalog's first, if left out
    #[arg(long)]
    environment: Option<String>,
    /// The catalog's first, if left out
    #[arg(long)]
    tier: Option<String>,
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// In days, as in 30d, or never
    #[arg(long, default_value = "never")]
    expires: String,
    /// A namespace it may enter; repeat for more
    #[arg(long)]
    namespace: Vec<String>,
    /// An address or CIDR block it may be used from; repeat for more
    #[arg(long)]
    ip: Vec<String>,
}

/// A key, whoever's it is.
#[derive(Args)]
struct Which {
    /// As the console shows it: kd_live_AbCd…WxYz
    #[arg(long, required_unless_present = "digest", conflicts_with = "digest")]
    hint: Option<String>,
    /// SHA-256 of the key, 64 lower-case hexadecimal digits
    #[arg(long)]
    digest: Option<String>,
}

#[derive(Args)]
pub struct Revoke {
    #[command(flatten)]
    which: Which,
    #[arg(long)]
    reason: String,
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Switch {
    #[command(flatten)]
    which: Which,
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct List {
    /// The organization's slug
    #[arg(long, value_parser = slug)]
    org: Slug,
    #[arg(long)]
    json: bool,
}

pub async fn run_service_key(desk: &Desk, command: ServiceKeyCommand) -> Result<(), CommandError> {
    match command {
        ServiceKeyCommand::Create(command) => create_service_key(desk, command).await,
        ServiceKeyCommand::Revoke(command) => revoke_service_key(desk, command).await,
    }
}

async fn create_service_key(desk: &Desk, create: CreateServiceKey) -> Result<(), CommandError> {
    let name = KeyName::parse(&create.name).map_err(CommandError::said)?;
    let wanted = |known: &&&str| create.capabilities.iter().any(|asked| asked == **known);
    let capabilities: Vec<String> = CAPABILITIES.iter().filter(wanted).map(|known| (*known).to_owned()).collect();
    let permit = Permit::grant(&Actor::operator(), OrgId::NONE)?;
    let mut tx = desk.begin(RlsScope::Nothing).await?;
    let (audit_key, prefix) = (&desk.server_keys.audit, &desk.catalog.service_prefix);
    let secret =
        lifecycle::issue_service_key(&mut tx, audit_key, &permit, prefix, &name, &capabilities, desk.now).await?;
    let Some(secret) = secret else {
        return Err(CommandError::said(format!("there is a service key named {:?} already", name.as_str())));
    };
    tx.commit().await?;
    say(&[secret.reveal()])
}

async fn revoke_service_key(desk: &Desk, revoke: RevokeServiceKey) -> Result<(), CommandError> {
    let begun = Instant::now();
    let name = KeyName::parse(&revoke.name).map_err(CommandError::said)?;
    let permit = Permit::grant(&Actor::operator(), OrgId::NONE)?;
    let mut tx = desk.begin(RlsScope::Nothing).await?;
    if !lifecycle::revoke_service_key(&mut tx, &desk.server_keys.audit, &permit, &name, desk.now).await? {
        return Err(CommandError::said(format!("there is no live service key named {:?}", name.as_str())));
    }
    let effect = desk.settle(tx, true, begun).await?;
    say(&[&format!("Service key “{}” is revoked. {effect}", name.as_str())])
}

pub async fn run(desk: &Desk, command: KeyCommand) -> Result<(), CommandError> {
    match command {
        KeyCommand::Create(command) => create(desk, command).await,
        KeyCommand::List(command) => list(desk, command).await,
        KeyCommand::Revoke(command) => revoke(desk, command).await,
        KeyCommand::Disable(command) => switch(desk, command, false).await,
        KeyCommand::Enable(command) => switch(desk, command, true).await,
    }
}

async fn create(desk: &Desk, create: Create) -> Result<(), CommandError> {
    let catalog = &desk.catalog;
    let (environment, tier) = catalog.defaults();
    let wish = Wish {
        name: create.name,
        environment: create.environment.unwrap_or(environment),
        tier: create.tier.unwrap_or(tier),
        scopes: create.scopes,
        namespaces: create.namespace,
        addresses: create.ip,
        expires: create.expires,
        idempotency_key: None,
    };
    let new = NewKey::parse(wish, catalog).map_err(|wrong| {
        let lines: Vec<String> = wrong.into_iter().map(|(field, message)| format!("--{field}: {message}")).collect();
        CommandError::said(lines.join(" "))
    })?;
    let org = desk
        .org(&create.org)
        .await?
        .ok_or_else(|| CommandError::said(format!("there is no organization {}", create.org.as_str())))?;
    let permit = Permit::grant(&Actor::operator(), org.id)?;
    let mut tx = desk.begin(RlsScope::Org(org.id)).await?;
    let issued = lifecycle::issue(&mut tx, &desk.server_keys.audit, &permit, &new, desk.now).await?;
    tx.commit().await?;
    say(&[issued.secret.reveal()])
}

async fn revoke(desk: &Desk, revoke: Revoke) -> Result<(), CommandError> {
    let begun = Instant::now();
    let reason = Reason::parse(&revoke.reason).map_err(|_| {
        let known: Vec<&str> = Reason::ALL.into_iter().map(Reason::as_str).collect();
        CommandError::said(format!("--reason: choose one of {}", known.join(", ")))
    })?;
    let (mut tx, key) = find(desk, &revoke.which).await?;
    let permit: Permit<RevokeAnyKey> = Permit::grant(&Actor::operator(), key.org)?;
    let revoked =
        lifecycle::revoke_any(&mut tx, &desk.server_keys.audit, &permit, key.id, reason, None, desk.now).await?;
    let effect = desk.settle(tx, true, begun).await?;
    if revoke.json {
        return say_json(&json!({
            "key_id": key.id, "org": key.org_slug, "name": revoked.name, "already_revoked": revoked.already,
            "receipt": effect.json(),
        }));
    }
    let done = if revoked.already { "was revoked already" } else { "is revoked" };
    say(&[&format!("“{}” of {} {done}. {effect}", revoked.name, key.org_slug)])
}

async fn switch(desk: &Desk, switch: Switch, on: bool) -> Result<(), CommandError> {
    let begun = Instant::now();
    let (mut tx, key) = find(desk, &switch.which).await?;
    let permit: Permit<EditKey> = Permit::grant(&Actor::operator(), key.org)?;
    let audit_key = &desk.server_keys.audit;
    let done = match on {
        true => lifecycle::enable(&mut tx, audit_key, &permit, key.id, desk.now).await?,
        false => lifecycle::disable(&mut tx, audit_key, &permit, key.id, desk.now).await?,
    };
    let effect = desk.settle(tx, !on, begun).await?;
    if switch.json {
        return say_json(&json!({
            "key_id": key.id, "org": key.org_slug, "name": done.name, "disabled": !on, "changed": done.changed,
            "receipt": effect.json(),
        }));
    }
    let verb = if done.changed { "is" } else { "was" };
    let state = if on { "enabled" } else { "disabled" };
    let already = if done.changed { "" } else { " already" };
    say(&[&format!("“{}” of {} {verb} {state}{already}. {effect}", done.name, key.org_slug)])
}

async fn list(desk: &Desk, list: List) -> Result<(), CommandError> {
    let org = desk
        .org(&list.org)
        .await?
        .ok_or_else(|| CommandError::said(format!("there is no organization {}", list.org.as_str())))?;
    let mut tx = desk.begin(RlsScope::Org(org.id)).await?;
    let keys = store::list(&mut tx, org.id).await?;
    tx.commit().await?;
    let seconds = |at: Option<OffsetDateTime>| at.map(OffsetDateTime::unix_timestamp);
    if list.json {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| {
                json!({
                    "key_id": key.id, "name": key.name, "hint": key.hint, "status": key.state(desk.now),
                    "environment": key.environment, "tier": key.tier, "scopes": key.scopes,
                    "namespaces": key.namespaces, "addresses": key.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), "created_at": key.created_at.unix_timestamp(),
                    "expires_at": seconds(key.expires_at), "overlap_ends_at": seconds(key.overlap_ends_at), "predecessor": key.predecessor,
                    "successor": key.successor, "last_used_at": seconds(key.last_used.as_ref().map(|l| l.at)),
                })
            })
            .collect();
        return say_json(&json!(keys));
    }
    let lines: Vec<String> = keys
        .iter()
        .map(|key| format!("{}  {:<8}  {}  {}", key.id, key.state(desk.now).label(), key.hint, key.name))
        .collect();
    say(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The key that is meant, in a transaction that reaches its organization.
async fn find(desk: &Desk, which: &Which) -> Result<(Transaction<'static, Postgres>, Candidate), CommandError> {
    let digest =
        match &which.digest {
            Some(text) => Some(Digest::from_hex(text).ok_or_else(|| {
                CommandError::said("--digest: 64 lower-case hexadecimal digits, the SHA-256 of the key")
            })?),
            None => None,
        };
    let hint = which.hint.as_ref().map(|hint| hint.trim().replace("...", "…"));
    let mut tx = desk.begin(RlsScope::Operator).await?;
    let key = only(store::candidates(&mut tx, hint.as_deref(), digest).await?)?;
    database::set_rls_scope(&mut tx, RlsScope::Org(key.org)).await?;
    Ok((tx, key))
}

/// The one key that fits; several that are not revoked yet are a question back, not a guess.
fn only(candidates: Vec<Candidate>) -> Result<Candidate, CommandError> {
    let (open, revoked): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|key| !key.revoked);
    if open.len() > 1 {
        let listed: Vec<String> =
            open.iter().map(|key| format!("“{}” of {} --digest {}", key.name, key.org_slug, key.digest)).collect();
        return Err(CommandError::said(format!(
            "{} keys fit; say which by its digest: {}",
            open.len(),
            listed.join("; ")
        )));
    }
    open.into_iter().chain(revoked).next().ok_or_else(|| CommandError::said("there is no such key"))
}

//! `keydesk key …` and `keydesk service-key …`

use clap::{Args, Subcommand};
use serde_json::json;
use strum::VariantArray;
use time::OffsetDateTime;

use super::{CommandContext, CommandError, commit, no_org, say, say_json, slug};
use crate::{
    database::RlsScope,
    keys::{
        lifecycle::{self, CAPABILITIES, CreateKeyInput, NewKey},
        model::{KeyName, Reason},
        store::{self, Candidate},
    },
    mutation::Mutation,
    orgs::Slug,
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
    /// Make it although another key has this name
    #[arg(long)]
    allow_duplicate_name: bool,
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

pub async fn run_service_key(cx: &CommandContext<'_>, command: ServiceKeyCommand) -> Result<(), CommandError> {
    match command {
        ServiceKeyCommand::Create(command) => create_service_key(cx, command).await,
        ServiceKeyCommand::Revoke(command) => revoke_service_key(cx, command).await,
    }
}

async fn create_service_key(cx: &CommandContext<'_>, create: CreateServiceKey) -> Result<(), CommandError> {
    let name = KeyName::parse(&create.name).map_err(CommandError::said)?;
    let wanted = |known: &&&str| create.capabilities.iter().any(|asked| asked == **known);
    let capabilities: Vec<String> = CAPABILITIES.iter().filter(wanted).map(|known| (*known).to_owned()).collect();
    let mut m = cx.begin(RlsScope::Nothing).await?;
    let (permit, prefix) = (m.permit()?, &cx.catalog.service_prefix);
    let secret = lifecycle::issue_service_key(&mut m, &permit, prefix, &name, &capabilities).await?;
    let Some(secret) = secret else {
        return Err(CommandError::said(format!("there is a service key named {:?} already", name.as_str())));
    };
    m.commit().await?;
    say(&[secret.reveal()])
}

async fn revoke_service_key(cx: &CommandContext<'_>, revoke: RevokeServiceKey) -> Result<(), CommandError> {
    let name = KeyName::parse(&revoke.name).map_err(CommandError::said)?;
    let mut m = cx.begin(RlsScope::Nothing).await?;
    let permit = m.permit()?;
    if !lifecycle::revoke_service_key(&mut m, &permit, &name).await? {
        return Err(CommandError::said(format!("there is no live service key named {:?}", name.as_str())));
    }
    let effect = commit(m).await?;
    say(&[&format!("Service key “{}” is revoked. {effect}", name.as_str())])
}

pub async fn run(cx: &CommandContext<'_>, command: KeyCommand) -> Result<(), CommandError> {
    match command {
        KeyCommand::Create(command) => create(cx, command).await,
        KeyCommand::List(command) => list(cx, command).await,
        KeyCommand::Revoke(command) => revoke(cx, command).await,
        KeyCommand::Disable(command) => switch(cx, command, false).await,
        KeyCommand::Enable(command) => switch(cx, command, true).await,
    }
}

async fn create(cx: &CommandContext<'_>, create: Create) -> Result<(), CommandError> {
    let catalog = &cx.catalog;
    let (environment, tier) = catalog.defaults();
    let input = CreateKeyInput {
        name: create.name,
        environment: create.environment.unwrap_or(environment),
        tier: create.tier.unwrap_or(tier),
        scopes: create.scopes,
        namespaces: create.namespace,
        ip_allowlist: create.ip,
        expires: create.expires,
        idempotency_key: None,
        allow_duplicate_name: create.allow_duplicate_name,
    };
    let new = NewKey::parse(input, catalog).map_err(|wrong| {
        let lines: Vec<String> = wrong.into_iter().map(|(field, message)| format!("--{field}: {message}")).collect();
        CommandError::said(lines.join(" "))
    })?;
    let (mut m, _) = cx.begin_in(&create.org).await?;
    let permit = m.permit()?;
    let issued = lifecycle::issue(&mut m, &permit, &new).await?;
    m.commit().await?;
    say(&[issued.secret.reveal()])
}

async fn revoke(cx: &CommandContext<'_>, revoke: Revoke) -> Result<(), CommandError> {
    let reason = Reason::parse(&revoke.reason).map_err(|_| {
        let known: Vec<&str> = Reason::VARIANTS.iter().map(|reason| reason.as_str()).collect();
        CommandError::said(format!("--reason: choose one of {}", known.join(", ")))
    })?;
    let (mut m, key) = find(cx, &revoke.which).await?;
    let permit = m.permit()?;
    let revoked = lifecycle::revoke_any(&mut m, &permit, key.id, reason, None).await?;
    let effect = commit(m).await?;
    if revoke.json {
        return say_json(&json!({
            "key_id": key.id, "org": key.org_slug, "name": revoked.name, "already_revoked": revoked.already,
            "receipt": effect,
        }));
    }
    let done = if revoked.already { "was revoked already" } else { "is revoked" };
    say(&[&format!("“{}” of {} {done}. {effect}", revoked.name, key.org_slug)])
}

async fn switch(cx: &CommandContext<'_>, switch: Switch, on: bool) -> Result<(), CommandError> {
    let (mut m, key) = find(cx, &switch.which).await?;
    let permit = m.permit()?;
    let done = match on {
        true => lifecycle::enable(&mut m, &permit, key.id).await?,
        false => lifecycle::disable(&mut m, &permit, key.id).await?,
    };
    let effect = commit(m).await?;
    if switch.json {
        return say_json(&json!({
            "key_id": key.id, "org": key.org_slug, "name": done.name, "disabled": !on, "changed": done.changed,
            "receipt": effect,
        }));
    }
    let verb = if done.changed { "is" } else { "was" };
    let state = if on { "enabled" } else { "disabled" };
    let already = if done.changed { "" } else { " already" };
    say(&[&format!("“{}” of {} {verb} {state}{already}. {effect}", done.name, key.org_slug)])
}

async fn list(cx: &CommandContext<'_>, list: List) -> Result<(), CommandError> {
    let org = cx.org(&list.org).await?.ok_or_else(|| no_org(&list.org))?;
    let mut tx = cx.read(RlsScope::Org(org.id)).await?;
    let keys = store::list(&mut tx, org.id).await?;
    let seconds = |at: Option<OffsetDateTime>| at.map(OffsetDateTime::unix_timestamp);
    if list.json {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| {
                json!({
                    "key_id": key.id, "name": key.name, "hint": key.hint, "status": key.state(cx.now),
                    "environment": key.environment, "tier": key.tier, "scopes": key.scopes,
                    "namespaces": key.namespaces, "ip_allowlist": key.ip_allowlist.iter().map(ToString::to_string).collect::<Vec<_>>(), "created_at": key.created_at.unix_timestamp(),
                    "expires_at": seconds(key.expires_at), "overlap_ends_at": seconds(key.overlap_ends_at), "predecessor": key.predecessor,
                    "successor": key.successor, "last_used_at": seconds(key.last_used.as_ref().map(|l| l.at)),
                })
            })
            .collect();
        return say_json(&json!(keys));
    }
    let lines: Vec<String> = keys
        .iter()
        .map(|key| format!("{}  {:<8}  {}  {}", key.id, key.state(cx.now).label(), key.hint, key.name))
        .collect();
    say(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The key that is meant, and a change of its organization.
async fn find(cx: &CommandContext<'_>, which: &Which) -> Result<(Mutation, Candidate), CommandError> {
    let digest =
        match &which.digest {
            Some(text) => Some(Digest::from_hex(text).ok_or_else(|| {
                CommandError::said("--digest: 64 lower-case hexadecimal digits, the SHA-256 of the key")
            })?),
            None => None,
        };
    let hint = which.hint.as_ref().map(|hint| hint.trim().replace("...", "…"));
    let mut m = cx.begin(RlsScope::Operator).await?;
    let key = only(store::candidates(&mut m, hint.as_deref(), digest).await?)?;
    m.set_rls_scope(RlsScope::Org(key.org)).await?;
    Ok((m, key))
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

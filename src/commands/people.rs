//! `keydesk user …`

use std::{io::Read, time::Instant};

use clap::{Args, Subcommand, ValueEnum};
use secrecy::SecretString;
use serde_json::json;
use sqlx::{Postgres, Transaction};
use zeroize::Zeroizing;

use super::{CommandError, Desk, say, say_json, slug};
use crate::{
    accounts::{self, Email, PersonName, password::NewPassword, store::Account},
    actor::{Actor, Role},
    clock,
    database::{self, RlsScope},
    ids::OrgId,
    orgs::{self, OrgName, Permit, Slug, lifecycle::NewPerson, permit::ManagePeople},
};

#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a member (and the organization, if it is new), or support staff
    Create(Create),
    /// Set somebody's password for them; ends their sessions
    SetPassword(SetPassword),
    /// Shut somebody's account; ends their sessions
    Disable(Disable),
}

#[derive(Args)]
pub struct SetPassword {
    #[arg(long)]
    email: String,
    /// Read the password from standard input
    #[arg(long, required = true)]
    password_stdin: bool,
}

#[derive(Args)]
pub struct Disable {
    #[arg(long)]
    email: String,
}

#[derive(Args)]
pub struct Create {
    /// What they sign in with
    #[arg(long)]
    email: String,
    /// What they are called
    #[arg(long)]
    name: String,
    /// The organization's slug, as in acme-corp
    #[arg(long, value_parser = slug, conflicts_with = "staff", required_unless_present = "staff")]
    org: Option<Slug>,
    #[arg(long, value_enum, default_value = "owner", conflicts_with = "staff")]
    role: MemberRole,
    /// The provider's own people
    #[arg(long, value_enum)]
    staff: Option<StaffRole>,
    /// Read the password from standard input
    #[arg(long, required = true)]
    password_stdin: bool,
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum MemberRole {
    Owner,
    Admin,
    Developer,
    Viewer,
}

#[derive(Clone, Copy, ValueEnum)]
enum StaffRole {
    Support,
}

impl From<MemberRole> for Role {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Owner => Self::Owner,
            MemberRole::Admin => Self::Admin,
            MemberRole::Developer => Self::Developer,
            MemberRole::Viewer => Self::Viewer,
        }
    }
}

pub async fn run(desk: &Desk, command: UserCommand) -> Result<(), CommandError> {
    match command {
        UserCommand::Create(command) => create(desk, command).await,
        UserCommand::SetPassword(command) => set_password(desk, command).await,
        UserCommand::Disable(command) => disable(desk, command).await,
    }
}

async fn create(desk: &Desk, create: Create) -> Result<(), CommandError> {
    let email = Email::parse(&create.email).map_err(CommandError::said)?;
    let name = PersonName::parse(&create.name).map_err(CommandError::said)?;
    let existing = match &create.org {
        Some(slug) => desk.org(slug).await?,
        None => None,
    };
    let about = [create.email.as_str(), create.name.as_str(), existing.as_ref().map_or("", |org| org.name.as_str())];
    let password = NewPassword::parse(&password_from_stdin()?, &about).map_err(CommandError::said)?;
    let person = NewPerson { email, name, password_hash: desk.hasher()?.hash(password).await? };
    let actor = Actor::operator();
    let audit_key = &desk.server_keys.audit;
    let mut tx = desk.begin(RlsScope::Nothing).await?;
    let what = match &create.org {
        Some(slug) => {
            let org = existing.as_ref().map_or_else(|| OrgId(clock::id(desk.now)), |org| org.id);
            database::set_rls_scope(&mut tx, RlsScope::Org(org)).await?;
            if existing.is_none() {
                let name = OrgName::parse(slug.as_str()).map_err(CommandError::said)?;
                let permit = Permit::grant(&actor, org)?;
                orgs::lifecycle::create_org(&mut tx, audit_key, &permit, slug, &name, desk.now).await?;
            }
            let role = Role::from(create.role);
            orgs::lifecycle::add_member(&mut tx, audit_key, &Permit::grant(&actor, org)?, &person, role, desk.now)
                .await?;
            format!("{} of {}", role.as_str(), slug.as_str())
        }
        None => {
            let permit = Permit::grant(&actor, OrgId::NONE)?;
            orgs::lifecycle::add_staff(&mut tx, audit_key, &permit, &person, desk.now).await?;
            "support staff".to_owned()
        }
    };
    tx.commit().await?;
    if create.json {
        say_json(&json!({ "email": create.email, "is": what }))
    } else {
        say(&[&format!("Added {} as {what}.", create.email)])
    }
}

async fn set_password(desk: &Desk, command: SetPassword) -> Result<(), CommandError> {
    let typed = password_from_stdin()?;
    let (mut tx, account, permit) = account(desk, &command.email).await?;
    let about = [account.name.as_str(), command.email.as_str()];
    let password = NewPassword::parse(&typed, &about).map_err(CommandError::said)?;
    let hash = desk.hasher()?.hash(password).await?;
    let audit_key = &desk.server_keys.audit;
    orgs::lifecycle::set_password(&mut tx, audit_key, &permit, &account, &hash, desk.now).await?;
    tx.commit().await?;
    say(&[&format!("The password of {} is set, and their sessions have ended.", command.email)])
}

async fn disable(desk: &Desk, command: Disable) -> Result<(), CommandError> {
    let begun = Instant::now();
    let (mut tx, account, permit) = account(desk, &command.email).await?;
    orgs::lifecycle::disable(&mut tx, &desk.server_keys.audit, &permit, &account, desk.now).await?;
    let receipt = desk.settle(tx, true, begun).await?;
    say(&[&format!("{} is disabled, and their sessions have ended. {receipt}", command.email)])
}

/// Somebody's account, locked, in a transaction that reaches their organization, and the permit for it.
async fn account(
    desk: &Desk,
    email: &str,
) -> Result<(Transaction<'static, Postgres>, Account, Permit<ManagePeople>), CommandError> {
    let mut tx = desk.begin(RlsScope::Nothing).await?;
    let account = accounts::store::lock_by_email(&mut tx, email.trim()).await?;
    let account = account.ok_or_else(|| CommandError::said(format!("{email} has no account")))?;
    database::set_rls_scope(&mut tx, RlsScope::Person(account.id)).await?;
    let membership = orgs::store::memberships(&mut tx, account.id).await?.into_iter().next();
    let (org, reach) = match membership {
        Some(membership) => (membership.org.id, RlsScope::Org(membership.org.id)),
        None => (OrgId::NONE, RlsScope::Nothing),
    };
    database::set_rls_scope(&mut tx, reach).await?;
    Ok((tx, account, Permit::grant(&Actor::operator(), org)?))
}

/// All of standard input but one line break at its end, which `echo` adds.
fn password_from_stdin() -> Result<SecretString, CommandError> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|_| CommandError::said("the password on standard input is not text"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).into())
}

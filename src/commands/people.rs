//! `keydesk user …`

use std::io::Read;

use clap::{Args, Subcommand, ValueEnum};
use secrecy::SecretString;
use serde_json::json;
use zeroize::Zeroizing;

use super::{CommandContext, CommandError, commit, say, say_json, slug};
use crate::{
    accounts::{self, Email, PersonName, password::NewPassword, store::Account},
    actor::Role,
    clock,
    database::RlsScope,
    ids::OrgId,
    mutation::Mutation,
    orgs::{self, OrgName, Slug, lifecycle::NewPerson},
};

#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a member (and the organization, if it is new), or support staff
    Create(Create),
    /// Set somebody's password for them; ends their sessions
    SetPassword(SetPassword),
    /// Shut somebody's account; ends their sessions
    Disable(Of),
    /// Open a shut account again
    Enable(Of),
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
pub struct Of {
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

pub async fn run(cx: &CommandContext<'_>, command: UserCommand) -> Result<(), CommandError> {
    match command {
        UserCommand::Create(command) => create(cx, command).await,
        UserCommand::SetPassword(command) => set_password(cx, command).await,
        UserCommand::Disable(command) => disable(cx, command).await,
        UserCommand::Enable(command) => enable(cx, command).await,
    }
}

async fn create(cx: &CommandContext<'_>, create: Create) -> Result<(), CommandError> {
    let email = Email::parse(&create.email).map_err(CommandError::said)?;
    let name = PersonName::parse(&create.name).map_err(CommandError::said)?;
    let existing = match &create.org {
        Some(slug) => cx.org(slug).await?,
        None => None,
    };
    let about = [create.email.as_str(), create.name.as_str(), existing.as_ref().map_or("", |org| org.name.as_str())];
    let password = NewPassword::parse(&password_from_stdin()?, &about).map_err(CommandError::said)?;
    let person = NewPerson { email, name, password_hash: cx.hasher()?.hash(password).await? };
    let mut m = cx.begin(RlsScope::Nothing).await?;
    let what = match &create.org {
        Some(slug) => {
            let org = existing.as_ref().map_or_else(|| OrgId(clock::id(cx.now)), |org| org.id);
            m.set_rls_scope(RlsScope::Org(org)).await?;
            if existing.is_none() {
                let name = OrgName::parse(slug.as_str()).map_err(CommandError::said)?;
                let permit = m.permit()?;
                orgs::lifecycle::create_org(&mut m, &permit, slug, &name).await?;
            }
            let (permit, role) = (m.permit()?, Role::from(create.role));
            orgs::lifecycle::add_member(&mut m, &permit, &person, role).await?;
            format!("{} of {}", role.as_str(), slug.as_str())
        }
        None => {
            let permit = m.permit()?;
            orgs::lifecycle::add_staff(&mut m, &permit, &person).await?;
            "support staff".to_owned()
        }
    };
    m.commit().await?;
    if create.json {
        say_json(&json!({ "email": create.email, "is": what }))
    } else {
        say(&[&format!("Added {} as {what}.", create.email)])
    }
}

async fn set_password(cx: &CommandContext<'_>, command: SetPassword) -> Result<(), CommandError> {
    let typed = password_from_stdin()?;
    let (mut m, account) = account(cx, &command.email).await?;
    let about = [account.name.as_str(), command.email.as_str()];
    let password = NewPassword::parse(&typed, &about).map_err(CommandError::said)?;
    let hash = cx.hasher()?.hash(password).await?;
    let permit = m.permit()?;
    orgs::lifecycle::set_password(&mut m, &permit, &account, &hash).await?;
    m.commit().await?;
    let email = &command.email;
    if account.disabled {
        let next = format!("The account is disabled: `keydesk user enable --email {email}` lets them sign in.");
        return say(&[&format!("The password of {email} is set."), &next]);
    }
    say(&[&format!("The password of {email} is set, and their sessions have ended.")])
}

async fn enable(cx: &CommandContext<'_>, command: Of) -> Result<(), CommandError> {
    let (mut m, account) = account(cx, &command.email).await?;
    let permit = m.permit()?;
    orgs::lifecycle::enable(&mut m, &permit, &account).await?;
    m.commit().await?;
    say(&[&format!("{} can sign in again.", command.email)])
}

async fn disable(cx: &CommandContext<'_>, command: Of) -> Result<(), CommandError> {
    let (mut m, account) = account(cx, &command.email).await?;
    let permit = m.permit()?;
    orgs::lifecycle::disable(&mut m, &permit, &account).await?;
    let effect = commit(m).await?;
    say(&[&format!("{} is disabled, and their sessions have ended. {effect}", command.email)])
}

/// Somebody's account, locked, in a change of their organization (of the deployment, for staff).
async fn account(cx: &CommandContext<'_>, email: &str) -> Result<(Mutation, Account), CommandError> {
    let mut m = cx.begin(RlsScope::Nothing).await?;
    let account = accounts::store::lock_by_email(&mut m, email.trim()).await?;
    let account = account.ok_or_else(|| CommandError::said(format!("{email} has no account")))?;
    orgs::lifecycle::enter_scope_of(&mut m, &account).await?;
    Ok((m, account))
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

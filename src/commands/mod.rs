//! The commands of `keydesk`. Each fails with one clear line; standard output holds the answer and nothing else.

mod audit;
mod catalog;
mod demo;
mod history;
mod keys;
mod nodes;
mod orgs;
mod people;

use std::{collections::BTreeMap, io::Write, path::Path, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;
use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;

use crate::{
    accounts::password::{Hasher, HashingFailed},
    actor::Actor,
    catalog::{Catalog, CatalogError},
    clock::Clock,
    config::{Config, ConfigError},
    database::{self, Database, DatabaseError, Opening, RlsScope},
    keys::error::KeyError,
    mutation::{CommitError, Mutation},
    orgs::{
        Slug,
        lifecycle::OrgError,
        store::{self, Org},
    },
    permissions::Denied,
    revocation::Receipt,
    server::{self, ServedPlanes},
    server_keys::{ServerKeys, ServerKeysError},
    telemetry,
};

/// How long a command waits for a change without a word.
const SAY_AFTER: Duration = Duration::from_secs(2);

#[derive(Parser)]
#[command(name = "keydesk", version, about = "A self-hosted API key console", disable_help_subcommand = false)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the console and the key plane
    Serve {
        #[arg(long, value_enum, default_value = "all")]
        plane: Plane,
    },
    /// Apply pending migrations and make the planes' roles
    Migrate {
        /// Give the planes' roles the passwords of this data folder; whatever else uses the roles is locked out
        #[arg(long)]
        reset_passwords: bool,
    },
    /// Add people
    #[command(subcommand)]
    User(people::UserCommand),
    /// Make keys for the provider's own services
    #[command(subcommand)]
    ServiceKey(keys::ServiceKeyCommand),
    /// Suspend organizations
    #[command(subcommand)]
    Org(orgs::OrgCommand),
    /// Make, list, stop and revoke API keys
    #[command(subcommand)]
    Key(keys::KeyCommand),
    /// Show the running key planes, how far each has followed, and the last refusals
    Nodes(nodes::Nodes),
    /// Fill an organization with lively demo data
    SeedDemo(demo::SeedDemo),
    /// Check a catalog
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// Check the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// End the alarm after the database went back
    #[command(subcommand)]
    History(history::HistoryCommand),
}

#[derive(Clone, Copy, ValueEnum)]
enum Plane {
    All,
    Console,
    Keys,
}

impl From<Plane> for ServedPlanes {
    fn from(plane: Plane) -> Self {
        match plane {
            Plane::All => Self::All,
            Plane::Console => Self::Console,
            Plane::Keys => Self::Keys,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    ServerKeys(#[from] ServerKeysError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Serve(#[from] server::ServeError),
    #[error("the database could not be asked: {0}")]
    Sql(#[from] sqlx::Error),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Org(#[from] OrgError),
    #[error(transparent)]
    Hashing(#[from] HashingFailed),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A sentence that says what to do.
    #[error("{0}")]
    Said(String),
}

impl CommandError {
    fn said(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }
}

pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            // What is wrong comes first; the rest is how to call it, which `help` says too.
            let text = error.to_string();
            let wrong = text.split("\n\n").next().unwrap_or("error: wrong arguments");
            eprintln!("{} (see keydesk help)", one_line(wrong));
            return ExitCode::from(2);
        }
    };
    telemetry::start(std::env::var("RUST_LOG").ok().as_deref());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(run(arguments.command));
    // What still runs on blocking threads must not keep the process from ending.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", one_line(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn run(command: Command) -> Result<(), CommandError> {
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    // It needs no settings and no database, and these may be what is to be mended.
    if let Command::Catalog(command) = &command {
        return catalog::run(command);
    }
    let config = Config::from_env(env)?;
    let catalog = Catalog::load(&config.catalog)?;
    if let Command::Audit(audit::AuditCommand::Verify(audit::Verify { file: Some(file), json })) = &command {
        return audit::verify_file(&config, file, *json);
    }
    if let Command::Serve { plane } = command {
        return Ok(server::serve(&config, plane.into(), catalog).await?);
    }
    let database = Database::open(&config, command.opening()).await?;
    let done = match ServerKeys::open(&config.data_dir, &database.console).await {
        Ok(server_keys) => {
            let cx = CommandContext {
                database: &database,
                data_dir: &config.data_dir,
                catalog,
                server_keys,
                now: Clock::System.now(),
            };
            run_with(&cx, command).await
        }
        Err(error) => Err(error.into()),
    };
    database.close().await?;
    done
}

async fn run_with(cx: &CommandContext<'_>, command: Command) -> Result<(), CommandError> {
    match command {
        Command::Serve { .. } | Command::Migrate { .. } => say(&["The database is up to date."]),
        Command::User(command) => people::run(cx, command).await,
        Command::ServiceKey(command) => keys::run_service_key(cx, command).await,
        Command::Org(command) => orgs::run(cx, command).await,
        Command::Key(command) => keys::run(cx, command).await,
        Command::Nodes(command) => nodes::run(cx, &command).await,
        Command::SeedDemo(command) => demo::run(cx, command).await,
        Command::Catalog(command) => catalog::run(&command),
        Command::History(history::HistoryCommand::Accept(command)) => history::accept(cx, &command).await,
        Command::Audit(audit::AuditCommand::Verify(command)) => audit::verify_live(cx, command.json).await,
    }
}

impl Command {
    /// A command that only looks changes nothing, from whichever folder it is called.
    fn opening(&self) -> Opening {
        match self {
            Self::Nodes(_) | Self::Audit(_) | Self::Catalog(_) | Self::Key(keys::KeyCommand::List(_)) => Opening::Look,
            Self::Migrate { reset_passwords: true } => Opening::ResetPasswords,
            _ => Opening::Prepare,
        }
    }
}

/// What a command works with.
struct CommandContext<'a> {
    database: &'a Database,
    data_dir: &'a Path,
    catalog: Catalog,
    server_keys: ServerKeys,
    now: OffsetDateTime,
}

impl CommandContext<'_> {
    /// Begins a change by the operator.
    async fn begin(&self, rls: RlsScope) -> sqlx::Result<Mutation> {
        let (pool, audit_key) = (&self.database.console, &self.server_keys.audit);
        Mutation::begin(pool, audit_key, rls, Actor::operator(), self.now).await
    }

    /// Begins a change of the organization with a slug, by the operator.
    async fn begin_in(&self, slug: &Slug) -> Result<(Mutation, Org), CommandError> {
        let mut m = self.begin(RlsScope::Operator).await?;
        let org = store::find_by_slug(&mut m, slug).await?.ok_or_else(|| no_org(slug))?;
        m.set_rls_scope(RlsScope::Org(org.id)).await?;
        Ok((m, org))
    }

    async fn read(&self, rls: RlsScope) -> sqlx::Result<Transaction<'static, Postgres>> {
        database::read(&self.database.console, rls).await
    }

    fn hasher(&self) -> Result<Hasher, HashingFailed> {
        Hasher::new()
    }

    /// The organization with a slug.
    async fn org(&self, slug: &Slug) -> Result<Option<Org>, CommandError> {
        let mut tx = self.read(RlsScope::Operator).await?;
        Ok(store::find_by_slug(&mut tx, slug).await?)
    }
}

/// Where a change holds: `None` for one that was not waited for.
#[derive(Serialize)]
struct Effect(Option<Receipt>);

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(receipt) => receipt.fmt(f),
            None => f.write_str("Every node follows within a second."),
        }
    }
}

/// Commits, and waits until the change holds everywhere, however long that takes. Meanwhile it says for whom.
async fn commit(m: Mutation) -> Result<Effect, CommandError> {
    let Some(mut pending) = m.commit_pending().await? else { return Ok(Effect(None)) };
    let mut said = Vec::new();
    loop {
        let receipt = pending.wait(SAY_AFTER).await.map_err(CommitError::Unconfirmed)?;
        if receipt.is_complete() {
            return Ok(Effect(Some(receipt)));
        }
        if receipt.waiting_for != said {
            eprintln!("{receipt}");
            said = receipt.waiting_for;
        }
    }
}

fn no_org(slug: &Slug) -> CommandError {
    CommandError::said(format!("there is no organization {}", slug.as_str()))
}

/// The command's answer.
fn say(lines: &[&str]) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

fn say_json(value: &serde_json::Value) -> Result<(), CommandError> {
    say(&[&value.to_string()])
}

fn slug(text: &str) -> Result<Slug, String> {
    Slug::parse(text).map_err(str::to_owned)
}

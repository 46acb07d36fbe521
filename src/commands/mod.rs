//! The commands of `keydesk`. Each fails with one clear line; standard output holds the answer and nothing else.

mod audit;
mod catalog;
mod demo;
mod keys;
mod nodes;
mod orgs;
mod people;

use std::{collections::BTreeMap, io::Write, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand, ValueEnum};
use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;

use crate::{
    accounts::password::{Hasher, HashingFailed},
    catalog::{Catalog, CatalogError},
    clock::Clock,
    config::{Config, ConfigError},
    data_dir,
    database::{self, Database, DatabaseError, RlsScope},
    keys::error::KeyError,
    orgs::{Denied, Slug, lifecycle::OrgError, store, store::Org},
    revocation::{self, Receipt, Unconfirmed},
    server::{self, ServedPlanes},
    server_keys::{ServerKeys, ServerKeysError},
    telemetry,
};

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
    Migrate,
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
    Unconfirmed(#[from] Unconfirmed),
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
        let server_keys = load_keys(&config)?;
        return Ok(server::serve(&config, plane.into(), catalog, server_keys).await?);
    }
    let server_keys = load_keys(&config)?;
    let database = Database::open(&config).await?;
    let desk = Desk { database, catalog, server_keys, now: Clock::System.now() };
    let done = match command {
        Command::Serve { .. } | Command::Migrate => say(&["The database is up to date."]),
        Command::User(command) => people::run(&desk, command).await,
        Command::ServiceKey(command) => keys::run_service_key(&desk, command).await,
        Command::Org(command) => orgs::run(&desk, command).await,
        Command::Key(command) => keys::run(&desk, command).await,
        Command::Nodes(command) => nodes::run(&desk, &command).await,
        Command::SeedDemo(command) => demo::run(&desk, command).await,
        Command::Catalog(command) => catalog::run(&command),
        Command::Audit(audit::AuditCommand::Verify(command)) => audit::verify_live(&desk, command.json).await,
    };
    desk.database.close().await?;
    done
}

fn load_keys(config: &Config) -> Result<ServerKeys, CommandError> {
    data_dir::create(&config.data_dir)?;
    Ok(ServerKeys::load(&config.data_dir)?)
}

/// What a command works with.
struct Desk {
    database: Database,
    catalog: Catalog,
    server_keys: ServerKeys,
    now: OffsetDateTime,
}

impl Desk {
    async fn begin(&self, scope: RlsScope) -> sqlx::Result<Transaction<'static, Postgres>> {
        database::begin(&self.database.console, scope).await
    }

    /// Commits; a narrowing change waits until it holds everywhere, and a widening one does not: nobody is let in wrongly
    /// meanwhile, and every node follows within a second.
    async fn settle(
        &self,
        tx: Transaction<'static, Postgres>,
        narrows: bool,
        begun: Instant,
    ) -> Result<Effect, CommandError> {
        if narrows {
            let revision = revocation::commit(tx).await?;
            return Ok(Effect(Some(revocation::wait(&self.database.console, revision, begun).await?)));
        }
        tx.commit().await?;
        Ok(Effect(None))
    }

    fn hasher(&self) -> Result<Hasher, HashingFailed> {
        Hasher::new()
    }

    /// The organization with a slug.
    async fn org(&self, slug: &Slug) -> Result<Option<Org>, CommandError> {
        let mut tx = self.begin(RlsScope::Operator).await?;
        let org = store::find_by_slug(&mut tx, slug).await?;
        tx.commit().await?;
        Ok(org)
    }
}

/// Where a change holds: `None` for one that was not waited for.
struct Effect(Option<Receipt>);

impl Effect {
    fn json(&self) -> serde_json::Value {
        self.0.as_ref().map_or(serde_json::Value::Null, Receipt::json)
    }
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(receipt) => receipt.fmt(f),
            None => f.write_str("Every node follows within a second."),
        }
    }
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

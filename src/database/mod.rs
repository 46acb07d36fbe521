//! How Postgres is reached: the embedded one or a given one, the owner's connection, and a pool for each plane's role.

pub mod embedded;
pub mod roles;
pub mod store;

use std::{path::Path, str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, PgPool, Postgres, Transaction,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use crate::{
    config::Config,
    data_dir,
    ids::{OrgId, UserId},
};
use embedded::{Embedded, EmbeddedError};

/// The narrated migrations, compiled in.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// The embedded cluster's database.
const DATABASE: &str = "keydesk";

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error("{name} is not a Postgres URL, as in postgres://user:password@host/database")]
    Url { name: &'static str },
    #[error("the database could not be reached or asked: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the migrations could not be applied: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("{0}")]
    NotDurable(String),
    #[error("the data folder could not be used: {0}")]
    DataDir(#[from] std::io::Error),
}

/// A migrated database, with a pool for each plane.
pub struct Database {
    embedded: Option<Embedded>,
    /// As `keydesk_console`.
    pub console: PgPool,
    /// As `keydesk_keys`.
    pub keys: PgPool,
    /// As `keydesk_operator`.
    pub operator: PgPool,
}

impl Database {
    /// Reaches Postgres (starting the embedded one if need be), makes the roles, applies pending migrations, checks that
    /// acknowledged means durable, and connects the planes.
    pub async fn open(config: &Config) -> Result<Self, DatabaseError> {
        data_dir::create(&config.data_dir)?;
        let embedded = match config.database_url {
            None => Some(Embedded::join(&config.data_dir).await?),
            Some(_) => None,
        };
        match Self::connect(config, embedded.as_ref()).await {
            Ok(planes) => Ok(Self {
                embedded,
                console: pool(planes.console, CONSOLE_CONNECTIONS),
                keys: pool(planes.keys, KEYS_CONNECTIONS),
                operator: pool(planes.operator, OPERATOR_CONNECTIONS),
            }),
            Err(error) => {
                if let Some(embedded) = embedded
                    && let Err(error) = embedded.leave().await
                {
                    tracing::warn!(%error, "the embedded Postgres was not left in order");
                }
                Err(error)
            }
        }
    }

    async fn connect(config: &Config, embedded: Option<&Embedded>) -> Result<Planes, DatabaseError> {
        let owner = match (embedded, &config.database_url) {
            (Some(embedded), _) => embedded.options(DATABASE),
            (None, Some(url)) => parse("DATABASE_URL", url)?,
            (None, None) => return Err(DatabaseError::Url { name: "DATABASE_URL" }),
        };
        let given = Given {
            console: given("KEYDESK_CONSOLE_DATABASE_URL", config.console_database_url.as_ref())?,
            keys: given("KEYDESK_KEYS_DATABASE_URL", config.keys_database_url.as_ref())?,
            operator: given("KEYDESK_OPERATOR_DATABASE_URL", config.operator_database_url.as_ref())?,
        };
        prepare(owner, &config.data_dir, given).await
    }

    /// Closes the pools, and stops the embedded Postgres if nobody else uses it.
    pub async fn close(self) -> Result<(), DatabaseError> {
        self.console.close().await;
        self.keys.close().await;
        self.operator.close().await;
        if let Some(embedded) = self.embedded {
            embedded.leave().await?;
        }
        Ok(())
    }
}

const CONSOLE_CONNECTIONS: u32 = 10;
const KEYS_CONNECTIONS: u32 = 10;
/// Nobody waits for the back office but itself.
const OPERATOR_CONNECTIONS: u32 = 4;

/// How each plane connects.
pub struct Planes {
    pub console: PgConnectOptions,
    pub keys: PgConnectOptions,
    pub operator: PgConnectOptions,
}

/// The planes that have a URL of their own.
#[derive(Default)]
pub struct Given {
    pub console: Option<PgConnectOptions>,
    pub keys: Option<PgConnectOptions>,
    pub operator: Option<PgConnectOptions>,
}

/// Makes roles and schema, as the owner. A plane with a URL of its own keeps it, and its role is its operator's affair.
pub async fn prepare(owner: PgConnectOptions, data_dir: &Path, given: Given) -> Result<Planes, DatabaseError> {
    let owner = owner.application_name("keydesk owner").log_statements(tracing::log::LevelFilter::Trace);
    let mut db = owner.connect().await?;
    store::assert_durable(&mut db).await?;
    let planes = Planes {
        console: match given.console {
            Some(given) => given,
            None => roles::ensure(&mut db, &owner, data_dir, "keydesk_console").await?,
        }
        .application_name("keydesk console"),
        keys: match given.keys {
            Some(given) => given,
            None => roles::ensure(&mut db, &owner, data_dir, "keydesk_keys").await?,
        }
        .application_name("keydesk keys"),
        operator: match given.operator {
            Some(given) => given,
            None => roles::ensure(&mut db, &owner, data_dir, "keydesk_operator").await?,
        }
        .application_name("keydesk operator"),
    };
    MIGRATIONS.run(&mut db).await?;
    sqlx::Connection::close(db).await?;
    Ok(planes)
}

/// A lazily connecting pool. Statements are logged at trace only, and never with what is bound to them.
pub fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(5)).connect_lazy_with(
        options
            .log_statements(tracing::log::LevelFilter::Trace)
            // A statement that hangs must not hold whoever asked, nor the connection.
            .options([("statement_timeout", "10s"), ("idle_in_transaction_session_timeout", "30s")]),
    )
}

fn given(name: &'static str, url: Option<&SecretString>) -> Result<Option<PgConnectOptions>, DatabaseError> {
    url.map(|url| parse(name, url)).transpose()
}

fn parse(name: &'static str, url: &SecretString) -> Result<PgConnectOptions, DatabaseError> {
    // The error of the parser could quote the URL, which holds a password; and it takes any scheme.
    let url = url.expose_secret();
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(DatabaseError::Url { name });
    }
    PgConnectOptions::from_str(url).map_err(|_| DatabaseError::Url { name })
}

/// What a transaction may touch: row-level security holds it to that. (Verdicts need none: they begin at a digest.)
#[derive(Clone, Copy, Debug)]
pub enum RlsScope {
    /// The rows of one organization.
    Org(OrgId),
    /// Signing in: a person's memberships, and no organization's rows.
    Person(UserId),
    /// Looking for a key in all organizations, at the support desk.
    Support,
    /// Reading across organizations, on the command line and in the back office.
    Operator,
    /// People, sessions and the deployment's own log.
    Nothing,
}

/// Begins a transaction with a reach.
pub async fn begin(pool: &PgPool, scope: RlsScope) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut tx = pool.begin().await?;
    set_rls_scope(&mut tx, scope).await?;
    Ok(tx)
}

/// Changes what the rest of a transaction may touch.
pub async fn set_rls_scope(tx: &mut Transaction<'static, Postgres>, scope: RlsScope) -> sqlx::Result<()> {
    let (org, user, kind) = match scope {
        RlsScope::Org(org) => (Some(org.0), None, ""),
        RlsScope::Person(user) => (None, Some(user.0), ""),
        RlsScope::Support => (None, None, "support"),
        RlsScope::Operator => (None, None, "operator"),
        RlsScope::Nothing => (None, None, ""),
    };
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    store::set_rls_scope(tx, &text(org), &text(user), kind).await
}

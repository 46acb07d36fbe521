//! The database: the embedded Postgres or one given by URL, the owner's connection that migrates it, and a pool of
//! connections for each plane's role.

pub mod embedded;
pub mod roles;
pub mod store;

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, Connection, PgPool, Postgres, Transaction,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult},
};

use crate::{
    config::Config,
    data_dir,
    ids::{OrgId, Scope, UserId},
};
use embedded::{Embedded, EmbeddedError};

/// The migrations, compiled in.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// The name of the embedded cluster's database.
const DATABASE: &str = "keydesk";

/// The most connections of each plane's pool.
const CONSOLE_CONNECTIONS: u32 = 10;
const KEYS_CONNECTIONS: u32 = 10;
const OPERATOR_CONNECTIONS: u32 = 4;

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
    /// The schema needs what came with 15, `unique nulls not distinct`. The number is Postgres's `server_version_num`.
    #[error("this is Postgres {}, and Keydesk needs 15 or later", .0 / 10_000)]
    TooOld(u32),
    #[error("the data folder could not be used: {0}")]
    DataDir(#[from] std::io::Error),
    #[error("there is no data folder {}: run this in the folder that the server runs in, or set KEYDESK_DATA_DIR to its data folder", .0.display())]
    NoDataDir(PathBuf),
    #[error(
        "this Postgres has a role {role} already, whose password is not in {}: copy the files of the data folder that made \
         it, or give the planes URLs of their own. `keydesk migrate --reset-passwords` takes the role over, and locks out \
         whatever else uses it",
        .file.display()
    )]
    RolePassword { role: &'static str, file: PathBuf },
    #[error("the database was last migrated by an older version of Keydesk: run `keydesk migrate`")]
    NotMigrated,
}

/// What became of an insert that names the constraint which a row before it may hold (`on conflict on constraint … do
/// nothing`): the violation of any other constraint stays an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    New,
    Duplicate,
}

impl From<PgQueryResult> for Inserted {
    fn from(done: PgQueryResult) -> Self {
        if done.rows_affected() == 0 { Self::Duplicate } else { Self::New }
    }
}

/// What opening a database may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// What is missing is made: the data folder, the embedded Postgres, roles, tables.
    Prepare,
    /// The same, and the planes' roles get the passwords of this data folder, whoever else uses them.
    ResetPasswords,
    /// Nothing.
    Look,
}

/// A migrated database, with a pool for each plane.
pub struct Database {
    embedded: Option<Embedded>,
    /// The pool of the role `keydesk_console`.
    pub console: PgPool,
    /// The pool of the role `keydesk_keys`.
    pub keys: PgPool,
    /// The pool of the role `keydesk_operator`.
    pub operator: PgPool,
}

impl Database {
    /// Opens the database: starts the embedded Postgres if need be, checks that an acknowledged commit is durable,
    /// makes the roles, applies pending migrations, and makes the pools.
    pub async fn open(config: &Config, opening: Opening) -> Result<Self, DatabaseError> {
        let used = config.data_dir.join(if config.database_url.is_none() { embedded::PASSWORD_FILE } else { "" });
        if opening == Opening::Look && !used.exists() {
            return Err(DatabaseError::NoDataDir(config.data_dir.clone()));
        }
        data_dir::create(&config.data_dir)?;
        let embedded = match config.database_url {
            None => Some(Embedded::join(&config.data_dir).await?),
            Some(_) => None,
        };
        match Self::connect(config, embedded.as_ref(), opening).await {
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

    async fn connect(
        config: &Config,
        embedded: Option<&Embedded>,
        opening: Opening,
    ) -> Result<PlaneOptions, DatabaseError> {
        let owner = match (embedded, &config.database_url) {
            (Some(embedded), _) => embedded.options(DATABASE),
            (None, Some(url)) => parse("DATABASE_URL", url)?,
            (None, None) => return Err(DatabaseError::Url { name: "DATABASE_URL" }),
        };
        let overrides = PlaneOverrides {
            console: parse_if_set("KEYDESK_CONSOLE_DATABASE_URL", config.console_database_url.as_ref())?,
            keys: parse_if_set("KEYDESK_KEYS_DATABASE_URL", config.keys_database_url.as_ref())?,
            operator: parse_if_set("KEYDESK_OPERATOR_DATABASE_URL", config.operator_database_url.as_ref())?,
        };
        prepare(owner, &config.data_dir, overrides, opening).await
    }

    /// Keeps the embedded Postgres running, if there is one.
    pub async fn supervise(&self) -> Infallible {
        match &self.embedded {
            Some(embedded) => embedded.supervise().await,
            None => std::future::pending().await,
        }
    }

    /// Closes the pools, and stops the embedded Postgres if no other process uses it.
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

/// The options with which each plane connects.
pub struct PlaneOptions {
    pub console: PgConnectOptions,
    pub keys: PgConnectOptions,
    pub operator: PgConnectOptions,
}

/// The options of the planes for which the operator gave a URL.
#[derive(Default)]
pub struct PlaneOverrides {
    pub console: Option<PgConnectOptions>,
    pub keys: Option<PgConnectOptions>,
    pub operator: Option<PgConnectOptions>,
}

/// Makes the roles and the schema, as the owner. For a plane with an override no role is made: its operator does that.
pub async fn prepare(
    owner: PgConnectOptions,
    data_dir: &Path,
    overrides: PlaneOverrides,
    opening: Opening,
) -> Result<PlaneOptions, DatabaseError> {
    let owner = owner.application_name("keydesk owner").log_statements(tracing::log::LevelFilter::Trace);
    let mut db = owner.connect().await?;
    assert_supported(db.server_version_num())?;
    store::assert_durable(&mut db).await?;
    let planes = PlaneOptions {
        console: match overrides.console {
            Some(options) => options,
            None => roles::ensure(&mut db, &owner, data_dir, "keydesk_console", opening).await?,
        }
        .application_name("keydesk console"),
        keys: match overrides.keys {
            Some(options) => options,
            None => roles::ensure(&mut db, &owner, data_dir, "keydesk_keys", opening).await?,
        }
        .application_name("keydesk keys"),
        operator: match overrides.operator {
            Some(options) => options,
            None => roles::ensure(&mut db, &owner, data_dir, "keydesk_operator", opening).await?,
        }
        .application_name("keydesk operator"),
    };
    match opening {
        Opening::Prepare | Opening::ResetPasswords => MIGRATIONS.run(&mut db).await?,
        Opening::Look => {
            let known = i64::try_from(MIGRATIONS.iter().count()).unwrap_or(i64::MAX);
            if store::count_migrations(&mut db).await? < known {
                return Err(DatabaseError::NotMigrated);
            }
        }
    }
    db.close().await?;
    Ok(planes)
}

/// A connection that has been idle for longer is tested before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A pooler in between may not tell the version; then the migrations find out.
fn assert_supported(version: Option<u32>) -> Result<(), DatabaseError> {
    version.filter(|version| *version < 150_000).map_or(Ok(()), |version| Err(DatabaseError::TooOld(version)))
}

/// A pool that connects when it is first used. Statements are logged at trace level only, without the values bound to
/// them.
pub fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        // The address may lead to a stand-by for a moment: such a connection must not outlast it.
        .after_connect(|db, _| Box::pin(store::assert_writable(db)))
        // One that was in use a moment ago is not asked whether it still works: that would be a round trip for each use.
        .test_before_acquire(false)
        .before_acquire(|db, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_IDLE {
                    store::assert_writable(db).await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(
            options
                .log_statements(tracing::log::LevelFilter::Trace)
                // A statement that hangs must not hold whoever asked, nor the connection.
                .options([("statement_timeout", "10s"), ("idle_in_transaction_session_timeout", "30s")]),
        )
}

fn parse_if_set(name: &'static str, url: Option<&SecretString>) -> Result<Option<PgConnectOptions>, DatabaseError> {
    url.map(|url| parse(name, url)).transpose()
}

fn parse(name: &'static str, url: &SecretString) -> Result<PgConnectOptions, DatabaseError> {
    // sqlx accepts any scheme, and its error could quote the URL, which holds a password.
    let url = url.expose_secret();
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(DatabaseError::Url { name });
    }
    PgConnectOptions::from_str(url).map_err(|_| DatabaseError::Url { name })
}

/// The rows that a transaction may read and change. Row-level security enforces it. Verdicts need none, because they
/// look up a key by its digest.
#[derive(Clone, Copy, Debug)]
pub enum RlsScope {
    /// The rows of one organization.
    Org(OrgId),
    /// The memberships of a person who signs in, and no organization's rows.
    Person(UserId),
    /// The keys of all organizations, for the support desk.
    Support,
    /// The rows of all organizations, for the command line and the operator API.
    Operator,
    /// No organization's rows: people, sessions and the deployment's own audit log.
    Nothing,
}

impl RlsScope {
    /// Where what happens in it happens: whose audit log tells of it.
    pub fn scope(self) -> Scope {
        match self {
            Self::Org(org) => Scope::Org(org),
            Self::Person(_) | Self::Support | Self::Operator | Self::Nothing => Scope::Deployment,
        }
    }
}

/// Begins a transaction that reads. Postgres refuses to write in it, so it is dropped when it has read enough.
pub async fn read(pool: &PgPool, scope: RlsScope) -> sqlx::Result<Transaction<'static, Postgres>> {
    store::begin(pool, "begin read only", scope).await
}

/// [`read`] that sees one moment in all of its statements.
pub async fn read_snapshot(pool: &PgPool, scope: RlsScope) -> sqlx::Result<Transaction<'static, Postgres>> {
    store::begin(pool, "begin isolation level repeatable read, read only", scope).await
}

/// Begins a transaction that writes: for [`Mutation`](crate::mutation::Mutation), which alone commits it.
pub async fn begin(pool: &PgPool, scope: RlsScope) -> sqlx::Result<Transaction<'static, Postgres>> {
    store::begin(pool, "begin", scope).await
}

/// Changes what the rest of a transaction may touch.
pub async fn set_rls_scope(tx: &mut Transaction<'static, Postgres>, scope: RlsScope) -> sqlx::Result<()> {
    store::set_rls_scope(tx, scope).await
}

#[cfg(test)]
mod tests {
    use super::assert_supported;

    #[test]
    fn a_postgres_before_15_is_refused_by_name() {
        let refused = assert_supported(Some(140_011)).unwrap_err();
        assert_eq!(refused.to_string(), "this is Postgres 14, and Keydesk needs 15 or later");
        assert!(assert_supported(Some(150_000)).is_ok() && assert_supported(None).is_ok());
    }
}

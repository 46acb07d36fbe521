//! SQL about the database itself.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};

use super::{DatabaseError, RlsScope};
use crate::secrets::Digest;

/// The settings that hold a transaction to a scope, with their values: those of an organization, a person, and a reach
/// across organizations. None of the values needs quoting.
fn settings(scope: RlsScope) -> [(&'static str, String); 3] {
    let (org, person, reach) = match scope {
        RlsScope::Org(org) => (org.to_string(), String::new(), ""),
        RlsScope::Person(user) => (String::new(), user.0.to_string(), ""),
        RlsScope::Support => (String::new(), String::new(), "support"),
        RlsScope::Operator => (String::new(), String::new(), "operator"),
        RlsScope::Nothing => (String::new(), String::new(), ""),
    };
    [("org", org), ("user", person), ("reach", reach.to_owned())]
}

/// Begins a transaction and says what it may touch, in one round trip. A fresh transaction may touch nothing.
pub async fn begin(pool: &PgPool, begin: &str, scope: RlsScope) -> sqlx::Result<Transaction<'static, Postgres>> {
    let set = settings(scope).into_iter().filter(|(_, value)| !value.is_empty());
    let set: String = set.map(|(name, value)| format!("; set local keydesk.\"{name}\" = '{value}'")).collect();
    pool.begin_with(AssertSqlSafe(format!("{begin}{set}"))).await
}

/// Sets what a transaction may touch, until it ends.
pub async fn set_rls_scope(db: &mut PgConnection, scope: RlsScope) -> sqlx::Result<()> {
    let [(_, org), (_, user), (_, reach)] = settings(scope);
    sqlx::query!(
        "select set_config('keydesk.org', $1, true) as org, set_config('keydesk.user', $2, true) as person,
                set_config('keydesk.reach', $3, true) as reach",
        org,
        user,
        reach
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Acknowledged must mean durable: refuses a server that may lose what it has acknowledged.
pub async fn assert_durable(db: &mut PgConnection) -> Result<(), DatabaseError> {
    let settings = sqlx::query!(
        r#"select name as "name!", setting as "setting!" from pg_settings
           where name in ('synchronous_commit', 'fsync', 'full_page_writes') and setting in ('off', 'local')"#
    )
    .fetch_all(db)
    .await?;
    match settings.first() {
        None => Ok(()),
        Some(weak) => Err(DatabaseError::NotDurable(format!(
            "Postgres runs with {}={}, so it may forget a revoke it has acknowledged. Set it to on.",
            weak.name, weak.setting
        ))),
    }
}

/// One round trip that reads the schema: the plane can answer, and write.
pub async fn is_answering(pool: &PgPool) -> bool {
    sqlx::query_scalar!(
        r#"select current_setting('transaction_read_only') = 'off' or exists (select from api_keys limit 0) as "writes!""#
    )
    .fetch_one(pool)
    .await
    .unwrap_or(false)
}

/// Refuses a connection whose transactions could not write: to a stand-by, or to a server that is set to read only.
pub async fn assert_writable(db: &mut PgConnection) -> sqlx::Result<()> {
    let writes = sqlx::query_scalar!(r#"select current_setting('transaction_read_only') = 'off' as "writes!""#)
        .fetch_one(db)
        .await?;
    if writes { Ok(()) } else { Err(sqlx::Error::Configuration("this server only reads".into())) }
}

/// `name` is one of ours: `create database` takes no parameters.
pub async fn create_database_if_missing(db: &mut PgConnection, name: &'static str) -> sqlx::Result<()> {
    let exists =
        sqlx::query_scalar!(r#"select exists (select from pg_database where datname = $1) as "exists!""#, name)
            .fetch_one(&mut *db)
            .await?;
    if !exists {
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(db).await?;
    }
    Ok(())
}

pub async fn role_exists(db: &mut PgConnection, role: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from pg_roles where rolname = $1) as "exists!""#, role)
        .fetch_one(db)
        .await
}

/// Makes a role that may sign in. One session at a time, whichever database it is in: roles belong to the whole cluster.
pub async fn create_role(db: &mut PgConnection, role: &'static str, password: &str) -> sqlx::Result<()> {
    set_role_password(db, "create role", "login nosuperuser nobypassrls", role, password).await
}

pub async fn reset_role_password(db: &mut PgConnection, role: &'static str, password: &str) -> sqlx::Result<()> {
    set_role_password(db, "alter role", "login", role, password).await
}

/// `create role` and `alter role` take no parameters: the role's name is one of ours, and Postgres itself quotes the
/// password.
async fn set_role_password(
    db: &mut PgConnection,
    verb: &'static str,
    attributes: &'static str,
    role: &'static str,
    password: &str,
) -> sqlx::Result<()> {
    let quoted = sqlx::query_scalar!(r#"select quote_literal($1) as "quoted!""#, password).fetch_one(&mut *db).await?;
    // A server that logs its statements must not log this one; only a superuser can say so.
    sqlx::raw_sql("set log_min_error_statement = panic").execute(&mut *db).await.ok();
    sqlx::raw_sql(AssertSqlSafe(format!("{verb} {role} {attributes} password {quoted}"))).execute(db).await?;
    Ok(())
}

/// One session at a time in the whole cluster, if taken in the same database by everyone; released with the connection.
pub async fn lock_cluster(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_lock(7310579226)").fetch_one(db).await?;
    Ok(())
}

/// The fingerprints of the server's keys that this database was written with, by the names of their files.
pub async fn server_key_fingerprints(db: &mut PgConnection) -> sqlx::Result<BTreeMap<String, Digest>> {
    let rows = sqlx::query!(r#"select name, fingerprint as "fingerprint: Digest" from server_key_fingerprints"#)
        .fetch_all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.fingerprint)).collect())
}

/// Remembers a fingerprint, unless there is one of that name; answers the one that is remembered.
pub async fn put_server_key_fingerprint(
    db: &mut PgConnection,
    name: &str,
    fingerprint: Digest,
) -> sqlx::Result<Digest> {
    sqlx::query!(
        "insert into server_key_fingerprints (name, fingerprint) values ($1, $2) on conflict do nothing",
        name,
        fingerprint as _
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_scalar!(
        r#"select fingerprint as "fingerprint: Digest" from server_key_fingerprints where name = $1"#,
        name
    )
    .fetch_one(db)
    .await
}

/// How many migrations this database has seen.
#[allow(clippy::disallowed_methods, reason = "the table is sqlx's own, and is not there before the first migration")]
pub async fn count_migrations(db: &mut PgConnection) -> sqlx::Result<i64> {
    let count = "select count(*) from _sqlx_migrations where success";
    match sqlx::query_scalar(count).fetch_one(db).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Ok(0),
        count => count,
    }
}

/// What the database's clock says.
pub async fn clock(pool: &PgPool) -> sqlx::Result<time::OffsetDateTime> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(pool).await
}

//! The database roles of the planes. Each has a generated password, which is kept in the data folder.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use super::{DatabaseError, store};
use crate::data_dir;

/// The codes of Postgres's errors "invalid password" and "invalid authorization specification".
const WRONG_PASSWORD_CODES: [&str; 2] = ["28P01", "28000"];

/// Makes a role if it is missing and answers the options to connect as it. If the role has another password than the
/// one in the data folder, it gets the one in the data folder.
pub async fn ensure(
    db: &mut PgConnection,
    owner: &PgConnectOptions,
    data_dir: &Path,
    role: &'static str,
) -> Result<PgConnectOptions, DatabaseError> {
    let password: SecretString = data_dir::secret(data_dir, &format!("{role}.password"))?;
    // Roles belong to the cluster, so processes lock each other out in the one database that every cluster has. An
    // owner who may not connect to it locks in its own database.
    let mut lock = match owner.clone().database("postgres").connect().await {
        Ok(lock) => lock,
        Err(_) => owner.connect().await?,
    };
    store::lock_cluster(&mut lock).await?;
    store::create_role_if_missing(db, role, password.expose_secret()).await?;
    let options = owner.clone().username(role).password(password.expose_secret());
    match options.connect().await {
        Ok(connection) => sqlx::Connection::close(connection).await?,
        Err(sqlx::Error::Database(error))
            if error.code().is_some_and(|code| WRONG_PASSWORD_CODES.contains(&code.as_ref())) =>
        {
            store::reset_role_password(db, role, password.expose_secret()).await?;
        }
        Err(error) => return Err(error.into()),
    }
    sqlx::Connection::close(lock).await?;
    Ok(options)
}

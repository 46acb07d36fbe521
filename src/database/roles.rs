//! The planes' roles: each has a generated password, kept in the data folder.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use super::{DatabaseError, store};
use crate::data_dir;

/// "Invalid password" and "invalid authorization".
const WRONG_PASSWORD: [&str; 2] = ["28P01", "28000"];

/// Makes a role, if it is missing, and answers how to connect as it. The password in the data folder is the truth: if it
/// is not the role's, the role gets it.
pub async fn ensure(
    db: &mut PgConnection,
    owner: &PgConnectOptions,
    data_dir: &Path,
    role: &'static str,
) -> Result<PgConnectOptions, DatabaseError> {
    let password: SecretString = data_dir::secret(data_dir, &format!("{role}.password"))?;
    // Roles belong to the cluster, not the database, so everyone locks in the one database that is always there. Where
    // the owner may not connect to it, its own has to do.
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
            if error.code().is_some_and(|code| WRONG_PASSWORD.contains(&code.as_ref())) =>
        {
            store::reset_role_password(db, role, password.expose_secret()).await?;
        }
        Err(error) => return Err(error.into()),
    }
    sqlx::Connection::close(lock).await?;
    Ok(options)
}

//! The database roles of the planes. Each has a generated password, which is kept in the data folder.

use std::path::Path;

use secrecy::ExposeSecret;
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use super::{DatabaseError, Opening, store};
use crate::data_dir;

/// The codes of Postgres's errors "invalid password" and "invalid authorization specification".
const WRONG_PASSWORD_CODES: [&str; 2] = ["28P01", "28000"];

/// The options to connect as a plane's role, which is made if it is missing. A role that exists is touched only where an
/// operator asked for that: it belongs to the whole cluster, and somebody else may be connected as it.
///
/// # Errors
/// [`DatabaseError::RolePassword`] if the data folder has no password for a role that exists, or another one.
pub async fn ensure(
    db: &mut PgConnection,
    owner: &PgConnectOptions,
    data_dir: &Path,
    role: &'static str,
    opening: Opening,
) -> Result<PgConnectOptions, DatabaseError> {
    let file = format!("{role}.password");
    let foreign = || DatabaseError::RolePassword { role, file: data_dir.join(&file) };
    // Roles belong to the cluster, so processes lock each other out in the one database that every cluster has. An
    // owner who may not connect to it locks in its own database.
    let mut lock = match owner.clone().database("postgres").connect().await {
        Ok(lock) => lock,
        Err(_) => owner.connect().await?,
    };
    store::lock_cluster(&mut lock).await?;
    let exists = store::role_exists(db, role).await?;
    let may_make = opening == Opening::ResetPasswords || (opening == Opening::Prepare && !exists);
    let password = match data_dir::find_secret(data_dir, &file)? {
        Some(password) => password,
        None if may_make => data_dir::secret(data_dir, &file)?,
        None => return Err(foreign()),
    };
    if !exists && may_make {
        store::create_role(db, role, password.expose_secret()).await?;
    }
    let options = owner.clone().username(role).password(password.expose_secret());
    match options.connect().await {
        Ok(connection) => sqlx::Connection::close(connection).await?,
        Err(sqlx::Error::Database(error))
            if error.code().is_some_and(|code| WRONG_PASSWORD_CODES.contains(&code.as_ref())) =>
        {
            if opening != Opening::ResetPasswords {
                return Err(foreign());
            }
            store::reset_role_password(db, role, password.expose_secret()).await?;
        }
        Err(error) => return Err(error.into()),
    }
    sqlx::Connection::close(lock).await?;
    Ok(options)
}

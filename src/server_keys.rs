//! The server's own keys: for the audit chains, for sealing webhook secrets and for signing access tokens. They are
//! generated on the first run and stay in files of the data folder (mode 0600), so that a copy of the database has
//! none.

use std::path::{Path, PathBuf};

use sqlx::PgPool;

use crate::{
    accounts::access_token::{DamagedKey, TokenKeys},
    audit::AuditKey,
    data_dir, database,
    secrets::Digest,
    webhooks::seal::{Sealer, SealingFailed},
};

#[derive(Debug, thiserror::Error)]
pub enum ServerKeysError {
    #[error("a server key in the data folder could not be read or written: {0}")]
    File(#[from] std::io::Error),
    #[error("webhook-seal.key in the data folder is damaged: {0}. Restore it from a backup.")]
    Seal(#[from] SealingFailed),
    #[error("access-token.key or access-token.old.key in the data folder is damaged: {0}. Delete it, or restore it.")]
    Token(#[from] DamagedKey),
    #[error("{} is missing, and what was written with it needs it: copy it from the data folder that has it, or from a backup", .0.display())]
    Missing(PathBuf),
    #[error("{} is not the one that this database was written with: copy that one from the data folder that has it, or from a backup", .0.display())]
    Foreign(PathBuf),
    #[error("the database could not be asked: {0}")]
    Sql(#[from] sqlx::Error),
}

pub struct ServerKeys {
    /// Of the keys that what is in the database depends on.
    fingerprints: [(&'static str, Digest); 2],
    pub audit: AuditKey,
    pub sealer: Sealer,
    pub tokens: TokenKeys,
}

/// The key that signs access tokens.
const TOKEN_KEY_FILE: &str = "access-token.key";
/// A previous signing key, whose tokens are accepted until they expire. An operator changes the key by renaming its
/// file to this.
const OLD_TOKEN_KEY_FILE: &str = "access-token.old.key";

/// The key of the audit chains.
const AUDIT_KEY_FILE: &str = "audit.key";
/// The key that seals webhook secrets.
const SEAL_KEY_FILE: &str = "webhook-seal.key";

impl ServerKeys {
    /// The keys that a database was written with; fresh ones for a new database, which remembers them from here on.
    ///
    /// # Errors
    /// [`ServerKeysError::Missing`] and [`ServerKeysError::Foreign`] before anything is generated or written.
    pub async fn open(data_dir: &Path, console: &PgPool) -> Result<Self, ServerKeysError> {
        let mut db = console.acquire().await?;
        let known = database::store::server_key_fingerprints(&mut db).await?;
        let missing = known.keys().map(|name| data_dir.join(name)).find(|path| !path.exists());
        if let Some(path) = missing {
            return Err(ServerKeysError::Missing(path));
        }
        let keys = Self::load(data_dir)?;
        for (name, fingerprint) in keys.fingerprints {
            // Of two servers that start on a new database at once, the second finds what the first has written.
            let known = database::store::put_server_key_fingerprint(&mut db, name, fingerprint).await?;
            if known != fingerprint {
                return Err(ServerKeysError::Foreign(data_dir.join(name)));
            }
        }
        Ok(keys)
    }

    /// The key of the audit chains, to check an export with.
    pub fn audit_key(data_dir: &Path) -> Result<AuditKey, ServerKeysError> {
        let key = data_dir::find_secret(data_dir, AUDIT_KEY_FILE)?;
        key.map(AuditKey).ok_or_else(|| ServerKeysError::Missing(data_dir.join(AUDIT_KEY_FILE)))
    }

    /// The keys in a data folder, where what is missing is generated.
    pub fn load(data_dir: &Path) -> Result<Self, ServerKeysError> {
        let old_token_key = data_dir::find_secret(data_dir, OLD_TOKEN_KEY_FILE)?;
        let audit = data_dir::secret(data_dir, AUDIT_KEY_FILE)?;
        let seal = data_dir::secret(data_dir, SEAL_KEY_FILE)?;
        Ok(Self {
            fingerprints: [(AUDIT_KEY_FILE, Digest::of_text(&audit)), (SEAL_KEY_FILE, Digest::of_text(&seal))],
            tokens: TokenKeys::new(&data_dir::secret(data_dir, TOKEN_KEY_FILE)?, old_token_key.as_ref())?,
            sealer: Sealer::new(&seal)?,
            audit: AuditKey(audit),
        })
    }
}

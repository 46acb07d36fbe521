//! The server's own keys: for the audit chains, for sealing webhook secrets and for signing access tokens. They are
//! generated on the first run and stay in files of the data folder (mode 0600), so that a copy of the database has
//! none.

use std::path::Path;

use crate::{
    accounts::access_token::{DamagedKey, TokenKeys},
    audit::AuditKey,
    data_dir,
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
}

pub struct ServerKeys {
    pub audit: AuditKey,
    pub sealer: Sealer,
    pub tokens: TokenKeys,
}

/// The key that signs access tokens.
const TOKEN_KEY_FILE: &str = "access-token.key";
/// A previous signing key, whose tokens are accepted until they expire. An operator changes the key by renaming its
/// file to this.
const OLD_TOKEN_KEY_FILE: &str = "access-token.old.key";
/// The shortest content a key file can have. A whole one holds 32 bytes in URL-safe base64: 43 characters.
const MIN_KEY_CHARS: usize = 40;

impl ServerKeys {
    pub fn load(data_dir: &Path) -> Result<Self, ServerKeysError> {
        let old_token_key = data_dir
            .join(OLD_TOKEN_KEY_FILE)
            .exists()
            .then(|| data_dir::secret(data_dir, OLD_TOKEN_KEY_FILE))
            .transpose()?;
        Ok(Self {
            tokens: TokenKeys::new(&data_dir::secret(data_dir, TOKEN_KEY_FILE)?, old_token_key.as_ref())?,
            audit: AuditKey(data_dir::secret(data_dir, "audit.key")?),
            sealer: Sealer::new(&data_dir::secret(data_dir, "webhook-seal.key")?)?,
        })
    }
}

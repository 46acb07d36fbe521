//! The server's own keys: for the audit chains, for sealing webhook secrets and for signing access tokens. They are
//! generated on the first run and stay in files of the data folder (mode 0600), so that a copy of the database has
//! none.

use std::{
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    accounts::access_token::{DamagedKey, TokenKeys},
    audit::AuditKey,
    secrets,
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
        let old_token_key =
            data_dir.join(OLD_TOKEN_KEY_FILE).exists().then(|| load_or_generate(data_dir, OLD_TOKEN_KEY_FILE));
        let old_token_key = old_token_key.transpose()?;
        Ok(Self {
            tokens: TokenKeys::new(&load_or_generate(data_dir, TOKEN_KEY_FILE)?, old_token_key.as_ref())?,
            audit: AuditKey(load_or_generate(data_dir, "audit.key")?),
            sealer: Sealer::new(&load_or_generate(data_dir, "webhook-seal.key")?)?,
        })
    }
}

/// Reads the secret in a file of the data folder, and first generates one of 256 bits if the file is missing. If two
/// processes generate at once, one wins and both answer its secret.
///
/// # Errors
/// The file cannot be read or written, other users can read it, or it is cut short.
pub fn load_or_generate(data_dir: &Path, name: &str) -> std::io::Result<SecretString> {
    let path = data_dir.join(name);
    if !path.exists() {
        let fresh = secrets::random_token().map_err(std::io::Error::other)?;
        // The file is written whole under another name and then linked, so that no process reads half of it and none
        // replaces an existing one.
        let draft = data_dir.join(format!(".{name}.{}", uuid::Uuid::new_v4()));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(fresh.expose_secret().as_bytes())?;
        file.sync_all()?;
        let linked = std::fs::hard_link(&draft, &path);
        std::fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => std::fs::File::open(data_dir)?.sync_all()?,
        }
    }
    let mut file = std::fs::File::open(&path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        return Err(std::io::Error::other(format!("{} can be read by others: chmod 600 it", path.display())));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    file.read_to_string(&mut text)?;
    if text.len() < MIN_KEY_CHARS {
        return Err(std::io::Error::other(format!("{} is cut short: restore it from a backup", path.display())));
    }
    Ok(text.as_str().into())
}

//! The data folder: what the server keeps beside its database, above all secrets in files that nobody else can read.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use secrecy::{ExposeSecret, SecretString};

use crate::secrets;

/// The folder of the embedded database and the server's keys.
pub fn create(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    // 0711: the embedded Postgres may run as another user and must be able to pass through; the files inside are 0600.
    fs::DirBuilder::new().recursive(true).mode(0o711).create(path)
}

/// The secret in a file of the data folder; a fresh one of 256 bits if there is no such file. Of two processes that
/// generate at once, one wins and both answer its secret.
pub fn secret(data_dir: &Path, name: &str) -> io::Result<SecretString> {
    let path = data_dir.join(name);
    if !path.exists() {
        let fresh = secrets::random_token().map_err(io::Error::other)?;
        // Written whole beside, then linked: nobody reads half a file, and an existing one is never replaced.
        let draft = data_dir.join(format!(".{name}.{}", uuid::Uuid::new_v4()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(fresh.expose_secret().as_bytes())?;
        file.sync_all()?;
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => fs::File::open(data_dir)?.sync_all()?,
        }
    }
    let mut file = fs::File::open(&path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("{} can be read by others: chmod 600 it", path.display())));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    file.read_to_string(&mut text)?;
    if text.len() < 40 {
        return Err(io::Error::other(format!("{} is cut short: restore it from a backup", path.display())));
    }
    Ok(text.as_str().into())
}

//! The data folder: what the server keeps beside its database, above all secrets in files that nobody else can read.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use secrecy::{ExposeSecret, SecretString};

use crate::secrets::{self, Digest};

/// The shortest content that a secret can have. A whole one holds 32 bytes in URL-safe base64: 43 characters.
const MIN_KEY_CHARS: usize = 40;

/// The folder of the embedded database and the server's keys.
pub fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    // 0711: the embedded Postgres may run as another user and must be able to pass through; the files inside are 0600.
    fs::DirBuilder::new().recursive(true).mode(0o711).create(path)
}

/// The secret in a file of the data folder; `None` if there is no such file.
pub fn find_secret(data_dir: &Path, name: &str) -> io::Result<Option<SecretString>> {
    if data_dir.join(name).exists() { secret(data_dir, name).map(Some) } else { Ok(None) }
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
    let mode = file.metadata()?.mode();
    if mode & 0o007 != 0 {
        return Err(io::Error::other(format!("{} can be read by everybody: chmod 600 it", path.display())));
    }
    // Kubernetes opens a volume to its group (`fsGroup`) at each mount, also files that were ours alone.
    if mode & 0o070 != 0
        && let Err(error) = file.set_permissions(fs::Permissions::from_mode(0o600))
    {
        tracing::warn!(file = %path.display(), %error, "a secret can be read by a group, and that could not be changed");
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    file.read_to_string(&mut text)?;
    if text.len() < MIN_KEY_CHARS {
        return Err(io::Error::other(format!("{} is cut short: restore it from a backup", path.display())));
    }
    Ok(text.as_str().into())
}

/// What a file says that [`replace_checked`] wrote; `None` if there is no such file.
///
/// # Errors
/// It cannot be read, or is damaged (`InvalidData`). The error names it.
pub fn read_checked(data_dir: &Path, name: &str) -> io::Result<Option<String>> {
    let path = data_dir.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => match checked(&text) {
            Some(content) => Ok(Some(content.to_owned())),
            None => Err(damaged(data_dir, name)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// A file is not as it was written.
pub fn damaged(data_dir: &Path, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", data_dir.join(name).display()))
}

/// Replaces a file as a whole, or makes it. A check value tells a damaged file from a whole one.
pub fn replace_checked(data_dir: &Path, name: &str, content: &str) -> io::Result<()> {
    let draft = data_dir.join(format!(".{name}.{}", uuid::Uuid::new_v4()));
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(with_check(content).as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, data_dir.join(name))
    })();
    if written.is_err() {
        // On a full disk it only takes room.
        let _ = fs::remove_file(&draft);
    }
    written?;
    fs::File::open(data_dir)?.sync_all()
}

fn with_check(content: &str) -> String {
    format!("{content}sha256 {}\n", Digest::of(content.as_bytes()).to_hex())
}

fn checked(text: &str) -> Option<&str> {
    let (content, check) = text.strip_suffix('\n')?.rsplit_once("sha256 ")?;
    (Digest::of(content.as_bytes()).to_hex() == check).then_some(content)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let text = with_check("one\ntwo\n");
        assert_eq!(checked(&text), Some("one\ntwo\n"));
        assert_eq!(checked(&with_check("")), Some(""));
        for end in 0..text.len() {
            assert_eq!(checked(&text[..end]), None, "cut at {end}");
        }
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(checked(&String::from_utf8(bytes).unwrap()), None, "at {at}");
        }
    }

    #[test]
    fn a_file_that_a_group_can_read_is_closed_and_one_that_everybody_can_read_is_refused() {
        let folder = std::env::temp_dir().join(format!("keydesk-{}", uuid::Uuid::new_v4()));
        create(&folder).unwrap();
        let path = folder.join("test.key");
        let made = secret(&folder, "test.key").unwrap();
        let mode = || fs::metadata(&path).unwrap().mode() & 0o777;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        assert_eq!(secret(&folder, "test.key").unwrap().expose_secret(), made.expose_secret());
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(secret(&folder, "test.key").unwrap_err().to_string().contains("chmod 600"));
        assert_eq!(mode(), 0o604);
        fs::remove_dir_all(&folder).unwrap();
    }
}

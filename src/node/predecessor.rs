//! Which rows belonged to processes that died here, so that the next one deletes them: then a crash and a restart on one
//! machine delay no change.
//!
//! Each node has a file in the data folder that names its row. It holds the file's lock as long as it lives, and the kernel
//! releases it with the process. A file that nobody holds is believed only if it was written in this place since this
//! machine started: a copy of a data folder, or one that machines share, says nothing about whether a node is alive.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use uuid::Uuid;

const FOLDER: &str = "nodes";
/// Changes with each start of the machine. Systems other than Linux do not have it, and there no file is believed.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The file of a node that lives.
#[derive(Debug)]
pub struct RowFile {
    folder: PathBuf,
    path: PathBuf,
    /// Its lock is held.
    file: File,
}

impl RowFile {
    pub fn create(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let (name, path) = (Uuid::new_v4().to_string(), folder.join(Uuid::new_v4().to_string()));
        // It gets its name with its lock held, so that nobody takes it for one of the dead.
        let draft = folder.join(format!(".{name}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.lock()?;
        fs::rename(&draft, &path)?;
        Ok(Self { folder, path, file })
    }

    /// From here on the node has, or may have, this row.
    pub fn write(&mut self, row: Uuid) -> io::Result<()> {
        let content = format!("{row} {}", place(&self.file)?);
        self.file.rewind()?;
        self.file.write_all(content.as_bytes())
    }

    /// The rows of nodes that are dead, each with its file, to be removed when the row is.
    pub fn of_the_dead(&self) -> io::Result<Vec<(Uuid, PathBuf)>> {
        let mut rows = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Ok(mut file) = File::open(&path) else { continue };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let mut content = String::new();
            file.read_to_string(&mut content)?;
            let row = content.split_once(' ').filter(|(_, written)| place(&file).is_ok_and(|place| place == *written));
            match row.and_then(|(row, _)| row.parse().ok()) {
                Some(row) => rows.push((row, path)),
                // A draft may get its lock in a moment.
                None if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) => {}
                None => fs::remove_file(&path)?,
            }
        }
        Ok(rows)
    }
}

impl Drop for RowFile {
    fn drop(&mut self) {
        // If it stays, it is found to be nobody's.
        let _ = fs::remove_file(&self.path);
    }
}

/// Where and since when a file is what it is: a copy is another file, and another machine has another start.
fn place(file: &File) -> io::Result<String> {
    let (boot, found) = (fs::read_to_string(BOOT_ID)?, file.metadata()?);
    Ok(format!("{} {}:{}", boot.trim(), found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_and_was_written_here_is_of_the_dead() {
        let folder = std::env::temp_dir().join(format!("keydesk-rows-{}", Uuid::new_v4()));
        let mine = RowFile::create(&folder).unwrap();
        let [alive, dead] = [Uuid::new_v4(), Uuid::new_v4()];
        let mut living = RowFile::create(&folder).unwrap();
        living.write(alive).unwrap();
        assert_eq!(mine.of_the_dead().unwrap(), [], "it is held");
        // A copy of the folder, made while the node lives.
        fs::copy(&living.path, folder.join(FOLDER).join("copy")).unwrap();
        assert_eq!(mine.of_the_dead().unwrap(), [], "it is of another place");
        assert!(!folder.join(FOLDER).join("copy").exists());
        // A crash leaves the file, and the kernel its lock.
        let mut dying = RowFile::create(&folder).unwrap();
        dying.write(dead).unwrap();
        let path = dying.path.clone();
        let RowFile { file, .. } = &dying;
        file.unlock().unwrap();
        assert_eq!(mine.of_the_dead().unwrap(), [(dead, path.clone())]);
        assert!(path.exists(), "until its row is deleted");
        drop(dying);
        // A machine that has started since has another boot id.
        fs::write(&path, format!("{dead} 0 {}", "1:1")).unwrap();
        assert_eq!(mine.of_the_dead().unwrap(), []);
        drop((mine, living));
        fs::remove_dir_all(&folder).unwrap();
    }
}

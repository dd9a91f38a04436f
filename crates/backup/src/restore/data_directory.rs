//! The data directory that a book is restored into. `daybook up` accepts it only when the restore is finished. Until then its files are
//! in a folder of their own, and a restore that was killed starts again from the beginning.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use daybook_embedded::data_directory::{LOCK_FILE, RESTORING, lock};

use crate::{
    BackupError,
    store::{entries, remove},
};

/// A data directory that is being filled.
pub(super) struct NewDataDirectory {
    data: PathBuf,
    made: bool,
    _lock: File,
}

impl NewDataDirectory {
    /// Locks a directory that is empty or missing, or that an unfinished restore has left.
    pub(super) fn take(data: &Path) -> Result<Self, BackupError> {
        let made = !data.exists();
        fs::create_dir_all(data).map_err(BackupError::io(format!("make {}", data.display())))?;
        let data = fs::canonicalize(data).map_err(BackupError::io(format!("find {}", data.display())))?;
        let expected = [data.join(RESTORING), data.join(LOCK_FILE)];
        if entries(&data)?.any(|entry| !expected.contains(&entry)) {
            let wanted = "a book is restored into a new data directory";
            return Err(BackupError::NotEmpty { directory: data, wanted });
        }
        let lock = lock(&data).map_err(|_| BackupError::InUse { directory: data.clone() })?;
        let directory = Self { data, made, _lock: lock };
        directory.clear()?;
        Ok(directory)
    }

    /// The folder of the private PostgreSQL until the restore is finished.
    pub(super) fn server(&self) -> PathBuf {
        self.data.join(RESTORING)
    }

    /// Removes that folder.
    pub(super) fn clear(&self) -> Result<(), BackupError> {
        if self.server().exists() { remove(&self.server()) } else { Ok(()) }
    }

    /// A file of the data directory itself.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// Finishes the restore. From now on it is the data directory of a shop.
    pub(super) fn finish(self) -> Result<PathBuf, BackupError> {
        let finished = self.data.join("postgres");
        fs::rename(self.server(), &finished)
            .and_then(|()| File::open(&self.data)?.sync_all())
            .map_err(BackupError::io(format!("finish {}", finished.display())))?;
        Ok(self.data)
    }

    /// Removes everything of a restore that failed.
    pub(super) fn discard(self) -> Result<(), BackupError> {
        self.clear()?;
        for file in ["secret", LOCK_FILE] {
            match fs::remove_file(self.file(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(BackupError::io(format!("remove {file}"))(error));
                }
                _ => {}
            }
        }
        if self.made {
            fs::remove_dir(&self.data).map_err(BackupError::io(format!("remove {}", self.data.display())))?;
        }
        Ok(())
    }
}

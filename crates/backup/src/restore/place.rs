//! The data directory that a book is restored into. It is one of `daybook up` only when everything is done; before that, what is
//! there lies in a folder that says so, and a restore that was killed is begun anew.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use daybook_embedded::data_directory::{self, LOCK_FILE, RESTORING};

use crate::{
    BackupError,
    store::{entries, remove},
};

/// A data directory that is being filled.
pub(super) struct Place {
    data: PathBuf,
    made: bool,
    _own: File,
}

impl Place {
    /// Takes a directory that is empty or not there, or that an unfinished restore has left.
    pub(super) fn take(data: &Path) -> Result<Self, BackupError> {
        let made = !data.exists();
        fs::create_dir_all(data).map_err(BackupError::io(format!("make {}", data.display())))?;
        let data = fs::canonicalize(data).map_err(BackupError::io(format!("find {}", data.display())))?;
        let known = [data.join(RESTORING), data.join(LOCK_FILE)];
        if entries(&data)?.any(|entry| !known.contains(&entry)) {
            let wanted = "a book is restored into a new data directory";
            return Err(BackupError::NotEmpty { directory: data, wanted });
        }
        let own = data_directory::lock(&data).map_err(|_| BackupError::InUse { directory: data.clone() })?;
        let place = Self { data, made, _own: own };
        place.clear()?;
        Ok(place)
    }

    /// Where the private PostgreSQL is put together.
    pub(super) fn server(&self) -> PathBuf {
        self.data.join(RESTORING)
    }

    /// Begins anew.
    pub(super) fn clear(&self) -> Result<(), BackupError> {
        if self.server().exists() { remove(&self.server()) } else { Ok(()) }
    }

    /// A file of the data directory itself.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// It is done: from now on it is the data directory of a shop.
    pub(super) fn finish(self) -> Result<PathBuf, BackupError> {
        let place = self.data.join("postgres");
        fs::rename(self.server(), &place)
            .and_then(|()| File::open(&self.data)?.sync_all())
            .map_err(BackupError::io(format!("put {} into its place", place.display())))?;
        Ok(self.data)
    }

    /// Leaves nothing behind.
    pub(super) fn give_up(self) -> Result<(), BackupError> {
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

//! The data directory of `daybook up`: what stands in it beside what its servers keep.
//!
//! ```text
//! up.lock       held while a process uses the directory
//! postgres/     what the private PostgreSQL keeps
//! restoring/    a restore that is not finished
//! ```

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// The file that is locked by the process that uses the directory.
pub const LOCK_FILE: &str = "up.lock";
/// The folder of a restore that is not finished.
pub const RESTORING: &str = "restoring";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    /// Another process uses it.
    #[error("{} is in use by another `daybook up`", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// Its lock could not be opened or taken.
    #[error("{} cannot be locked", file.display())]
    Lock {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Takes a data directory for this process, for as long as the file is held.
///
/// # Errors
/// [`DataDirectoryError`] says why it cannot be used.
pub fn lock(directory: &Path) -> Result<File, DataDirectoryError> {
    let path = directory.join(LOCK_FILE);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let locked = opened.and_then(|file| match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    });
    match locked {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(DataDirectoryError::InUse { directory: directory.to_owned() }),
        Err(source) => Err(DataDirectoryError::Lock { file: path, source }),
    }
}

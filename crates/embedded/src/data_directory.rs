//! The data directory of `daybook up`: its lock, and how to reach the process that uses it.
//!
//! ```text
//! up.lock       locked while a process uses the directory
//! ready.json    how to reach the process, while it is ready
//! postgres/     the files of the private PostgreSQL
//! restoring/    a restore that is not finished
//! ```

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The file that is locked by the process that uses the directory.
pub const LOCK_FILE: &str = "up.lock";
/// The permissions of a file that only its owner may open.
const PRIVATE: u32 = 0o600;
/// The folder of a restore that is not finished.
pub const RESTORING: &str = "restoring";

/// The file in the data directory that holds [`Ready`] while `daybook up` is ready.
pub const READY_FILE: &str = "ready.json";

/// The addresses of a running `daybook up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The address of its HTTP server.
    pub url: String,
    /// The address of its port for operators. An earlier program does not name it.
    #[serde(default)]
    pub ops_url: String,
    /// A token for the role admin.
    pub admin_token: String,
    /// Its PostgreSQL.
    pub database_url: String,
    /// Its broker.
    pub kafka_brokers: String,
}

impl Ready {
    /// Reads the addresses of the `daybook up` that uses a data directory.
    ///
    /// # Errors
    /// When no `daybook up` is ready in it.
    pub fn read(data: &Path) -> Result<Self, DataDirectoryError> {
        let file = data.join(READY_FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(source) => return Err(DataDirectoryError::NotReady { file, source }),
        };
        serde_json::from_str(&text).map_err(|source| DataDirectoryError::Damaged { file, source })
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    /// Another process uses it.
    #[error("{} is in use by another `daybook up`", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// Its lock file could not be opened or locked.
    #[error("{} cannot be locked", file.display())]
    Lock {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// No `daybook up` is ready in it.
    #[error("no running `daybook up` was found by {}; start one, or say --database-url", file.display())]
    NotReady {
        /// The file that says how to reach it.
        file: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file of addresses cannot be read.
    #[error("{} is damaged", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The error of the parser.
        source: serde_json::Error,
    },
}

/// Locks a data directory for this process. The lock is released when the file is dropped.
///
/// # Errors
/// [`DataDirectoryError`] says why it cannot be used.
pub fn lock(directory: &Path) -> Result<File, DataDirectoryError> {
    let path = directory.join(LOCK_FILE);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(PRIVATE).open(&path);
    let locked = opened.and_then(|file| {
        // Whoever can open the file can lock it. An earlier version let all users read it.
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(PRIVATE))?;
        }
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    });
    match locked {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(DataDirectoryError::InUse { directory: directory.to_owned() }),
        Err(source) => Err(DataDirectoryError::Lock { file: path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_can_lock_a_data_directory() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join(LOCK_FILE);
        fs::write(&file, "").expect("a file");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("as an earlier version made it");
        let held = lock(home.path()).expect("it is free");
        assert_eq!(held.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        assert!(matches!(lock(home.path()), Err(DataDirectoryError::InUse { .. })));
    }
}

//! The directory of a private PostgreSQL: its layout, its owner, and the lock of the process that uses it.
//!
//! ```text
//! lock              locked while a daybook uses the directory; holds its process id
//! cluster/          PGDATA
//! initialising/     a cluster that initdb has not finished; the next start removes it
//! run/              the Unix socket, 0700
//! password          of the superuser, for the TCP fallback, 0600
//! server.log        the log of PostgreSQL; server.log.1 is the log before it
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, lchown},
    path::{Path, PathBuf},
};

use super::error::PostgresError;

/// The size at which the log is rotated. Both logs together stay below about twice this size.
const LOG_LIMIT: u64 = 8 * 1024 * 1024;

/// How much of the end of the log an error quotes.
const QUOTED: u64 = 2 * 1024;

/// A data directory, by its absolute path.
#[derive(Debug, Clone)]
pub(super) struct DataDirectory(PathBuf);

impl DataDirectory {
    /// Makes the directory if it is missing. Other users may enter it, since the server may run as one of them. Its contents are closed
    /// to them.
    pub(super) fn open(path: &Path) -> Result<Self, PostgresError> {
        let doing = || format!("make the data directory {}", path.display());
        DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(PostgresError::io(doing()))?;
        Ok(Self(fs::canonicalize(path).map_err(PostgresError::io(doing()))?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.0.join("cluster")
    }

    pub(super) fn initialising(&self) -> PathBuf {
        self.0.join("initialising")
    }

    pub(super) fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    pub(super) fn password(&self) -> PathBuf {
        self.0.join("password")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("server.log")
    }

    /// Locks the directory for this process. The lock is released when the file is dropped.
    pub(super) fn lock(&self) -> Result<File, PostgresError> {
        let path = self.0.join("lock");
        let doing = || format!("lock {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(PostgresError::io(doing()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The process id is only a hint for the reader of the error.
                let process = file.read_to_string(&mut holder).ok().and_then(|_| holder.trim().parse().ok());
                return Err(PostgresError::InUse { directory: self.0.clone(), process });
            }
            Err(TryLockError::Error(source)) => return Err(PostgresError::Io { doing: doing(), source }),
        }
        file.set_len(0).map_err(PostgresError::io(doing()))?;
        write!(file, "{}", std::process::id()).map_err(PostgresError::io(doing()))?;
        Ok(file)
    }

    /// The major version of the cluster, if there is one.
    pub(super) fn cluster_version(&self) -> Result<Option<u32>, PostgresError> {
        let path = self.cluster().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let version = text.trim().parse().map_err(|_| io::Error::other(format!("it reads {text:?}")));
                version.map(Some).map_err(PostgresError::io(format!("read the version in {}", path.display())))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PostgresError::io(format!("read {}", path.display()))(error)),
        }
    }

    /// Opens the log for appending.
    pub(super) fn open_log(&self) -> Result<File, PostgresError> {
        let doing = format!("open {}", self.log().display());
        OpenOptions::new().append(true).create(true).mode(0o600).open(self.log()).map_err(PostgresError::io(doing))
    }

    /// Rotates a full log. PostgreSQL keeps the file open for appending, so it is copied and truncated, not renamed.
    pub(super) fn rotate_log(&self) -> io::Result<()> {
        let log = self.log();
        if fs::metadata(&log)?.len() < LOG_LIMIT {
            return Ok(());
        }
        fs::copy(&log, self.0.join("server.log.1"))?;
        OpenOptions::new().write(true).open(&log)?.set_len(0)
    }

    /// The text of the log from an offset on, or the end of that text.
    pub(super) fn log_since(&self, start: u64) -> String {
        let quote = || -> io::Result<String> {
            let mut file = File::open(self.log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(start.min(length).max(length.saturating_sub(QUOTED))))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        quote().unwrap_or_else(|error| format!("(the log cannot be read: {error})"))
    }
}

/// Makes a directory that only its owner may enter, if it is missing.
pub(super) fn private_directory(path: &Path, owner: Option<(u32, u32)>) -> Result<(), PostgresError> {
    let doing = || format!("make {}", path.display());
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(PostgresError::io(doing())(error)),
    }
    change_owner(path, owner)
}

/// Writes a file that only its owner may read.
pub(super) fn private_file(path: &Path, text: &str, owner: Option<(u32, u32)>) -> Result<(), PostgresError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(PostgresError::io(format!("write {}", path.display())))?;
    change_owner(path, owner)
}

/// Changes the owner of a file, or of a directory with all its entries, unless the owner is right.
pub(super) fn change_owner(path: &Path, owner: Option<(u32, u32)>) -> Result<(), PostgresError> {
    let Some(owner) = owner else { return Ok(()) };
    change_owner_of_all(path, owner).map_err(PostgresError::io(format!(
        "change the owner of {} to user {}",
        path.display(),
        owner.0
    )))
}

fn change_owner_of_all(path: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.uid() == uid {
        return Ok(());
    }
    // The directory itself comes last, so that the next start can tell that an earlier one was interrupted.
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            change_owner_of_all(&entry?.path(), (uid, gid))?;
        }
    }
    lchown(path, Some(uid), Some(gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_rotated_and_its_writer_keeps_the_same_file() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = DataDirectory::open(home.path()).expect("the data directory");
        let mut writer = directory.open_log().expect("the log");
        writer.write_all(b"short").expect("a line");
        directory.rotate_log().expect("nothing to do");
        assert_eq!(directory.log_since(0), "short");

        writer.set_len(LOG_LIMIT).expect("a long log");
        directory.rotate_log().expect("it is rotated");
        writer.write_all(b"later").expect("a line");
        assert_eq!(directory.log_since(0), "later");
        assert_eq!(fs::metadata(home.path().join("server.log.1")).expect("the old log").len(), LOG_LIMIT);
    }
}

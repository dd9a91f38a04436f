//! A directory of back-ups: base back-ups, and the write-ahead log that continues them.
//!
//! ```text
//! daybook-backups.json   the system identifier of the cluster that the back-ups are of
//! lock                   locked while a base back-up is made
//! base/LABEL/            a base back-up; LABEL is the time when it was begun
//!     backup.json        its description; LABEL.part is unfinished, and the next back-up removes it
//!     data/              the files of the cluster, with PostgreSQL's backup_manifest
//!     secret, password   of the `daybook up` that it was made from
//! wal/TIMELINE.RUN/      the write-ahead log of pg_receivewal; archive.lock is locked while it runs
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    BackupError,
    source::{Mark, Server},
};

const MARKER: &str = "daybook-backups.json";
/// The end of the name of a base back-up that is not finished.
const UNFINISHED: &str = ".part";

/// The contents of the marker.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format: u32,
    system_identifier: String,
}

/// A directory of back-ups.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    directory: PathBuf,
    made: bool,
}

/// A base back-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The time when it was begun, in UTC. It is also the name of its folder.
    pub label: String,
    /// The version of daybook that made it.
    pub daybook: String,
    /// The server that was backed up.
    pub server: Server,
    /// The book when it was begun.
    pub began: Mark,
    /// The book when it was finished. Without the archive, a restore reaches at most this.
    pub ended: Mark,
    /// Its first byte of the write-ahead log.
    pub first_lsn: u64,
    /// The byte of the write-ahead log from which on it is consistent.
    pub last_lsn: u64,
    /// The size of its files.
    pub bytes: u64,
}

impl Store {
    /// Opens a directory that holds back-ups.
    pub(crate) fn open(directory: &Path) -> Result<Self, BackupError> {
        let directory = fs::canonicalize(directory)
            .map_err(BackupError::io(format!("find the back-up {}", directory.display())))?;
        if !directory.join(MARKER).is_file() {
            return Err(BackupError::NoBackup { directory });
        }
        Ok(Self { directory, made: false })
    }

    /// Opens the back-ups of a cluster, or makes a new directory of back-ups in an empty directory.
    pub(crate) fn open_or_make(directory: &Path, system_identifier: &str) -> Result<Self, BackupError> {
        private(directory, true)?;
        let directory =
            fs::canonicalize(directory).map_err(BackupError::io(format!("find {}", directory.display())))?;
        let marker = directory.join(MARKER);
        if marker.is_file() {
            let theirs = read::<Marker>(&marker)?.system_identifier;
            if theirs != system_identifier {
                return Err(BackupError::AnotherCluster { directory, theirs, ours: system_identifier.to_owned() });
            }
            return Ok(Self { directory, made: false });
        }
        if entries(&directory)?.next().is_some() {
            let wanted = "back-ups go into an empty directory, or beside earlier back-ups of the same book";
            return Err(BackupError::NotEmpty { directory, wanted });
        }
        write(&marker, &Marker { format: 1, system_identifier: system_identifier.to_owned() })?;
        Ok(Self { directory, made: true })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// Locks a part of the directory for this process. The lock is released when the file is dropped.
    pub(crate) fn lock(&self, name: &str) -> Result<File, BackupError> {
        let path = self.directory.join(name);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(BackupError::io(format!("open {}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(BackupError::InUse { directory: self.directory.clone() }),
            Err(TryLockError::Error(error)) => Err(BackupError::io(format!("lock {}", path.display()))(error)),
        }
    }

    /// Begins a base back-up. The caller holds the lock. Unfinished back-ups are removed.
    pub(crate) fn begin(&self, label: &str) -> Result<PathBuf, BackupError> {
        let bases = self.directory.join("base");
        private(&bases, true)?;
        for entry in entries(&bases)? {
            if entry.to_string_lossy().ends_with(UNFINISHED) {
                remove(&entry)?;
            }
        }
        let part = bases.join(format!("{label}{UNFINISHED}"));
        private(&part, false)?;
        Ok(part)
    }

    /// Finishes a base back-up. From now on it counts.
    pub(crate) fn finish(&self, part: &Path, base: &Base) -> Result<PathBuf, BackupError> {
        write(&part.join("backup.json"), base)?;
        let finished = self.base(&base.label);
        fs::rename(part, &finished)
            .and_then(|()| File::open(self.directory.join("base"))?.sync_all())
            .map_err(BackupError::io(format!("finish {}", finished.display())))?;
        Ok(finished)
    }

    /// Removes everything of a back-up that failed.
    pub(crate) fn discard(&self, part: &Path) -> Result<(), BackupError> {
        if self.made { remove(&self.directory) } else { remove(part) }
    }

    /// The directory of a base back-up.
    pub(crate) fn base(&self, label: &str) -> PathBuf {
        self.directory.join("base").join(label)
    }

    /// Removes a base back-up. It is renamed to an unfinished one first, so that a half-removed one never counts.
    pub(crate) fn remove(&self, base: &Base) -> Result<(), BackupError> {
        let (finished, part) = (self.base(&base.label), self.base(&format!("{}{UNFINISHED}", base.label)));
        fs::rename(&finished, &part).map_err(BackupError::io(format!("remove {}", finished.display())))?;
        remove(&part)
    }

    /// The base back-ups, the oldest first.
    pub(crate) fn bases(&self) -> Result<Vec<Base>, BackupError> {
        let bases = self.directory.join("base");
        let mut found: Vec<Base> = Vec::new();
        if bases.is_dir() {
            for entry in entries(&bases)? {
                if !entry.to_string_lossy().ends_with(UNFINISHED) {
                    found.push(read(&entry.join("backup.json"))?);
                }
            }
        }
        found.sort_by(|a, b| a.label.cmp(&b.label));
        Ok(found)
    }
}

/// Makes a directory that only its owner may enter. An existing one is left unchanged, if it `may_exist`.
pub(crate) fn private(directory: &Path, may_exist: bool) -> Result<(), BackupError> {
    let made = DirBuilder::new().recursive(may_exist).mode(0o700).create(directory);
    made.map_err(BackupError::io(format!("make {}", directory.display())))
}

/// Removes a directory with all its entries.
pub(crate) fn remove(directory: &Path) -> Result<(), BackupError> {
    fs::remove_dir_all(directory).map_err(BackupError::io(format!("remove {}", directory.display())))
}

/// The entries of a directory.
pub(crate) fn entries(directory: &Path) -> Result<impl Iterator<Item = PathBuf>, BackupError> {
    let list = || fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let listed = list().map_err(BackupError::io(format!("list {}", directory.display())))?;
    Ok(listed.into_iter())
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T, BackupError> {
    let text = fs::read_to_string(file).map_err(BackupError::io(format!("read {}", file.display())))?;
    let directory = || file.parent().unwrap_or(file).to_owned();
    serde_json::from_str(&text)
        .map_err(|error| BackupError::Damaged { directory: directory(), what: format!("{}: {error}", file.display()) })
}

fn write(file: &Path, value: &impl Serialize) -> Result<(), BackupError> {
    let doing = || format!("write {}", file.display());
    let text = serde_json::to_string_pretty(value).map_err(|error| BackupError::io(doing())(error.into()))?;
    private_file(file, text.as_bytes())
}

/// Writes a file that only its owner may read, and waits for the disk.
pub(crate) fn private_file(file: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(file)
        .and_then(|mut open| {
            io::Write::write_all(&mut open, bytes)?;
            open.sync_all()
        })
        .map_err(BackupError::io(format!("write {}", file.display())))
}

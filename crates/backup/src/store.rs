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
//!
//! Others may be able to write to a directory of back-ups. So a link in it is never followed, and a description names no folder but its own.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    BackupError,
    label::Label,
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
    pub label: Label,
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
        if !is_file(&directory.join(MARKER))? {
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
        if is_file(&marker)? {
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
    pub(crate) fn begin(&self, label: &Label) -> Result<PathBuf, BackupError> {
        let bases = self.directory.join("base");
        own_directory(&bases)?;
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
    pub(crate) fn base(&self, label: &Label) -> PathBuf {
        self.directory.join("base").join(label.as_str())
    }

    /// Removes a base back-up. It is renamed to an unfinished one first, so that a half-removed one never counts.
    pub(crate) fn remove(&self, base: &Base) -> Result<(), BackupError> {
        let finished = self.base(&base.label);
        let part = finished.with_file_name(format!("{}{UNFINISHED}", base.label));
        fs::rename(&finished, &part).map_err(BackupError::io(format!("remove {}", finished.display())))?;
        remove(&part)
    }

    /// The base back-ups, the oldest first. One damaged entry fails: what is removed or called undamaged must be known whole.
    pub(crate) fn bases(&self) -> Result<Vec<Base>, BackupError> {
        self.entries()?.into_iter().collect()
    }

    /// The base back-ups that can be read, the oldest first. Damaged ones are named in the log, since they hinder no restore from others.
    pub(crate) fn readable_bases(&self) -> Result<Vec<Base>, BackupError> {
        let damaged = |error: BackupError| tracing::warn!("{error}");
        Ok(self.entries()?.into_iter().filter_map(|base| base.map_err(damaged).ok()).collect())
    }

    /// The finished entries of the folder of base back-ups, in the order of their names.
    fn entries(&self) -> Result<Vec<Result<Base, BackupError>>, BackupError> {
        let bases = self.directory.join("base");
        if !is_directory(&bases)? {
            return Ok(Vec::new());
        }
        let mut found: Vec<PathBuf> = entries(&bases)?.collect();
        found.retain(|entry| !entry.to_string_lossy().ends_with(UNFINISHED));
        found.sort();
        Ok(found.iter().map(|entry| described(entry)).collect())
    }
}

/// The base back-up in a folder, if the description in it is its own.
fn described(folder: &Path) -> Result<Base, BackupError> {
    let damaged = |what: String| BackupError::Damaged { directory: folder.to_owned(), what };
    let (description, data) = (folder.join("backup.json"), folder.join("data"));
    if !is_directory(folder)? || !is_file(&description)? || !is_directory(&data)? {
        return Err(damaged("it is no base back-up: it has no backup.json, or no data".to_owned()));
    }
    let base: Base = read(&description)?;
    if folder.file_name().is_none_or(|name| name != base.label.as_str()) {
        return Err(damaged(format!("its backup.json is that of {}", base.label)));
    }
    Ok(base)
}

/// Whether there is a directory at a path. A link is damage.
pub(crate) fn is_directory(path: &Path) -> Result<bool, BackupError> {
    is(path, fs::FileType::is_dir)
}

/// Whether there is a file at a path. A link is damage.
pub(crate) fn is_file(path: &Path) -> Result<bool, BackupError> {
    is(path, fs::FileType::is_file)
}

fn is(path: &Path, kind: fn(&fs::FileType) -> bool) -> Result<bool, BackupError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            let what = format!("{} is a link, and links are not followed", path.display());
            Err(BackupError::Damaged { directory: path.parent().unwrap_or(path).to_owned(), what })
        }
        Ok(found) => Ok(kind(&found.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(BackupError::io(format!("look at {}", path.display()))(error)),
    }
}

/// Makes a directory that only its owner may enter. An existing one is left unchanged, if it `may_exist`.
pub(crate) fn private(directory: &Path, may_exist: bool) -> Result<(), BackupError> {
    let made = DirBuilder::new().recursive(may_exist).mode(0o700).create(directory);
    made.map_err(BackupError::io(format!("make {}", directory.display())))
}

/// Makes a directory within a directory of back-ups, unless it exists.
pub(crate) fn own_directory(directory: &Path) -> Result<(), BackupError> {
    if is_directory(directory)? { Ok(()) } else { private(directory, false) }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use chrono::{DateTime, TimeDelta};
    use uuid::Uuid;

    use super::*;
    use crate::prune;

    /// A directory with two base back-ups, and a directory beside it that no command may touch.
    fn two() -> (tempfile::TempDir, Store, [PathBuf; 2]) {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(directory.path().join("precious/data")).expect("a directory");
        fs::write(directory.path().join("precious/000000010000000000000001"), "diary").expect("a file");
        let store = Store::open_or_make(&directory.path().join("backups"), "1").expect("an empty directory");
        let made = [1, 2].map(|day| {
            let at = DateTime::UNIX_EPOCH + TimeDelta::days(day);
            let mark = Mark { at, position: 1, epoch: Uuid::nil() };
            let server = Server {
                major: 15,
                system_identifier: "1".into(),
                timeline: 1,
                wal_segment_bytes: 16 << 20,
                database: "daybook".into(),
                superuser: "daybook".into(),
                embedded: true,
            };
            let (label, daybook) = (Label::of(at), "1".to_owned());
            let base = Base {
                label,
                daybook,
                server,
                began: mark,
                ended: mark,
                first_lsn: 1 << 30,
                last_lsn: 2 << 30,
                bytes: 0,
            };
            let part = store.begin(&base.label).expect("a new back-up");
            fs::create_dir(part.join("data")).expect("a directory");
            store.finish(&part, &base).expect("it is finished")
        });
        (directory, store, made)
    }

    fn labels(bases: &[Base]) -> Vec<&str> {
        bases.iter().map(|base| base.label.as_str()).collect()
    }

    #[test]
    fn a_description_that_names_another_folder_removes_nothing_and_hinders_no_restore() {
        for label in ["../../precious", "/precious", "..", "19700103T000000.000Z"] {
            let (directory, store, [old, new]) = two();
            let text = fs::read_to_string(old.join("backup.json")).expect("a description");
            fs::write(old.join("backup.json"), text.replace("19700102T000000.000Z", label)).expect("it is changed");
            assert!(matches!(prune(store.path(), 1), Err(BackupError::Damaged { .. })), "{label}");
            assert_eq!(labels(&store.readable_bases().expect("they are listed")), ["19700103T000000.000Z"]);
            assert!(old.exists() && new.exists() && directory.path().join("precious/data").exists());
        }
    }

    #[test]
    fn a_link_is_never_followed() {
        let (directory, store, [old, _]) = two();
        let precious = directory.path().join("precious");
        fs::copy(old.join("backup.json"), precious.join("backup.json")).expect("a copy");
        fs::remove_dir_all(&old).expect("it is removed");
        symlink(&precious, &old).expect("a link");
        assert!(matches!(prune(store.path(), 1), Err(BackupError::Damaged { .. })));
        assert_eq!(labels(&store.readable_bases().expect("they are listed")), ["19700103T000000.000Z"]);
        fs::remove_file(&old).expect("the link is removed");

        let timeline = store.path().join("wal/00000001.2");
        fs::create_dir_all(timeline.join("000000010000000000000009")).expect("a directory");
        fs::write(store.path().join("wal/README"), "of the operator").expect("a file");
        assert_eq!(prune(store.path(), 1).expect("other entries are ignored").removed_files, 0);
        symlink(&precious, store.path().join("wal/00000001.1")).expect("a link");
        assert!(matches!(prune(store.path(), 1), Err(BackupError::Damaged { .. })));
        assert!(precious.join("000000010000000000000001").exists());
    }
}

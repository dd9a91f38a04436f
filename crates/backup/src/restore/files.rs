//! Copying the files of a cluster: those of the base back-up, and the archived log to the folder that crash recovery reads.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;

use super::{plan::Plan, tuning};
use crate::{
    BackupError,
    base::EXTRA_FILES,
    store::{is_file, private},
};

/// The name of the superuser's password in a back-up.
const PASSWORD: &str = EXTRA_FILES[1].1;

/// Copies everything into the directory of a private PostgreSQL. It does not wait for the disk, since PostgreSQL syncs all files
/// before it recovers.
pub(super) async fn copy_all(plan: &Plan, server: PathBuf, bar: &ProgressBar) -> Result<(), BackupError> {
    let (from, archived, bar) = (plan.directory.clone(), plan.files.clone(), bar.clone());
    let copying = move || {
        let cluster = server.join("cluster");
        private(&server, false)?;
        // The server may run as another user, who has to enter it.
        open_to_all(&server).map_err(BackupError::io(format!("open {}", server.display())))?;
        let doing = |path: &Path| BackupError::io(format!("copy {}", path.display()));
        copy_tree(&from.join("data"), &cluster, &bar).map_err(doing(&from))?;
        for (name, path) in &archived {
            copy(path, &cluster.join("pg_wal").join(name), &bar).map_err(doing(path))?;
        }
        if is_file(&from.join(PASSWORD))? {
            copy(&from.join(PASSWORD), &server.join("password"), &bar).map_err(doing(&from.join(PASSWORD)))?;
        }
        // Settings can name programs. Those of the back-up are not in force while it is recovered.
        let overrides = cluster.join(tuning::FILE);
        File::create(&overrides).map(drop).map_err(BackupError::io(format!("empty {}", overrides.display())))?;
        // This file makes PostgreSQL recover from a back-up.
        File::create(cluster.join("recovery.signal")).map(drop).map_err(BackupError::io("make recovery.signal"))
    };
    let copied = tokio::task::spawn_blocking(copying).await;
    copied.map_err(|error| BackupError::io("copy the back-up")(error.into()))?
}

fn open_to_all(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

fn copy_tree(from: &Path, to: &Path, bar: &ProgressBar) -> io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, path, target) = (entry.file_type()?, entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&path, &target, bar)?;
        } else if kind.is_file() {
            copy(&path, &target, bar)?;
        } else {
            return Err(io::Error::other(format!("{} is neither a file nor a directory", path.display())));
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, bar: &ProgressBar) -> io::Result<()> {
    bar.inc(fs::copy(from, to)?);
    Ok(())
}

/// Writes all files to the disk, after a server that ran without fsync.
pub(super) async fn sync(server: PathBuf) -> Result<(), BackupError> {
    let syncing = tokio::task::spawn_blocking(move || sync_tree(&server)).await;
    let synced = syncing.map_err(|error| BackupError::io("wait for the disk")(error.into()))?;
    synced.map_err(BackupError::io("wait for the disk"))
}

fn sync_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(directory)?.sync_all()
}

/// The size of all files to copy.
pub(super) fn size(plan: &Plan) -> u64 {
    let archived = plan.files.iter().filter_map(|(_, path)| path.metadata().ok());
    plan.base.bytes + archived.map(|file| file.len()).sum::<u64>()
}

/// Restores the configuration that the recovery has replaced. A server that `daybook up` has not made gets all of its own back. The other
/// one gets its tuning.
pub(super) fn restore_configuration(plan: &Plan, server: &Path) -> Result<(), BackupError> {
    let (data, cluster) = (plan.directory.join("data"), server.join("cluster"));
    if plan.base.server.embedded {
        return tuning::restore(&data, &cluster);
    }
    for name in ["postgresql.conf", "pg_hba.conf", tuning::FILE] {
        let (own, target) = (data.join(name), cluster.join(name));
        let restored = if is_file(&own)? { fs::copy(&own, &target).map(|_| ()) } else { fs::remove_file(&target) };
        restored.map_err(BackupError::io(format!("restore {}", target.display())))?;
    }
    Ok(())
}

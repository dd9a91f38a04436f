//! Care for finished back-ups: report how far they lead, remove old ones, compare them with their checksums.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{BackupError, Base, store::Store, tools::Tools, wal::Wal};

/// A base back-up, and the end of the archived log that continues it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The base back-up.
    #[serde(flatten)]
    pub base: Base,
    /// The last file of the archived log that continues it. None when no file was archived.
    pub archived_to: Option<String>,
    /// The time of the last write to that file.
    pub archived_at: Option<DateTime<Utc>>,
    /// The first missing file, if there are later ones.
    pub missing: Option<String>,
}

/// The base back-ups of a directory, with the end of the log that continues each.
///
/// # Errors
/// When there are none, or the directory cannot be read.
pub fn reports(from: &Path) -> Result<Vec<Report>, BackupError> {
    let store = Store::open(from)?;
    of(&store, store.readable_bases()?)
}

fn of(store: &Store, bases: Vec<Base>) -> Result<Vec<Report>, BackupError> {
    let report = |base: Base| {
        let bytes = base.server.wal_segment_bytes;
        let wal = Wal::read(store, bytes)?;
        let timeline = wal.newest_timeline(&base);
        let reach = wal.reach(&base, timeline);
        let last = wal.range(&base, timeline).filter(|(segment, _)| segment.number <= reach.last).last();
        let written = last.and_then(|(_, path)| path.metadata().and_then(|file| file.modified()).ok());
        Ok(Report {
            archived_to: last.map(|(segment, _)| segment.name(bytes)),
            archived_at: written.map(DateTime::from),
            missing: reach.missing.map(|segment| segment.name(bytes)),
            base,
        })
    };
    bases.into_iter().map(report).collect()
}

/// The result of pruning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Base back-ups that are left.
    pub kept: usize,
    /// Base back-ups that were removed.
    pub removed: usize,
    /// Files of the archived log that were removed.
    pub removed_files: usize,
}

/// Removes all base back-ups but the newest ones, and the archived log before them.
///
/// # Errors
/// When another process works on the directory, or it cannot be read or changed.
pub fn prune(from: &Path, keep: usize) -> Result<Pruned, BackupError> {
    let store = Store::open(from)?;
    let _lock = store.lock("lock")?;
    let mut bases = store.bases()?;
    let kept = bases.split_off(bases.len().saturating_sub(keep));
    // Without a base back-up all files stay: the first base back-up of the archive may be in progress.
    let files: Vec<PathBuf> = match kept.first() {
        Some(first) => Wal::read(&store, first.server.wal_segment_bytes)?.before(&kept).cloned().collect(),
        None => Vec::new(),
    };
    for base in &bases {
        store.remove(base)?;
    }
    for file in &files {
        std::fs::remove_file(file).map_err(BackupError::io(format!("remove {}", file.display())))?;
    }
    Ok(Pruned { kept: kept.len(), removed: bases.len(), removed_files: files.len() })
}

/// Compares every file of every base back-up with its checksum, and looks for gaps in the archived log. `begin` makes a progress bar
/// for the number of base back-ups, which is also the result.
///
/// # Errors
/// [`BackupError::Damaged`] and [`BackupError::MissingWal`] name the damage.
pub async fn verify(from: &Path, begin: impl FnOnce(u64) -> ProgressBar) -> Result<usize, BackupError> {
    let store = Store::open(from)?;
    let reports = of(&store, store.bases()?)?;
    let bar = begin(reports.len() as u64);
    for Report { base, .. } in &reports {
        Tools::of_version(base.server.major)?.verify(&store.base(&base.label).join("data")).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    // The log after the newest base back-up must be complete. Older ones may have gaps.
    if let Some(Report { missing: Some(segment), .. }) = reports.last() {
        return Err(BackupError::MissingWal { segment: segment.clone() });
    }
    Ok(reports.len())
}

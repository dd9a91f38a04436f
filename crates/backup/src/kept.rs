//! What is done with back-ups that are there: say how far they lead, remove the old ones, compare them with their checksums.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{BackupError, Base, store::Store, tools::Tools, wal::Wal};

/// A base back-up, and how far one can go from it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The base back-up.
    #[serde(flatten)]
    pub base: Base,
    /// The last file of the archived log that leads on from it; none when nothing was archived.
    pub archived_to: Option<String>,
    /// When that file was last written to.
    pub archived_at: Option<DateTime<Utc>>,
    /// The first file that is missing, where there are more after it.
    pub missing: Option<String>,
}

/// The base back-ups of a directory, and how far one can go from each.
///
/// # Errors
/// When there are none, or the directory cannot be read.
pub fn reports(from: &Path) -> Result<Vec<Report>, BackupError> {
    of(&Store::open(from)?)
}

fn of(store: &Store) -> Result<Vec<Report>, BackupError> {
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
    store.bases()?.into_iter().map(report).collect()
}

/// How much was removed, and how much is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Base back-ups that are left.
    pub kept: usize,
    /// Base back-ups that were removed.
    pub removed: usize,
    /// Files of the archived log that were removed.
    pub removed_files: usize,
}

/// Removes all base back-ups but the newest ones, and what is archived from before them.
///
/// # Errors
/// When somebody else works on the directory, or it cannot be read or changed.
pub fn prune(from: &Path, keep: usize) -> Result<Pruned, BackupError> {
    let store = Store::open(from)?;
    let _lock = store.lock("lock")?;
    let mut bases = store.bases()?;
    let kept = bases.split_off(bases.len().saturating_sub(keep));
    // Without a base back-up nothing says what is needed: the one that the archive waits for may be under way.
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

/// Compares every file of every base back-up with its checksum, and looks for gaps in the archived log. Returns how many base
/// back-ups that were. `begin` makes the bar for so many.
///
/// # Errors
/// [`BackupError::Damaged`] and [`BackupError::MissingWal`] say what is not as it was.
pub async fn verify(from: &Path, begin: impl FnOnce(u64) -> ProgressBar) -> Result<usize, BackupError> {
    let store = Store::open(from)?;
    let reports = of(&store)?;
    let bar = begin(reports.len() as u64);
    for Report { base, .. } in &reports {
        Tools::of_version(base.server.major)?.verify(&store.base(&base.label).join("data")).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    // From an older one, a way that the newest has need not be there.
    if let Some(Report { missing: Some(segment), .. }) = reports.last() {
        return Err(BackupError::MissingWal { segment: segment.clone() });
    }
    Ok(reports.len())
}

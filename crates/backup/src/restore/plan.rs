//! The target of a restore, and the base back-up that it starts from.

use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::{
    BackupError, Base,
    store::Store,
    wal::{Segment, Wal},
};

/// The target of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The end of the archive.
    End,
    /// Everything that was committed up to a time.
    Time(DateTime<Utc>),
    /// The book up to a position.
    Position(i64),
    /// The base back-up alone.
    Base,
}

/// The plan of a restore.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) base: Base,
    pub(super) directory: PathBuf,
    /// The timeline to follow.
    pub(super) timeline: u32,
    /// The archived files, by name: of the write-ahead log, and the histories of its timelines.
    pub(super) files: Vec<(String, PathBuf)>,
    /// The last file of the log, and whether it was finished.
    pub(super) last: Option<(Segment, bool)>,
}

impl Plan {
    /// Chooses the newest base back-up that leads to the target, unless a label is given.
    pub(super) fn make(
        store: &Store,
        target: Target,
        label: Option<&str>,
        timeline: Option<u32>,
    ) -> Result<Self, BackupError> {
        let base = choose(store, target, label, timeline)?;
        let bytes = base.server.wal_segment_bytes;
        let wal = if target == Target::Base { Wal::default() } else { Wal::read(store, bytes)? };
        let timeline = timeline.unwrap_or_else(|| wal.newest_timeline(&base));
        let reach = wal.reach(&base, timeline);
        if let (Target::End, Some(missing)) = (target, reach.missing) {
            return Err(BackupError::MissingWal { segment: missing.name(bytes) });
        }
        let range = || wal.range(&base, timeline).filter(|(segment, _)| segment.number <= reach.last);
        let histories = wal.histories.range(..=timeline).map(|(nr, path)| (format!("{nr:08X}.history"), path.clone()));
        let files = range().map(|(segment, path)| (segment.name(bytes), path.clone())).chain(histories).collect();
        let last = range().max_by_key(|(segment, _)| segment.number);
        let last = last.map(|(segment, path)| (segment, path.extension().is_none()));
        Ok(Self { directory: store.base(&base.label), base, timeline, files, last })
    }

    /// The settings that make PostgreSQL recover to the target.
    pub(super) fn settings(&self, stop: &Stop) -> Vec<String> {
        let timeline = match self.timeline {
            own if own == self.base.server.timeline => "current".to_owned(),
            other => other.to_string(),
        };
        let mut settings = vec![
            // The archived log was copied to the folder that crash recovery reads.
            "restore_command=false".to_owned(),
            format!("recovery_target_timeline={timeline}"),
            "recovery_target_action=promote".to_owned(),
            // No client reads meanwhile, so the number of connections of the old server does not matter.
            "hot_standby=off".to_owned(),
            "archive_mode=off".to_owned(),
        ];
        settings.extend(match stop {
            Stop::End => None,
            Stop::AtTime(time) => Some(format!("recovery_target_time={}", postgres_time(*time))),
            Stop::Before(transaction) => Some(format!("recovery_target_xid={transaction}")),
            Stop::Whole => Some("recovery_target=immediate".to_owned()),
        });
        if matches!(stop, Stop::Before(_)) {
            settings.push("recovery_target_inclusive=off".to_owned());
        }
        settings
    }
}

/// Where the recovery stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// At the end of the log.
    End,
    /// After the last commit up to a time.
    AtTime(DateTime<Utc>),
    /// Before a transaction.
    Before(String),
    /// As soon as the base back-up is consistent.
    Whole,
}

impl From<Target> for Stop {
    /// The transaction of a position is known only after a full recovery.
    fn from(target: Target) -> Self {
        match target {
            Target::End | Target::Position(_) => Self::End,
            Target::Time(time) => Self::AtTime(time),
            Target::Base => Self::Whole,
        }
    }
}

fn choose(store: &Store, target: Target, label: Option<&str>, timeline: Option<u32>) -> Result<Base, BackupError> {
    let mut bases = store.readable_bases()?;
    bases.retain(|base| timeline.is_none_or(|timeline| base.server.timeline <= timeline));
    if let Some(label) = label {
        let there = || bases.iter().map(|base| base.label.to_string()).collect();
        let named = bases.iter().find(|base| base.label.as_str() == label).cloned();
        return named.ok_or_else(|| BackupError::NoSuchBase { label: label.to_owned(), there: there() });
    }
    let Some(oldest) = bases.first() else {
        return Err(BackupError::NoBackup { directory: store.path().to_owned() });
    };
    let before = |asked, earliest| BackupError::BeforeBackup { asked, earliest };
    let earliest = match target {
        Target::End | Target::Base => BackupError::NoBackup { directory: store.path().to_owned() },
        Target::Time(time) => {
            before(readable(time), format!("the first base back-up was finished at {}", readable(oldest.ended.at)))
        }
        Target::Position(position) => before(
            format!("position {position}"),
            format!("the first base back-up leads to position {}", oldest.ended.position),
        ),
    };
    let leads_there = |base: &&Base| match target {
        Target::End | Target::Base => true,
        Target::Time(time) => base.ended.at <= time,
        Target::Position(position) => base.ended.position <= position,
    };
    bases.iter().rev().find(leads_there).cloned().ok_or(earliest)
}

/// A time for people to read.
#[must_use]
pub fn readable(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn postgres_time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

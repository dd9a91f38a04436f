//! The archived files of the write-ahead log, and how far they continue a base back-up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    BackupError,
    store::{Base, Store, entries, is_directory, is_file},
};

/// The end of the name of a file that pg_receivewal has not finished.
const PARTIAL: &str = ".partial";

/// A file of the write-ahead log, by timeline and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    pub(crate) timeline: u32,
    pub(crate) number: u64,
}

impl Segment {
    /// `TTTTTTTTHHHHHHHHLLLLLLLL`: the timeline, and the number in two halves. The lower half counts up to 4 GiB of log.
    fn of_name(name: &str, bytes: u64) -> Option<Self> {
        if name.len() != 24 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let part = |from: usize| u32::from_str_radix(&name[from..from + 8], 16).ok();
        let number = u64::from(part(8)?) * per_half(bytes) + u64::from(part(16)?);
        Some(Self { timeline: part(0)?, number })
    }

    pub(crate) fn name(self, bytes: u64) -> String {
        let per_half = per_half(bytes);
        format!("{:08X}{:08X}{:08X}", self.timeline, self.number / per_half, self.number % per_half)
    }
}

/// The time of the last write to a file, if it is known.
fn written(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|file| file.modified()).ok()
}

/// Empties the unfinished files of a folder that are neither empty nor a whole segment. pg_receivewal fills a new file with zeros before
/// it writes to it. Where the disk is full meanwhile, it leaves a shorter one, and does not start beside it ever again. An empty one it
/// takes for a new file. The slot keeps the log that belongs there.
pub(crate) fn empty_torn(directory: &Path, segment_bytes: u64) -> Result<(), BackupError> {
    for path in entries(directory)? {
        let is_partial = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(PARTIAL));
        if !is_partial || !is_file(&path)? {
            continue;
        }
        let bytes = path.metadata().map_err(BackupError::io(format!("look at {}", path.display())))?.len();
        if bytes != 0 && bytes != segment_bytes {
            let emptied = OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(0));
            emptied.map_err(BackupError::io(format!("empty {}", path.display())))?;
            tracing::warn!(file = %path.display(), "an unfinished file of the archived log is received again: it was cut off");
        }
    }
    Ok(())
}

fn per_half(bytes: u64) -> u64 {
    (0x1_0000_0000 / bytes.max(1)).max(1)
}

/// The archived log.
#[derive(Debug, Default)]
pub(crate) struct Wal {
    pub(crate) segments: BTreeMap<Segment, PathBuf>,
    /// The history files, by timeline. They say where each timeline forked.
    pub(crate) histories: BTreeMap<u32, PathBuf>,
}

/// How far a base back-up and the archived log lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The number of the last file without a gap.
    pub(crate) last: u64,
    /// The first missing file, if there are later ones.
    pub(crate) missing: Option<Segment>,
}

impl Wal {
    /// Reads the archived files. Of several files of one name a finished one counts, or else the newest.
    pub(crate) fn read(store: &Store, bytes: u64) -> Result<Self, BackupError> {
        let mut wal = Self::default();
        let directory = store.path().join("wal");
        if !is_directory(&directory)? {
            return Ok(wal);
        }
        for timeline in entries(&directory)? {
            if is_directory(&timeline)? {
                for path in entries(&timeline)? {
                    if is_file(&path)? {
                        wal.add(path, bytes);
                    }
                }
            }
        }
        Ok(wal)
    }

    fn add(&mut self, path: PathBuf, bytes: u64) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
        if let Some(timeline) = name.strip_suffix(".history").and_then(|name| u32::from_str_radix(name, 16).ok()) {
            self.histories.insert(timeline, path);
        } else if let Some(segment) = name.strip_suffix(PARTIAL).and_then(|name| Segment::of_name(name, bytes)) {
            match self.segments.get(&segment) {
                Some(known) if known.extension().is_none() || written(known) >= written(&path) => {}
                _ => drop(self.segments.insert(segment, path)),
            }
        } else if let Some(segment) = Segment::of_name(name, bytes) {
            self.segments.insert(segment, path);
        }
    }

    /// The newest timeline that continues a base back-up.
    pub(crate) fn newest_timeline(&self, base: &Base) -> u32 {
        self.segments.keys().map(|segment| segment.timeline).max().unwrap_or(0).max(base.server.timeline)
    }

    /// How far the files continue a base back-up. The base back-up holds the log up to its own end.
    pub(crate) fn reach(&self, base: &Base, timeline: u32) -> Reach {
        let mut last = base_end(base);
        let numbers: BTreeSet<u64> = self.range(base, timeline).map(|(segment, _)| segment.number).collect();
        for number in numbers.into_iter().skip_while(|number| *number <= base_end(base)) {
            if number > last + 1 {
                return Reach { last, missing: Some(Segment { timeline, number: last + 1 }) };
            }
            last = number;
        }
        Reach { last, missing: None }
    }

    /// The files that none of these base back-ups needs.
    pub(crate) fn before<'w>(&'w self, bases: &'w [Base]) -> impl Iterator<Item = &'w PathBuf> {
        let needed = |segment: &Segment| {
            bases.iter().any(|base| {
                segment.timeline >= base.server.timeline
                    && segment.number >= base.first_lsn / base.server.wal_segment_bytes.max(1)
            })
        };
        self.segments.iter().filter(move |(segment, _)| !needed(segment)).map(|(_, path)| path)
    }

    /// The files that continue a base back-up on the way to a timeline.
    pub(crate) fn range(&self, base: &Base, timeline: u32) -> impl Iterator<Item = (Segment, &PathBuf)> {
        let first = base.first_lsn / base.server.wal_segment_bytes.max(1);
        let timelines = base.server.timeline..=timeline;
        let leads_on = move |segment: &Segment| timelines.contains(&segment.timeline) && segment.number >= first;
        self.segments.iter().filter(move |(segment, _)| leads_on(segment)).map(|(segment, path)| (*segment, path))
    }
}

/// The number of the last file that a base back-up holds.
fn base_end(base: &Base) -> u64 {
    base.last_lsn.saturating_sub(1) / base.server.wal_segment_bytes.max(1)
}

/// `16/B374D848`: a byte of the log, as PostgreSQL writes it.
pub(crate) fn lsn(text: &str) -> Option<u64> {
    let (high, low) = text.trim().split_once('/')?;
    Some(u64::from(u32::from_str_radix(high, 16).ok()?) << 32 | u64::from(u32::from_str_radix(low, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::{Label, Mark, Server};

    const BYTES: u64 = 16 * 1024 * 1024;

    #[test]
    fn a_name_is_a_timeline_and_a_number() {
        for (name, timeline, number) in [
            ("000000010000000000000002", 1, 2),
            ("0000000A00000001000000FF", 10, 511),
            ("000000020000000300000000", 2, 768),
        ] {
            let segment = Segment::of_name(name, BYTES).expect("a name");
            assert_eq!(segment, Segment { timeline, number });
            assert_eq!(segment.name(BYTES), name);
        }
        assert_eq!(Segment::of_name("00000002.history", BYTES), None);
        assert_eq!(lsn("16/B374D848"), Some(0x16_B374_D848));
    }

    fn base(timeline: u32, first: u64, last: u64) -> Base {
        let mark = Mark { at: DateTime::UNIX_EPOCH, position: 0, epoch: Uuid::nil() };
        let server = Server {
            major: 15,
            system_identifier: "1".into(),
            timeline,
            wal_segment_bytes: BYTES,
            database: "daybook".into(),
            superuser: "daybook".into(),
            embedded: true,
        };
        let (label, daybook) = (Label::of(mark.at), "1".to_owned());
        let (first_lsn, last_lsn) = (first * BYTES + 40, last * BYTES + 256);
        Base { label, daybook, server, began: mark, ended: mark, first_lsn, last_lsn, bytes: 0 }
    }

    fn wal(segments: &[(u32, u64)]) -> Wal {
        let file = |&(timeline, number): &(u32, u64)| (Segment { timeline, number }, PathBuf::from(number.to_string()));
        Wal { segments: segments.iter().map(file).collect(), ..Wal::default() }
    }

    #[test]
    fn an_archive_leads_up_to_its_first_gap_and_across_a_fork() {
        let base = base(1, 2, 3);
        assert_eq!(wal(&[]).reach(&base, 1), Reach { last: 3, missing: None });
        assert_eq!(wal(&[(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]).reach(&base, 1), Reach { last: 5, missing: None });
        let gap = Some(Segment { timeline: 1, number: 5 });
        assert_eq!(wal(&[(1, 4), (1, 6)]).reach(&base, 1), Reach { last: 4, missing: gap });
        assert_eq!(wal(&[(1, 4), (2, 4), (2, 5)]).reach(&base, 2), Reach { last: 5, missing: None });
        assert_eq!(wal(&[(1, 4), (2, 4), (2, 5)]).reach(&base, 1), Reach { last: 4, missing: None });
    }

    #[test]
    fn files_that_no_base_back_up_needs_are_found() {
        let wal = wal(&[(1, 1), (1, 2), (1, 9), (2, 9), (2, 10)]);
        let unneeded = |bases: &[Base]| wal.before(bases).map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(unneeded(&[base(1, 2, 3), base(2, 10, 10)]), ["1"]);
        assert_eq!(unneeded(&[base(2, 10, 10)]), ["1", "2", "9", "9"]);
    }
}

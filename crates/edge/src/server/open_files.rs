//! How many files the system lets this process have open: a connection is one of them.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many files and connections beside those of clients a process needs.
const OTHER_FILES: u64 = 500;

/// Lets this process have as many connections as it wants to, and returns how many that are: fewer, where the system has a harder
/// limit of open files.
pub fn make_room(wanted: usize) -> usize {
    let files = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let allowed = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft >= files {
            return Ok(soft);
        }
        let more = files.min(hard);
        setrlimit(Resource::RLIMIT_NOFILE, more, hard).map(|()| more)
    });
    match allowed {
        Ok(allowed) if allowed >= files => wanted,
        Ok(allowed) => {
            let room = usize::try_from(allowed.saturating_sub(OTHER_FILES)).unwrap_or(wanted).max(1);
            tracing::warn!(wanted, room, "the system allows {allowed} open files, so there will be fewer connections");
            room
        }
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be changed");
            wanted
        }
    }
}

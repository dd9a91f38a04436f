//! The limit of open files, which bounds the number of connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many open files a process needs beside the connections of clients.
const OTHER_FILES: u64 = 500;

/// Raises the limit of open files for so many connections. Returns how many the system allows, at most as many as wanted.
pub fn raise_file_limit(wanted: usize) -> usize {
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
            let connections = usize::try_from(allowed.saturating_sub(OTHER_FILES)).unwrap_or(wanted).max(1);
            tracing::warn!(wanted, connections, "the system allows {allowed} open files, which bounds the connections");
            connections
        }
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be changed");
            wanted
        }
    }
}

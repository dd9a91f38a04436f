//! What faults need of PostgreSQL: its processes, its file size limits, and its free disk space.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, ensure};
use daybook_embedded::supervisor::{Identity, Supervisor};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use tokio_postgres::{Client, error::SqlState};

/// A table that is filled to test whether the disk is full.
const BALLAST: &str = "nemesis_ballast";

/// Creates the ballast table, which takes the last free space.
///
/// # Errors
/// When the database fails.
pub async fn prepare_ballast(sql: &Client) -> anyhow::Result<()> {
    Ok(sql.batch_execute(&format!("CREATE UNLOGGED TABLE IF NOT EXISTS {BALLAST} (filling text)")).await?)
}

/// Checks that PostgreSQL gets the error of a full disk.
///
/// # Errors
/// When PostgreSQL can still write.
pub async fn is_full(sql: &Client) -> anyhow::Result<()> {
    let grow = format!("INSERT INTO {BALLAST} SELECT repeat(md5(n::text), 50) FROM generate_series(1, 2000) n");
    // A rebuild that drops its tables at this moment frees some space.
    for _ in 0..100 {
        match sql.batch_execute(&grow).await {
            Err(error) if error.code() == Some(&SqlState::DISK_FULL) => return Ok(()),
            grown => grown.context("the full disk caused another error")?,
        }
    }
    anyhow::bail!("the disk was not full")
}

/// Frees the space of the ballast table.
///
/// # Errors
/// When the database fails.
pub async fn drop_ballast(sql: &Client) -> anyhow::Result<()> {
    Ok(sql.batch_execute(&format!("DROP TABLE IF EXISTS {BALLAST}")).await?)
}

/// The processes of the server with this data directory, the postmaster first. Each has a session of its own, so they cannot be
/// signalled as a group.
///
/// # Errors
/// When it does not run.
pub fn processes(cluster: &Path) -> anyhow::Result<Vec<Pid>> {
    let first = first_process(cluster)?;
    let table = match fs::read_dir("/proc") {
        Ok(entries) => entries.flatten().filter_map(|entry| parentage(&entry.path())).collect(),
        // Systems that are not Linux.
        Err(_) => {
            Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().map(|table| parentages(&table.stdout))?
        }
    };
    let children = table.into_iter().filter(|(_, parent)| *parent == first.as_raw());
    Ok(std::iter::once(first).chain(children.map(|(child, _)| Pid::from_raw(child))).collect())
}

/// A process and its parent, by `/proc`. None if it has ended meanwhile.
fn parentage(entry: &Path) -> Option<(i32, i32)> {
    let process = entry.file_name()?.to_str()?.parse().ok()?;
    let stat = fs::read_to_string(entry.join("stat")).ok()?;
    // The state and the parent follow the name, which may hold any characters.
    let (_, rest) = stat.rsplit_once(") ")?;
    Some((process, rest.split(' ').nth(1)?.parse().ok()?))
}

fn parentages(table: &[u8]) -> Vec<(i32, i32)> {
    let table = String::from_utf8_lossy(table);
    let lines = table.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    });
    lines.collect()
}

fn first_process(cluster: &Path) -> anyhow::Result<Pid> {
    let file = cluster.join("postmaster.pid");
    let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let number = text.lines().next().context("the file begins with a process id")?.trim().parse()?;
    Ok(Pid::from_raw(number))
}

/// Kills every process of the server, and returns how many.
///
/// # Errors
/// When it does not run.
pub fn crash(cluster: &Path) -> anyhow::Result<usize> {
    let processes = processes(cluster)?;
    for process in &processes {
        match kill(*process, Signal::SIGKILL) {
            // The process has ended meanwhile.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(processes.len())
}

/// The hidden subcommand that does what [`limit_files`] says, as the user of the server.
pub const LIMIT: &str = "__limit-files";

/// Limits the size of the files that the server writes, or removes the limit. A write beyond the limit fails as on a full disk. If that is
/// a write to its log, the server ends.
///
/// # Errors
/// When it does not run, or the system cannot do that.
pub fn limit_files(cluster: &Path, bytes: Option<u64>) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let owner = fs::metadata(cluster)?;
    // The user of a process may limit it. Root may not in every environment.
    let identity = if owner.uid() == geteuid().as_raw() {
        Identity::Own
    } else {
        Identity::User { uid: owner.uid(), gid: owner.gid() }
    };
    let executable = Supervisor::this_executable()?;
    let done = Supervisor { executable: executable.clone(), identity, directory: cluster.to_owned() }
        .command(&executable)
        .arg(LIMIT)
        .arg(bytes.map_or_else(String::new, |bytes| bytes.to_string()))
        .output()?;
    ensure!(done.status.success(), "files cannot be limited: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}

/// Limits the files of the server whose data directory is the working directory.
///
/// # Errors
/// When it does not run, or the system cannot do that.
#[cfg(target_os = "linux")]
pub fn limit_files_here(bytes: &str) -> anyhow::Result<()> {
    use rustix::process::{Pid as Process, Resource, Rlimit, prlimit};

    let (cluster, current) = (Path::new("."), if bytes.is_empty() { None } else { Some(bytes.parse()?) });
    let limit = |process: Pid| -> anyhow::Result<()> {
        let process = Process::from_raw(process.as_raw()).context("a process has a number")?;
        match prlimit(Some(process), Resource::Fsize, Rlimit { current, maximum: None }) {
            // The process has ended meanwhile.
            Ok(_) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    };
    // New processes inherit the limit of the postmaster, so the other processes are listed only after it is limited.
    limit(first_process(cluster)?)?;
    processes(cluster)?.into_iter().try_for_each(limit)
}

/// Limits the files of a server.
///
/// # Errors
/// Always: only Linux can change the limits of another process.
#[cfg(not(target_os = "linux"))]
pub fn limit_files_here(_: &str) -> anyhow::Result<()> {
    anyhow::bail!("only Linux can change the limits of another process")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_of_a_server_are_found() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("postmaster.pid"), format!("{}\n", std::process::id())).expect("a file");
        let mut child = Command::new("sleep").arg("60").spawn().expect("a child");
        let found = processes(directory.path()).expect("the processes are listed");
        child.kill().expect("the child can be killed");
        child.wait().expect("the child ends");
        let id = |id: u32| Pid::from_raw(i32::try_from(id).expect("it fits"));
        assert_eq!(found.first(), Some(&id(std::process::id())));
        assert!(found.contains(&id(child.id())), "{found:?}");
        assert_eq!(parentages(b"  1  0\n 12   1\n"), [(1, 0), (12, 1)]);
    }
}

//! Servers that a killed daybook has left behind, and the `postmaster.pid` of servers that have ended.
//!
//! PostgreSQL trusts the id in `postmaster.pid` if *any* process has it. So a reused id would keep it from starting after a crash. A
//! process of this cluster is recognised by its working directory, which is the cluster. This process holds the lock of the directory,
//! so no other one starts a server meanwhile.

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{error::PostgresError, shutdown::SHUTDOWN};

/// Stops every process that still uses the cluster, and removes a stale `postmaster.pid`.
pub(super) fn clear(cluster: &Path) -> Result<(), PostgresError> {
    for (signal, patience) in SHUTDOWN {
        let living = living(cluster)?;
        if living.is_empty() {
            break;
        }
        tracing::warn!(processes = ?living, %signal, "a killed process has left PostgreSQL running on {}; stopping it", cluster.display());
        signal_all(cluster, &living, signal)?;
        wait_until_gone(cluster, patience)?;
    }
    let processes = living(cluster)?;
    if !processes.is_empty() {
        return Err(PostgresError::Orphan { directory: cluster.to_owned(), processes });
    }
    let file = cluster.join("postmaster.pid");
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PostgresError::io(format!("remove the stale {}", file.display()))(error))
        }
        _ => Ok(()),
    }
}

/// Sends a signal to the postmaster, which stops its children. Without a postmaster the children get it.
fn signal_all(cluster: &Path, living: &[i32], signal: Signal) -> Result<(), PostgresError> {
    let postmaster = postmaster(cluster).filter(|id| living.contains(id));
    let receivers = postmaster.map_or(living.to_vec(), |id| vec![id]);
    for process in receivers {
        match kill(Pid::from_raw(process), signal) {
            // It has ended by itself.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(PostgresError::io(format!("send {signal} to process {process}"))(errno.into())),
        }
    }
    Ok(())
}

fn wait_until_gone(cluster: &Path, patience: Duration) -> Result<(), PostgresError> {
    let start = Instant::now();
    while start.elapsed() < patience && !living(cluster)?.is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The process id on the first line of `postmaster.pid`, if there is such a file.
pub(super) fn postmaster(cluster: &Path) -> Option<i32> {
    fs::read_to_string(cluster.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

/// The processes whose working directory is the cluster.
#[cfg(target_os = "linux")]
fn living(cluster: &Path) -> Result<Vec<i32>, PostgresError> {
    let processes = fs::read_dir("/proc").map_err(PostgresError::io("list the processes in /proc"))?;
    Ok(processes
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<i32>().ok()?, entry.path())))
        // Processes of other users cannot be read, and cannot use a private directory.
        .filter(|(_, process)| fs::read_link(process.join("cwd")).is_ok_and(|directory| directory == cluster))
        .map(|(id, _)| id)
        .collect())
}

/// On other systems only the postmaster is recognised, by the data directory on its command line.
#[cfg(not(target_os = "linux"))]
fn living(cluster: &Path) -> Result<Vec<i32>, PostgresError> {
    let Some(id) = postmaster(cluster) else { return Ok(Vec::new()) };
    let output = std::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &id.to_string()])
        .output()
        .map_err(PostgresError::io("ask ps for a process"))?;
    let command = String::from_utf8_lossy(&output.stdout);
    Ok(if command.contains(&format!("-D {}", cluster.display())) { vec![id] } else { Vec::new() })
}

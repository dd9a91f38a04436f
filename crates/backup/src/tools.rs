//! PostgreSQL's own programs for back-ups, in the version of the server.
//!
//! They are clients, so they run as the user of this process. Only servers drop root.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use daybook_embedded::postgres::{
    PostgresError,
    binaries::{Binaries, NotFound, Search},
};
use indicatif::ProgressBar;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::{BackupError, source::Source};

/// How many lines of a program's output an error quotes.
const QUOTED_LINES: usize = 20;

/// The programs of one major version.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    binaries: Binaries,
}

impl Tools {
    /// The programs of the version of a server or a back-up.
    pub(crate) fn of_version(major: u32) -> Result<Self, BackupError> {
        match Search::here().find(Some(major)) {
            Ok(binaries) => Ok(Self { binaries }),
            Err(NotFound { found, .. }) if !found.is_empty() => {
                Err(BackupError::OtherVersion { server: major, found: found.join(", ") })
            }
            Err(missing) => Err(PostgresError::from(missing).into()),
        }
    }

    /// The path of a program.
    pub(crate) fn program(&self, program: &'static str) -> Result<PathBuf, BackupError> {
        let Binaries { directory, major, .. } = &self.binaries;
        let file = directory.join(program);
        if file.is_file() {
            return Ok(file);
        }
        Err(BackupError::ToolMissing { program, major: *major, directory: directory.clone() })
    }

    /// The command of a program. It is killed when its handle is dropped.
    fn command(&self, program: &'static str) -> Result<Command, BackupError> {
        let mut command = Command::new(self.program(program)?);
        command.env("LC_ALL", "C").env_remove("PGOPTIONS").stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    /// Copies the files of a running server. The server does not wait for it.
    pub(crate) async fn base_backup(
        &self,
        source: &Source,
        label: &str,
        to: &Path,
        bar: &ProgressBar,
    ) -> Result<(), BackupError> {
        let mut command = self.command("pg_basebackup")?;
        source.configure(command.as_std_mut());
        command.args(["--wal-method=stream", "--checkpoint=fast", "--progress", "--no-password", "--label", label]);
        command.arg("--pgdata").arg(to);
        run(command, "pg_basebackup", |line| {
            let Some((done, of)) = kilobytes(line) else { return false };
            bar.set_length(of * 1024);
            bar.set_position(done * 1024);
            true
        })
        .await
    }

    /// Compares every file of a back-up with its checksum, and reads its write-ahead log.
    pub(crate) async fn verify(&self, backup: &Path) -> Result<(), BackupError> {
        let mut command = self.command("pg_verifybackup")?;
        command.arg(backup);
        let verified = run(command, "pg_verifybackup", |_| false).await;
        verified.map_err(|error| match error {
            BackupError::Tool { output, .. } => BackupError::Damaged { directory: backup.to_owned(), what: output },
            other => other,
        })
    }
}

/// Runs a program to its end. `is_progress` handles lines of its standard error. An error quotes the lines that it rejects.
async fn run(
    mut command: Command,
    program: &'static str,
    mut is_progress: impl FnMut(&str) -> bool,
) -> Result<(), BackupError> {
    let doing = || format!("run {program}");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(BackupError::io(doing()))?;
    let Some(errors) = child.stderr.take() else {
        return Err(BackupError::io(doing())(std::io::Error::other("no pipe")));
    };
    let mut lines = BufReader::new(errors).lines();
    let mut output = Vec::new();
    while let Some(line) = lines.next_line().await.map_err(BackupError::io(doing()))? {
        if !is_progress(&line) && output.len() < QUOTED_LINES {
            output.push(line);
        }
    }
    let status = child.wait().await.map_err(BackupError::io(doing()))?;
    if status.success() {
        return Ok(());
    }
    Err(BackupError::Tool { program, status: status.to_string(), output: output.join("\n") })
}

/// `  4161/41461 kB (10%), 0/1 tablespace`
fn kilobytes(line: &str) -> Option<(u64, u64)> {
    let (done, of) = line.trim_start().split_once(" kB (")?.0.split_once('/')?;
    Some((done.parse().ok()?, of.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::kilobytes;

    #[test]
    fn progress_is_distinguished_from_errors() {
        assert_eq!(kilobytes("    4161/41461 kB (10%), 0/1 tablespace (...ata/base/1/2609)"), Some((4161, 41461)));
        assert_eq!(kilobytes("pg_basebackup: error: no space left on device"), None);
    }
}

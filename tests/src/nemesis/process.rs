//! A process of the cluster. Its log is a file, and it ends with the nemesis.
//!
//! It is started through this executable, which asks the kernel for a signal at the end of the nemesis and then executes the program. So no
//! process is left behind even if the nemesis is killed.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
};

use anyhow::Context;
use daybook_embedded::supervisor::{Identity, Supervisor};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process that the nemesis has started. It is killed when this is dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
    /// Where its part of the log begins. All processes of the same name share the file.
    begins: u64,
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn start(program: &Path, args: &[String], log: &Path) -> anyhow::Result<Self> {
        Self::start_with(program, args, log, &[])
    }

    /// Starts a program with more variables in its environment.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn start_with(
        program: &Path,
        args: &[String],
        log: &Path,
        variables: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let directory = log.parent().context("a log is in a directory")?.to_owned();
        let executable = Supervisor::this_executable()?;
        let file = File::options().create(true).append(true).open(log)?;
        let begins = file.metadata()?.len();
        let child = Supervisor { executable, identity: Identity::Own, directory }
            .command(program)
            .args(args)
            // The directories in which programs of the user keep downloads.
            .envs(["HOME", "XDG_CACHE_HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(variables.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{} cannot be run", program.display()))?;
        Ok(Self { child, log: log.to_owned(), begins })
    }

    /// Its output so far.
    #[must_use]
    pub fn said(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let own = text.get(usize::try_from(self.begins).unwrap_or(0)..).unwrap_or_default();
        String::from_utf8_lossy(own).into_owned()
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        Ok(kill(pid, signal)?)
    }

    /// Kills the process with SIGKILL, as a power cut would, and returns after its end.
    ///
    /// # Errors
    /// When the system does not do it.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The kill fails if the process has ended already, which is fine.
        self.kill().ok();
    }
}

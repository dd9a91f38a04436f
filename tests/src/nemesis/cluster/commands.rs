//! Commands of the binary that run beside a cluster: `migrate`, `verify`, `views`, `import`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Cluster, Parts, SECRET, member::IMPORT, server::through};
use crate::nemesis::{broker, process::Process};

/// The settings of commands that run beside a cluster, in processes of their own.
pub struct Begin {
    binary: PathBuf,
    directory: PathBuf,
    surroundings: [(&'static str, String); 5],
}

impl Begin {
    /// The same settings with another value of a variable.
    fn with(mut self, name: &str, value: &str) -> Self {
        for (known, of) in &mut self.surroundings {
            if *known == name {
                value.clone_into(of);
            }
        }
        self
    }

    /// The working directory of the commands.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a command with its log in a file.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn command(&self, args: &[&str], log: &str) -> anyhow::Result<Process> {
        let args: Vec<String> = args.iter().map(|word| (*word).to_owned()).collect();
        Process::start_with(&self.binary, &args, &self.directory.join(log), &self.surroundings)
    }

    /// Runs a command to its end. Returns its exit code and its output.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn run(self, args: &[&str]) -> anyhow::Result<(i32, String)> {
        let mut command = Command::new(self.binary);
        command.args(args).envs(self.surroundings).current_dir(self.directory).stdin(Stdio::null());
        // The proxies of the cluster run on this thread, so it must not block.
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let code = output.status.code().unwrap_or(-1);
        let printed = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        Ok((code, String::from_utf8_lossy(&printed).into_owned()))
    }
}

impl Cluster {
    /// Runs a command of the binary beside the cluster. Returns its exit code and its output.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn run(&self, args: &[&str]) -> anyhow::Result<(i32, String)> {
        self.commands().run(args).await
    }

    /// The settings of commands beside this cluster.
    #[must_use]
    pub fn commands(&self) -> Begin {
        let Parts { binary, directory, prefix, .. } = self.parts.clone();
        let surroundings = [
            ("DATABASE_URL", self.postgres.database_url().to_owned()),
            ("KAFKA_BROKERS", self.kafka().to_owned()),
            ("DAYBOOK_SECRET", SECRET.to_owned()),
            ("DAYBOOK_TOPIC_PREFIX", prefix),
            ("DAYBOOK_PARTITIONS", broker::PARTITIONS.to_string()),
        ];
        Begin { binary, directory, surroundings }
    }

    /// The settings of imports beside this cluster. They reach PostgreSQL over a network that can be disturbed.
    ///
    /// # Errors
    /// When PostgreSQL has no address.
    pub fn import(&self) -> anyhow::Result<Begin> {
        let database_url = through(self.postgres.database_url(), &self.far, IMPORT)?;
        Ok(self.commands().with("DATABASE_URL", &database_url))
    }
}

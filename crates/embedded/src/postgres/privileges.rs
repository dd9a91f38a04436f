//! The user that PostgreSQL runs as. PostgreSQL refuses to run as root.
//!
//! Another user runs it as itself. Root tries three ways, in this order, with the server's own binary and the real directory:
//!
//! 1. the user `postgres`: root is dropped for good. It needs a directory that this user can reach;
//! 2. a user namespace: works where only root can go, such as `/root`, and leaves no capability to the server, though
//!    outside the namespace it still counts as the owner of root's files;
//! 3. the user `nobody`, for a machine (mostly a container) that has neither.

use std::{path::Path, process::Stdio};

use nix::unistd::{User, geteuid};

use super::{binaries::Binaries, error::PostgresError};
use crate::supervisor::{Identity, Supervisor};

/// Chooses an identity that can run the server and reach its data.
pub(super) fn choose(executable: &Path, binaries: &Binaries, directory: &Path) -> Result<Supervisor, PostgresError> {
    let supervisor =
        |identity| Supervisor { executable: executable.to_owned(), identity, directory: directory.to_owned() };
    if !geteuid().is_root() {
        return Ok(supervisor(Identity::Own));
    }
    let mut tried = Vec::new();
    for identity in candidates()? {
        let candidate = supervisor(identity);
        match attempt(&candidate, binaries) {
            Ok(()) => return Ok(candidate),
            Err(reason) => tried.push(format!("- {identity}: {reason}")),
        }
    }
    Err(PostgresError::NoUnprivilegedUser { directory: directory.to_owned(), tried })
}

fn candidates() -> Result<Vec<Identity>, PostgresError> {
    let known = |name: &str| {
        let found = User::from_name(name).map_err(std::io::Error::from);
        found
            .map(|user| user.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
            .map_err(PostgresError::io(format!("look up the user {name}")))
    };
    let (postgres, nobody) = (known("postgres")?, known("nobody")?);
    let as_user = |(uid, gid)| Identity::User { uid, gid };
    // Any user id can be mapped in a namespace, but initdb needs one that has a name.
    let in_namespace = postgres.or(nobody).map(|(uid, gid)| Identity::Namespace { uid, gid });
    Ok([postgres.map(as_user), in_namespace, nobody.map(as_user)].into_iter().flatten().collect())
}

/// Runs the server binary for its version, which tests the identity, the directory and the binary at once.
fn attempt(supervisor: &Supervisor, binaries: &Binaries) -> Result<(), String> {
    let run = supervisor
        .command(&binaries.directory.join("postgres"))
        .arg("--version")
        .stdout(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if run.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&run.stderr).trim().to_owned()) }
}

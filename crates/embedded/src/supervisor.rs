//! The steps between `fork` and `exec`, done by this binary itself: `daybook __postgres-supervisor …`.
//!
//! A server must drop root and ask the kernel for a signal when its parent dies. Only then it becomes PostgreSQL. The usual place for
//! these steps is a `pre_exec` closure, which is unsafe. Instead this executable is started first: its new process has one thread, in
//! which all steps are safe Rust. Then it replaces itself by the server.

use std::{
    convert::Infallible,
    ffi::{OsStr, OsString},
    fmt,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    str::FromStr,
};

/// The hidden subcommand.
const SUBCOMMAND: &str = "__postgres-supervisor";

/// The exit code when the process could not become the server.
const EXEC_FAILED: i32 = 126;

/// The user that the child runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The user of this process. It suits every user but root.
    Own,
    /// Another user. Root is dropped for good.
    User {
        /// The user id.
        uid: u32,
        /// The group id.
        gid: u32,
    },
    /// The same user, mapped to this one inside a user namespace. The child has no capability. Files keep their owner, and directories
    /// of root stay reachable.
    Namespace {
        /// The user id inside the namespace.
        uid: u32,
        /// The group id inside the namespace.
        gid: u32,
    },
}

impl Identity {
    /// The user that must own the files of the child, as seen outside a namespace. `None` when the files keep their owner.
    #[must_use]
    pub fn owner(self) -> Option<(u32, u32)> {
        match self {
            Self::Own => None,
            Self::User { uid, gid } => Some((uid, gid)),
            Self::Namespace { .. } => Some((nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own"),
            Self::User { uid, gid } => write!(f, "user:{uid}:{gid}"),
            Self::Namespace { uid, gid } => write!(f, "namespace:{uid}:{gid}"),
        }
    }
}

impl FromStr for Identity {
    type Err = io::Error;

    fn from_str(text: &str) -> Result<Self, io::Error> {
        let number = |part: &str| part.parse::<u32>().map_err(io::Error::other);
        match text.split(':').collect::<Vec<_>>().as_slice() {
            ["own"] => Ok(Self::Own),
            ["user", uid, gid] => Ok(Self::User { uid: number(uid)?, gid: number(gid)? }),
            ["namespace", uid, gid] => Ok(Self::Namespace { uid: number(uid)?, gid: number(gid)? }),
            _ => Err(io::Error::other(format!("{text:?} is not an identity"))),
        }
    }
}

/// How to start a server as a child: the executable that calls [`run_if_asked`], the user, and the working directory.
#[derive(Debug, Clone)]
pub struct Supervisor {
    /// The executable that has the hidden subcommand.
    pub executable: PathBuf,
    /// The user that the child runs as.
    pub identity: Identity,
    /// The working directory. The start fails when the user cannot enter it.
    pub directory: PathBuf,
}

impl Supervisor {
    /// This executable, by a path that stays valid when its file is replaced.
    pub fn this_executable() -> io::Result<PathBuf> {
        if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
    }

    /// A command that becomes `program`. It has a process group of its own, so that Ctrl-C reaches this process first. Its environment
    /// holds no `PG…` variable of the caller.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .arg0("daybook")
            .arg(SUBCOMMAND)
            .arg(process::id().to_string())
            .arg(self.identity.to_string())
            .arg(&self.directory)
            .arg(program)
            .env_clear()
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .process_group(0);
        for kept in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command
    }
}

/// Becomes a server if this process was started for that; otherwise it returns. Call it first in `main`, while the process has one
/// thread: a process with more threads cannot enter a user namespace.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(SUBCOMMAND)) {
        return;
    }
    let Err(error) = become_server(&mut arguments);
    let _unsaid = writeln!(io::stderr(), "daybook: {error}");
    process::exit(EXEC_FAILED);
}

fn become_server(arguments: &mut dyn Iterator<Item = OsString>) -> io::Result<Infallible> {
    let mut next = |what: &str| {
        arguments.next().ok_or_else(|| io::Error::other(format!("{SUBCOMMAND} needs {what}; it is internal")))
    };
    let parent = text(next("the parent's process id")?)?.parse::<i32>().map_err(io::Error::other)?;
    let identity = text(next("an identity")?)?.parse::<Identity>()?;
    let directory = PathBuf::from(next("a directory")?);
    let program = next("a program")?;

    assume(identity).map_err(|error| failed(&format!("cannot run as {identity}"), &error))?;
    // This comes after the change of user, which clears the setting.
    die_with_parent(parent)?;
    std::env::set_current_dir(&directory)
        .map_err(|error| failed(&format!("cannot enter {} as {identity}", directory.display()), &error))?;
    let error = Command::new(&program).args(arguments).exec();
    Err(failed(&format!("cannot run {} as {identity}", program.display()), &error))
}

fn text(argument: OsString) -> io::Result<String> {
    argument.into_string().map_err(|argument| io::Error::other(format!("{argument:?} is not text")))
}

fn failed(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

#[cfg(target_os = "linux")]
fn assume(identity: Identity) -> io::Result<()> {
    use nix::unistd::{Gid, Uid};

    match identity {
        Identity::Own => Ok(()),
        Identity::User { uid, gid } => {
            nix::unistd::setgroups(&[])?;
            nix::unistd::setgid(Gid::from_raw(gid))?;
            nix::unistd::setuid(Uid::from_raw(uid))?;
            Ok(())
        }
        Identity::Namespace { uid, gid } => {
            let (outer_uid, outer_gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)?;
            // The kernel accepts the group map of an unprivileged process only after it has denied setgroups.
            std::fs::write("/proc/self/setgroups", "deny")?;
            std::fs::write("/proc/self/uid_map", format!("{uid} {outer_uid} 1"))?;
            std::fs::write("/proc/self/gid_map", format!("{gid} {outer_gid} 1"))
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn assume(identity: Identity) -> io::Result<()> {
    use nix::unistd::{Gid, Uid};

    match identity {
        Identity::Own => Ok(()),
        Identity::User { uid, gid } => {
            nix::unistd::setgid(Gid::from_raw(gid))?;
            nix::unistd::setuid(Uid::from_raw(uid))?;
            Ok(())
        }
        Identity::Namespace { .. } => Err(io::Error::other("user namespaces exist on Linux only")),
    }
}

/// Asks for SIGINT, PostgreSQL's fast and clean shutdown, when the *thread* that started us ends.
#[cfg(target_os = "linux")]
fn die_with_parent(parent: i32) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGINT)?;
    // The parent may have died before the request, and then no signal would come.
    if nix::unistd::getppid().as_raw() == parent { Ok(()) } else { Err(io::Error::other("the parent is gone")) }
}

/// Other systems have no such request. There the next start on the same directory stops an orphan.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(parent: i32) -> io::Result<()> {
    if nix::unistd::getppid().as_raw() == parent { Ok(()) } else { Err(io::Error::other("the parent is gone")) }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn an_identity_round_trips_through_the_command_line() {
        for identity in
            [Identity::Own, Identity::User { uid: 101, gid: 104 }, Identity::Namespace { uid: 65534, gid: 65534 }]
        {
            assert_eq!(identity.to_string().parse::<Identity>().expect("its own text"), identity);
        }
        assert!("user:101".parse::<Identity>().is_err());
    }
}

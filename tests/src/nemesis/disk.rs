//! A disk that can be filled: a file system in memory for the tables of the book and the views. PostgreSQL's log and its catalogs are on
//! the real disk.
//!
//! A mount needs a mount namespace of its own. Root can create one, and so can a user who may create a user namespace. Otherwise
//! [`Storage::Refused`] has the reason.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use nix::sys::statvfs::statvfs;
use tokio_postgres::Client;

/// Its normal size. Unused space takes no memory.
const SIZE: &str = "size=8g";

/// Whether this process can have such a disk.
#[derive(Debug, Clone)]
pub enum Storage {
    /// This process has a mount namespace of its own.
    Own,
    /// It has none, for this reason.
    Refused(String),
}

impl Storage {
    /// Gives this process a mount namespace of its own, which ends with it. The process must have a single thread.
    #[must_use]
    pub fn isolate() -> Self {
        match system::isolate() {
            Ok(()) => Self::Own,
            Err(error) => Self::Refused(format!("{error:#}")),
        }
    }
}

/// The disk.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts a disk on a new directory with the owner of another directory.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn mount(path: PathBuf, owned_like: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        fs::create_dir_all(&path)?;
        system::mount(&path, SIZE).context("a disk cannot be mounted")?;
        let (own, owner) = (fs::metadata(&path)?, fs::metadata(owned_like)?);
        if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok(Self(path))
    }

    /// Removes all free space.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn fill(&self) -> anyhow::Result<()> {
        for _ in 0..100 {
            let now = statvfs(&self.0)?;
            let used = (now.blocks() - now.blocks_free()) * now.fragment_size();
            // The resize fails if more space is used by now.
            if system::resize(&self.0, &format!("size={used}"))? {
                return Ok(());
            }
        }
        bail!("the disk cannot be shrunk")
    }

    /// Restores the normal size.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn free(&self) -> anyhow::Result<()> {
        ensure!(system::resize(&self.0, SIZE)?, "the disk cannot grow");
        Ok(())
    }

    /// Copies its contents to a directory that outlives this process.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn keep(&self, copy: &Path) -> anyhow::Result<()> {
        let done = Command::new("cp").arg("-a").arg(&self.0).arg(copy).status()?;
        ensure!(done.success(), "{} cannot be kept", self.0.display());
        Ok(())
    }

    /// Moves a database to the disk. That database must have no connections.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn carry(&self, sql: &Client, database: &str) -> anyhow::Result<()> {
        let path = self.0.to_str().filter(|path| !path.contains('\'')).context("a path that can be quoted")?;
        sql.batch_execute(&format!("CREATE TABLESPACE nemesis LOCATION '{path}'")).await?;
        Ok(sql.batch_execute(&format!("ALTER DATABASE {database} SET TABLESPACE nemesis")).await?)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::{fs, path::Path};

    use nix::{
        errno::Errno,
        mount::{MsFlags, mount as mount_at},
        sched::{CloneFlags, unshare},
        unistd::{getegid, geteuid},
    };

    const NOTHING: Option<&Path> = None;

    pub(super) fn isolate() -> anyhow::Result<()> {
        let (uid, gid) = (geteuid(), getegid());
        if uid.is_root() {
            unshare(CloneFlags::CLONE_NEWNS)?;
        } else {
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
            // Without privileges, the kernel accepts a group map only after setgroups is denied.
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
            fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
        }
        // Mounts of this namespace are invisible elsewhere.
        Ok(mount_at(NOTHING, "/", NOTHING, MsFlags::MS_PRIVATE | MsFlags::MS_REC, NOTHING)?)
    }

    pub(super) fn mount(path: &Path, size: &str) -> anyhow::Result<()> {
        Ok(mount_at(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some(size))?)
    }

    /// Returns whether the size was changed. It is not if more space is used.
    pub(super) fn resize(path: &Path, size: &str) -> anyhow::Result<bool> {
        match mount_at(NOTHING, path, NOTHING, MsFlags::MS_REMOUNT, Some(size)) {
            Err(Errno::EINVAL) => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::path::Path;

    pub(super) fn isolate() -> anyhow::Result<()> {
        anyhow::bail!("only Linux has mount namespaces")
    }

    pub(super) fn mount(_: &Path, _: &str) -> anyhow::Result<()> {
        isolate()
    }

    pub(super) fn resize(_: &Path, _: &str) -> anyhow::Result<bool> {
        isolate().map(|()| false)
    }
}

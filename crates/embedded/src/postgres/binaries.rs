//! Finding PostgreSQL's server programs on this machine.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::error::PostgresError;

/// The oldest major version that the engine supports.
pub const OLDEST_MAJOR: u32 = 15;

/// The server programs of an installation, and their features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The directory that holds `postgres` and `initdb`.
    pub directory: PathBuf,
    /// The major version.
    pub major: u32,
    /// Whether it was built with lz4, the cheaper compression for the write-ahead log.
    pub lz4: bool,
}

/// No installation has a version that fits.
#[derive(Debug)]
pub struct NotFound {
    /// The versions that were found.
    pub found: Vec<String>,
    /// The places that were searched, each with the reason.
    pub looked_in: Vec<String>,
}

impl NotFound {
    /// The error of a cluster of this major version, or of a cluster that is not there yet.
    pub(super) fn for_cluster(self, directory: &Path, major: Option<u32>) -> PostgresError {
        match major {
            Some(cluster) if !self.found.is_empty() => {
                PostgresError::OtherVersion { directory: directory.to_owned(), cluster, found: self.found }
            }
            _ => self.into(),
        }
    }
}

impl From<NotFound> for PostgresError {
    fn from(NotFound { looked_in, .. }: NotFound) -> Self {
        Self::NotInstalled { looked_in }
    }
}

/// The places to search.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The only place to search, when it is set.
    pub only: Option<OsString>,
    /// A search path, as in `PATH`.
    pub path: Option<OsString>,
    /// Parents of versioned installations, the most likely first: a directory, and the prefix of its entries.
    pub families: Vec<(PathBuf, &'static str)>,
}

impl Search {
    /// The places of this process's environment, and the usual places of the systems.
    #[must_use]
    pub fn here() -> Self {
        let families = [
            ("/usr/lib/postgresql", ""),
            ("/usr", "pgsql-"),
            ("/usr/libexec", "postgresql"),
            ("/usr/lib", "postgresql"),
            ("/opt/homebrew/opt", "postgresql"),
            ("/usr/local/opt", "postgresql"),
            ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
            ("/Applications/Postgres.app/Contents/Versions", ""),
            ("/usr/local", "pgsql"),
        ];
        Self {
            only: env::var_os("DAYBOOK_PG_BIN").filter(|value| !value.is_empty()),
            path: env::var_os("PATH"),
            families: families.map(|(parent, prefix)| (PathBuf::from(parent), prefix)).into(),
        }
    }

    /// The first installation of version 15 or later, or of exactly the `wanted` major version.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn find(&self, wanted: Option<u32>) -> Result<Binaries, NotFound> {
        let (mut found, mut looked_in) = (Vec::new(), Vec::new());
        for directory in self.candidates().into_iter().map(real_home) {
            match major_version(&directory) {
                Ok(major) if wanted.map_or(major >= OLDEST_MAJOR, |wanted| wanted == major) => {
                    let lz4 = built_with_lz4(&directory);
                    return Ok(Binaries { directory, major, lz4 });
                }
                Ok(major) => {
                    found.push(major.to_string());
                    looked_in.push(format!("{} (version {major})", directory.display()));
                }
                // Most directories of PATH hold no PostgreSQL. Only a place that was configured is reported.
                Err(reason) if self.only.is_some() => looked_in.push(format!("{} ({reason})", directory.display())),
                Err(_) => {}
            }
        }
        if looked_in.is_empty() {
            looked_in = self.places();
        }
        Err(NotFound { found, looked_in })
    }

    fn candidates(&self) -> Vec<PathBuf> {
        if let Some(only) = &self.only {
            return vec![PathBuf::from(only)];
        }
        let mut candidates: Vec<PathBuf> = self.path.iter().flat_map(env::split_paths).collect();
        candidates.extend(bindir_of_pg_config(&candidates));
        candidates.extend(self.families.iter().flat_map(|(parent, prefix)| newest_first(parent, prefix)));
        candidates.retain(|directory| directory.join("postgres").is_file());
        candidates
    }

    fn places(&self) -> Vec<String> {
        let families = self.families.iter().map(|(parent, prefix)| format!("{}/{prefix}*/bin", parent.display()));
        ["PATH".to_owned(), "pg_config --bindir".to_owned()].into_iter().chain(families).collect()
    }
}

/// `<parent>/<prefix><version>` and its `bin`, highest version first (an entry without a number comes last).
fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name();
            let rest = name.to_str()?.strip_prefix(prefix)?;
            Some((leading_number(rest.trim_start_matches('@')).unwrap_or(0), entry.path()))
        })
        .collect();
    versions.sort_by(|(a, _), (b, _)| b.cmp(a));
    versions.into_iter().flat_map(|(_, home)| [home.join("bin"), home]).collect()
}

/// The directory that a link to `postgres` points into, if `initdb` is in it, too. Links in PATH seldom cover all programs.
fn real_home(directory: PathBuf) -> PathBuf {
    let real = fs::canonicalize(directory.join("postgres")).ok();
    let home = real.as_deref().and_then(Path::parent).filter(|home| home.join("initdb").is_file());
    home.map_or(directory, Path::to_owned)
}

fn bindir_of_pg_config(path: &[PathBuf]) -> Option<PathBuf> {
    let pg_config = path.iter().map(|directory| directory.join("pg_config")).find(|program| program.is_file())?;
    Some(PathBuf::from(output(&pg_config, "--bindir").ok()?))
}

fn major_version(directory: &Path) -> Result<u32, String> {
    if !directory.join("initdb").is_file() {
        return Err("it holds no initdb".to_owned());
    }
    let version = output(&directory.join("postgres"), "--version")?;
    // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
    version
        .split_once("(PostgreSQL) ")
        .and_then(|(_, number)| leading_number(number))
        .ok_or_else(|| format!("its version reads {version:?}"))
}

/// False without a `pg_config` beside the server, since the slower compression works everywhere.
fn built_with_lz4(directory: &Path) -> bool {
    output(&directory.join("pg_config"), "--configure").is_ok_and(|options| options.contains("--with-lz4"))
}

fn output(program: &Path, argument: &str) -> Result<String, String> {
    let run = Command::new(program).arg(argument).output().map_err(|error| error.to_string())?;
    if !run.status.success() {
        return Err(format!("{argument}: {}", run.status));
    }
    Ok(String::from_utf8_lossy(&run.stdout).trim().to_owned())
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn installation(home: &Path, version: &str) {
        fs::create_dir_all(home).expect("a directory");
        for (program, says) in [("postgres", format!("postgres (PostgreSQL) {version}")), ("initdb", String::new())] {
            let file = home.join(program);
            fs::write(&file, format!("#!/bin/sh\necho '{says}'\n")).expect("a script");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
    }

    fn among(versions: &[&str]) -> (tempfile::TempDir, Search) {
        let root = tempfile::tempdir().expect("a directory");
        for version in versions {
            installation(
                &root.path().join(leading_number(version).expect("a number").to_string()).join("bin"),
                version,
            );
        }
        let search = Search { families: vec![(root.path().to_owned(), "")], ..Search::default() };
        (root, search)
    }

    #[test]
    fn the_newest_installation_is_taken() {
        let (_root, search) = among(&["9.6.24", "15.4", "17beta1", "16.2"]);
        assert_eq!(search.find(None).expect("one of them").major, 17);
    }

    #[test]
    fn a_link_in_path_leads_to_the_whole_installation() {
        let (root, mut search) = among(&["16.2"]);
        let (home, links) = (root.path().join("16/bin"), root.path().join("links"));
        fs::create_dir(&links).expect("a directory");
        std::os::unix::fs::symlink(home.join("postgres"), links.join("postgres")).expect("a link");
        search.path = Some(links.into());
        let found = search.find(None).expect("through the link").directory;
        assert_eq!(found, fs::canonicalize(home).expect("it is there"));
    }

    #[test]
    fn an_existing_cluster_gets_its_own_version() {
        let (_root, search) = among(&["15.4", "17.1"]);
        assert_eq!(search.find(Some(15)).expect("it is there").major, 15);
        let missing = search.find(Some(16)).expect_err("it is not there").for_cluster(Path::new("/data"), Some(16));
        assert!(matches!(missing, PostgresError::OtherVersion { cluster: 16, .. }), "{missing:?}");
    }

    #[test]
    fn a_version_too_old_or_none_says_what_to_install() {
        for versions in [&["14.9"][..], &[]] {
            let (_root, search) = among(versions);
            let error = PostgresError::from(search.find(None).expect_err("nothing usable"));
            assert!(matches!(error, PostgresError::NotInstalled { .. }));
            assert!(error.to_string().contains("apt-get install postgresql"), "{error}");
        }
    }

    #[test]
    fn a_named_directory_is_the_only_one_looked_at() {
        let (root, mut search) = among(&["17.1"]);
        search.only = Some(root.path().join("nowhere").into());
        assert!(search.find(None).is_err());
        search.only = Some(root.path().join("17/bin").into());
        assert_eq!(search.find(None).expect("the named one").major, 17);
    }
}

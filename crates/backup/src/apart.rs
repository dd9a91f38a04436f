//! Directories that must not hold one another: a back-up within the data directory ends with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::BackupError;

/// Checks that a directory, which may not exist yet, does not lie within another one.
///
/// # Errors
/// [`BackupError::Within`].
pub(crate) fn check_apart(inner: &Path, outer: &Path) -> Result<(), BackupError> {
    let real = |path: &Path| real(path).map_err(BackupError::io(format!("find {}", path.display())));
    let (inner, outer) = (real(inner)?, real(outer)?);
    if inner.starts_with(&outer) { Err(BackupError::Within { inner, outer }) } else { Ok(()) }
}

/// Where a path leads, as far as it exists.
fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let found = path.ancestors().find_map(|there| Some((there, fs::canonicalize(there).ok()?)));
    let Some((there, real)) = found else { return Ok(path) };
    Ok(path.strip_prefix(there).map_or_else(|_| real.clone(), |rest| real.join(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_within_another_is_found_through_links_and_before_it_exists() {
        let root = tempfile::tempdir().expect("a directory");
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("shop/postgres")).expect("it is made");
        std::os::unix::fs::symlink(at("shop"), at("link")).expect("it is made");
        for inner in ["shop", "shop/archive", "shop/a/b", "link/archive", "shop/../shop/a"] {
            assert!(matches!(check_apart(&at(inner), &at("shop")), Err(BackupError::Within { .. })), "{inner}");
        }
        for beside in ["archive", "shop-archive", "."] {
            assert!(check_apart(&at(beside), &at("shop")).is_ok(), "{beside}");
        }
    }
}

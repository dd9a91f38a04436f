//! Secrets: texts that no output shows. A secret comes as a text, or from a file that can be read again.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

/// A secret, such as a URL with a password. Clones share it, so what one reads again the others see, too.
#[derive(Clone)]
pub struct Secret(Arc<Source>);

enum Source {
    Text(String),
    File { path: PathBuf, text: RwLock<String> },
}

/// The file of a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("the secret in {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// It holds no text.
    #[error("the file {} of a secret is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It holds more than one line, a character that no keyboard has, or blanks around the text: an editor or a script put them there,
    /// and with them it would silently be another secret.
    #[error("the file {} of a secret has {what}; it has one line with the secret and nothing else", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What does not belong there.
        what: &'static str,
    },
}

impl Secret {
    /// The secret in a file: one line. The byte order mark before it and the ends of lines after it do not belong to it.
    ///
    /// # Errors
    /// [`SecretError`] when the file cannot be read, is empty, or has more than the secret.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, SecretError> {
        let path = path.into();
        let text = RwLock::new(read(&path)?);
        Ok(Self(Arc::new(Source::File { path, text })))
    }

    /// The text of the secret. It must not get into any output.
    #[must_use]
    pub fn expose(&self) -> String {
        match &*self.0 {
            Source::Text(text) => text.clone(),
            Source::File { text, .. } => text.read().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Reads the file again, if the secret comes from one. Returns whether the secret has changed.
    ///
    /// # Errors
    /// [`SecretError`] when the file cannot be read, is empty, or has more than the secret, which stays as it was.
    pub fn read_again(&self) -> Result<bool, SecretError> {
        self.read_again_if(|_| Ok(()))
    }

    /// The same, where a new secret is taken only if a function accepts it.
    ///
    /// # Errors
    /// [`SecretError`], and the error of the function. The secret stays as it was.
    pub fn read_again_if<E: From<SecretError>>(&self, accept: impl FnOnce(&str) -> Result<(), E>) -> Result<bool, E> {
        let Source::File { path, text } = &*self.0 else { return Ok(false) };
        let new = read(path)?;
        let mut text = text.write().unwrap_or_else(PoisonError::into_inner);
        if *text == new {
            return Ok(false);
        }
        accept(&new)?;
        *text = new;
        Ok(true)
    }
}

fn read(path: &Path) -> Result<String, SecretError> {
    let text = fs::read_to_string(path).map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
    let secret = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(SecretError::Empty { path: path.to_owned() });
    }
    match foreign(secret) {
        None => Ok(secret.to_owned()),
        Some(what) => Err(SecretError::Malformed { path: path.to_owned(), what }),
    }
}

/// What a file has beside its secret.
fn foreign(secret: &str) -> Option<&'static str> {
    if secret.contains(['\r', '\n']) {
        Some("several lines")
    } else if secret.trim() != secret {
        Some("blanks around it")
    } else if secret.contains(|c: char| c.is_control() || c == '\u{feff}') {
        Some("a character that cannot be typed")
    } else {
        None
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Arc::new(Source::Text(text)))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Source::Text(_) => f.write_str("Secret(…)"),
            Source::File { path, .. } => write!(f, "Secret(… in {})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::from("s3cr3t");
        assert_eq!((format!("{secret:?}"), secret.expose()), ("Secret(…)".to_owned(), "s3cr3t".to_owned()));
    }

    #[test]
    fn a_file_is_read_again_and_all_clones_see_it() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("secret");
        fs::write(&file, "first\r\n").expect("a file");
        let secret = Secret::file(&file).expect("the file is read");
        let clone = secret.clone();
        assert_eq!(secret.expose(), "first");
        assert!(!secret.read_again().expect("the file is read"), "nothing has changed");
        fs::write(&file, "second\n").expect("a file");
        assert!(secret.read_again().expect("the file is read"));
        assert_eq!(clone.expose(), "second");
        fs::write(&file, "\n").expect("a file");
        assert!(secret.read_again().is_err_and(|error| error.to_string().contains("is empty")));
        assert_eq!(secret.expose(), "second", "the secret stays as it was");
        assert!(!format!("{secret:?}").contains("second"));
    }

    #[test]
    fn a_file_holds_one_line_and_what_does_not_belong_to_it_is_named() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("secret");
        let read = |text: &str| {
            fs::write(&path, text).expect("a file");
            Secret::file(&path).map(|secret| secret.expose()).map_err(|error| error.to_string())
        };
        assert_eq!(read("\u{feff}pass word\r\n\n").as_deref(), Ok("pass word"));
        for (text, what) in [
            ("\ns3cret\n", "several lines"),
            ("s3cret\ns3cret\n", "several lines"),
            ("s3cret \n", "blanks around it"),
            ("\ts3cret", "blanks around it"),
            ("s3cr\0et", "a character that cannot be typed"),
            ("s3cr\u{feff}et", "a character that cannot be typed"),
        ] {
            let error = read(text).expect_err("it is refused");
            assert!(error.contains(what) && !error.contains("s3cr"), "{text:?}: {error}");
        }
        assert!(read("\u{feff}\n").is_err_and(|error| error.contains("is empty")));
    }
}

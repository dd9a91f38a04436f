//! Making a base back-up: PostgreSQL copies its files while the shop runs, and every file is compared with its checksum.

use std::{fs, path::Path};

use indicatif::ProgressBar;
use serde::Deserialize;

use super::{
    BackupError,
    label::Label,
    source::{self, Source},
    store::{Base, Store, private_file},
    tools::Tools,
    wal,
};

/// The files of a data directory that a restored shop needs beside its database: their paths there and in the back-up.
pub(crate) const EXTRA_FILES: [(&str, &str); 2] = [("secret", "secret"), ("postgres/password", "password")];

/// Backs a server up.
///
/// # Errors
/// [`BackupError`] says why there is no back-up.
pub async fn take(source: &Source, to: &Path, bar: &ProgressBar) -> Result<Base, BackupError> {
    source.check_apart(to)?;
    let client = source.connect().await?;
    let server = source::server(&client).await?;
    let tools = Tools::of_version(server.major)?;
    for program in ["pg_basebackup", "pg_verifybackup", "pg_waldump"] {
        tools.program(program)?;
    }
    let began = source::mark(&client).await?;
    let store = Store::open_or_make(to, &server.system_identifier)?;
    let _lock = store.lock("lock")?;
    let label = Label::of(began.at);
    let part = store.begin(&label)?;
    let finished = async {
        let data = part.join("data");
        tools.base_backup(source, label.as_str(), &data, bar).await?;
        bar.set_message("comparing with the checksums");
        tools.verify(&data).await?;
        let ended = source::mark(&client).await?;
        if let Some(from) = source.data.as_deref().filter(|_| server.embedded) {
            copy_extra_files(from, &part)?;
        }
        let Manifest { bytes, first_lsn, last_lsn } = Manifest::read(&data)?;
        let daybook = env!("CARGO_PKG_VERSION").to_owned();
        let base = Base { label, daybook, server, began, ended, first_lsn, last_lsn, bytes };
        store.finish(&part, &base)?;
        Ok(base)
    };
    let outcome = finished.await;
    if outcome.is_err()
        && let Err(error) = store.discard(&part)
    {
        tracing::warn!(%error, "the unfinished back-up could not be removed");
    }
    outcome
}

/// Copies the extra files of a data directory, so that its tokens stay valid.
fn copy_extra_files(data: &Path, part: &Path) -> Result<(), BackupError> {
    for (from, to) in EXTRA_FILES {
        let from = data.join(from);
        if from.is_file() {
            let bytes = fs::read(&from).map_err(BackupError::io(format!("read {}", from.display())))?;
            private_file(&part.join(to), &bytes)?;
        }
    }
    Ok(())
}

/// The manifest that PostgreSQL writes for a base back-up.
struct Manifest {
    bytes: u64,
    first_lsn: u64,
    last_lsn: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestText {
    files: Vec<ManifestFile>,
    #[serde(rename = "WAL-Ranges")]
    ranges: Vec<ManifestRange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestFile {
    size: u64,
}

#[derive(Deserialize)]
struct ManifestRange {
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

impl Manifest {
    fn read(data: &Path) -> Result<Self, BackupError> {
        let text: ManifestText = super::store::read(&data.join("backup_manifest"))?;
        let lsns = |of: fn(&ManifestRange) -> &str| text.ranges.iter().filter_map(move |range| wal::lsn(of(range)));
        let range = lsns(|range| &range.start).min().zip(lsns(|range| &range.end).max());
        let (first_lsn, last_lsn) = range.ok_or_else(|| BackupError::Damaged {
            directory: data.to_owned(),
            what: "backup_manifest names no range of the write-ahead log".to_owned(),
        })?;
        Ok(Self { bytes: text.files.iter().map(|file| file.size).sum(), first_lsn, last_lsn })
    }
}

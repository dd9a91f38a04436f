//! The schema across versions of the program. Only `migrate` changes it. A program starts when the schema has what it needs and still
//! serves it, so two successive programs run side by side.
//!
//! The number of a program is the version of its newest migration. A migration says in a line `-- oldest: N` which programs still
//! work with the schema after it: those from the number N on. `schema_state` keeps the highest of these numbers.

use std::{collections::BTreeSet, error::Error, fmt, iter::successors, time::Duration};

use tokio_postgres::{Client, error::SqlState};

use crate::{Daybook, StoreError};

mod files {
    // The macro's own code has no docs and casts.
    #![allow(missing_docs, clippy::all)]
    refinery::embed_migrations!("migrations");
}

/// The migrations of the book's own tables.
pub static BOOK: MigrationSet = MigrationSet { table: "daybook_migrations", runner: files::migrations::runner };

/// How long a migration waits for a lock. Everybody else who uses the table waits behind it.
const LOCK_TIMEOUT: &str = "2s";
/// How often a migration that did not get a lock is tried again.
const TRIES: u32 = 30;
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The migrations of a crate whose tables are in the book's database.
#[derive(Clone, Copy)]
pub struct MigrationSet {
    /// The table that records which were applied.
    pub table: &'static str,
    /// The migrations, as refinery embeds them.
    pub runner: fn() -> refinery::Runner,
}

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its version.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// The number of the oldest program that works with the schema after it, if it says so.
    pub oldest: Option<i64>,
}

impl MigrationSet {
    /// The migrations, by version.
    #[must_use]
    pub fn migrations(&self) -> Vec<Migration> {
        let runner = (self.runner)();
        let mut all: Vec<_> = runner
            .get_migrations()
            .iter()
            .map(|migration| Migration {
                version: migration.version(),
                name: migration.name().to_owned(),
                oldest: migration.sql().and_then(oldest),
            })
            .collect();
        all.sort_by_key(|migration| migration.version);
        all
    }

    /// The versions that were applied to a database; none where it has no such table.
    async fn applied(&self, client: &Client) -> Result<BTreeSet<i64>, tokio_postgres::Error> {
        match client.query(&format!("SELECT version::bigint FROM {}", self.table), &[]).await {
            Ok(rows) => rows.iter().map(|row| row.try_get(0)).collect(),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(BTreeSet::new()),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for MigrationSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MigrationSet({})", self.table)
    }
}

/// The number in the line `-- oldest: N` of a migration.
fn oldest(sql: &str) -> Option<i64> {
    sql.lines().find_map(|line| line.trim().strip_prefix("-- oldest:")?.trim().parse().ok())
}

impl Daybook {
    /// Brings the book's tables up to date. Does nothing if they are.
    ///
    /// # Errors
    /// [`StoreError`] when the database is out of reach or a migration fails.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.migrate_with(&BOOK).await
    }

    /// Applies the migrations of a set that the database lacks. Of several processes, one migrates at a time. Migrations of a newer
    /// program stay. A migration that does not get a lock in time is tried again, so that the traffic behind it goes on meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when the database is out of reach or a migration fails.
    pub async fn migrate_with(&self, set: &MigrationSet) -> Result<(), StoreError> {
        let mut client = self.connect().await?;
        client.batch_execute("SELECT pg_advisory_lock(hashtext('daybook migrations'))").await?;
        client.batch_execute(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'")).await?;
        let mut runner = (set.runner)().set_abort_missing(false);
        runner.set_migration_table_name(set.table);
        let mut tries = 1;
        while let Err(error) = runner.run_async(&mut client).await {
            if !is_locked_out(&error) || tries == TRIES {
                return Err(error.into());
            }
            tracing::warn!("a migration waits for a table that is in use; it is tried again");
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
        let applied = set.applied(&client).await?;
        let all = set.migrations();
        if let Some(Migration { version, name, .. }) = all.iter().find(|one| !applied.contains(&one.version)) {
            let (version, name, table) = (*version, name.clone(), set.table.to_owned());
            return Err(StoreError::OutOfOrder { version, name, table });
        }
        record(&client, &all).await
    }
}

/// Whether a migration has waited too long for a lock.
fn is_locked_out(error: &refinery::Error) -> bool {
    let chain = successors(Some(error as &dyn Error), |error| (*error).source());
    let database = chain.filter_map(|error| error.downcast_ref::<tokio_postgres::Error>());
    database.filter_map(|error| error.code()).any(|code| *code == SqlState::LOCK_NOT_AVAILABLE)
}

/// Records what the schema is now and which programs it serves. A migration that does not say so serves none that is older than itself.
async fn record(client: &Client, all: &[Migration]) -> Result<(), StoreError> {
    let version = all.iter().map(|one| one.version).max().unwrap_or(0);
    let oldest = all.iter().map(|one| one.oldest.unwrap_or(one.version)).max().unwrap_or(0);
    client
        .execute(
            "UPDATE schema_state
             SET version = greatest(version, $1), oldest_program = greatest(oldest_program, $2)
             WHERE (version, oldest_program) IS DISTINCT FROM (greatest(version, $1), greatest(oldest_program, $2))",
            &[&version, &oldest],
        )
        .await?;
    Ok(())
}

/// The schema that a program was made for: its sets of migrations.
#[derive(Debug, Clone)]
pub struct Schema(Vec<MigrationSet>);

/// Why a program does not work with the schema of a database.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database has no schema.
    #[error("the database has no schema of Daybook; run `daybook migrate` first")]
    Absent,
    /// The schema lacks a migration.
    #[error(
        "the schema is too old for this program: the migration {version} ({name}) is missing; run `daybook migrate` first"
    )]
    TooOld {
        /// The migration.
        version: i64,
        /// Its name.
        name: String,
    },
    /// The schema serves newer programs only.
    #[error("the schema is too new for this program: it serves programs from {oldest} on, and this one is {program}")]
    TooNew {
        /// The number of the oldest program that it serves.
        oldest: i64,
        /// The number of this one.
        program: i64,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<tokio_postgres::Error> for SchemaError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Schema {
    /// The schema of all these sets.
    #[must_use]
    pub fn of(sets: impl Into<Vec<MigrationSet>>) -> Self {
        Self(sets.into())
    }

    /// The sets of migrations.
    #[must_use]
    pub fn sets(&self) -> &[MigrationSet] {
        &self.0
    }

    /// The number of this program: the version of its newest migration.
    #[must_use]
    pub fn program(&self) -> i64 {
        let versions = self.0.iter().flat_map(MigrationSet::migrations).map(|migration| migration.version);
        versions.max().unwrap_or(0)
    }

    /// Checks that this program works with the schema of a database. It changes nothing, so it needs no more than the right to read.
    /// Returns the version of the schema, which may be newer than the program.
    ///
    /// # Errors
    /// [`SchemaError`] says why it does not, or that the database failed.
    pub async fn check(&self, book: &Daybook) -> Result<i64, SchemaError> {
        let client = book.pool().get().await.map_err(StoreError::from)?;
        let state = client.query_opt("SELECT version, oldest_program FROM schema_state", &[]).await;
        let state = match state {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => None,
            state => state?,
        };
        for set in &self.0 {
            let applied = set.applied(&client).await?;
            let missing = set.migrations().into_iter().find(|migration| !applied.contains(&migration.version));
            match missing {
                Some(_) if applied.is_empty() && state.is_none() => return Err(SchemaError::Absent),
                Some(Migration { version, name, .. }) => return Err(SchemaError::TooOld { version, name }),
                None => {}
            }
        }
        let Some(state) = state else { return Err(SchemaError::Absent) };
        let (version, oldest, program) = (state.try_get(0)?, state.try_get(1)?, self.program());
        if oldest > program {
            return Err(SchemaError::TooNew { oldest, program });
        }
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_says_which_programs_it_serves() {
        assert_eq!(oldest("-- Adds a table.\n-- oldest: 202611281500\nCREATE TABLE t ();"), Some(202_611_281_500));
        assert_eq!(oldest("CREATE TABLE t ();"), None);
    }
}

//! Imports as an operator runs them: what is recognised, what is refused before anything is imported, and what each record comes to.
#![allow(missing_docs, reason = "tests")]

mod form;
mod outcomes;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Process,
};

use daybook_bus::{Bus, BusSettings, Clock, CommandError, Receipt, Submission, clock::new_id};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_test_postgres::{TestDatabase, database};
use serde_json::{Value, json};

/// A book, and a directory for files.
pub(crate) struct World {
    database: TestDatabase,
    book: Daybook,
    directory: tempfile::TempDir,
}

/// What an import has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) summary: Value,
    pub(crate) errors: String,
    /// The rejected records.
    pub(crate) rejected: Vec<Value>,
}

impl Said {
    /// Read, created, unchanged, updated, rejected. Asserts that they add up.
    pub(crate) fn outcomes(&self) -> [u64; 5] {
        let of = |name: &str| self.summary[name].as_u64().unwrap_or_else(|| panic!("{name} of {self:?}"));
        let [read, created, unchanged, updated, rejected] =
            ["read", "created", "unchanged", "updated", "rejected"].map(of);
        assert_eq!(read, created + unchanged + updated + rejected + of("failed"), "{self:?}");
        assert_eq!((of("imported"), of("already_there")), (created + updated, unchanged), "{self:?}");
        assert!(self.summary["position"].is_i64(), "{self:?}");
        [read, created, unchanged, updated, rejected]
    }

    /// The codes of the rejected records.
    pub(crate) fn codes(&self) -> Vec<&str> {
        self.rejected.iter().filter_map(|record| record["code"].as_str()).collect()
    }
}

pub(crate) async fn world() -> World {
    let database = database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    let book = Daybook::open(&settings).expect("the URL is one");
    daybook_operations::migrate(&book).await.expect("the tables can be made");
    World { database, book, directory: tempfile::tempdir().expect("a directory") }
}

impl World {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Imports a file with these bytes.
    pub(crate) fn import(&self, what: &str, name: &str, bytes: impl AsRef<[u8]>, flags: &[&str]) -> Said {
        let file = self.path(name);
        fs::write(&file, bytes).expect("the file can be written");
        let output = Process::new(env!("CARGO_BIN_EXE_daybook"))
            .args(["import", what])
            .arg(&file)
            .arg("--json")
            .args(flags)
            .env("DATABASE_URL", self.database.url())
            .current_dir(self.directory.path())
            .output()
            .expect("the binary runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        // A device, as /dev/full, holds nothing to read.
        let made = summary["rejected_file"].as_str().filter(|path| Path::new(path).is_file());
        let rejected = made.map(|path| fs::read_to_string(path).expect("the file exists"));
        let lines = rejected.unwrap_or_default();
        let rejected = lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
        Said { code: output.status.code(), summary, errors, rejected }
    }

    /// Sends a command.
    pub(crate) async fn send(&self, actor: Actor, name: &str, body: Value) -> Result<Receipt, CommandError> {
        let command = Command::deserialize(name, &body).expect("it exists").expect("it is well formed");
        let (bus, stopped) = Bus::start(self.book.clone(), Clock::system(), &BusSettings::default());
        let outcome = bus.execute(Submission::new(command, new_id(), actor)).await;
        drop(bus);
        stopped.await.expect("the bus stops");
        outcome
    }

    pub(crate) async fn admin(&self, name: &str, body: Value) {
        self.send(Actor::Admin("ada".into()), name, body).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// The data of all events of a type.
    pub(crate) async fn events(&self, event_type: &str) -> Vec<Value> {
        let filter = daybook_event_store::Filter { types: Some(vec![event_type.to_owned()]), ..Default::default() };
        let events = self.book.read_after(0, 10_000, &filter).await.expect("it reads");
        events.iter().map(|event| serde_json::from_str(&event.data).expect("JSON")).collect()
    }

    pub(crate) async fn head(&self) -> i64 {
        self.book.head().await.expect("it answers").position
    }

    /// A product without a price.
    pub(crate) async fn with_product(&self, sku: &str) {
        let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, sku.as_bytes());
        self.admin("CreateProduct", json!({ "product_id": id, "name": sku, "variants": [{ "sku": sku }] })).await;
    }
}

//! `daybook verify`: the audit of everything. Each check tests an invariant on the stored data and names the first violation.
//!
//! The names of the checks are part of the contract of `--json`:
//! - `positions are gapless and end at the head`, `streams are unbroken`, `recorded times never run backwards`,
//!   `every event belongs to one acknowledged command`: the book as a list of events;
//! - `every event can be read`, `no stock is below zero`, `the money of every order adds up`: the book as commerce;
//! - `view <name> equals a fold of the book` for every view, `sales by day are the sums of the orders`, `nothing is parked`,
//!   `nothing waits for a newer program`, `no view stands still` (behind the book for 30 seconds): the read models;
//! - `every reaction is sent when it is due`: the table of reactions;
//! - `the relay has set nothing aside`, `Kafka equals the book`: the wire.
//!
//! A check that fails is a violation of its invariant. The audit goes on with the others.
//!
//! The checks can run beside a running engine.

mod book;
mod commerce;
mod lag;
mod reactions;
mod wire;

use std::process::ExitCode;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use daybook_event_store::{Daybook, error_chain};
use daybook_event_stream::KafkaSettings;
use daybook_projectors::{audit, views};
use serde::Serialize;

use crate::{Connection, KafkaFlags, Topics, print_line};

/// The flags of `daybook verify`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    kafka: KafkaFlags,
    /// End with one JSON object.
    #[arg(long)]
    json: bool,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The invariant.
    pub name: String,
    /// The number of checked items.
    pub checked: i64,
    /// The number of violations.
    pub violations: i64,
    /// The first violation, in words.
    pub first: Option<String>,
}

impl Check {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), checked: 0, violations: 0, first: None }
    }

    fn violation(&mut self, what: impl FnOnce() -> String) {
        self.violations += 1;
        self.first.get_or_insert_with(what);
    }
}

/// The results of all checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The checks.
    pub checks: Vec<Check>,
    /// Whether everything holds.
    pub ok: bool,
}

/// Audits. Exit code 0 only when everything holds.
///
/// # Errors
/// When something could not be read.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let book = args.connection.book()?;
    let kafka = KafkaSettings { security: args.kafka.security()?, ..args.topics.at(&args.connection.brokers()?) };
    let verdict = audit(&book, &kafka).await?;
    print(&verdict, args.json)?;
    Ok(if verdict.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Audits a book, its views and its topics.
///
/// # Errors
/// When something could not be read.
pub async fn audit(book: &Daybook, kafka: &KafkaSettings) -> anyhow::Result<Verdict> {
    // Without the database nothing can be said. What fails after that is a violation of its own check, and the audit goes on.
    book.head().await?;
    let mut checks = or_failed("the book", book::checks(book).await);
    checks.extend(or_failed("the events of the book", commerce::checks(book).await.map(Vec::from)));
    for view in views::ALL {
        let name = format!("view {} equals a fold of the book", view.name);
        let audited = audit::verify(book, &kafka.topology, view).await.map(|audit| {
            vec![Check { name: name.clone(), checked: audit.checked, violations: audit.violations, first: audit.first }]
        });
        checks.extend(or_failed(&name, audited.map_err(Into::into)));
    }
    checks.extend(or_failed("the read models", book::checks_of_views(book).await));
    checks.extend(or_failed("no view stands still", lag::check(book).await.map(|check| vec![check])));
    checks.extend(or_failed("reactions", reactions::check(book).await.map(|check| vec![check])));
    checks.extend(or_failed("Kafka equals the book", wire::check(book, kafka).await.map(|check| vec![check])));
    let ok = checks.iter().all(|check| check.violations == 0);
    Ok(Verdict { checks, ok })
}

/// What was checked, or that it could not be checked, which is a violation.
fn or_failed(name: &str, checked: anyhow::Result<Vec<Check>>) -> Vec<Check> {
    checked.unwrap_or_else(|error| {
        let mut check = Check::new(name);
        check.violation(|| format!("it could not be checked: {}", error_chain(error.as_ref())));
        vec![check]
    })
}

fn print(verdict: &Verdict, json: bool) -> anyhow::Result<()> {
    if json {
        print_line!("{}", serde_json::to_string(verdict)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["check", "checked", "violations", "first"]);
    for check in &verdict.checks {
        let first = check.first.clone().unwrap_or_default();
        table.add_row([check.name.clone(), check.checked.to_string(), check.violations.to_string(), first]);
    }
    print_line!("{table}\n{}", if verdict.ok { "all invariants hold" } else { "some invariants are violated" });
    Ok(())
}

/// A check of two statements: the number of checked items, and the violations. The second returns a row for each violation: a key to
/// sort by, and a text.
async fn sql(book: &Daybook, name: &str, count: &str, wrong: &str) -> anyhow::Result<Check> {
    let client = book.pool().get().await?;
    let mut check = Check { checked: client.query_one(count, &[]).await?.try_get(0)?, ..Check::new(name) };
    let first = format!("SELECT count(*) OVER (), what FROM ({wrong}) AS wrong (place, what) ORDER BY place LIMIT 1");
    if let Some(row) = client.query_opt(&first, &[]).await? {
        (check.violations, check.first) = (row.try_get(0)?, row.try_get(1)?);
    }
    Ok(check)
}

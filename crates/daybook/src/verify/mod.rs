//! `daybook verify`: audit the whole. Every promise that can be read off the data is read off it; the first difference is named.

mod book;
mod wire;

use std::process::ExitCode;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use daybook_event_store::Daybook;
use daybook_projectors::{audit, views};
use serde::Serialize;

use crate::config::{Connection, Topics};

/// The flags of `daybook verify`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    topics: Topics,
    /// End with one JSON object.
    #[arg(long)]
    json: bool,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    name: String,
    checked: i64,
    violations: i64,
    first: Option<String>,
}

#[derive(Debug, Serialize)]
struct Verdict {
    checks: Vec<Check>,
    ok: bool,
}

/// Audits. Exit code 0 only when everything holds.
///
/// # Errors
/// When something could not be read.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let book = args.connection.book()?;
    let kafka = args.topics.at(&args.connection.brokers()?);
    let mut checks = book::checks(&book).await?;
    for view in views::ALL {
        let audit = audit::verify(&book, &kafka.topology, view).await?;
        let name = format!("view {} equals a fold of the book", view.name);
        checks.push(Check { name, checked: audit.checked, violations: audit.violations, first: audit.first });
    }
    checks.push(wire::check(&book, &kafka).await?);
    let ok = checks.iter().all(|check| check.violations == 0);
    print(&Verdict { checks, ok }, args.json)?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(verdict: &Verdict, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(verdict)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["check", "checked", "violations", "first"]);
    for check in &verdict.checks {
        let first = check.first.clone().unwrap_or_default();
        table.add_row([check.name.clone(), check.checked.to_string(), check.violations.to_string(), first]);
    }
    println!("{table}\n{}", if verdict.ok { "everything holds" } else { "something is wrong" });
    Ok(())
}

/// A check that is two statements: how much was looked at, and what is wrong, one text a row.
async fn sql(book: &Daybook, name: &str, count: &str, wrong: &str) -> anyhow::Result<Check> {
    let client = book.pool().get().await?;
    let checked = client.query_one(count, &[]).await?.try_get(0)?;
    let violations = client.query(wrong, &[]).await?;
    let first = violations.first().map(|row| row.try_get(0)).transpose()?;
    let violations = i64::try_from(violations.len())?;
    Ok(Check { name: name.to_owned(), checked, violations, first })
}

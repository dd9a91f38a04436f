//! The command line: one binary, one subcommand for each thing that people do with an engine.
//!
//! Exit codes: 0 done, 1 failed, 2 usage.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    backup, bench, config::Connection, events, history, import, relay, restore, schema, serve, telemetry, token, up,
    verify, views,
};

/// An event-sourced commerce engine: commands go into a book, the book goes onto Kafka, read models come out of it.
#[derive(Debug, Parser)]
#[command(name = "daybook", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine: a private PostgreSQL and broker, unless told of others, and every part.
    Up(up::Args),
    /// Run some of the parts, for a cluster.
    Serve(serve::Args),
    /// Bring the database's schema up to date.
    Migrate(Connection),
    /// Load products, orders or stock in bulk.
    Import(import::Args),
    /// Read the book.
    Events(events::Args),
    /// Replay one order: how it was then, who did what, what changed.
    History(history::Args),
    /// The read models: list, rebuild, verify, parked, retry.
    Views(views::Args),
    /// The wire: status, republish.
    Relay(relay::Args),
    /// Back the book up while the shop runs.
    Backup(backup::Args),
    /// Restore a book from its back-up, as it was at the end or at a moment before.
    Restore(restore::Args),
    /// Audit the whole: the book, the views, the wire.
    Verify(verify::Args),
    /// Measure this machine, like pgbench.
    Bench(bench::Args),
    /// Sign a token.
    Token(token::Args),
    /// Write the contracts, or check them.
    Schema(schema::Args),
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Migrate(connection) => {
            serve::migrate(&connection.book()?).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Import(args) => import::run(args).await,
        Command::Events(args) => events::run(args).await,
        Command::History(args) => history::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Views(args) => views::run(args).await,
        Command::Relay(args) => relay::run(args).await,
        Command::Backup(args) => backup::run(args).await,
        Command::Restore(args) => restore::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Token(args) => token::run(args),
        Command::Schema(args) => schema::run(&args),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("daybook: {error:#}");
    ExitCode::FAILURE
}

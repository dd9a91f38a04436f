//! The command line: one binary, one subcommand for each thing that people do with an engine.
//!
//! Exit codes: 0 done, 1 failed, 2 usage.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{bench, telemetry};

/// An event-sourced commerce engine: commands go into a book, the book goes onto Kafka, read models come out of it.
#[derive(Debug, Parser)]
#[command(name = "daybook", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure this machine, like pgbench.
    Bench(bench::Args),
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
        Command::Bench(args) => bench::run(args).await,
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("daybook: {error:#}");
    ExitCode::FAILURE
}

//! Runs two programs side by side on one shop under load, forth and back. `.ci/upgrade` builds the older one.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for developers")]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use daybook_tests::upgrade::{Programs, run};

/// The flags.
#[derive(Debug, Parser)]
struct Args {
    /// The program of the previous commit.
    #[arg(long)]
    old: PathBuf,
    /// The program of this commit.
    #[arg(long)]
    new: PathBuf,
    /// For how many seconds both programs run side by side after each step.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

fn main() -> ExitCode {
    // This comes first, while the process has one thread: it may have been started to become PostgreSQL.
    daybook_embedded::supervisor::run_if_asked();
    let Args { old, new, seconds } = Args::parse();
    let run = async { run(&Programs { old, new }, Duration::from_secs(seconds)).await };
    let outcome = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run));
    match outcome {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("upgrade: {error:#}");
            ExitCode::FAILURE
        }
    }
}

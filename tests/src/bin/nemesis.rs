//! `nemesis`: tries to break the engine's guarantees. docs/reliability.md describes it and its results.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for developers")]

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use daybook_tests::nemesis::{self, Plan, broker, database, disk::Storage, report::Report};

/// The broker of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kafka {
    /// The embedded broker, librdkafka's own.
    Embedded,
    /// Apache Kafka, which `.ci/kafka` fetches and starts. If `KAFKA_BROKERS` names one, that broker is used, and gets no faults.
    Real,
}

/// Runs the engine in separate processes under load, injects faults, and checks every guarantee.
#[derive(Debug, Parser)]
struct Args {
    /// For how many minutes faults are injected. Every fault is injected at least once, so it may take longer.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// The seed of all random choices. The same seed makes the same attempt.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The broker.
    #[arg(long, value_enum, default_value = "embedded")]
    kafka: Kafka,
    /// Inject only faults whose name contains this. May be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Keep logs, data and history even without a violation.
    #[arg(long)]
    keep: bool,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    // This comes first, while the process has one thread: it may have been started to become another program.
    daybook_embedded::supervisor::run_if_asked();
    let mut words = std::env::args().skip(1);
    let done = match (words.next().as_deref(), words.next()) {
        (Some(broker::SUBCOMMAND), Some(prefix)) => broker::run(&prefix).map(|()| true),
        (Some(database::LIMIT), Some(bytes)) => database::limit_files_here(&bytes).map(|()| true),
        _ => {
            let args = Args::parse();
            // This needs a single thread as well.
            run(&args, Storage::isolate())
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("nemesis: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, storage: Storage) -> anyhow::Result<bool> {
    ensure!(args.minutes.is_finite() && args.minutes >= 0.0, "minutes are a number");
    let directory = tempfile::Builder::new().prefix("daybook-nemesis-").tempdir()?;
    let plan = Plan {
        seed: args.seed,
        time: Duration::from_secs_f64(args.minutes * 60.0),
        broker: kind(args.kafka),
        storage,
        keep: args.keep,
        only: args.only.clone(),
        binary: engine()?,
        directory: directory.path().to_owned(),
    };
    // One thread, since the parent thread of the processes must live as long as this process.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = nemesis::run(&plan) => ended,
            () = daybook::drain::asked_to_stop() => Err(anyhow::anyhow!("stopped by a signal")),
        }
    });
    if args.keep || !ended.as_ref().is_ok_and(|report| report.violations() == 0) {
        eprintln!("logs and data are kept in {}", directory.keep().display());
    }
    let report = ended?;
    print(&report, args.json);
    Ok(report.violations() == 0)
}

fn kind(kafka: Kafka) -> broker::Kind {
    match (kafka, std::env::var("KAFKA_BROKERS")) {
        (Kafka::Embedded, _) => broker::Kind::Embedded,
        (Kafka::Real, Ok(address)) => broker::Kind::Foreign(address),
        (Kafka::Real, Err(_)) => broker::Kind::Apache(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/kafka")),
    }
}

fn print(report: &Report, json: bool) {
    println!("{}", report.text());
    if json {
        println!("{}", report.json());
    }
}

/// The engine's binary, beside this one. If cargo runs this program, it builds the engine first, from the same sources.
fn engine() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let profile = own.parent().context("a binary is in a directory")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "daybook", "--bin", "daybook"]);
        if profile.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
        ensure!(built.success(), "the engine cannot be built");
    }
    let binary = profile.join("daybook");
    ensure!(Path::exists(&binary), "{} is missing; run `cargo build --package daybook` first", binary.display());
    Ok(binary)
}

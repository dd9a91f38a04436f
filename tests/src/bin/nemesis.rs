//! `nemesis`: tries to break the engine's promises; docs/reliability.md tells what it does and what came of it.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use daybook_tests::nemesis::{self, Plan, broker, database, disk::Storage, report::Report};

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kafka {
    /// librdkafka's own.
    Embedded,
    /// Apache Kafka, fetched and started by `.ci/kafka`; or, when `KAFKA_BROKERS` says where one is, that one, which is not harmed.
    Real,
}

/// Runs the engine in separate processes under load, harms it, and checks that every promise was kept.
#[derive(Debug, Parser)]
struct Args {
    /// How many minutes faults are injected; every fault comes at least once, so it may take longer.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// What decides everything. The same seed makes the same attempt.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The broker.
    #[arg(long, value_enum, default_value = "embedded")]
    kafka: Kafka,
    /// Only faults whose name contains this; may be said more than once.
    #[arg(long)]
    only: Vec<String>,
    /// Keep logs, data and history even when no promise was broken.
    #[arg(long)]
    keep: bool,
    /// End with one JSON object.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    // First of all, while this process has one thread: it may have been started to become somebody else.
    daybook_embedded::supervisor::run_if_asked();
    let mut words = std::env::args().skip(1);
    let done = match (words.next().as_deref(), words.next()) {
        (Some(broker::SUBCOMMAND), Some(prefix)) => broker::run(&prefix).map(|()| true),
        (Some(database::LIMIT), Some(bytes)) => database::limit_files_here(&bytes).map(|()| true),
        _ => {
            let args = Args::parse();
            // This, too, wants one thread.
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
    // One thread: processes must be children of a thread that lives as long as we do.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = nemesis::run(&plan) => ended,
            () = daybook::serve::asked_to_stop() => Err(anyhow::anyhow!("told to stop")),
        }
    });
    if args.keep || !ended.as_ref().is_ok_and(|report| report.violations() == 0) {
        eprintln!("logs and data are kept in {}", directory.keep().display());
    }
    let report = ended?;
    tell(&report, args.json);
    Ok(report.violations() == 0)
}

fn kind(kafka: Kafka) -> broker::Kind {
    match (kafka, std::env::var("KAFKA_BROKERS")) {
        (Kafka::Embedded, _) => broker::Kind::Embedded,
        (Kafka::Real, Ok(address)) => broker::Kind::Foreign(address),
        (Kafka::Real, Err(_)) => broker::Kind::Apache(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/kafka")),
    }
}

fn tell(report: &Report, json: bool) {
    println!("{}", report.text());
    if json {
        println!("{}", report.json());
    }
}

/// The engine's binary, beside this one. Run by cargo, it is built first, so that it is there and is the one of these sources.
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

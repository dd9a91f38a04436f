//! `daybook bench`: measuring this machine, like pgbench. Every figure comes with the ceiling of the bare database for the same writes
//! in the same run. Ratios to the ceiling can be compared across machines.

mod append;
mod ceiling;
mod end_to_end;
mod engine;
mod flash_sale;
mod history;
mod http;
mod load;
mod place_order;
mod processes;
mod query;
mod rebuild;
mod relay;
mod replay;
mod report;
mod shop;
mod stage;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};

pub use engine::{Parts, Running, Start, Wanted};
use report::Report;
use stage::Stage;

use crate::DatabaseUrl;

/// The flags of `daybook bench`.
#[derive(Debug, Parser)]
pub struct Args {
    /// The measurement.
    #[arg(value_enum, default_value = "append")]
    what: What,
    /// The number of callers, each with one open command.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// The duration in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// The events of the book that is replayed, rebuilt or published.
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(i64).range(10_000..=100_000_000))]
    events: i64,
    /// Compare so many command-apis, each a process of its own, with one of them (place-order, flash-sale).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    processes: u32,
    /// The PostgreSQL to measure on, instead of a private one. The database of the measurement is dropped afterwards.
    #[command(flatten)]
    database: DatabaseUrl,
    /// End with one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Durable commands of two events on new streams, through the bus.
    Append,
    /// Orders over HTTP.
    PlaceOrder,
    /// One SKU, and buyers that never pause, over HTTP.
    FlashSale,
    /// From the answer of a command to its row in the read model, at a steady 500 orders a second.
    EndToEnd,
    /// Reading the whole book, and folding every stream.
    Replay,
    /// Building every view from the book.
    Rebuild,
    /// GraphQL queries over HTTP.
    Query,
    /// Publishing the book to Kafka.
    Relay,
}

/// Runs a measurement. `start` starts an engine if one is needed.
///
/// # Errors
/// When the database cannot be made or a server fails.
pub async fn run(args: Args, start: &Start) -> anyhow::Result<ExitCode> {
    let given = args.database.given()?.map(|url| url.expose());
    let stage = Stage::set_up(given.as_deref()).await?;
    let report = measure(&args, &stage, start).await;
    stage.tear_down().await?;
    report?.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &Args, stage: &Stage, start: &Start) -> anyhow::Result<Report> {
    let time = Duration::from_secs(args.seconds);
    match args.what {
        What::Append => append::measure(stage, args.clients, time).await,
        What::PlaceOrder if args.processes > 1 => place_order::compare(stage, args.clients, time, args.processes).await,
        What::PlaceOrder => place_order::measure(stage, args.clients, time).await,
        What::FlashSale => flash_sale::measure(stage, args.clients, time, args.processes).await,
        What::EndToEnd => end_to_end::measure(stage, start, args.clients, time).await,
        What::Replay => replay::measure(stage, args.events).await,
        What::Rebuild => rebuild::measure(stage, args.events).await,
        What::Query => query::measure(stage, start, args.clients, time).await,
        What::Relay => relay::measure(stage, args.events).await,
    }
}

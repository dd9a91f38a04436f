//! `daybook reactors`: what the engine does by itself.

use std::process::ExitCode;

use clap::Subcommand;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use daybook_event_stream::{consumer::parked, progress};
use daybook_reactors::engine::queue;
use serde::Serialize;

use crate::{Connection, Usage, table::print};

/// The flags of `daybook reactors`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    what: Option<What>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// List the reactors: position, lag, and the reactions that wait.
    List,
    /// List the parked events.
    Parked,
    /// Apply the parked events of a stream again.
    Retry {
        /// The reactor.
        name: String,
        /// The stream.
        stream: String,
    },
}

/// How a reactor stands.
#[derive(Debug, Serialize)]
struct Status {
    name: &'static str,
    position: i64,
    lag: i64,
    parked: i64,
    waiting: i64,
    failing: i64,
    next_due: Option<String>,
    failure: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When there is no such reactor, or the book or the tables failed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let book = args.connection.book()?;
    match args.what.unwrap_or(What::List) {
        What::List => {
            let (progress, waiting) = (progress::list(&book).await?, queue::waiting(&book).await?);
            let status = daybook_reactors::ALL.map(|reactor| {
                let at = progress.iter().find(|progress| progress.consumer == reactor.consumer());
                let waiting = waiting.iter().find(|waiting| waiting.reactor == reactor.name);
                Status {
                    name: reactor.name,
                    position: at.map_or(0, |at| at.position),
                    lag: at.map_or(0, |at| at.lag),
                    parked: at.map_or(0, |at| at.parked),
                    waiting: waiting.map_or(0, |waiting| waiting.waiting),
                    failing: waiting.map_or(0, |waiting| waiting.failing),
                    next_due: waiting.and_then(|waiting| waiting.next_due).map(|due| due.to_rfc3339()),
                    failure: waiting.and_then(|waiting| waiting.failure.clone()),
                }
            });
            let columns = ["name", "position", "lag", "parked", "waiting", "failing", "next_due", "failure"];
            print(args.json, &status, &columns)?;
        }
        What::Parked => {
            let consumers: Vec<_> = daybook_reactors::ALL.iter().map(|reactor| reactor.consumer()).collect();
            let parked = parked::list(&book).await?;
            let parked: Vec<_> = parked.into_iter().filter(|event| consumers.contains(&event.consumer)).collect();
            print(args.json, &parked, &["consumer", "position", "stream_id", "reason"])?;
        }
        What::Retry { name, stream } => {
            let unknown = || Usage(format!("there is no reactor `{name}`"));
            let reactor = daybook_reactors::named(&name).ok_or_else(unknown)?;
            match reactor.retry_parked(&book, &stream).await? {
                0 => println!("nothing to retry: {name} has no event of {stream} parked"),
                applied => println!("{applied} events of {stream} were applied"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the reaction table.
pub fn print_table() {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["reactor", "on", "do"]);
    for reactor in daybook_reactors::ALL {
        for trigger in reactor.table {
            table.add_row([reactor.name, trigger.on, trigger.reaction]);
        }
    }
    println!("{table}");
}

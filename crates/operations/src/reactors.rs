//! `daybook reactors`: what the engine does by itself.

use std::process::ExitCode;

use clap::Subcommand;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use daybook_bus::Clock;
use daybook_event_store::Daybook;
use daybook_event_stream::{consumer::parked, progress};
use daybook_reactors::{Reactor, engine::queue};
use serde::Serialize;

use crate::{Connection, Usage, print_line, table::print};

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
    /// List the reactors: position, lag, and the reactions that wait, are due, or have failed.
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
    name: String,
    position: i64,
    lag: i64,
    parked: i64,
    waiting: i64,
    due: i64,
    failing: i64,
    next_due: Option<String>,
    failure: Option<String>,
}

/// The columns of the list.
const COLUMNS: [&str; 9] = ["name", "position", "lag", "parked", "waiting", "due", "failing", "next_due", "failure"];

/// Runs the command.
///
/// # Errors
/// When there is no such reactor, or the book or the tables failed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let book = args.connection.book()?;
    match args.what.unwrap_or(What::List) {
        What::List => {
            print(args.json, &status(&book).await?, &COLUMNS)?;
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
            match daybook_reactors::retry_parked(&book, reactor, &stream).await? {
                0 => print_line!("nothing to retry: {name} has no event of {stream} parked"),
                applied => print_line!("{applied} events of {stream} were applied"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How the reactors of this program stand, and those of another version of it that have left reactions.
async fn status(book: &Daybook) -> anyhow::Result<Vec<Status>> {
    let (progress, waiting) = (progress::list(book).await?, queue::waiting(book, Clock::system().now()).await?);
    let of_this_program = daybook_reactors::ALL.map(|reactor| reactor.name);
    let others = waiting.iter().map(|waiting| waiting.reactor.as_str()).filter(|name| !of_this_program.contains(name));
    let status = of_this_program.into_iter().chain(others).map(|name| {
        let consumer = daybook_reactors::named(name).map(Reactor::consumer);
        let at = progress.iter().find(|progress| Some(&progress.consumer) == consumer.as_ref());
        let waiting = waiting.iter().find(|waiting| waiting.reactor == name);
        Status {
            name: name.to_owned(),
            position: at.map_or(0, |at| at.position),
            lag: at.map_or(0, |at| at.lag),
            parked: at.map_or(0, |at| at.parked),
            waiting: waiting.map_or(0, |waiting| waiting.waiting),
            due: waiting.map_or(0, |waiting| waiting.due),
            failing: waiting.map_or(0, |waiting| waiting.failing),
            next_due: waiting.and_then(|waiting| waiting.next_due).map(|due| due.to_rfc3339()),
            failure: waiting.and_then(|waiting| waiting.failure.clone()),
        }
    });
    Ok(status.collect())
}

/// Prints the reaction table.
pub fn print_table() {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["reactor", "on", "do"]);
    for reactor in daybook_reactors::ALL {
        for trigger in reactor.table {
            table.add_row([reactor.name, &trigger.on.join(", "), trigger.reaction]);
        }
    }
    print_line!("{table}");
}

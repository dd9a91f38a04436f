//! `daybook views`: the read models.

mod rebuild;

use std::process::ExitCode;

use clap::Subcommand;
use daybook_event_stream::consumer::parked;
use daybook_projectors::{audit, projection::Projection, registry, view::ViewSpec, views};

use crate::{Connection, Topics, Usage, print_line, table::print};

/// The flags of `daybook views`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    topics: Topics,
    #[command(subcommand)]
    what: Option<What>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// List the views: version, position, lag.
    List,
    /// Build the next version of views from the book beside the shown one, and swap them.
    Rebuild(rebuild::Args),
    /// Compare a view with a new fold of the book.
    Verify {
        /// The view.
        name: String,
    },
    /// List the parked events, and those that wait for a newer program.
    Parked,
    /// Apply the parked events of a stream again.
    Retry {
        /// The view.
        name: String,
        /// The stream.
        stream: String,
    },
}

/// Runs the command.
///
/// # Errors
/// When there is no such view, or the book or the tables failed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let book = args.connection.book()?;
    let topology = daybook_projectors::topology(&args.topics.topic_prefix, args.topics.partitions);
    match args.what.unwrap_or(What::List) {
        What::List => {
            let status = registry::status(&book, &views::ALL).await?;
            print(args.json, &status, &["name", "version", "position", "lag", "parked"])?;
        }
        What::Rebuild(wanted) => rebuild::run(&book, &topology, wanted, args.json).await?,
        What::Verify { name } => {
            let audit = audit::verify(&book, &topology, named(&name)?).await?;
            print(args.json, &[&audit], &["checked", "violations", "first"])?;
            return Ok(if audit.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        What::Parked => {
            print(args.json, &parked::list(&book).await?, &["consumer", "position", "stream_id", "reason", "waiting"])?;
        }
        What::Retry { name, stream } => {
            let view = named(&name)?;
            let version = registry::shown_version(&book, view).await?.unwrap_or(0);
            let projection = Projection::new(view, version);
            let applied = parked::retry(&book, &view.versioned(version), &stream, &projection).await?;
            match applied {
                0 => print_line!("nothing to retry: {name} has no event of {stream} parked"),
                _ => print_line!("{applied} events of {stream} were applied"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The view of this name.
fn named(name: &str) -> Result<&'static ViewSpec, Usage> {
    views::named(name).map_err(|error| Usage(error.to_string()))
}

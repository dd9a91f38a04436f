//! `daybook relay`: the state of the relay, and requests to it.

use std::process::ExitCode;

use clap::Subcommand;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use daybook_event_stream::{
    relay::{self, RelayStatus, SetAside},
    signature,
};

use crate::{Connection, print_line};

/// The flags of `daybook relay`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// Show how far the relay is.
    Status,
    /// Publish the whole book again. Consumers skip the events that they have applied.
    Republish,
    /// Publish events again that the relay has set aside, when the cause is mended. What the broker still refuses is set aside again.
    Retry {
        /// The position of the event; all of them when left out.
        position: Option<i64>,
    },
    /// Accept that events which the relay has set aside are not on the wire. The views have them from the book.
    Skip {
        /// The position of the event; all of them when left out.
        position: Option<i64>,
    },
    /// Make a new key to sign messages with. The relay uses it a few seconds later. Messages of the key before the last one are not believed
    /// any more; the views have their events from the book.
    RotateKey,
    /// Adopt the topics for this book: all their records are deleted, and the whole book is published. For a restored book whose topics
    /// were left to another one.
    Adopt,
}

/// Runs the command.
///
/// # Errors
/// When the database failed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let book = args.connection.book()?;
    match args.what.unwrap_or(What::Status) {
        What::Status if args.json => print_line!("{}", serde_json::to_string(&relay::status(&book).await?)?),
        What::Status => show(&relay::status(&book).await?),
        What::Republish => {
            relay::republish(&book).await?;
            print_line!("the leader will publish the whole book again");
        }
        What::Retry { position } => match relay::retry(&book, position).await? {
            0 => print_line!("nothing to retry: no such event is set aside"),
            events => print_line!("the leader will publish {events} events that were set aside"),
        },
        What::Skip { position } => match relay::skip(&book, position).await? {
            0 => print_line!("nothing to skip: no such event is set aside"),
            events => print_line!("{events} events stay off the wire"),
        },
        What::RotateKey => {
            let id = signature::rotate(&book).await?;
            print_line!("key {id} is made; the leader signs with it a few seconds later");
        }
        What::Adopt => {
            relay::adopt(&book).await?;
            print_line!("the leader will empty the topics, and publish the whole book again");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(status: &RelayStatus) {
    let RelayStatus { leader, epoch, cursor, head, lag, asked_to_begin_again, .. } = status;
    let leader = if *leader { "a relay leads" } else { "no relay leads" };
    print_line!("{leader} (epoch {epoch}); published up to {cursor} of {head}, {lag} behind");
    if *asked_to_begin_again {
        print_line!("a publication of the whole book was requested, and has not begun yet");
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["topic", "partition", "last position", "offset"]);
    for partition in &status.partitions {
        table.add_row([
            partition.topic.clone(),
            partition.partition.to_string(),
            partition.last_position.to_string(),
            partition.last_offset.to_string(),
        ]);
    }
    print_line!("{table}");
    if status.set_aside.is_empty() {
        return;
    }
    print_line!(
        "set aside; `daybook relay retry` publishes them again, `daybook relay skip` accepts that the wire lacks them:"
    );
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["position", "stream", "type", "reason", "skipped"]);
    for SetAside { position, stream_id, event_type, reason, skipped } in status.set_aside.clone() {
        table.add_row([position.to_string(), stream_id, event_type, reason, skipped.to_string()]);
    }
    print_line!("{table}");
}

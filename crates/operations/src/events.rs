//! `daybook events`: read the book.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use chrono::SecondsFormat;
use clap::ValueEnum;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use daybook_event_store::{Filter, Head, RecordedEvent};

use crate::{Connection, Usage, output::cut_off};

/// The number of events of one read.
const PAGE: usize = 1_000;

/// The flags of `daybook events`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Print events after this position.
    #[arg(long, default_value_t = 0)]
    after: i64,
    /// Print only events of this stream.
    #[arg(long)]
    stream: Option<String>,
    /// Print only events of this type. The flag can be repeated.
    #[arg(long = "type")]
    types: Vec<String>,
    /// Print new events, too, until the process is stopped.
    #[arg(long)]
    follow: bool,
    /// The format of the output.
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line.
    Ndjson,
    /// A table.
    Table,
}

/// Prints events.
///
/// # Errors
/// When the book cannot be read, or the output cannot be written.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let book = args.connection.book()?;
    daybook_codec::check_types(&args.types).map_err(|unknown| Usage(unknown.to_string()))?;
    let types = (!args.types.is_empty()).then(|| daybook_codec::stored_names(&args.types));
    let filter = Filter { types, stream: args.stream, ..Filter::default() };
    let Head { position, .. } = book.head().await?;
    if args.after < 0 || args.after > position {
        return Err(Usage(format!("--after is a position of the book, from 0 to {position}")).into());
    }
    let mut follower = book.follow();
    let mut after = args.after;
    loop {
        let mut events = book.read_after(after, PAGE, &filter).await?;
        for event in &mut events {
            daybook_codec::rename(&mut event.event_type);
        }
        if let Err(error) = print(&events, args.format) {
            cut_off(&error)?;
            return Ok(ExitCode::SUCCESS);
        }
        match (events.last(), args.follow) {
            (Some(last), _) => after = last.position,
            (None, true) => {
                let head = follower.past(after.max(follower.head())).await;
                tracing::debug!(head, "the book has grown");
            }
            (None, false) => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn print(events: &[RecordedEvent], format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Ndjson => {
            for event in events {
                writeln!(out, "{}", serde_json::to_string(event)?)?;
            }
        }
        Format::Table if events.is_empty() => {}
        Format::Table => {
            let mut table = Table::new();
            table.load_style(UTF8_BORDERS_ONLY).set_header(["position", "stream", "version", "type", "at", "actor"]);
            for event in events {
                table.add_row([
                    event.position.to_string(),
                    event.stream_id.clone(),
                    event.version.to_string(),
                    event.event_type.clone(),
                    event.effective_at.to_rfc3339_opts(SecondsFormat::Secs, true),
                    event.actor.clone(),
                ]);
            }
            writeln!(out, "{table}")?;
        }
    }
    out.flush()
}

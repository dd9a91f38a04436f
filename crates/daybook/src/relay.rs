//! `daybook relay`: the wire.

use std::process::ExitCode;

use clap::Subcommand;
use daybook_event_stream::relay;

use crate::config::Connection;

/// The flags of `daybook relay`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// How far it is, as JSON.
    Status,
    /// Publish the whole book again; consumers skip what they have taken in.
    Republish,
}

/// Does it.
///
/// # Errors
/// When the database failed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let book = args.connection.book()?;
    match args.what.unwrap_or(What::Status) {
        What::Status => println!("{}", serde_json::to_string_pretty(&relay::status(&book).await?)?),
        What::Republish => {
            relay::republish(&book).await?;
            println!("the leader will publish the whole book again");
        }
    }
    Ok(ExitCode::SUCCESS)
}

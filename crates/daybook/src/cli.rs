//! The command line: one binary with one subcommand for each task.
//!
//! Exit codes: 0 success, 1 failure, 2 usage.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use daybook_event_store::error_chain;
use daybook_operations::{
    self as operations, Connection, Usage, backup, events, history, import, migrate, output, print_line, print_note,
    relay, restore, verify, views,
};

use crate::{bench, config::file::File, drain, schema, serve, telemetry, token, up};

/// How long a command that has ended waits for what it has left running.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// An event-sourced commerce engine: a book of events in PostgreSQL, published to Kafka, with read models for GraphQL.
#[derive(Debug, Parser)]
#[command(name = "daybook", version)]
struct Cli {
    /// A configuration file. `daybook config` prints one with every setting.
    #[arg(long, env = "DAYBOOK_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine: all parts, with a private PostgreSQL and broker unless others are given.
    Up(up::Args),
    /// Run some of the parts, for a cluster.
    Serve(serve::Args),
    /// Bring the database's schema up to date.
    Migrate(Connection),
    /// Load products, orders or stock in bulk.
    Import(import::Args),
    /// Read the book.
    Events(events::Args),
    /// Replay one order: its state at a moment, its events, and the changes between two versions.
    History(history::Args),
    /// The read models: list, rebuild, verify, parked, retry.
    Views(views::Args),
    /// The reactors: list, parked, retry.
    Reactors(operations::reactors::Args),
    /// The relay: status, republish, adopt.
    Relay(relay::Args),
    /// Back the book up while the shop runs.
    Backup(backup::Args),
    /// Restore a book from its back-up, as of the end or of an earlier moment.
    Restore(restore::Args),
    /// Audit the book, the views and the topics.
    Verify(verify::Args),
    /// Measure this machine, like pgbench.
    Bench(operations::bench::Args),
    /// Sign a token.
    Token(token::Args),
    /// Write the contracts, or check them.
    Schema(schema::Args),
    /// Print every setting with its value and its source, as a configuration file.
    Config {
        /// Print the reaction table instead: what the engine does by itself after which events.
        #[arg(long)]
        reactors: bool,
    },
}

/// Reads the command line and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let file = match File::named(std::env::args_os()) {
        Ok(file) => file,
        Err(error) => return failed(&error),
    };
    let matches = file.apply(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    telemetry::init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let ran = runtime.block_on(run(cli.command, &file));
    let code = ran.and_then(|code| Ok(output::ended().map(|()| code)?)).unwrap_or_else(|error| failed(&error));
    // A client of a broker that does not answer may still wait for it.
    runtime.shutdown_timeout(LAST_WAIT);
    code
}

async fn run(command: Command, file: &File) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Migrate(connection) => {
            let book = connection.book()?;
            migrate(&book).await?;
            print_line!("the schema is at {}", operations::schema().check(&book).await?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Import(args) => import::run(args).await,
        Command::Events(args) => events::run(args).await,
        Command::History(args) => history::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Views(args) => views::run(args).await,
        Command::Relay(args) => relay::run(args).await,
        Command::Backup(args) => backup::run(args, drain::asked_to_stop()).await,
        Command::Restore(args) => restore::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Token(args) => token::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Reactors(args) => operations::reactors::run(args).await,
        Command::Config { reactors: true } => {
            operations::reactors::print_table();
            Ok(ExitCode::SUCCESS)
        }
        Command::Config { reactors: false } => {
            print_line!("{}", file.describe(&Cli::command()).trim_end());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    print_note!("daybook: {}", error_chain(error.as_ref()));
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Cli, CommandFactory};
    use crate::config::file;

    fn with_a_variable(command: &clap::Command) -> BTreeSet<String> {
        let of_environment = |arg: &clap::Arg| arg.get_env().and(arg.get_long()).map(str::to_owned);
        let own = command.get_arguments().filter_map(of_environment);
        own.chain(command.get_subcommands().flat_map(with_a_variable)).collect()
    }

    #[test]
    fn every_environment_variable_has_a_setting_in_the_file() {
        let mut by_environment = with_a_variable(&Cli::command());
        assert!(by_environment.remove("config"), "a file does not name itself");
        assert_eq!(by_environment, file::flags().map(str::to_owned).collect());
    }
}

//! `idle_sockets`: 10,000 WebSockets on one shop, their memory, and the response times meanwhile. docs/limits.md has the figures. It runs
//! the engine that was built last.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for developers")]

use std::{process::ExitCode, time::Duration};

use anyhow::ensure;
use clap::Parser;
use daybook_tests::{
    Shop, directory,
    idle_sockets::{self, Plan, Report},
    sell,
};
use serde_json::json;

/// Opens WebSockets on a shop of its own, and sends commands and queries while they are idle.
#[derive(Debug, Parser)]
struct Args {
    /// The number of sockets.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// How many of them subscribe to events.
    #[arg(long, default_value_t = 1_000)]
    subscribed: usize,
    /// The number of commands that are sent meanwhile, each followed by a query.
    #[arg(long, default_value_t = 100)]
    asked: usize,
    /// For how many seconds the sockets are idle first. The server closes a socket that has not answered a ping for 60 s.
    #[arg(long, default_value_t = 90)]
    seconds: u64,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle_sockets: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(args.subscribed <= args.sockets, "more subscriptions than sockets");
    let room = daybook_edge::server::raise_file_limit(args.sockets);
    ensure!(room >= args.sockets, "the system allows {room} sockets only; see `ulimit -Hn`");
    let directory = directory();
    let (connections, subscriptions) = ((args.sockets + 100).to_string(), (args.subscribed + 10).to_string());
    let flags = ["--max-connections", &connections, "--max-subscriptions", &subscriptions];
    let shop = Shop::up_with(directory.path(), "shop", &flags).await;
    sell(&shop).await;
    let plan = Plan {
        silent: args.sockets - args.subscribed,
        subscribed: args.subscribed,
        asked: args.asked,
        idle: Duration::from_secs(args.seconds),
    };
    let report = idle_sockets::run(&shop, &plan).await?;
    ensure!(shop.stop().success(), "the shop did not stop cleanly");
    print(args, &report);
    Ok(())
}

fn print(args: &Args, report: &Report) {
    let ms = |of: &[Duration], percent| Report::percentile(of, percent).as_secs_f64() * 1_000.0;
    let figures = [
        ("kb_per_socket", report.kb_per_socket),
        ("opened_in_s", report.opened_in.as_secs_f64()),
        ("answer_p50_ms", ms(&report.answers, 50)),
        ("answer_p99_ms", ms(&report.answers, 99)),
        ("delivered_p50_ms", ms(&report.delivered, 50)),
        ("delivered_p99_ms", ms(&report.delivered, 99)),
    ];
    if args.json {
        let mut object = json!({ "sockets": args.sockets, "subscribed": args.subscribed });
        figures.iter().for_each(|(name, figure)| object[*name] = json!(figure));
        println!("{object}");
        return;
    }
    println!("{} sockets, {} of them subscribed", args.sockets, args.subscribed);
    figures.iter().for_each(|(name, figure)| println!("{name:<16} {figure:.1}"));
}

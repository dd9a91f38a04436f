//! `daybook views rebuild`: one view or all views, one after the other or at once, with progress.

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::ensure;
use daybook_event_store::{Daybook, error_chain};
use daybook_event_stream::Topology;
use daybook_projectors::{rebuild, view::ViewSpec, views};
use indicatif::{MultiProgress, ProgressBar};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{print_line, print_note, progress};

/// How often progress is printed without a terminal.
const PRINT_EVERY: Duration = Duration::from_secs(1);

/// The flags of `daybook views rebuild`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// The views.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// Rebuild all views.
    #[arg(long)]
    all: bool,
    /// Rebuild them at the same time, and not one after the other. It takes as much more memory.
    #[arg(long)]
    at_once: bool,
}

/// Rebuilds views. A failure does not undo the views that were rebuilt.
pub(super) async fn run(book: &Daybook, topology: &Topology, args: Args, json: bool) -> anyhow::Result<()> {
    let named = args.names.iter().map(|name| super::named(name));
    let wanted = if args.all { views::ALL.to_vec() } else { named.collect::<Result<_, _>>()? };
    let bars = MultiProgress::new();
    let mut running = JoinSet::new();
    let mut failed = 0;
    for view in wanted {
        let (book, topology, shown) = (book.clone(), topology.clone(), Shown::new(view, &bars, json));
        running.spawn(async move { one(&book, &topology, view, &shown).await });
        if !args.at_once {
            failed += ended(&mut running).await?;
        }
    }
    while !running.is_empty() {
        failed += ended(&mut running).await?;
    }
    ensure!(failed == 0, "{failed} views were not rebuilt and are unchanged");
    Ok(())
}

/// Waits for the next rebuild to end. Returns the number of failures.
async fn ended(running: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<usize> {
    let Some(ended) = running.join_next().await else { return Ok(0) };
    match ended? {
        Ok(()) => Ok(0),
        Err(error) => {
            print_note!("{}", error_chain(error.as_ref()));
            Ok(1)
        }
    }
}

async fn one(book: &Daybook, topology: &Topology, view: &'static ViewSpec, shown: &Shown) -> anyhow::Result<()> {
    let begin = Instant::now();
    let rebuilt = rebuild::rebuild(book, topology, view, &|done, of| shown.progress(done, of)).await;
    shown.bar.finish_and_clear();
    let version =
        rebuilt.map_err(|error| anyhow::Error::new(error).context(format!("{} was not rebuilt", view.name)))?;
    if shown.json {
        print_line!("{}", json!({ "view": view.name, "version": version, "seconds": begin.elapsed().as_secs_f64() }));
    } else {
        print_line!("{} is shown in version {version}", view.name);
    }
    Ok(())
}

/// The progress of a rebuild: a bar on a terminal, lines otherwise, or JSON.
struct Shown {
    view: &'static str,
    bar: ProgressBar,
    json: bool,
    is_terminal: bool,
    printed: Mutex<Instant>,
}

impl Shown {
    fn new(view: &'static ViewSpec, bars: &MultiProgress, json: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = progress::bar(&format!("rebuilding {}", view.name), 0);
        let bar = if is_terminal { bars.add(bar) } else { bar };
        Self { view: view.name, bar, json, is_terminal, printed: Mutex::new(Instant::now()) }
    }

    fn progress(&self, done: i64, of: i64) {
        self.bar.set_length(u64::try_from(of).unwrap_or(0));
        self.bar.set_position(u64::try_from(done).unwrap_or(0));
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if printed.elapsed() < PRINT_EVERY {
            return;
        }
        *printed = Instant::now();
        if self.json {
            print_line!("{}", json!({ "view": self.view, "done": done, "of": of }));
        } else if !self.is_terminal {
            print_note!("rebuilding {}: {done} of {of}", self.view);
        }
    }
}

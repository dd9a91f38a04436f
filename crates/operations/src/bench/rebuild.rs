//! Rebuilding every view from the book, one after the other, each by one worker. The ceiling is a bare binary COPY of the rows of the
//! heaviest view, `order`, into empty tables with the same indexes.

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use daybook_projectors::{rebuild, views};
use futures::{SinkExt, TryStreamExt, pin_mut};
use serde_json::{Map, json};

use super::{
    engine::PARTITIONS,
    history,
    load::Tally,
    report::{Ceiling, Report, per_second},
    stage::Stage,
};

/// The view of the main figure. It has a timeline row for each event, and a row with six indexes for each order.
const HEAVIEST: &str = "order";

pub(super) async fn measure(stage: &Stage, events: i64) -> anyhow::Result<Report> {
    let written = history::write(stage, events).await?;
    let topology = daybook_projectors::topology("daybook", PARTITIONS);
    let client = stage.connect().await?;
    let mut figures = Map::new();
    let (mut heaviest, mut all) = ((0, Duration::ZERO), Duration::ZERO);
    for view in views::ALL {
        let taken: i64 = client
            .query_one(
                "SELECT count(*) FROM events WHERE split_part(stream_id, '-', 1) = ANY ($1)",
                &[&view.stream_prefixes()],
            )
            .await?
            .try_get(0)?;
        if taken == 0 {
            continue;
        }
        let begin = Instant::now();
        rebuild::build_if_missing(&stage.book, &topology, view).await?;
        let took = begin.elapsed();
        all += took;
        if view.name == HEAVIEST {
            heaviest = (taken, took);
        }
        figures.insert(
            view.name.to_owned(),
            json!({ "events": taken, "seconds": took.as_secs_f64(), "events_per_s": per_second(taken, took),
                    "book_events_per_s": per_second(written, took) }),
        );
    }
    let ceiling = bare_copy(stage, heaviest.0).await?;
    let ratio = per_second(heaviest.0, heaviest.1) / ceiling.events_per_s;
    let tally = Tally { elapsed: heaviest.1, ..Tally::default() };
    Ok(Report::new("rebuild", 1, &tally, heaviest.0, ceiling)
        .with("of_ceiling", ratio)
        .with("view", HEAVIEST)
        .with("book_events", written)
        .with("all_views_seconds", all.as_secs_f64())
        .with("peak_memory_mb", peak_memory_mb()?)
        .with("views", figures))
}

/// Copies the rows of the heaviest view into empty tables like its own.
async fn bare_copy(stage: &Stage, events: i64) -> anyhow::Result<Ceiling> {
    let client = stage.connect().await?;
    let view = views::named(HEAVIEST)?;
    client
        .batch_execute(&format!(
            "SET synchronous_commit = off; CREATE SCHEMA bare; SET search_path = bare; {}",
            view.ddl()
        ))
        .await?;
    let mut tables = Vec::new();
    for table in view.tables.iter().map(|table| table.name) {
        let rows = client.copy_out(&format!("COPY {}.{table} TO STDOUT (FORMAT binary)", view.versioned(1))).await?;
        tables.push((table, rows.try_collect::<Vec<Bytes>>().await?));
    }
    let begin = Instant::now();
    for (table, rows) in tables {
        let sink = client.copy_in::<_, Bytes>(&format!("COPY bare.{table} FROM STDIN (FORMAT binary)")).await?;
        pin_mut!(sink);
        for row in rows {
            sink.feed(row).await?;
        }
        sink.finish().await?;
    }
    let took = begin.elapsed();
    client.batch_execute("DROP SCHEMA bare CASCADE").await?;
    let what = "bare binary COPY of the view's rows into its tables with their indexes".to_owned();
    Ok(Ceiling { what, events_per_s: per_second(events, took) })
}

/// The peak memory of this process, in MB.
fn peak_memory_mb() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("this is not Linux")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak is known")?;
    let kilobytes: u64 = peak.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024)
}

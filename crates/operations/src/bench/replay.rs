//! Replaying the book: every event is read, decoded, and folded into the state of its stream by the domain. One task reads and decodes,
//! another one folds.

use std::{collections::HashMap, time::Instant};

use anyhow::ensure;
use daybook_domain::{Event, State, StreamName};
use daybook_event_store::{Daybook, RecordedEvent};
use futures::{TryStreamExt, pin_mut};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    history,
    load::Tally,
    report::{Ceiling, Report, per_second},
    stage::Stage,
};

/// The number of events of one batch from the reader to the fold.
const BATCH: usize = 2_000;
/// The number of batches that may wait.
const WAITING: usize = 4;

pub(super) async fn measure(stage: &Stage, events: i64) -> anyhow::Result<Report> {
    let events = history::write(stage, events).await?;
    // An unmeasured run comes first, so that both measurements find the book in memory.
    bare_read(stage).await?;
    let ceiling = bare_read(stage).await?;
    let begin = Instant::now();
    let states = fold(&stage.book, events).await?;
    let tally = Tally { elapsed: begin.elapsed(), ..Tally::default() };
    let folded: i64 = states.values().map(|(_, events)| events).sum();
    ensure!(folded == events, "{folded} of {events} events were folded");
    let ratio = per_second(events, tally.elapsed) / ceiling.events_per_s;
    Ok(Report::new("replay", 1, &tally, events, ceiling)
        .with("of_ceiling", ratio)
        .with("events", events)
        .with("streams", states.len()))
}

/// Reads all events and discards them.
async fn bare_read(stage: &Stage) -> anyhow::Result<Ceiling> {
    let client = stage.connect().await?;
    let events: i64 = client.query_one("SELECT count(*) FROM events", &[]).await?.try_get(0)?;
    let begin = Instant::now();
    let bytes = client.copy_out("COPY (SELECT * FROM events ORDER BY position) TO STDOUT (FORMAT binary)").await?;
    pin_mut!(bytes);
    while bytes.try_next().await?.is_some() {}
    let what = "bare COPY of all events TO STDOUT, binary".to_owned();
    Ok(Ceiling { what, events_per_s: per_second(events, begin.elapsed()) })
}

/// The state of every stream, with the number of its events.
async fn fold(book: &Daybook, up_to: i64) -> anyhow::Result<HashMap<String, (State, i64)>> {
    let (send, mut batches) = mpsc::channel(WAITING);
    let reading = AbortOnDropHandle::new(tokio::spawn(read(book.clone(), up_to, send)));
    let mut states: HashMap<String, (State, i64)> = HashMap::new();
    while let Some(batch) = batches.recv().await {
        for (record, event) in batch {
            if let Some((state, events)) = states.get_mut(&record.stream_id) {
                state.evolve(&event, record.effective_at);
                *events += 1;
            } else if let Some(mut state) = State::empty(&StreamName::from(record.stream_id.as_str())) {
                state.evolve(&event, record.effective_at);
                states.insert(record.stream_id, (state, 1));
            }
        }
    }
    reading.await??;
    Ok(states)
}

async fn read(book: Daybook, up_to: i64, batches: mpsc::Sender<Vec<(RecordedEvent, Event)>>) -> anyhow::Result<()> {
    let records = book.scan(0, up_to).await?;
    pin_mut!(records);
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(record) = records.try_next().await? {
        let event = daybook_codec::decode(&record.event_type, record.schema_version, record.data.as_bytes())?;
        batch.push((record, event));
        if batch.len() == BATCH {
            batches.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).await?;
        }
    }
    batches.send(batch).await?;
    Ok(())
}

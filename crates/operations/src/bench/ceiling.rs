//! The ceiling: the bare database writes the same rows, without checks, command log or bus. No event store on this PostgreSQL can be
//! faster.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use uuid::Uuid;

use super::{report::Ceiling, stage::Stage};

/// The number of rows of one transaction.
const ROWS: i64 = 500;

const TABLE: &str = "
    CREATE TABLE bare_events (
        position bigint PRIMARY KEY, stream_id text COLLATE \"C\" NOT NULL, version integer NOT NULL, type text NOT NULL,
        schema_version smallint NOT NULL, event_id uuid NOT NULL, recorded_at timestamptz NOT NULL,
        effective_at timestamptz NOT NULL, correlation_id uuid NOT NULL, causation_id uuid NOT NULL, actor text NOT NULL,
        trace text, key_id uuid, data text NOT NULL
    );
    CREATE UNIQUE INDEX ON bare_events (stream_id, version);";

const INSERT: &str = "
    INSERT INTO bare_events
    SELECT $1 + nr, stream_id, 1, 'catalog.ProductCreated', 1::smallint, event_id, now(), now(), event_id, event_id,
           'admin:bench', NULL, NULL, data
    FROM unnest($2::text[], $3::uuid[], $4::text[]) WITH ORDINALITY AS row (stream_id, event_id, data, nr)";

/// How long the server warms up before a measurement.
const WARM_UP: Duration = Duration::from_secs(2);

/// Writes batches of 500 events of `bytes` bytes over one connection for `time`. An unmeasured run comes first, so that the ceiling and
/// the measurement find the same warm server.
pub(super) async fn batches(stage: &Stage, bytes: usize, time: Duration) -> anyhow::Result<Ceiling> {
    write_batches(stage, bytes, WARM_UP).await?;
    let events_per_s = write_batches(stage, bytes, time).await?;
    Ok(Ceiling { what: format!("bare INSERT … SELECT unnest of {ROWS} events a transaction"), events_per_s })
}

/// Writes for `time`. Returns the events a second.
async fn write_batches(stage: &Stage, bytes: usize, time: Duration) -> anyhow::Result<f64> {
    let client = stage.connect().await?;
    client.batch_execute(TABLE).await?;
    let insert = client.prepare(INSERT).await?;
    let data = "x".repeat(bytes);
    let mut ids = Ids(0);
    let mut written = 0_i64;
    let begin = Instant::now();
    while begin.elapsed() < time {
        let event_ids: Vec<Uuid> = (0..ROWS).map(|_| ids.next()).collect();
        let streams: Vec<String> = event_ids.iter().map(|id| format!("product-{id}")).collect();
        let payloads = vec![data.as_str(); event_ids.len()];
        client.execute(&insert, &[&written, &streams, &event_ids, &payloads]).await?;
        written += ROWS;
    }
    let elapsed = begin.elapsed();
    client.batch_execute("DROP TABLE bare_events").await?;
    stage.settle().await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    Ok(written as f64 / elapsed.as_secs_f64())
}

/// The median time of a bare INSERT of one event with its commit, in milliseconds. No caller can wait less.
pub(super) async fn single(stage: &Stage, bytes: usize, time: Duration) -> anyhow::Result<f64> {
    let client: Client = stage.connect().await?;
    client.batch_execute(TABLE).await?;
    let insert = client.prepare(INSERT).await?;
    let data = "x".repeat(bytes);
    let mut ids = Ids(0);
    let mut took = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < time {
        let event_id = ids.next();
        let sent = Instant::now();
        let position = i64::try_from(took.len()).unwrap_or(i64::MAX);
        let stream = format!("product-{event_id}");
        client.execute(&insert, &[&position, &vec![stream], &vec![event_id], &vec![data.as_str()]]).await?;
        took.push(sent.elapsed());
    }
    client.batch_execute("DROP TABLE bare_events").await?;
    took.sort_unstable();
    Ok(took[took.len() / 2].as_secs_f64() * 1000.0)
}

/// Ids that are ordered by time, like UUIDs of version 7.
struct Ids(u64);

impl Ids {
    fn next(&mut self) -> Uuid {
        self.0 += 1;
        uuid::Builder::from_unix_timestamp_millis(self.0, &[7; 10]).into_uuid()
    }
}

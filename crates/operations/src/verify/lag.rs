//! Views that are behind the book and do not move. The comparison with a fold of the book does not find them, since it ends at their
//! own position.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use daybook_event_store::Daybook;

use super::Check;

/// How long a view behind the book may stand still. It is longer than a rebalance takes, and than a stalled consumer takes to restart.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the positions are read.
const POLL: Duration = Duration::from_millis(200);

/// The positions of the views, and the end of the book at the same moment.
struct Snapshot {
    positions: BTreeMap<String, i64>,
    end: i64,
}

/// Finds views that are behind the book and do not move. Views that are up to date end the check at once.
pub(super) async fn check(book: &Daybook) -> anyhow::Result<Check> {
    let (first, begin) = (snapshot(book).await?, Instant::now());
    let mut check = Check::new("no view stands still");
    check.checked = i64::try_from(first.positions.len()).unwrap_or(i64::MAX);
    let mut still = first.positions;
    loop {
        still.retain(|_, position| *position < first.end);
        if still.is_empty() || begin.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(POLL).await;
        let now = snapshot(book).await?;
        // A view that was swapped for another version moves, too, even to an earlier position.
        still.retain(|view, position| now.positions.get(view) == Some(position));
    }
    for (view, position) in still {
        check.violation(|| format!("{view} shows position {position} of {}, and stays there", first.end));
    }
    Ok(check)
}

async fn snapshot(book: &Daybook) -> anyhow::Result<Snapshot> {
    let client = book.pool().get().await?;
    let statement = "SELECT (SELECT coalesce(max(position), 0) FROM events), name, position FROM read.view_status";
    let mut snapshot = Snapshot { positions: BTreeMap::new(), end: 0 };
    for row in client.query(statement, &[]).await? {
        snapshot.end = row.try_get(0)?;
        snapshot.positions.insert(row.try_get(1)?, row.try_get(2)?);
    }
    Ok(snapshot)
}

//! Whether the views go on. That a view equals a fold of the book up to where it is says nothing of one that stays where it is.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use daybook_event_store::Daybook;

use super::Check;

/// How long a view that is behind the book may stay where it is: longer than partitions take to find another process, and than a
/// stalled consumer takes to notice and to begin anew.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// How far the views are, and where the book ended at the same moment.
struct Look {
    positions: BTreeMap<String, i64>,
    end: i64,
}

/// Finds views that are behind the book and do not move. Those that are up to date are done at the first look.
pub(super) async fn check(book: &Daybook) -> anyhow::Result<Check> {
    let (first, begin) = (look(book).await?, Instant::now());
    let mut check = Check::new("no view stands still");
    check.checked = i64::try_from(first.positions.len()).unwrap_or(i64::MAX);
    let mut still = first.positions;
    loop {
        still.retain(|_, position| *position < first.end);
        if still.is_empty() || begin.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(EVERY).await;
        let now = look(book).await?;
        // One that was swapped for another version meanwhile may begin further back, and moves, too.
        still.retain(|view, position| now.positions.get(view) == Some(position));
    }
    for (view, position) in still {
        check.found(|| format!("{view} shows position {position} of {}, and stays there", first.end));
    }
    Ok(check)
}

async fn look(book: &Daybook) -> anyhow::Result<Look> {
    let client = book.pool().get().await?;
    let statement = "SELECT (SELECT coalesce(max(position), 0) FROM events), name, position FROM read.view_status";
    let mut look = Look { positions: BTreeMap::new(), end: 0 };
    for row in client.query(statement, &[]).await? {
        look.end = row.try_get(0)?;
        look.positions.insert(row.try_get(1)?, row.try_get(2)?);
    }
    Ok(look)
}

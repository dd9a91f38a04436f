//! Reactions that are not sent although they are due, or that no attempt can send.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use daybook_event_store::Daybook;
use daybook_reactors::OVERDUE_AFTER;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Check;

/// How long a reactor may take to send what is overdue. The engine may have started just now.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the table is read.
const POLL: Duration = Duration::from_millis(200);

/// Finds parked reactions, and reactors whose first reaction is overdue and is not sent meanwhile. Without overdue reactions the check
/// ends at once.
pub(super) async fn check(book: &Daybook) -> anyhow::Result<Check> {
    let client = book.pool().get().await?;
    let mut check = Check::new("every reaction is sent when it is due");
    let waiting: i64 = client.query_one("SELECT count(*) FROM reactions", &[]).await?.try_get(0)?;
    // A reactor without reactions is checked as well.
    check.checked = waiting.saturating_add(i64::try_from(daybook_reactors::ALL.len())?);
    drop(client);

    let (mut overdue, begin) = (overdue(book).await?, Instant::now());
    while !overdue.is_empty() && begin.elapsed() < PATIENCE {
        tokio::time::sleep(POLL).await;
        let now = self::overdue(book).await?;
        overdue.retain(|reactor, first| now.get(reactor).is_some_and(|now| now.id == first.id));
    }
    for reaction in parked(book).await?.iter().chain(overdue.values()) {
        let Reaction { reactor, key, command, planned, failure, .. } = reaction;
        check.violation(|| format!("{reactor} has not sent {command} for {key}, planned for {planned}: {failure}"));
    }
    Ok(check)
}

/// A reaction that was not sent.
struct Reaction {
    id: Uuid,
    reactor: String,
    key: String,
    command: String,
    planned: String,
    failure: String,
}

const COLUMNS: &str = "reactor, id, key, command, planned::text, coalesce(failure, 'it has not failed')";

fn reaction(row: &Row) -> Result<Reaction, tokio_postgres::Error> {
    Ok(Reaction {
        reactor: row.try_get(0)?,
        id: row.try_get(1)?,
        key: row.try_get(2)?,
        command: row.try_get(3)?,
        planned: row.try_get(4)?,
        failure: row.try_get(5)?,
    })
}

/// The first reaction of each reactor, where it is overdue.
async fn overdue(book: &Daybook) -> anyhow::Result<BTreeMap<String, Reaction>> {
    let client = book.pool().get().await?;
    let sql = format!(
        "SELECT DISTINCT ON (reactor) {COLUMNS} FROM reactions
         WHERE NOT parked AND planned < now() - make_interval(secs => $1) ORDER BY reactor, planned, key"
    );
    let first = client.query(&sql, &[&OVERDUE_AFTER.as_secs_f64()]).await?;
    let first = first.iter().map(|row| reaction(row).map(|reaction| (reaction.reactor.clone(), reaction)));
    Ok(first.collect::<Result<_, _>>()?)
}

async fn parked(book: &Daybook) -> anyhow::Result<Vec<Reaction>> {
    let client = book.pool().get().await?;
    let sql = format!("SELECT {COLUMNS} FROM reactions WHERE parked ORDER BY reactor, planned, key");
    let parked = client.query(&sql, &[]).await?;
    Ok(parked.iter().map(reaction).collect::<Result<_, _>>()?)
}

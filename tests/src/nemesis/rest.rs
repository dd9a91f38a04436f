//! The end of a run: the reactors come to rest. Then the book and the table of reactions are read.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{PATIENCE, book::Book, cluster::Cluster, faults::wait};

/// A reaction that waits: its reactor and its key.
pub type Timer = (String, String);

/// The consumers of the reactors.
const CONSUMERS: [&str; 2] = ["reactor_cart_expiry", "reactor_reservation_expiry"];

/// The book and the timers, as of one moment.
pub struct Rest {
    /// The book.
    pub book: Book,
    /// The reactions that wait.
    pub timers: BTreeSet<Timer>,
    /// Why the reactors did not come to rest, if they did not.
    pub unrest: Option<String>,
}

/// Waits until the reactors have processed the book, and have nothing to send within the next hour. Reservations of clients expire within
/// seconds, or in a day if the clock of a client was wrong.
///
/// # Errors
/// When the system fails.
pub async fn reached(cluster: &mut Cluster) -> anyhow::Result<Rest> {
    let begin = Instant::now();
    loop {
        let sql = cluster.sql_patiently().await?;
        let row = sql
            .query_one(
                "SELECT h.position, (SELECT min(consumer_position(c)) FROM unnest($1::text[]) AS c),
                        (SELECT count(*) FROM reactions WHERE due < now() + interval '1 hour')
                 FROM head h",
                &[&&CONSUMERS[..]],
            )
            .await?;
        let (head, position, due): (i64, Option<i64>, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let is_at_rest = position >= Some(head) && due == 0;
        let is_over = begin.elapsed() > PATIENCE;
        if is_at_rest || is_over {
            let rows = sql.query("SELECT reactor, key FROM reactions", &[]).await?;
            let timers = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
            let timers = timers.collect::<Result<_, tokio_postgres::Error>>()?;
            let book = Book::read(&sql).await?;
            // A command without an outcome may be committed late.
            if is_over || book.head() == head {
                let unrest = || format!("they are at position {position:?} of {head}, and {due} reactions are due");
                return Ok(Rest { book, timers, unrest: (!is_at_rest).then(unrest) });
            }
        }
        wait(cluster, Duration::from_millis(100)).await?;
    }
}

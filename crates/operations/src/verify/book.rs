//! Invariants of the book as a list of events, and of the read models alone, in SQL.

use daybook_event_store::Daybook;

use super::{Check, sql};

const EVENTS: &str = "SELECT count(*) FROM events";

pub(super) async fn checks(book: &Daybook) -> anyhow::Result<Vec<Check>> {
    Ok(vec![
        sql(
            book,
            "positions are gapless and end at the head",
            EVENTS,
            "SELECT position, 'position ' || position || ' follows ' || coalesce(before::text, 'nothing') FROM (
                 SELECT position, lag(position) OVER (ORDER BY position) AS before FROM events) AS e
             WHERE position <> coalesce(before, 0) + 1
             UNION ALL
             SELECT h.position, 'the head says ' || h.position || ', the last event is ' || coalesce(max(e.position), 0)
             FROM head h LEFT JOIN events e ON true GROUP BY h.position HAVING h.position <> coalesce(max(e.position), 0)",
        )
        .await?,
        sql(
            book,
            "streams are unbroken",
            "SELECT count(DISTINCT stream_id) FROM events",
            "SELECT position, 'version ' || version || ' of ' || stream_id || ', at position ' || position || ', follows '
                 || CASE WHEN before IS NULL THEN 'nothing' ELSE 'version ' || before || ' at position ' || place END
             FROM (SELECT position, stream_id, version, lag(version) OVER stream AS before, lag(position) OVER stream AS place
                   FROM events WINDOW stream AS (PARTITION BY stream_id ORDER BY version)) AS e
             WHERE version <> coalesce(before, 0) + 1 OR position <= place",
        )
        .await?,
        sql(
            book,
            "recorded times never run backwards",
            EVENTS,
            "SELECT position, 'position ' || position || ' was recorded before the one before it' FROM (
                 SELECT position, recorded_at < lag(recorded_at) OVER (ORDER BY position) AS backwards FROM events) AS e
             WHERE backwards",
        )
        .await?,
        // The log of commands divides the book into ranges without gaps, each with the events of one command. A command that changed nothing
        // has an empty range, before the one that begins at the same position.
        sql(
            book,
            "every event belongs to one acknowledged command",
            "SELECT count(*) FROM commands",
            "SELECT first_position, 'command ' || command_id || ' begins at position ' || first_position
                 || ', the one before it ends at ' || ended
             FROM (SELECT command_id, first_position,
                          coalesce(lag(first_position + events - 1) OVER (ORDER BY first_position, events), 0) AS ended
                   FROM commands) AS c
             WHERE first_position <> ended + 1
             UNION ALL
             SELECT 9223372036854775807, 'the commands have events up to position ' || coalesce(max(c.first_position + c.events - 1), 0)
                 || ', the book up to ' || h.position
             FROM head h LEFT JOIN commands c ON true
             GROUP BY h.position HAVING coalesce(max(c.first_position + c.events - 1), 0) <> h.position
             UNION ALL
             SELECT first_position, 'command ' || command_id || ' has ' || events || ' events from position ' || first_position
                 || ', of which the book has ' || there
             FROM (SELECT c.command_id, c.first_position, c.events, count(e.position) AS there
                   FROM commands c LEFT JOIN events e
                       ON e.position >= c.first_position AND e.position < c.first_position + c.events
                   GROUP BY c.command_id, c.scope, c.first_position, c.events) AS c
             WHERE there <> events",
        )
        .await?,
    ])
}

/// The invariants of the read models alone.
pub(super) async fn checks_of_views(book: &Daybook) -> anyhow::Result<Vec<Check>> {
    let mut checks = Vec::new();
    let client = book.pool().get().await?;
    // A missing view is reported by its own check.
    let is_built =
        client.query_one("SELECT to_regclass('read.sales_by_quarter_hour') IS NOT NULL", &[]).await?.try_get(0)?;
    drop(client);
    if is_built {
        checks.push(
            sql(
                book,
                "sales by day are the sums of the orders",
                "SELECT count(*) FROM read.sales_by_quarter_hour",
                "SELECT quarter_hour::text, 'from ' || to_timestamp(quarter_hour * 900) AT TIME ZONE 'UTC'
                     || ' on net sales are shown as ' || coalesce(s.net, 0) || ' ' || currency || ' of ' || coalesce(s.orders, 0)
                     || ' orders, the orders of that quarter-hour come to ' || coalesce(o.net, 0) || ' of ' || coalesce(o.orders, 0)
                     || ', with cancellations, returns and refunds of ' || coalesce(s.cancelled + s.returned + s.refunded, 0)
                     || ' and ' || coalesce(o.cancelled + o.returned + o.refunded, 0)
                 FROM read.sales_by_quarter_hour s FULL JOIN (
                     SELECT p.quarter_hour, currency, sum(p.orders) AS orders, sum(p.units) AS units, sum(p.gross) AS gross,
                            sum(p.discount) AS discount, sum(p.net) AS net, sum(cancelled) AS cancelled, sum(returned) AS returned,
                            sum(refunded) AS refunded
                     FROM read.sales_orders o CROSS JOIN LATERAL (VALUES
                         (o.quarter_hour, o.counted::int, o.units * o.counted::int, o.gross * o.counted::int,
                          o.discount * o.counted::int, o.net * o.counted::int, 0, 0, 0),
                         (o.cancelled_in, 0, 0, 0, 0, 0, o.net, 0, 0),
                         (o.returned_in, 0, 0, 0, 0, 0, 0, o.net, 0),
                         (o.refunded_in, 0, 0, 0, 0, 0, 0, 0, o.net)
                     ) AS p (quarter_hour, orders, units, gross, discount, net, cancelled, returned, refunded)
                     WHERE p.quarter_hour IS NOT NULL GROUP BY p.quarter_hour, currency) AS o USING (quarter_hour, currency)
                 WHERE (coalesce(s.orders, 0), coalesce(s.units, 0), coalesce(s.gross, 0), coalesce(s.discount, 0), coalesce(s.net, 0),
                        coalesce(s.cancelled, 0), coalesce(s.returned, 0), coalesce(s.refunded, 0))
                    <> (coalesce(o.orders, 0), coalesce(o.units, 0), coalesce(o.gross, 0), coalesce(o.discount, 0), coalesce(o.net, 0),
                        coalesce(o.cancelled, 0), coalesce(o.returned, 0), coalesce(o.refunded, 0))",
            )
            .await?,
        );
    }
    checks.push(
        sql(
            book,
            "nothing is parked",
            "SELECT count(*) FROM views",
            "SELECT p.position, p.consumer || ' has parked position ' || p.position || ' of ' || p.stream_id || ': ' || p.reason
             FROM parked_events p WHERE NOT p.waiting",
        )
        .await?,
    );
    checks.push(
        sql(
            book,
            "nothing waits for a newer program",
            "SELECT count(*) FROM views",
            "SELECT p.position, p.consumer || ' waits at position ' || p.position || ' of ' || p.stream_id || ': ' || p.reason
             FROM parked_events p WHERE p.waiting",
        )
        .await?,
    );
    checks.push(
        sql(
            book,
            "the relay has set nothing aside",
            "SELECT count(*) FROM relay_partitions",
            "SELECT position, 'position ' || position || ' of ' || stream_id || ' (' || type || ') is not on the wire: ' || reason
             FROM relay_set_aside WHERE NOT skipped",
        )
        .await?,
    );
    Ok(checks)
}

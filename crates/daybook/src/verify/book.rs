//! What the book and the tables must be like.

use daybook_event_store::Daybook;

use super::{Check, sql};

const EVENTS: &str = "SELECT count(*) FROM events";

pub(super) async fn checks(book: &Daybook) -> anyhow::Result<Vec<Check>> {
    Ok(vec![
        sql(
            book,
            "positions are gapless and end at the head",
            EVENTS,
            "SELECT 'position ' || position || ' follows ' || coalesce(before::text, 'nothing') FROM (
                 SELECT position, lag(position) OVER (ORDER BY position) AS before FROM events) AS e
             WHERE position <> coalesce(before, 0) + 1
             UNION ALL
             SELECT 'the head says ' || h.position || ', the last event is ' || coalesce(max(e.position), 0)
             FROM head h LEFT JOIN events e ON true GROUP BY h.position HAVING h.position <> coalesce(max(e.position), 0)",
        )
        .await?,
        sql(
            book,
            "streams are unbroken",
            "SELECT count(DISTINCT stream_id) FROM events",
            "SELECT stream_id || ' has ' || count(*) || ' events up to version ' || max(version) FROM events
             GROUP BY stream_id HAVING min(version) <> 1 OR max(version) <> count(*)",
        )
        .await?,
        sql(
            book,
            "recorded times never run backwards",
            EVENTS,
            "SELECT 'position ' || position || ' was recorded before the one before it' FROM (
                 SELECT position, recorded_at < lag(recorded_at) OVER (ORDER BY position) AS backwards FROM events) AS e
             WHERE backwards",
        )
        .await?,
        sql(
            book,
            "every event belongs to one acknowledged command",
            "SELECT count(*) FROM commands",
            "SELECT 'position ' || e.position || ' belongs to no command' FROM events e
             WHERE NOT EXISTS (SELECT 1 FROM commands c WHERE c.command_id = e.causation_id)
             UNION ALL
             SELECT 'command ' || command_id || ' should have events up to ' || first_position + events - 1
             FROM commands, head WHERE first_position + events - 1 > head.position
             UNION ALL
             SELECT 'the commands hold ' || sum(c.events) || ' events, the book ' || h.position
             FROM commands c, head h GROUP BY h.position HAVING sum(c.events) <> h.position",
        )
        .await?,
        sql(
            book,
            "no stock is below zero",
            "SELECT count(*) FROM read.stock",
            "SELECT sku || '@' || location || ' has ' || on_hand || ' on hand and ' || reserved || ' reserved'
             FROM read.stock WHERE on_hand < reserved AND NOT backorders",
        )
        .await?,
        sql(
            book,
            "the money of every order adds up",
            "SELECT count(*) FROM read.orders",
            "SELECT 'order ' || order_id || ' comes to ' || net FROM read.orders o
             WHERE net <> gross - discount
                OR net <> (SELECT sum((line -> 'line_total' ->> 'minor_units')::bigint) FROM jsonb_array_elements(o.lines) AS line)",
        )
        .await?,
        sql(
            book,
            "sales by day are the sums of the orders",
            "SELECT count(*) FROM read.sales_by_day",
            "SELECT 'day ' || coalesce(s.day, o.day) || ' shows ' || coalesce(s.net, 0) || ', its orders ' || coalesce(o.net, 0)
             FROM read.sales_by_day s FULL JOIN (
                 SELECT (placed_at AT TIME ZONE 'UTC')::date AS day, currency, sum(net) AS net, count(*) AS orders
                 FROM read.orders p WHERE NOT EXISTS (
                     SELECT 1 FROM read.order_timeline t WHERE t.order_id = p.order_id AND t.type = 'OrderCancelled')
                 GROUP BY 1, 2) AS o USING (day, currency)
             WHERE coalesce(s.net, 0) <> coalesce(o.net, 0) OR coalesce(s.orders, 0) <> coalesce(o.orders, 0)",
        )
        .await?,
    ])
}

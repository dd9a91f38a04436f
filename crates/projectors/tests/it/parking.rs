//! Poison: an event that cannot be processed parks its stream and no other.

use daybook_event_store::Filter;
use daybook_event_stream::{
    Effect, EffectError, SharedEvent,
    consumer::{ConsumerError, parked},
};
use daybook_projectors::{audit, projection::Projection, rebuild, views};
use deadpool_postgres::Transaction;
use serde_json::json;
use tokio_postgres::error::SqlState;

use crate::{
    facts::{claim, id, order, placed},
    world::{World, topology, until, world},
};

/// The views that process every event of an order.
const VIEWS: [&str; 3] = ["order", "sales_by_day", "top_products"];

/// The shown phases of the orders, and whether sales count them.
async fn phases(world: &World) -> Vec<String> {
    let client = world.database.connect().await;
    let sql = "SELECT o.phase || CASE WHEN s.counted THEN ' counted' ELSE '' END
               FROM read.orders o JOIN read.sales_orders s USING (order_id) ORDER BY order_id";
    client.query(sql, &[]).await.expect("an answer").iter().map(|row| row.get(0)).collect()
}

async fn parked(world: &World) -> Vec<(String, i64, String)> {
    let list = parked::list(&world.book).await.expect("an answer");
    assert!(list.iter().all(|event| event.stream_id == format!("order-{}", id(1))));
    list.into_iter().map(|event| (event.consumer, event.position, event.reason)).collect()
}

async fn retry(world: &World, view: &str) -> Result<usize, ConsumerError> {
    let projection = Projection::new(views::named(view).expect("the view exists"), 1);
    parked::retry(&world.book, &format!("{view}_v1"), &format!("order-{}", id(1)), &projection).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_stream_is_parked_in_every_view_until_the_event_is_repaired() {
    let mut world = world().await;
    let (relay, projectors) = (world.relay(), world.projectors("one"));
    world.views_are_up_to_date().await;
    let because = json!({ "reason": "a reason" });
    world.writer.write(&[placed(1), placed(2)]).await;
    world.writer.write_raw(&format!("order-{}", id(1)), "order.OrderConfirmed", "{}").await;
    world
        .writer
        .write(&[order("order.OrderConfirmed", 2, &json!({})), order("order.OrderCancelled", 1, &because)])
        .await;
    until("the stream is parked in every view", async || parked(&world).await.len() == 2 * VIEWS.len()).await;
    world.views_are_up_to_date().await;
    assert_eq!(phases(&world).await, ["placed counted", "confirmed counted"]);
    let cause =
        "`order.OrderConfirmed` does not have the form of its schema: missing field `order_id` at line 1 column 2"
            .to_owned();
    let behind = "an earlier event of the stream is parked".to_owned();
    let expected = VIEWS
        .iter()
        .flat_map(|view| [(format!("{view}_v1"), 3, cause.clone()), (format!("{view}_v1"), 5, behind.clone())]);
    assert_eq!(parked(&world).await, expected.collect::<Vec<_>>());
    assert!(matches!(retry(&world, "order").await, Err(ConsumerError::Effect(_))), "the event is still poisoned");
    assert_eq!(parked(&world).await.len(), 2 * VIEWS.len());

    let client = world.database.connect().await;
    client
        .batch_execute(&format!(
            "ALTER TABLE events DISABLE TRIGGER events_are_append_only;
             UPDATE events SET type = 'order.OrderConfirmed', data = '{{\"order_id\":\"{}\"}}' WHERE position = 3;
             ALTER TABLE events ENABLE TRIGGER events_are_append_only",
            id(1)
        ))
        .await
        .expect("the event is repaired");
    for view in VIEWS {
        assert_eq!(retry(&world, view).await.expect("the parked events can be processed"), 2, "{view}");
    }
    assert!(parked(&world).await.is_empty());
    world.writer.write(&[order("order.NoteAdded", 1, &json!({ "note": "repaired" }))]).await;
    world.views_are_up_to_date().await;
    assert_eq!(phases(&world).await, ["cancelled", "confirmed counted"]);
    for view in VIEWS {
        world.assert_equals_the_book(view).await;
    }
    projectors.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_view_can_be_built_and_rebuilt_from_a_book_with_a_poisoned_event() {
    let mut world = world().await;
    world.writer.write(&[placed(1), placed(2)]).await;
    world.writer.write_raw(&format!("order-{}", id(1)), "OrderTeleported", "{}").await;
    world
        .writer
        .write(&[order("order.OrderConfirmed", 1, &json!({})), order("order.OrderConfirmed", 2, &json!({}))])
        .await;
    let view = views::named("order").expect("the view exists");
    for version in 1..=2 {
        let built = if version == 1 {
            rebuild::build_if_missing(&world.book, &topology(), view).await.map(|()| 1)
        } else {
            rebuild::rebuild(&world.book, &topology(), view, &|_, _| {}).await
        };
        assert_eq!(built.expect("the view can be built"), version);
        let parked: Vec<_> =
            parked(&world).await.into_iter().map(|(consumer, position, _)| (consumer, position)).collect();
        assert_eq!(parked, [(format!("order_v{version}"), 3), (format!("order_v{version}"), 4)]);
        world.assert_equals_the_book("order").await;
        let sql = "SELECT phase FROM read.orders ORDER BY order_id";
        let rows = world.database.connect().await.query(sql, &[]).await.expect("an answer");
        assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["placed", "confirmed"]);
    }
}

/// The positions that the audit of a view names, and how many violations it finds.
async fn audited(world: &World, view: &str) -> (i64, Option<String>) {
    let view = views::named(view).expect("the view exists");
    let audit = audit::verify(&world.book, &topology(), view).await.expect("the audit goes on to the end");
    (audit.violations, audit.first)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_back_parks_the_stream_that_touches_it_and_a_rebuild_mends_it() {
    let mut world = world().await;
    let (relay, projectors) = (world.relay(), world.projectors("one"));
    let reserved = |number: usize, sku: &str| {
        claim("inventory.StockReserved", sku, number, 1, &json!({ "expires_at": "2030-01-01T00:00:00Z" }))
    };
    let released = |number: usize, sku: &str| {
        claim("inventory.ReservationReleased", sku, number, 1, &json!({ "cause": "given_up" }))
    };
    world.writer.write(&[reserved(1, "oat"), reserved(2, "rye")]).await;
    world.views_are_up_to_date().await;
    // As a program wrote it that took a leap second at the end of the last year for what it is.
    let client = world.database.connect().await;
    let sql = format!(
        "UPDATE stock_v1.reservations SET expires_at = '10000-01-01 00:00+00' WHERE reservation_id = '{}'",
        id(1)
    );
    client.batch_execute(&sql).await.expect("the row is written");
    assert_eq!(audited(&world, "stock").await.0, 1, "the audit names the row");

    world.writer.write(&[released(1, "oat"), released(2, "rye"), reserved(3, "rye")]).await;
    world.views_are_up_to_date().await;
    let list = parked::list(&world.book).await.expect("an answer");
    let streams: Vec<_> =
        list.iter().map(|event| (event.consumer.as_str(), event.stream_id.as_str(), event.waiting)).collect();
    assert_eq!(streams, [("stock_v1", "stock-oat@main", false)]);
    assert!(list[0].reason.contains("a row cannot be written or read"), "{}", list[0].reason);
    let open = "SELECT sku FROM read.reservations ORDER BY sku";
    let open: Vec<String> = client.query(open, &[]).await.expect("an answer").iter().map(|row| row.get(0)).collect();
    assert_eq!(open, ["oat", "rye"], "the other stream goes on");
    projectors.stop().await;
    relay.stop().await;

    let view = views::named("stock").expect("the view exists");
    rebuild::rebuild(&world.book, &topology(), view, &|_, _| {}).await.expect("the view is built again");
    assert!(parked::list(&world.book).await.expect("an answer").is_empty());
    world.assert_equals_the_book("stock").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_names_an_event_that_cannot_be_folded_and_goes_on() {
    let mut world = world().await;
    world.writer.write(&[placed(1), placed(2)]).await;
    let view = views::named("order").expect("the view exists");
    rebuild::build_if_missing(&world.book, &topology(), view).await.expect("the view is built");
    assert_eq!(audited(&world, "order").await, (0, None));
    let client = world.database.connect().await;
    client
        .batch_execute(
            "ALTER TABLE events DISABLE TRIGGER events_are_append_only;
             UPDATE events SET data = '{\"order_id\":7}' WHERE position = 1;
             ALTER TABLE events ENABLE TRIGGER events_are_append_only",
        )
        .await
        .expect("the event is damaged");
    let (violations, first) = audited(&world, "order").await;
    assert!(violations >= 2, "the event, and the rows that are not in the book any more: {violations}");
    let first = first.expect("it is named");
    assert!(first.starts_with(&format!("position 1 of order-{} cannot be folded: ", id(1))), "{first}");
    assert!(parked::list(&world.book).await.expect("an answer").is_empty(), "an audit changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_every_kind_are_one_value_in_the_event_in_the_view_and_in_a_rebuild() {
    let mut world = world().await;
    let (relay, projectors) = (world.relay(), world.projectors("one"));
    world.views_are_up_to_date().await;
    let times = [
        "2026-12-31T23:59:60Z",
        "2026-12-31T23:59:60.999999999Z",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59.999999999Z",
        "+10000-01-01T00:00:00Z",
        "+262142-12-31T23:59:59.999999999Z",
        "-0044-03-15T12:00:00Z",
        "1969-12-31T23:59:59.999999999Z",
        "2030-01-01T00:00:00.123456789+14:00",
    ];
    for (number, time) in (1..).zip(times) {
        let data = json!({ "sku": "oat", "location": "main", "reservation_id": id(number), "owner": "me", "quantity": 1,
                           "expires_at": time });
        // As an earlier program stored it.
        world.writer.write_raw("stock-oat@main", "inventory.StockReserved", &data.to_string()).await;
    }
    world.views_are_up_to_date().await;
    let shown = async |world: &World| -> Vec<String> {
        let sql = "SELECT to_json(expires_at) #>> '{}' FROM read.reservations ORDER BY reservation_id";
        let client = world.database.connect().await;
        client.query(sql, &[]).await.expect("an answer").iter().map(|row| row.get(0)).collect()
    };
    let live = shown(&world).await;
    assert_eq!(live.len(), times.len());
    assert!(live.iter().all(|time| time.parse::<chrono::DateTime<chrono::Utc>>().is_ok()), "{live:?}");
    assert!(parked::list(&world.book).await.expect("an answer").is_empty());
    world.assert_equals_the_book("stock").await;
    let view = views::named("stock").expect("the view exists");
    rebuild::rebuild(&world.book, &topology(), view, &|_, _| {}).await.expect("the view is built again");
    assert_eq!(shown(&world).await, live);
    projectors.stop().await;
    relay.stop().await;
}

/// An effect that breaks its own connection.
struct Breaking;

impl Effect for Breaking {
    async fn apply(&self, transaction: &Transaction<'_>, _events: &[SharedEvent]) -> Result<(), EffectError> {
        transaction.query_one("SELECT pg_terminate_backend(pg_backend_pid())", &[]).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_that_broke_a_connection_is_returned_and_not_a_later_one() {
    let mut world = world().await;
    world.writer.write(&[placed(1)]).await;
    let events = world.book.read_after(0, 10, &Filter::default()).await.expect("an answer");
    let events: Vec<SharedEvent> = events.into_iter().map(Into::into).collect();
    let mut client = world.book.pool().get().await.expect("a connection");
    let mut transaction = client.transaction().await.expect("a transaction");
    let error =
        parked::process(&mut transaction, "breaking", &Breaking, &events).await.expect_err("the connection is broken");
    let ConsumerError::Effect(EffectError::Database(error)) = &error else { panic!("{error}") };
    assert_eq!(error.code(), Some(&SqlState::ADMIN_SHUTDOWN), "{error}");
}

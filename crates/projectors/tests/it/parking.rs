//! Poison: an event that cannot be processed parks its stream and no other.

use daybook_event_store::Filter;
use daybook_event_stream::{
    Effect, EffectError, SharedEvent,
    consumer::{ConsumerError, parked},
};
use daybook_projectors::{projection::Projection, rebuild, views};
use deadpool_postgres::Transaction;
use serde_json::json;
use tokio_postgres::error::SqlState;

use crate::{
    facts::{id, order, placed},
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
    world.writer.write_raw(&format!("order-{}", id(1)), "OrderTeleported", "{}").await;
    world
        .writer
        .write(&[order("order.OrderConfirmed", 2, &json!({})), order("order.OrderCancelled", 1, &because)])
        .await;
    until("the stream is parked in every view", async || parked(&world).await.len() == 2 * VIEWS.len()).await;
    world.views_are_up_to_date().await;
    assert_eq!(phases(&world).await, ["placed counted", "confirmed counted"]);
    let cause = "there is no event type `OrderTeleported`".to_owned();
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

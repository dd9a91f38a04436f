//! A view of two slices: its topics, checkpoints, rebuilds and audit cover both.

use daybook_domain::{
    Event, Slice, cart,
    ids::{CartId, OrderId},
    order,
};
use daybook_event_store::{Daybook, RecordedEvent};
use daybook_event_stream::progress;
use daybook_projectors::{
    audit, rebuild, recorded::Recorded, registry::shown_version, row, store::Row, view::ViewSpec,
};
use futures::FutureExt;

use crate::{
    facts::day,
    stage::{apply, recorded},
    world::{PARTITIONS, World, book, topology, until, world},
};

/// Carts with the number of their lines, and with their orders.
static VIEW: ViewSpec = ViewSpec {
    name: "cart_orders",
    slices: &[Slice::Cart, Slice::Order],
    tables: &[CartOrder::TABLE],
    revision: 1,
    project: |store, events| store.fold(events, CartOrder::key_of, CartOrder::fold).boxed(),
};

row! {
    /// A cart. The cart's stream changes the first columns, and the order's stream changes the last one.
    struct CartOrder in cart_orders {
        key CartOrderKey { cart_id: CartId }
        opened: bool,
        lines: i64,
        order_id: Option<OrderId>,
    }
}

impl CartOrder {
    fn key_of(recorded: &Recorded) -> Option<CartOrderKey> {
        let cart_id = match &recorded.event {
            Event::Cart(cart::Event::CartOpened(e)) => e.cart_id,
            Event::Cart(cart::Event::LineAdded(e)) => e.cart_id,
            Event::Order(order::Event::OrderPlaced(e)) => e.cart_id,
            _ => return None,
        };
        Some(CartOrderKey { cart_id })
    }

    fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let CartOrderKey { cart_id } = Self::key_of(recorded)?;
        let mut row = row.unwrap_or(Self { cart_id, opened: false, lines: 0, order_id: None });
        match &recorded.event {
            Event::Cart(cart::Event::CartOpened(_)) => row.opened = true,
            Event::Cart(cart::Event::LineAdded(_)) => row.lines += 1,
            Event::Order(order::Event::OrderPlaced(e)) => row.order_id = Some(e.order_id),
            _ => {}
        }
        Some(row)
    }
}

async fn build(book: &Daybook) {
    rebuild::build_if_missing(book, &topology(), &VIEW).await.expect("the view can be built");
}

/// The number of carts that are shown with a line and an order.
async fn complete(world: &World) -> i64 {
    let sql = "SELECT count(*) FROM read.cart_orders WHERE opened AND lines = 1 AND order_id IS NOT NULL";
    world.database.connect().await.query_one(sql, &[]).await.expect("the view is shown").get(0)
}

async fn equals_the_book(book: &Daybook) -> bool {
    let audit = audit::verify(book, &topology(), &VIEW).await.expect("the view can be compared");
    assert_eq!((audit.violations, audit.first), (0, None));
    audit.checked > 0
}

impl World {
    /// Waits until the view has passed the head of the book.
    async fn cart_orders_are_up_to_date(&self) {
        let head = self.book.head().await.expect("an answer").position;
        until(&format!("the view has passed {head}"), async || {
            let Some(version) = shown_version(&self.book, &VIEW).await.expect("an answer") else { return false };
            progress::passed(&self.book, &VIEW.versioned(version), head).await.expect("an answer")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_two_slices_is_run_by_two_processes_rebuilt_and_audited() {
    let mut world = world().await;
    world.writer.write(&day(0, 40)).await;
    build(&world.book).await;
    assert!(equals_the_book(&world.book).await, "the built view");
    let relay = world.relay();
    let (ann, bob) = (world.projectors_of("ann", vec![&VIEW]), world.projectors_of("bob", vec![&VIEW]));
    world.writer.write(&day(40, 200)).await;
    world.cart_orders_are_up_to_date().await;
    assert_eq!(complete(&world).await, 240);
    assert!(equals_the_book(&world.book).await, "the view after processing");

    let version = rebuild::rebuild(&world.book, &topology(), &VIEW, &|_, _| {}).await.expect("the view can be rebuilt");
    assert_eq!(version, 2);
    world.writer.write(&day(240, 60)).await;
    world.cart_orders_are_up_to_date().await;
    assert_eq!(complete(&world).await, 300);
    assert!(equals_the_book(&world.book).await, "the rebuilt view");
    let sql = "SELECT count(DISTINCT topic), count(*) FROM consumer_checkpoints WHERE consumer = 'cart_orders_v2'";
    let row = world.database.connect().await.query_one(sql, &[]).await.expect("an answer");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 2 * i64::from(PARTITIONS)));
    ann.stop().await;
    bob.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn folds_of_different_streams_commute() {
    let (_database, book) = book().await;
    build(&book).await;
    let events = recorded(&day(0, 30));
    let (carts, others): (Vec<RecordedEvent>, Vec<_>) =
        events.into_iter().partition(|event| event.stream_id.starts_with("cart-"));
    let mut shown = Vec::new();
    for batches in [[&carts, &others], [&others, &carts]] {
        let mut client = book.pool().get().await.expect("a connection");
        let transaction = client.transaction().await.expect("the database answers");
        for batch in batches {
            apply(&transaction, &VIEW, batch).await;
        }
        let sql = "SELECT array_agg(t::text ORDER BY cart_id) FROM cart_orders_v1.cart_orders t";
        shown.push(transaction.query_one(sql, &[]).await.expect("an answer").get::<_, Vec<String>>(0));
        transaction.rollback().await.expect("the transaction is rolled back");
    }
    assert_eq!(shown[0].len(), 30);
    assert_eq!(shown[0], shown[1]);
}

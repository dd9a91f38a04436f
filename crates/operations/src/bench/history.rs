//! The history of a shop, written directly into the book: carts, orders of 1 to 3 lines with all their stages, and the stock that they
//! claim. The stages of an order are apart as in a shop with many open orders.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use daybook_bus::clock::new_id;
use daybook_codec::{Encoded, encode};
use daybook_domain::{
    Currency, Event, Fold, Money, Quantity, StreamName,
    cart::{Cart, CartCheckedOut, CartOpened, LineAdded},
    ids::{CartId, Channel, CustomerId, LocationId, OrderId, ProductId, ReservationId, Sku},
    inventory::{ReservationCommitted, Stock, StockId, StockReceived, StockReserved},
    order::{FulfilmentStarted, Order, OrderConfirmed, OrderDelivered, OrderLine, OrderPlaced, OrderShipped, Totals},
};
use daybook_event_store::{AppendUnit, NewEvent, Operation};
use uuid::Uuid;

use super::stage::Stage;

/// The number of products. The products themselves are not in the history, but their stock is.
const PRODUCTS: usize = 1_000;
/// The number of orders that are placed between an order and its stages: confirmed, shipped, delivered.
const LATER: [usize; 3] = [50, 500, 5_000];
/// The approximate number of events of one transaction.
const BATCH: usize = 2_000;

/// An event of a stream.
type Fact = (StreamName, Event);

/// Writes a history of at least `events` events. Returns their number.
pub(super) async fn write(stage: &Stage, events: i64) -> anyhow::Result<i64> {
    let mut appender = stage.book.appender().await?;
    let mut versions = HashMap::new();
    let mut batch = Vec::new();
    for number in 0..PRODUCTS {
        batch.push(unit(&mut versions, vec![received(&warehouse(number))])?);
    }
    let mut waiting = BATCH;
    let mut orders: Vec<OrderPlaced> = Vec::new();
    let mut written = 0;
    while written < events {
        let order = placed(orders.len());
        batch.push(unit(&mut versions, cart_of(&order))?);
        batch.push(unit(&mut versions, placing(&order))?);
        waiting += 2 * order.lines.len() + 3;
        orders.push(order);
        for (stage, later) in LATER.into_iter().enumerate() {
            let Some(order) = orders.len().checked_sub(later + 1).and_then(|number| orders.get(number)) else {
                continue;
            };
            let facts = stage_of(stage, order);
            waiting += facts.len();
            batch.push(unit(&mut versions, facts)?);
        }
        if waiting >= BATCH {
            appender.append(&std::mem::take(&mut batch)).await?;
            waiting = 0;
            written = stage.book.head().await?.position;
        }
    }
    stage.connect().await?.batch_execute("VACUUM ANALYZE events").await?;
    stage.settle().await?;
    Ok(written)
}

fn euro(minor_units: i64) -> Money {
    Money::new(minor_units, "EUR".parse::<Currency>().expect("a currency"))
}

/// A SKU of the history. It differs from the SKUs of a [shop](super::shop), whose streams exist already.
fn warehouse(number: usize) -> Sku {
    format!("history-{number}").parse().expect("a valid SKU")
}

fn stock(sku: &Sku) -> StreamName {
    Stock::stream(&StockId { sku: sku.clone(), location: LocationId::default() })
}

fn received(sku: &Sku) -> Fact {
    let quantity = Quantity::new(1_000_000).expect("a valid quantity");
    let event = StockReceived { sku: sku.clone(), location: LocationId::default(), quantity, reference: None };
    (stock(sku), event.into())
}

/// An order that was placed, of 1 to 3 lines.
fn placed(number: usize) -> OrderPlaced {
    let line = |nr: usize| OrderLine {
        sku: warehouse((number * 7 + nr * 131) % PRODUCTS),
        product_id: ProductId(new_id()),
        name: "A product of the bench".parse().expect("a valid name"),
        variant_name: None,
        options: BTreeMap::new(),
        quantity: Quantity::ONE,
        unit_price: euro(1_000),
        line_total: euro(1_000),
        location: LocationId::default(),
        reservation_id: ReservationId(new_id()),
    };
    let lines: Vec<_> = (0..=number % 3).map(line).collect();
    let total = euro(1_000 * i64::try_from(lines.len()).unwrap_or(0));
    // Some 20 orders a minute.
    let at = 1_700_000_000 + i64::try_from(number).unwrap_or(0) * 3;
    OrderPlaced {
        order_id: OrderId(new_id()),
        cart_id: CartId(new_id()),
        customer_id: Some(CustomerId(Uuid::from_u128(number as u128 % 5_000))),
        channel: Channel::default(),
        currency: total.currency,
        lines,
        totals: Totals { gross: total, discount: euro(0), net: total },
        placed_at: chrono::DateTime::from_timestamp(at, 0).expect("a time"),
    }
}

fn cart_of(order: &OrderPlaced) -> Vec<Fact> {
    let (cart_id, stream) = (order.cart_id, Cart::stream(&order.cart_id));
    let opened =
        CartOpened { cart_id, customer_id: order.customer_id, channel: Channel::default(), currency: order.currency };
    let added = order.lines.iter().map(|line| {
        let (sku, product_id) = (line.sku.clone(), Some(line.product_id));
        LineAdded { cart_id, sku, product_id, quantity: line.quantity, unit_price: line.unit_price }.into()
    });
    std::iter::once(opened.into()).chain(added).map(|event| (stream.clone(), event)).collect()
}

fn placing(order: &OrderPlaced) -> Vec<Fact> {
    let checked_out = CartCheckedOut { cart_id: order.cart_id, order_id: order.order_id };
    let mut facts = vec![
        (Order::stream(&order.order_id), order.clone().into()),
        (Cart::stream(&order.cart_id), checked_out.into()),
    ];
    facts.extend(order.lines.iter().map(|line| {
        let reserved = StockReserved {
            sku: line.sku.clone(),
            location: line.location.clone(),
            reservation_id: line.reservation_id,
            owner: order.order_id.reservation_owner(),
            quantity: line.quantity,
            expires_at: None,
        };
        (stock(&line.sku), reserved.into())
    }));
    facts
}

/// The events of a later stage: confirmed, shipped, delivered.
fn stage_of(stage: usize, order: &OrderPlaced) -> Vec<Fact> {
    let (order_id, stream) = (order.order_id, Order::stream(&order.order_id));
    match stage {
        0 => {
            vec![(stream.clone(), OrderConfirmed { order_id }.into()), (stream, FulfilmentStarted { order_id }.into())]
        }
        1 => {
            let mut facts = vec![(stream, OrderShipped { order_id }.into())];
            facts.extend(order.lines.iter().map(|line| {
                let committed = ReservationCommitted {
                    sku: line.sku.clone(),
                    location: line.location.clone(),
                    reservation_id: line.reservation_id,
                    owner: order_id.reservation_owner(),
                    quantity: line.quantity,
                };
                (stock(&line.sku), committed.into())
            }));
            facts
        }
        _ => vec![(stream, OrderDelivered { order_id }.into())],
    }
}

/// The events of one command.
fn unit(versions: &mut HashMap<StreamName, i32>, facts: Vec<Fact>) -> anyhow::Result<Operation> {
    let mut reads: Vec<(Arc<str>, i32)> = Vec::new();
    let mut events = Vec::with_capacity(facts.len());
    for (stream, event) in facts {
        let version = versions.entry(stream.clone()).or_insert(0);
        if !reads.iter().any(|(read, _)| **read == *stream.as_str()) {
            reads.push((stream.shared(), *version));
        }
        *version += 1;
        let Encoded { event_type, schema_version, key_id, data } = encode(&event)?;
        events.push(NewEvent {
            stream_id: stream.shared(),
            event_type: event_type.into(),
            schema_version,
            event_id: new_id(),
            effective_at: None,
            key_id,
            data,
        });
    }
    let command_id = new_id();
    Ok(Operation::Write(AppendUnit {
        command_id,
        scope: "admin:bench".to_owned(),
        fingerprint: vec![1],
        reads,
        events,
        correlation_id: command_id,
        causation_id: command_id,
        actor: "admin:bench".to_owned(),
        trace: None,
    }))
}

//! `order`: orders as they are now, and the timeline of what happened to each.

use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Event, Slice,
    ids::{CartId, Channel, CustomerId, ExternalRef, OrderId},
    order::{Phase, Progress},
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::header::{self, OrderHeader};
use crate::engine::{
    recorded::Recorded,
    store::{Row, Verbatim},
    view::ViewSpec,
};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "order",
    slices: &[Slice::Order],
    tables: &["orders", "order_timeline"],
    revision: 2,
    ddl: "CREATE TABLE orders (
              order_id uuid PRIMARY KEY, customer_id uuid, external_ref text, cart_id uuid, channel text NOT NULL,
              currency text NOT NULL, phase text NOT NULL, held_in text, placed_at timestamptz NOT NULL,
              gross bigint NOT NULL, discount bigint NOT NULL, net bigint NOT NULL, units bigint NOT NULL,
              lines json NOT NULL, version integer NOT NULL, updated_at timestamptz NOT NULL, position bigint NOT NULL);
          CREATE INDEX ON orders (placed_at, order_id);
          CREATE INDEX ON orders (phase, placed_at, order_id);
          CREATE INDEX ON orders (customer_id, placed_at, order_id) WHERE customer_id IS NOT NULL;
          CREATE INDEX ON orders (external_ref) WHERE external_ref IS NOT NULL;
          CREATE TABLE order_timeline (
              order_id uuid, version integer, position bigint NOT NULL, event_id uuid NOT NULL, type text NOT NULL,
              schema_version smallint NOT NULL, recorded_at timestamptz NOT NULL, effective_at timestamptz NOT NULL,
              actor text NOT NULL, correlation_id uuid NOT NULL, causation_id uuid NOT NULL, data json NOT NULL,
              PRIMARY KEY (order_id, version));",
    project: |store, events| {
        async move {
            store.fold(events, key, fold).await?;
            let entries: Vec<_> = events.iter().filter_map(|e| key(e).map(|key| Entry::of(key, e))).collect();
            store.append(&entries.into_iter().collect::<Result<Vec<_>, _>>()?).await
        }
        .boxed()
    },
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Key {
    pub(super) order_id: OrderId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OrderRow {
    order_id: OrderId,
    customer_id: Option<CustomerId>,
    external_ref: Option<ExternalRef>,
    cart_id: Option<CartId>,
    channel: Channel,
    currency: Currency,
    phase: Phase,
    held_in: Option<Phase>,
    placed_at: DateTime<Utc>,
    gross: i64,
    discount: i64,
    net: i64,
    units: i64,
    /// As they were agreed; no event changes them.
    lines: Verbatim,
    version: i32,
    updated_at: DateTime<Utc>,
    position: i64,
}

impl Row for OrderRow {
    type Key = Key;
    const TABLE: &'static str = "orders";
    const KEY: &'static [&'static str] = &["order_id"];
    const COLUMNS: &'static [&'static str] = &[
        "customer_id",
        "external_ref",
        "cart_id",
        "channel",
        "currency",
        "phase",
        "held_in",
        "placed_at",
        "gross",
        "discount",
        "net",
        "units",
        "lines",
        "version",
        "updated_at",
        "position",
    ];
}

/// The order that an event is about.
pub(super) fn key(recorded: &Recorded) -> Option<Key> {
    let Event::Order(event) = &recorded.event else { return None };
    Some(Key { order_id: event.order_id() })
}

fn fold(row: Option<OrderRow>, recorded: &Recorded) -> Option<OrderRow> {
    let Event::Order(event) = &recorded.event else { return row };
    let mut row = begin(&recorded.event).or(row)?;
    let progress = Progress::new(row.phase, row.held_in).after(event);
    (row.phase, row.held_in) = (progress.phase(), progress.held_in());
    row.version = recorded.record.version;
    row.updated_at = recorded.record.effective_at;
    row.position = recorded.record.position;
    Some(row)
}

fn begin(event: &Event) -> Option<OrderRow> {
    let header = OrderHeader::of(event)?;
    Some(OrderRow {
        order_id: header.order_id,
        customer_id: header.customer_id,
        external_ref: header.external_ref.cloned(),
        cart_id: header.cart_id,
        channel: header.channel.clone(),
        currency: header.currency,
        phase: header.progress.phase(),
        held_in: header.progress.held_in(),
        placed_at: header.placed_at,
        gross: header.totals.gross.minor_units,
        discount: header.totals.discount.minor_units,
        net: header.totals.net.minor_units,
        units: header.units,
        lines: header::lines(event)?,
        version: 0,
        updated_at: header.placed_at,
        position: 0,
    })
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct EntryKey {
    order_id: OrderId,
    version: i32,
}

/// Something that happened to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    order_id: OrderId,
    version: i32,
    position: i64,
    event_id: Uuid,
    r#type: String,
    schema_version: i16,
    recorded_at: DateTime<Utc>,
    effective_at: DateTime<Utc>,
    actor: String,
    correlation_id: Uuid,
    causation_id: Uuid,
    data: Verbatim,
}

impl Row for Entry {
    type Key = EntryKey;
    const TABLE: &'static str = "order_timeline";
    const KEY: &'static [&'static str] = &["order_id", "version"];
    const COLUMNS: &'static [&'static str] = &[
        "position",
        "event_id",
        "type",
        "schema_version",
        "recorded_at",
        "effective_at",
        "actor",
        "correlation_id",
        "causation_id",
        "data",
    ];
}

impl Entry {
    fn of(Key { order_id }: Key, recorded: &Recorded) -> Result<Self, daybook_event_stream::EffectError> {
        let record = &recorded.record;
        Ok(Self {
            order_id,
            version: record.version,
            position: record.position,
            event_id: record.event_id,
            r#type: record.event_type.clone(),
            schema_version: record.schema_version,
            recorded_at: record.recorded_at,
            effective_at: record.effective_at,
            actor: record.actor.clone(),
            correlation_id: record.correlation_id,
            causation_id: record.causation_id,
            data: Verbatim::of_event(recorded)?,
        })
    }
}

//! `order`: orders as they are now, and the timeline of what happened to each.

use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Event, Slice,
    ids::{CartId, Channel, CustomerId, ExternalRef, OrderId},
    order::{Phase, Progress},
};
use daybook_event_stream::EffectError;
use futures::FutureExt;
use uuid::Uuid;

use super::header::{FirstEvent, OrderHeader, order_id};
use crate::{
    engine::{
        recorded::Recorded,
        store::{Row, Verbatim},
        view::ViewSpec,
    },
    row,
};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "order",
    slices: &[Slice::Order],
    tables: &[OrderRow::TABLE, Entry::TABLE],
    revision: 2,
    project: |store, events| {
        async move {
            store.fold(events, key, fold).await?;
            let entries = events.iter().filter_map(Entry::of);
            store.append(&entries.collect::<Result<Vec<_>, _>>()?).await
        }
        .boxed()
    },
};

row! {
    /// An order as it is now.
    pub(in crate::views) struct OrderRow in orders {
        key OrderKey { order_id: OrderId }
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
        lines: Verbatim as json,
        version: i32,
        updated_at: DateTime<Utc>,
        position: i64,
    }
    indexes {
        // Listings show the newest first, and read these backward: so all parts have one direction.
        "(placed_at, order_id)",
        "(phase, placed_at, order_id)",
        "(customer_id, placed_at, order_id) WHERE customer_id IS NOT NULL",
        "(external_ref) WHERE external_ref IS NOT NULL",
    }
}

fn key(recorded: &Recorded) -> Option<OrderKey> {
    order_id(recorded).map(|order_id| OrderKey { order_id })
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
    let first = FirstEvent::of(event)?;
    let header = OrderHeader::of(first);
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
        lines: first.lines(),
        version: 0,
        updated_at: header.placed_at,
        position: 0,
    })
}

row! {
    /// Something that happened to an order.
    pub(in crate::views) struct Entry in order_timeline {
        key EntryKey { order_id: OrderId, version: i32 }
        position: i64,
        event_id: Uuid,
        r#type: String,
        schema_version: i16,
        recorded_at: DateTime<Utc>,
        effective_at: DateTime<Utc>,
        actor: String,
        correlation_id: Uuid,
        causation_id: Uuid,
        data: Verbatim as json,
    }
}

impl Entry {
    fn of(recorded: &Recorded) -> Option<Result<Self, EffectError>> {
        let order_id = order_id(recorded)?;
        let record = &recorded.record;
        Some(Verbatim::of_event(recorded).map(|data| Self {
            order_id,
            version: record.version,
            position: record.position,
            event_id: record.event_id,
            r#type: daybook_codec::current_name(&record.event_type).to_owned(),
            schema_version: record.schema_version,
            recorded_at: record.recorded_at,
            effective_at: record.effective_at,
            actor: record.actor.clone(),
            correlation_id: record.correlation_id,
            causation_id: record.causation_id,
            data,
        }))
    }
}

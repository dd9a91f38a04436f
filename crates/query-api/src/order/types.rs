//! Orders in their current state.

use std::collections::BTreeMap;

use async_graphql::{ComplexObject, Context, Enum, ID, SimpleObject};
use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Role,
    ids::CustomerId,
    order::{
        self, OrderRecord,
        moves::{Destination, Phase, next_moves},
    },
};
use serde::Deserialize;
use uuid::Uuid;

use super::history::{TimelineEntry, timeline};
use crate::{
    graphql::{
        connection::list_size,
        scalars::{Attribute, Long, MoneyObject, attributes, money},
        viewer::{Viewer, staff_only, viewer},
        weight,
    },
    reader::reader,
};

/// The phase of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Phase", name = "OrderPhase")]
pub(crate) enum OrderPhase {
    Placed,
    Confirmed,
    Held,
    InFulfilment,
    Shipped,
    Delivered,
    Cancelled,
    Returned,
    Refunded,
}

/// An order.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Order {
    #[graphql(skip)]
    pub(crate) order_id: Uuid,
    #[graphql(skip)]
    customer_id: Option<CustomerId>,
    /// The reference of an imported order in its original system.
    external_ref: Option<String>,
    /// The channel of the order.
    channel: String,
    #[graphql(skip)]
    currency: Currency,
    #[graphql(skip)]
    phase: Phase,
    /// When the order was placed.
    pub(crate) placed_at: DateTime<Utc>,
    #[graphql(skip)]
    gross: i64,
    #[graphql(skip)]
    discount: i64,
    #[graphql(skip)]
    net: i64,
    /// How many units the order has.
    units: Long,
    #[graphql(skip)]
    lines: Vec<OrderLine>,
    /// The version of the order: the number of its events.
    pub(super) version: Long,
    /// When the order last changed.
    updated_at: DateTime<Utc>,
    /// The position of its last event.
    #[graphql(skip)]
    pub(super) position: i64,
}

/// An amount in the form of events.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Amount(daybook_domain::Money);

/// A line of an order, as agreed when it was placed.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct OrderLine {
    /// The SKU.
    sku: String,
    /// The name of the product at that time, where it is known.
    name: Option<String>,
    /// The name of the variant at that time, where it is known.
    variant_name: Option<String>,
    #[graphql(skip)]
    #[serde(default)]
    options: BTreeMap<String, String>,
    /// How many units.
    quantity: i64,
    #[graphql(skip)]
    unit_price: Option<Amount>,
    #[graphql(skip)]
    line_total: Amount,
}

#[ComplexObject]
impl OrderLine {
    /// The options of the variant at that time, such as size and colour.
    #[graphql(complexity = "weight::list(weight::OPTIONS, child_complexity)")]
    async fn options(&self) -> Vec<Attribute> {
        attributes(&self.options)
    }

    /// The price of one unit, where it is known.
    async fn unit_price(&self) -> Option<MoneyObject> {
        self.unit_price.map(|amount| amount.0.into())
    }

    /// The price of the line.
    async fn total(&self) -> MoneyObject {
        self.line_total.0.into()
    }
}

/// A move that is allowed now.
#[derive(SimpleObject)]
pub(crate) struct NextMove {
    /// The command of the move.
    command: &'static str,
    /// The phase that it leads to; absent when it leads back to the phase before the hold.
    to: Option<OrderPhase>,
    /// The roles that may make the move.
    #[graphql(complexity = "weight::list(weight::MOVES, 1)")]
    roles: Vec<&'static str>,
}

#[ComplexObject]
impl Order {
    /// The id of the order.
    async fn id(&self) -> ID {
        self.order_id.into()
    }

    /// The customer whose order it is; absent for a guest's order.
    async fn customer_id(&self) -> Option<String> {
        self.customer_id.as_ref().map(ToString::to_string)
    }

    /// The phase of the order.
    async fn phase(&self) -> OrderPhase {
        self.phase.into()
    }

    /// The sum of the lines before discounts.
    async fn gross(&self) -> MoneyObject {
        money(self.gross, self.currency)
    }

    /// The discount.
    async fn discount(&self) -> MoneyObject {
        money(self.discount, self.currency)
    }

    /// The sum after discounts.
    async fn net(&self) -> MoneyObject {
        money(self.net, self.currency)
    }

    /// The lines.
    #[graphql(complexity = "weight::list(weight::ORDER_LINES, child_complexity)")]
    async fn lines(&self) -> &[OrderLine] {
        &self.lines
    }

    /// The moves that the viewer may make now.
    #[graphql(complexity = "weight::list(weight::MOVES, child_complexity)")]
    async fn next_moves(&self, context: &Context<'_>) -> async_graphql::Result<Vec<NextMove>> {
        let role: Role = viewer(context)?.actor.role();
        let moves = next_moves(self.phase, role).map(|legal| NextMove {
            command: legal.command,
            to: match legal.to {
                Destination::To(phase) => Some(phase.into()),
                Destination::WhereItWasHeld => None,
            },
            roles: legal.roles().map(daybook_domain::Role::name).collect(),
        });
        Ok(moves.collect())
    }

    /// The history of the order after a version; at most the first events. It contains notes of staff, so only staff see it.
    #[graphql(complexity = "weight::first(first, weight::UNBOUNDED, child_complexity)?")]
    async fn timeline(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        #[graphql(default)] after: Long,
    ) -> async_graphql::Result<Vec<TimelineEntry>> {
        staff_only(context)?;
        let most = i64::try_from(list_size(first)?).unwrap_or(i64::MAX);
        timeline(reader(context)?, self.order_id, after.0, self.version.0, most).await
    }
}

impl Order {
    /// The order as it was after an event of its history. Totals and lines are fixed when it is placed; what else is shown changes.
    pub(super) fn at(self, state: &OrderRecord, last: &TimelineEntry) -> Self {
        let &TimelineEntry { version, position: Long(position), effective_at: updated_at, .. } = last;
        Self { phase: state.progress.phase(), version, position, updated_at, ..self }
    }

    /// Whether a viewer may see the order.
    pub(super) fn may_be_seen_by(&self, viewer: &Viewer) -> bool {
        viewer.may_see(order::owner(self.customer_id, self.is_imported()))
    }

    /// Whether it was imported from another system.
    pub(super) const fn is_imported(&self) -> bool {
        self.external_ref.is_some()
    }
}

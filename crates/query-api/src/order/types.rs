//! Orders as they are.

use async_graphql::{ComplexObject, Context, Enum, ID, SimpleObject};
use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Role,
    ids::CustomerId,
    order::moves::{Destination, Phase, next_moves},
};
use serde::Deserialize;
use uuid::Uuid;

use super::history::{TimelineEntry, timeline};
use crate::{
    graphql::{
        scalars::{MoneyObject, money},
        viewer::{Viewer, staff_only, viewer},
    },
    reader::reader,
};

/// How far an order is.
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
    /// Its id in the system it was imported from.
    external_ref: Option<String>,
    /// The channel it came through.
    channel: String,
    #[graphql(skip)]
    currency: Currency,
    #[graphql(skip)]
    phase: Phase,
    /// When it was placed.
    pub(crate) placed_at: DateTime<Utc>,
    #[graphql(skip)]
    gross: i64,
    #[graphql(skip)]
    discount: i64,
    #[graphql(skip)]
    net: i64,
    /// How many units it has.
    units: i64,
    #[graphql(skip)]
    lines: Vec<OrderLine>,
    /// How much has happened to it.
    version: i32,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

/// An amount as events have it.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Amount(daybook_domain::Money);

/// A line of an order, as it was agreed.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct OrderLine {
    /// The SKU.
    sku: String,
    /// What the product was called, where that is known.
    name: Option<String>,
    /// How many.
    quantity: i64,
    #[graphql(skip)]
    unit_price: Option<Amount>,
    #[graphql(skip)]
    line_total: Amount,
}

#[ComplexObject]
impl OrderLine {
    /// The price of one unit, where that is known.
    async fn unit_price(&self) -> Option<MoneyObject> {
        self.unit_price.map(|amount| amount.0.into())
    }

    /// What is paid for the line.
    async fn total(&self) -> MoneyObject {
        self.line_total.0.into()
    }
}

/// A move that can be made now.
#[derive(SimpleObject)]
pub(crate) struct NextMove {
    /// The command that makes it.
    command: &'static str,
    /// Where it leads; back to where it was held when absent.
    to: Option<OrderPhase>,
    /// Who may make it.
    roles: Vec<&'static str>,
}

#[ComplexObject]
impl Order {
    /// Its id.
    async fn id(&self) -> ID {
        self.order_id.into()
    }

    /// Whose order it is; a guest's when absent.
    async fn customer_id(&self) -> Option<String> {
        self.customer_id.as_ref().map(ToString::to_string)
    }

    /// How far it is.
    async fn phase(&self) -> OrderPhase {
        self.phase.into()
    }

    /// The sum of its lines before discounts.
    async fn gross(&self) -> MoneyObject {
        money(self.gross, self.currency)
    }

    /// What was taken off.
    async fn discount(&self) -> MoneyObject {
        money(self.discount, self.currency)
    }

    /// What is paid.
    async fn net(&self) -> MoneyObject {
        money(self.net, self.currency)
    }

    /// Its lines.
    async fn lines(&self) -> &[OrderLine] {
        &self.lines
    }

    /// What can be done with it now, by whoever asks.
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

    /// Who did what to it, and when; for staff, since it has their notes.
    async fn timeline(&self, context: &Context<'_>) -> async_graphql::Result<Vec<TimelineEntry>> {
        staff_only(context)?;
        timeline(reader(context)?, self.order_id, self.version).await
    }
}

impl Order {
    /// The order at an earlier version. Totals and lines are frozen at placement; what changes is how far the order is.
    pub(super) fn as_it_was(self, phase: Phase, version: i32) -> Self {
        Self { phase, version, ..self }
    }

    /// Whether somebody may see it. A guest's order is for whoever knows its id, since nobody can guess it; that of an imported
    /// order derives from its reference and can be guessed, so without a customer it is for staff.
    pub(super) fn may_be_seen_by(&self, viewer: &Viewer) -> bool {
        let guessable = self.customer_id.is_none() && self.external_ref.is_some();
        viewer.is_staff() || (!guessable && viewer.may_see(self.customer_id))
    }
}

//! Carts. A line has the price at which it was added, and the current price.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, ID, SimpleObject};
use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency,
    cart::{CartLine, CartStatus as Stored},
    ids::{Channel, CustomerId},
};
use serde::Deserialize;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{
    line::Line,
    quote::{Quote, Quoted},
};
use crate::graphql::{
    environment::Now,
    scalars::{Long, MoneyObject},
    user_error::UserError,
    weight,
};

/// The status of a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Stored")]
pub(crate) enum CartStatus {
    /// It can be filled and bought.
    Open,
    /// It became an order.
    CheckedOut,
    /// Another cart has its lines.
    Merged,
    /// It was abandoned.
    Abandoned,
    /// It was not changed for too long.
    Expired,
}

/// A cart.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Cart {
    #[graphql(skip)]
    cart_id: Uuid,
    #[graphql(skip)]
    pub(super) customer_id: Option<CustomerId>,
    #[graphql(skip)]
    channel: Channel,
    #[graphql(skip)]
    currency: Currency,
    /// The status after the last event.
    #[graphql(skip)]
    status: Stored,
    #[graphql(skip)]
    lines: Vec<CartLine>,
    #[graphql(skip)]
    order_id: Option<Uuid>,
    /// When the cart expires, unless it is changed before.
    expires_at: Option<DateTime<Utc>>,
    /// When the cart was last changed.
    updated_at: DateTime<Utc>,
    /// The version of the cart: the number of its changes.
    version: Long,
    /// The position of its last event.
    #[graphql(skip)]
    position: i64,
    /// What the lines come to, once it is asked for.
    #[graphql(skip)]
    #[serde(skip)]
    quote: Arc<OnceCell<Quote>>,
}

#[ComplexObject]
impl Cart {
    /// The id of the cart.
    async fn id(&self) -> ID {
        self.cart_id.into()
    }

    /// The channel whose prices apply.
    async fn channel(&self) -> &str {
        self.channel.as_str()
    }

    /// The status now. A cart expires at `expiresAt`, whether an event has ended it or not.
    async fn status(&self, context: &Context<'_>) -> async_graphql::Result<CartStatus> {
        Ok(self.status_at(context.data::<Now>()?.time()).into())
    }

    /// The customer whose cart it is; absent when it is a guest's.
    async fn customer_id(&self) -> Option<String> {
        self.customer_id.as_ref().map(ToString::to_string)
    }

    /// The currency of the prices.
    async fn currency(&self) -> String {
        self.currency.to_string()
    }

    /// The order that the cart became.
    async fn order_id(&self) -> Option<ID> {
        self.order_id.map(ID::from)
    }

    /// The lines, in the order in which they were added.
    #[graphql(complexity = "weight::list(weight::CART_LINES, child_complexity)")]
    async fn lines(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Line>> {
        Ok(self.quote(context).await?.lines.clone())
    }

    /// The total. Of an open cart it is the current one, and leaves out lines that are not for sale any more. Of a cart that became an
    /// order it is what was agreed. Of another closed cart it is what the lines cost when they were added.
    async fn total(&self, context: &Context<'_>) -> async_graphql::Result<MoneyObject> {
        Ok(self.quote(context).await?.total(self.currency)?.into())
    }

    /// Whether an open cart can be ordered as it is.
    async fn orderable(&self, context: &Context<'_>) -> async_graphql::Result<bool> {
        let quote = self.quote(context).await?;
        Ok(quote.is_open && quote.problems.is_empty())
    }

    /// Everything that keeps an open cart from being ordered as it is: what a checkout would refuse now. The path of a problem names its
    /// line. A closed cart has none.
    #[graphql(complexity = "weight::list(weight::USER_ERRORS, child_complexity)")]
    async fn problems(&self, context: &Context<'_>) -> async_graphql::Result<Vec<UserError>> {
        Ok(self.quote(context).await?.problems.clone())
    }
}

impl Cart {
    /// The status at a time.
    fn status_at(&self, now: DateTime<Utc>) -> Stored {
        self.status.at(self.expires_at, now)
    }

    /// What the lines come to, which is computed once.
    async fn quote(&self, context: &Context<'_>) -> async_graphql::Result<&Quote> {
        let quoted = Quoted {
            cart_id: self.cart_id,
            is_open: self.status_at(context.data::<Now>()?.time()) == Stored::Open,
            channel: &self.channel,
            currency: self.currency,
            lines: &self.lines,
            order_id: self.order_id,
            position: self.position,
        };
        self.quote.get_or_try_init(|| Quote::of(&quoted, context)).await
    }
}

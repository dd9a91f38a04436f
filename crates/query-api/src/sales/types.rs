//! Sales figures.

use async_graphql::{ComplexObject, Object, SimpleObject};
use chrono::NaiveDate;
use daybook_domain::Currency;
use serde::Deserialize;

use crate::graphql::scalars::{MoneyObject, money};

/// The sums of some orders in one currency.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Sales {
    /// The day; none when the sums are of several days.
    date: Option<NaiveDate>,
    /// How many orders.
    orders: i64,
    /// How many units.
    units: i64,
    /// How many different customers.
    customers: i64,
    /// How many different SKUs.
    skus: i64,
    #[graphql(flatten)]
    #[serde(flatten)]
    paid: Paid,
    #[graphql(skip)]
    discount: i64,
}

#[ComplexObject]
impl Sales {
    /// What was taken off.
    async fn discount(&self) -> MoneyObject {
        money(self.discount, self.paid.currency)
    }
}

/// What goods brought in.
#[derive(Debug, Clone, Deserialize)]
struct Paid {
    currency: Currency,
    gross: i64,
    net: i64,
}

#[Object]
impl Paid {
    /// Before discounts.
    async fn gross(&self) -> MoneyObject {
        money(self.gross, self.currency)
    }

    /// What was paid.
    async fn net(&self) -> MoneyObject {
        money(self.net, self.currency)
    }
}

/// The sums of a SKU.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
pub(crate) struct ProductSales {
    /// The SKU.
    sku: String,
    /// What the product is called.
    name: Option<String>,
    /// How many orders had it.
    orders: i64,
    /// How many units.
    units: i64,
    #[graphql(flatten)]
    #[serde(flatten)]
    paid: Paid,
}

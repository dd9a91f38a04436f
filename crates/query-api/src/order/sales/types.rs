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
    /// The day; absent in the sums of a period.
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
    amounts: Amounts,
    #[graphql(skip)]
    discount: i64,
}

#[ComplexObject]
impl Sales {
    /// The discount.
    async fn discount(&self) -> MoneyObject {
        money(self.discount, self.amounts.currency)
    }
}

/// The money of sales.
#[derive(Debug, Clone, Deserialize)]
struct Amounts {
    currency: Currency,
    gross: i64,
    net: i64,
}

#[Object]
impl Amounts {
    /// The sum before discounts.
    async fn gross(&self) -> MoneyObject {
        money(self.gross, self.currency)
    }

    /// The sum after discounts.
    async fn net(&self) -> MoneyObject {
        money(self.net, self.currency)
    }
}

/// The sums of a SKU.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
pub(crate) struct ProductSales {
    /// The SKU.
    sku: String,
    /// The name of the product.
    name: Option<String>,
    /// How many orders had the SKU.
    orders: i64,
    /// How many units.
    units: i64,
    #[graphql(flatten)]
    #[serde(flatten)]
    amounts: Amounts,
}

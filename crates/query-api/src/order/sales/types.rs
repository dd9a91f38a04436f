//! Sales figures.

use async_graphql::{ComplexObject, Object, SimpleObject};
use daybook_domain::Currency;
use serde::Deserialize;

use crate::graphql::scalars::{Date, Long, MoneyObject, money};

/// The sums of some orders in one currency.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Sales {
    /// The day; absent in the sums of a period.
    date: Option<Date>,
    /// How many orders were placed and are not cancelled.
    orders: Long,
    /// How many units these orders have.
    units: Long,
    /// How many different customers ordered.
    customers: Long,
    /// How many different SKUs were ordered.
    skus: Long,
    /// How many orders were cancelled on the day, whenever they were placed.
    cancelled_orders: Long,
    /// How many orders came back on the day, whenever they were placed.
    returned_orders: Long,
    /// How many orders were refunded on the day, whenever they were placed.
    refunded_orders: Long,
    #[graphql(flatten)]
    #[serde(flatten)]
    amounts: Amounts,
    #[graphql(skip)]
    discount: i64,
    #[graphql(skip)]
    cancelled: i64,
    #[graphql(skip)]
    refunded: i64,
}

#[ComplexObject]
impl Sales {
    /// The discount.
    async fn discount(&self) -> MoneyObject {
        money(self.discount, self.amounts.currency)
    }

    /// The net value of the orders that were cancelled on the day. The sums of the day on which they were placed do not contain them any
    /// more, so nothing is to be subtracted.
    async fn cancelled(&self) -> MoneyObject {
        money(self.cancelled, self.amounts.currency)
    }

    /// The money that went back on the day, for orders that came back and for cancelled ones.
    async fn refunded(&self) -> MoneyObject {
        money(self.refunded, self.amounts.currency)
    }
}

/// The money of sales.
#[derive(Debug, Clone, Deserialize)]
struct Amounts {
    currency: Currency,
    gross: i64,
    net: i64,
    returned: i64,
}

#[Object]
impl Amounts {
    /// The ISO 4217 code of the currency.
    async fn currency(&self) -> &str {
        self.currency.code()
    }

    /// The sum before discounts.
    async fn gross(&self) -> MoneyObject {
        money(self.gross, self.currency)
    }

    /// The sum after discounts. Returns are not subtracted.
    async fn net(&self) -> MoneyObject {
        money(self.net, self.currency)
    }

    /// The net value of what came back in that time, whenever it was ordered.
    async fn returned(&self) -> MoneyObject {
        money(self.returned, self.currency)
    }
}

/// The sums of a SKU in one currency.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
pub(crate) struct ProductSales {
    /// The SKU.
    sku: String,
    /// The name of the product.
    name: Option<String>,
    /// How many orders had the SKU and are not cancelled.
    orders: Long,
    /// How many units were ordered.
    units: Long,
    /// How many units came back in that time, whenever they were ordered.
    returned_units: Long,
    #[graphql(flatten)]
    #[serde(flatten)]
    amounts: Amounts,
}

//! Sales figures. Days are days in UTC of when orders were placed; a cancelled order does not count.

use async_graphql::{ComplexObject, Context, Object, SimpleObject};
use chrono::NaiveDate;
use daybook_domain::Currency;
use serde::Deserialize;

use crate::{
    connection::{MAX_PAGE, page_size, rows},
    read::reader,
    scalars::{MoneyObject, money},
    viewer::staff_only,
};

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

#[derive(Default)]
pub(crate) struct SalesQuery;

#[Object]
impl SalesQuery {
    /// Sales by day, both ends included; a day has a row for each currency.
    async fn sales_by_day(
        &self,
        context: &Context<'_>,
        from: NaiveDate,
        to: NaiveDate,
    ) -> async_graphql::Result<Vec<Sales>> {
        staff_only(context)?;
        let sql =
            "SELECT json_build_object('date', s.day, 'currency', s.currency, 'orders', s.orders, 'units', s.units,
                          'gross', s.gross, 'discount', s.discount, 'net', s.net,
                          'customers', (SELECT count(DISTINCT o.customer_id) FROM read.sales_orders o
                                        WHERE o.counted AND o.day = s.day AND o.currency = s.currency),
                          'skus', (SELECT count(*) FROM read.product_sales p
                                   WHERE p.day = s.day AND p.currency = s.currency AND p.orders > 0))
                   FROM read.sales_by_day s WHERE s.day BETWEEN $1 AND $2 ORDER BY s.day, s.currency";
        reader(context)?.rows(sql, &[&from, &to]).await
    }

    /// Sales of a time, both ends included, by currency.
    async fn sales_totals(
        &self,
        context: &Context<'_>,
        from: NaiveDate,
        to: NaiveDate,
    ) -> async_graphql::Result<Vec<Sales>> {
        staff_only(context)?;
        let sql = "SELECT json_build_object('currency', s.currency, 'orders', sum(s.orders), 'units', sum(s.units),
                          'gross', sum(s.gross), 'discount', sum(s.discount), 'net', sum(s.net),
                          'customers', (SELECT count(DISTINCT o.customer_id) FROM read.sales_orders o
                                        WHERE o.counted AND o.day BETWEEN $1 AND $2 AND o.currency = s.currency),
                          'skus', (SELECT count(DISTINCT p.sku) FROM read.product_sales p
                                   WHERE p.day BETWEEN $1 AND $2 AND p.currency = s.currency AND p.orders > 0))
                   FROM read.sales_by_day s WHERE s.day BETWEEN $1 AND $2 GROUP BY s.currency ORDER BY s.currency";
        reader(context)?.rows(sql, &[&from, &to]).await
    }

    /// The SKUs that brought the most money in a time, both ends included.
    #[graphql(complexity = "rows(Some(first))? * child_complexity")]
    async fn top_products(
        &self,
        context: &Context<'_>,
        from: NaiveDate,
        to: NaiveDate,
        #[graphql(default = 10)] first: i32,
    ) -> async_graphql::Result<Vec<ProductSales>> {
        staff_only(context)?;
        let first = page_size(first, MAX_PAGE)?;
        let sql = "SELECT json_build_object('sku', t.sku, 'currency', t.currency, 'orders', t.orders, 'units', t.units,
                          'gross', t.gross, 'net', t.net, 'name', p.name)
                   FROM (SELECT sku, currency, sum(orders) AS orders, sum(units) AS units, sum(gross) AS gross, sum(net) AS net
                         FROM read.product_sales WHERE day BETWEEN $1 AND $2 GROUP BY sku, currency
                         HAVING sum(orders) > 0 ORDER BY sum(net) DESC, sku LIMIT $3) AS t
                   LEFT JOIN read.product_variants v ON v.sku = t.sku
                   LEFT JOIN read.products p ON p.product_id = v.product_id ORDER BY t.net DESC, t.sku";
        reader(context)?.rows(sql, &[&from, &to, &i64::from(first)]).await
    }
}

//! Queries of sales figures.

use async_graphql::{Context, Object};
use chrono::NaiveDate;

use super::{
    SALES_BY_DAY, TOP_PRODUCTS,
    types::{ProductSales, Sales},
};
use crate::{
    catalog::PRODUCT,
    graphql::{
        connection::{MAX_PAGE, page_size, rows},
        viewer::staff_only,
        weight,
    },
    reader::{Statement, reader},
};

#[derive(Default)]
pub(crate) struct SalesQuery;

#[Object]
impl SalesQuery {
    /// The sales of each day of a period, which includes both ends. A day has an entry for each currency.
    #[graphql(complexity = "weight::list(weight::UNBOUNDED, child_complexity)")]
    async fn sales_by_day(
        &self,
        context: &Context<'_>,
        from: NaiveDate,
        to: NaiveDate,
    ) -> async_graphql::Result<Vec<Sales>> {
        const BY_DAY: Statement = Statement::new(
            &[SALES_BY_DAY, TOP_PRODUCTS],
            "SELECT json_build_object('date', s.day, 'currency', s.currency, 'orders', s.orders, 'units', s.units,
                    'gross', s.gross, 'discount', s.discount, 'net', s.net,
                    'customers', (SELECT count(DISTINCT o.customer_id) FROM read.sales_orders o
                                  WHERE o.counted AND o.day = s.day AND o.currency = s.currency),
                    'skus', (SELECT count(*) FROM read.product_sales p
                             WHERE p.day = s.day AND p.currency = s.currency AND p.orders > 0))
             FROM read.sales_by_day s WHERE s.day BETWEEN $1 AND $2 ORDER BY s.day, s.currency",
        );
        staff_only(context)?;
        reader(context)?.rows(&BY_DAY, &[&from, &to]).await
    }

    /// The sales of a period, which includes both ends, by currency.
    #[graphql(complexity = "weight::list(weight::UNBOUNDED, child_complexity)")]
    async fn sales_totals(
        &self,
        context: &Context<'_>,
        from: NaiveDate,
        to: NaiveDate,
    ) -> async_graphql::Result<Vec<Sales>> {
        const TOTALS: Statement = Statement::new(
            &[SALES_BY_DAY, TOP_PRODUCTS],
            "SELECT json_build_object('currency', s.currency, 'orders', sum(s.orders), 'units', sum(s.units),
                    'gross', sum(s.gross), 'discount', sum(s.discount), 'net', sum(s.net),
                    'customers', (SELECT count(DISTINCT o.customer_id) FROM read.sales_orders o
                                  WHERE o.counted AND o.day BETWEEN $1 AND $2 AND o.currency = s.currency),
                    'skus', (SELECT count(DISTINCT p.sku) FROM read.product_sales p
                             WHERE p.day BETWEEN $1 AND $2 AND p.currency = s.currency AND p.orders > 0))
             FROM read.sales_by_day s WHERE s.day BETWEEN $1 AND $2 GROUP BY s.currency ORDER BY s.currency",
        );
        staff_only(context)?;
        reader(context)?.rows(&TOTALS, &[&from, &to]).await
    }

    /// The SKUs with the highest net sales in a period, which includes both ends.
    #[graphql(complexity = "rows(Some(first))? * child_complexity")]
    async fn top_products(
        &self,
        context: &Context<'_>,
        from: NaiveDate,
        to: NaiveDate,
        #[graphql(default = 10)] first: i32,
    ) -> async_graphql::Result<Vec<ProductSales>> {
        const BY_NET: Statement = Statement::new(
            &[TOP_PRODUCTS, PRODUCT],
            "SELECT json_build_object('sku', t.sku, 'currency', t.currency, 'orders', t.orders, 'units', t.units,
                    'gross', t.gross, 'net', t.net, 'name', p.name)
             FROM (SELECT sku, currency, sum(orders) AS orders, sum(units) AS units, sum(gross) AS gross, sum(net) AS net
                   FROM read.product_sales WHERE day BETWEEN $1 AND $2 GROUP BY sku, currency
                   HAVING sum(orders) > 0 ORDER BY sum(net) DESC, sku LIMIT $3) AS t
             LEFT JOIN read.product_variants v ON v.sku = t.sku
             LEFT JOIN read.products p ON p.product_id = v.product_id ORDER BY t.net DESC, t.sku",
        );
        staff_only(context)?;
        let first = page_size(first, MAX_PAGE)?;
        reader(context)?.rows(&BY_NET, &[&from, &to, &i64::from(first)]).await
    }
}

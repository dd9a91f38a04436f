//! Queries of sales figures.

use async_graphql::{Context, Object};
use daybook_domain::Currency;
use serde::Deserialize;

use super::{
    SALES_BY_DAY, TOP_PRODUCTS,
    period::{DAYS_COST, Period},
    types::{ProductSales, Sales},
};
use crate::{
    catalog::PRODUCT,
    graphql::{
        connection::{MAX_PAGE, page_size, rows},
        error::coded,
        scalars::Date,
        viewer::staff_only,
        weight,
    },
    reader::{Statement, reader},
};

/// How many currencies a ranking without one costs.
const CURRENCIES: usize = 4;

#[derive(Default)]
pub(crate) struct SalesQuery;

#[Object]
impl SalesQuery {
    /// The sales of each day of a period, which includes both ends. Every day has an entry for each currency of the period, also a day
    /// without orders: from the first sale of the shop on, up to today.
    #[graphql(complexity = "DAYS_COST * child_complexity")]
    async fn sales_by_day(
        &self,
        context: &Context<'_>,
        from: Date,
        to: Date,
        #[graphql(desc = "The time zone of the days, such as `Europe/Berlin`; the shop's by default.")]
        time_zone: Option<String>,
    ) -> async_graphql::Result<Vec<Sales>> {
        staff_only(context)?;
        let period = Period::of(context, from, to, time_zone.as_deref())?;
        let reader = reader(context)?;
        let Some(Sold { first: Some(first), last: Some(last) }) = reader.row(&SOLD, &[]).await? else {
            return Ok(Vec::new());
        };
        let days = period.days(context, first, last)?;
        let (customers, skus) = counted(context);
        reader.rows(&BY_DAY, &[&days.dates, &days.begins, &days.ends, &customers, &skus]).await
    }

    /// The sales of a period, which includes both ends, by currency.
    #[graphql(complexity = "weight::list(weight::UNBOUNDED, child_complexity)")]
    async fn sales_totals(
        &self,
        context: &Context<'_>,
        from: Date,
        to: Date,
        #[graphql(desc = "The time zone of the days, such as `Europe/Berlin`; the shop's by default.")]
        time_zone: Option<String>,
    ) -> async_graphql::Result<Vec<Sales>> {
        staff_only(context)?;
        let (begin, end) = Period::of(context, from, to, time_zone.as_deref())?.bounds();
        let (customers, skus) = counted(context);
        reader(context)?.rows(&TOTALS, &[&begin, &end, &customers, &skus]).await
    }

    /// The SKUs with the highest net sales in a period, which includes both ends. Amounts are compared within a currency. Without one, each
    /// currency has its own ranking, one after the other.
    #[graphql(complexity = "rows(Some(first))? * if currency.is_some() { 1 } else { CURRENCIES } * child_complexity")]
    async fn top_products(
        &self,
        context: &Context<'_>,
        from: Date,
        to: Date,
        #[graphql(desc = "The ISO 4217 code of the currency.")] currency: Option<String>,
        #[graphql(desc = "How many SKUs of a currency.", default = 10)] first: i32,
        #[graphql(desc = "The time zone of the days, such as `Europe/Berlin`; the shop's by default.")]
        time_zone: Option<String>,
    ) -> async_graphql::Result<Vec<ProductSales>> {
        staff_only(context)?;
        let first = page_size(first, MAX_PAGE)?;
        let currency = currency.map(|code| code.parse::<Currency>()).transpose();
        let currency = currency.map_err(|error| coded("BAD_INPUT", format!("currency {error}")))?;
        let currency = currency.as_ref().map(Currency::code);
        let (begin, end) = Period::of(context, from, to, time_zone.as_deref())?.bounds();
        reader(context)?.rows(&BY_NET, &[&begin, &end, &i64::from(first), &currency]).await
    }
}

/// The first and the last quarter-hour with an entry.
#[derive(Deserialize)]
struct Sold {
    first: Option<i64>,
    last: Option<i64>,
}

/// Whether customers and SKUs are counted. Counting each once takes more than the sums do.
fn counted(context: &Context<'_>) -> (bool, bool) {
    let selected = context.look_ahead();
    (selected.field("customers").exists(), selected.field("skus").exists())
}

const SOLD: Statement = Statement::new(
    &[SALES_BY_DAY],
    "SELECT json_build_object('first', min(quarter_hour), 'last', max(quarter_hour)) FROM read.sales_by_quarter_hour",
);

/// The sums of the quarter-hours that satisfy a condition.
macro_rules! sums {
    ($condition:literal) => {
        concat!(
            "(SELECT q.currency, sum(q.orders) AS orders, sum(q.units) AS units, sum(q.gross) AS gross, sum(q.discount) AS discount,
                     sum(q.net) AS net, sum(q.cancelled_orders) AS cancelled_orders, sum(q.cancelled) AS cancelled,
                     sum(q.returned_orders) AS returned_orders, sum(q.returned) AS returned,
                     sum(q.refunded_orders) AS refunded_orders, sum(q.refunded) AS refunded
              FROM read.sales_by_quarter_hour q WHERE ",
            $condition,
            " GROUP BY q.currency)"
        )
    };
}

/// An entry of a currency `c`, with sums `s` that may be missing. Customers and SKUs are counted where the condition says so.
macro_rules! entry {
    ($date:literal, $customers:literal, $skus:literal, $begins:literal, $ends:literal) => {
        concat!(
            "json_build_object(",
            $date,
            "'currency', c.currency, 'orders', coalesce(s.orders, 0), 'units', coalesce(s.units, 0),
             'gross', coalesce(s.gross, 0), 'discount', coalesce(s.discount, 0), 'net', coalesce(s.net, 0),
             'cancelled_orders', coalesce(s.cancelled_orders, 0), 'cancelled', coalesce(s.cancelled, 0),
             'returned_orders', coalesce(s.returned_orders, 0), 'returned', coalesce(s.returned, 0),
             'refunded_orders', coalesce(s.refunded_orders, 0), 'refunded', coalesce(s.refunded, 0),
             'customers', CASE WHEN ",
            $customers,
            " THEN (SELECT count(DISTINCT o.customer_id) FROM read.sales_orders o
                    WHERE o.counted AND o.quarter_hour >= ",
            $begins,
            " AND o.quarter_hour < ",
            $ends,
            " AND o.currency = c.currency) ELSE 0 END, 'skus', CASE WHEN ",
            $skus,
            " THEN (SELECT count(DISTINCT p.sku) FROM read.product_sales p
                    WHERE p.orders > 0 AND p.quarter_hour >= ",
            $begins,
            " AND p.quarter_hour < ",
            $ends,
            " AND p.currency = c.currency) ELSE 0 END)"
        )
    };
}

/// The days `$1`, which begin in the quarter-hours `$2` and have ended in `$3`. `$4` and `$5` say what is counted.
const BY_DAY: Statement = Statement::new(
    &[SALES_BY_DAY, TOP_PRODUCTS],
    concat!(
        "SELECT ",
        entry!("'date', d.date, ", "$4", "$5", "d.begins", "d.ends"),
        " FROM unnest($1::date[], $2::bigint[], $3::bigint[]) AS d (date, begins, ends)
          CROSS JOIN (SELECT DISTINCT q.currency FROM read.sales_by_quarter_hour q
                      WHERE q.quarter_hour >= ($2::bigint[])[1]
                        AND q.quarter_hour < ($3::bigint[])[array_upper($3::bigint[], 1)]) AS c
          LEFT JOIN LATERAL ",
        sums!("q.quarter_hour >= d.begins AND q.quarter_hour < d.ends AND q.currency = c.currency"),
        " AS s ON true ORDER BY d.date, c.currency"
    ),
);

/// The quarter-hours from `$1` to before `$2`. `$3` and `$4` say what is counted.
const TOTALS: Statement = Statement::new(
    &[SALES_BY_DAY, TOP_PRODUCTS],
    concat!(
        "SELECT ",
        entry!("", "$3", "$4", "$1", "$2"),
        " FROM ",
        sums!("q.quarter_hour >= $1 AND q.quarter_hour < $2"),
        " AS s CROSS JOIN LATERAL (SELECT s.currency) AS c ORDER BY c.currency"
    ),
);

/// The best `$3` of each currency, or of the currency `$4`, from the quarter-hour `$1` to before `$2`.
const BY_NET: Statement = Statement::new(
    &[TOP_PRODUCTS, PRODUCT],
    "SELECT json_build_object('sku', t.sku, 'currency', t.currency, 'orders', t.orders, 'units', t.units,
            'gross', t.gross, 'net', t.net, 'returned_units', t.returned_units, 'returned', t.returned, 'name', p.name)
     FROM (SELECT *, row_number() OVER (PARTITION BY currency ORDER BY net DESC, sku COLLATE \"C\") AS place
           FROM (SELECT sku, currency, sum(orders) AS orders, sum(units) AS units, sum(gross) AS gross, sum(net) AS net,
                        sum(returned_units) AS returned_units, sum(returned) AS returned
                 FROM read.product_sales
                 WHERE quarter_hour >= $1 AND quarter_hour < $2 AND ($4::text IS NULL OR currency = $4)
                 GROUP BY sku, currency HAVING sum(orders) > 0) AS s) AS t
     LEFT JOIN read.product_variants v ON v.sku = t.sku
     LEFT JOIN read.products p ON p.product_id = v.product_id
     WHERE t.place <= $3 ORDER BY t.currency, t.place",
);

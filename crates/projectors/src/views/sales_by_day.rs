//! `sales_by_day`: orders, units and money by the day (in UTC) on which orders were placed.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use daybook_domain::{
    Currency, Slice,
    ids::{CustomerId, OrderId},
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};

use super::{
    order::{Key, key},
    sales::{Change, change},
};
use crate::{
    store::Row,
    view::{Recorded, ViewSpec},
};

pub(super) static VIEW: ViewSpec = ViewSpec {
    name: "sales_by_day",
    slice: Slice::Order,
    tables: &["sales_by_day", "sales_orders"],
    ddl: "CREATE TABLE sales_by_day (
              day date, currency text, orders bigint NOT NULL, units bigint NOT NULL, gross bigint NOT NULL,
              discount bigint NOT NULL, net bigint NOT NULL, PRIMARY KEY (day, currency));
          CREATE TABLE sales_orders (
              order_id uuid PRIMARY KEY, day date NOT NULL, currency text NOT NULL, customer_id text, units bigint NOT NULL,
              gross bigint NOT NULL, discount bigint NOT NULL, net bigint NOT NULL, counted boolean NOT NULL);
          CREATE INDEX ON sales_orders (day, customer_id) WHERE counted;",
    project: |store, events| {
        async move {
            let changes = store.fold(events, |event| change(event).and_then(|_| key(event)), fold).await?;
            store.add(&sums(&changes)).await
        }
        .boxed()
    },
};

/// What an order contributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SalesOrder {
    order_id: OrderId,
    day: NaiveDate,
    currency: Currency,
    customer_id: Option<CustomerId>,
    units: i64,
    gross: i64,
    discount: i64,
    net: i64,
    counted: bool,
}

impl Row for SalesOrder {
    type Key = Key;
    const TABLE: &'static str = "sales_orders";
    const KEY: &'static [&'static str] = &["order_id"];
    const COLUMNS: &'static [&'static str] =
        &["day", "currency", "customer_id", "units", "gross", "discount", "net", "counted"];
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct DayKey {
    day: NaiveDate,
    currency: Currency,
}

/// The sums of a day, or what is added to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Day {
    day: NaiveDate,
    currency: Currency,
    orders: i64,
    units: i64,
    gross: i64,
    discount: i64,
    net: i64,
}

impl Row for Day {
    type Key = DayKey;
    const TABLE: &'static str = "sales_by_day";
    const KEY: &'static [&'static str] = &["day", "currency"];
    const COLUMNS: &'static [&'static str] = &["orders", "units", "gross", "discount", "net"];
}

fn fold(row: Option<SalesOrder>, recorded: &Recorded) -> Option<SalesOrder> {
    match change(recorded) {
        Some(Change::Begins(sale)) => Some(SalesOrder {
            order_id: sale.order_id,
            day: sale.day,
            currency: sale.currency,
            customer_id: sale.customer_id,
            units: sale.lines.iter().map(|line| line.units).sum(),
            gross: sale.gross,
            discount: sale.discount,
            net: sale.net,
            counted: true,
        }),
        Some(Change::Ends) => row.map(|row| SalesOrder { counted: false, ..row }),
        None => row,
    }
}

/// What the changes of orders add to the days, sorted by day.
fn sums(changes: &[(Option<SalesOrder>, Option<SalesOrder>)]) -> Vec<Day> {
    let mut days: BTreeMap<(NaiveDate, Currency), Day> = BTreeMap::new();
    for (before, after) in changes {
        for (row, sign) in [(before, -1), (after, 1)] {
            let Some(row) = row else { continue };
            // A row that does not count still makes its day, so that the table does not depend on how events came in batches.
            let sign = if row.counted { sign } else { 0 };
            let (day, currency) = (row.day, row.currency);
            let sum = days.entry((day, currency)).or_insert(Day {
                day,
                currency,
                orders: 0,
                units: 0,
                gross: 0,
                discount: 0,
                net: 0,
            });
            sum.orders += sign;
            sum.units += sign * row.units;
            sum.gross += sign * row.gross;
            sum.discount += sign * row.discount;
            sum.net += sign * row.net;
        }
    }
    days.into_values().collect()
}

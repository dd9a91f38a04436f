//! `top_products`: units and money by SKU and by the day (in UTC) on which orders were placed.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use daybook_domain::{
    Currency, Slice,
    ids::{OrderId, Sku},
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
    name: "top_products",
    slice: Slice::Order,
    tables: &["product_sales", "product_sales_orders"],
    ddl: "CREATE TABLE product_sales (
              day date, sku text, currency text, orders bigint NOT NULL, units bigint NOT NULL, gross bigint NOT NULL,
              net bigint NOT NULL, PRIMARY KEY (day, sku, currency));
          CREATE TABLE product_sales_orders (
              order_id uuid PRIMARY KEY, day date NOT NULL, currency text NOT NULL, lines jsonb NOT NULL,
              counted boolean NOT NULL);",
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
struct Contribution {
    order_id: OrderId,
    day: NaiveDate,
    currency: Currency,
    lines: Vec<Line>,
    counted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    sku: Sku,
    units: i64,
    gross: i64,
    net: i64,
}

impl Row for Contribution {
    type Key = Key;
    const TABLE: &'static str = "product_sales_orders";
    const KEY: &'static [&'static str] = &["order_id"];
    const COLUMNS: &'static [&'static str] = &["day", "currency", "lines", "counted"];
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct SalesKey {
    day: NaiveDate,
    sku: Sku,
    currency: Currency,
}

/// The sums of a SKU on a day, or what is added to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ProductSales {
    day: NaiveDate,
    sku: Sku,
    currency: Currency,
    orders: i64,
    units: i64,
    gross: i64,
    net: i64,
}

impl Row for ProductSales {
    type Key = SalesKey;
    const TABLE: &'static str = "product_sales";
    const KEY: &'static [&'static str] = &["day", "sku", "currency"];
    const COLUMNS: &'static [&'static str] = &["orders", "units", "gross", "net"];
}

fn fold(row: Option<Contribution>, recorded: &Recorded) -> Option<Contribution> {
    match change(recorded) {
        Some(Change::Begins(sale)) => {
            let lines = sale.lines.into_iter().map(|line| Line {
                sku: line.sku,
                units: line.units,
                gross: line.gross,
                net: line.net,
            });
            let (order_id, day, currency) = (sale.order_id, sale.day, sale.currency);
            Some(Contribution { order_id, day, currency, lines: lines.collect(), counted: true })
        }
        Some(Change::Ends) => row.map(|row| Contribution { counted: false, ..row }),
        None => row,
    }
}

/// What the changes of orders add to the SKUs, sorted by key.
fn sums(changes: &[(Option<Contribution>, Option<Contribution>)]) -> Vec<ProductSales> {
    let mut sums: BTreeMap<(NaiveDate, Sku, Currency), ProductSales> = BTreeMap::new();
    for (before, after) in changes {
        for (row, sign) in [(before, -1), (after, 1)] {
            let Some(row) = row else { continue };
            // A row that does not count still makes its SKUs, so that the table does not depend on how events came in batches.
            let sign = if row.counted { sign } else { 0 };
            for line in &row.lines {
                let (day, sku, currency) = (row.day, line.sku.clone(), row.currency);
                let sum = sums.entry((day, sku.clone(), currency)).or_insert_with(|| ProductSales {
                    day,
                    sku,
                    currency,
                    orders: 0,
                    units: 0,
                    gross: 0,
                    net: 0,
                });
                sum.orders += sign;
                sum.units += sign * line.units;
                sum.gross += sign * line.gross;
                sum.net += sign * line.net;
            }
        }
    }
    sums.into_values().collect()
}

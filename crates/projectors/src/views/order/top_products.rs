//! `top_products`: units and money by SKU and by the day (in UTC) on which orders were placed.

use std::collections::{BTreeMap, btree_map::Entry};

use chrono::NaiveDate;
use daybook_domain::{
    Currency, Slice,
    ids::{OrderId, Sku},
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};

use super::{
    order::Key,
    sales::{self, Contribution, Sale, SoldLine},
};
use crate::engine::{
    store::{Row, Sum},
    view::ViewSpec,
};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "top_products",
    slices: &[Slice::Order],
    tables: &["product_sales", "product_sales_orders"],
    revision: 2,
    ddl: "CREATE TABLE product_sales (
              day date, sku text, currency text, orders bigint NOT NULL, units bigint NOT NULL, gross bigint NOT NULL,
              net bigint NOT NULL, PRIMARY KEY (day, sku, currency));
          CREATE TABLE product_sales_orders (
              order_id uuid PRIMARY KEY, day date NOT NULL, currency text NOT NULL, lines jsonb NOT NULL,
              counted boolean NOT NULL);",
    project: |store, events| sales::project::<OrderedProducts>(store, events).boxed(),
};

/// What an order contributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OrderedProducts {
    order_id: OrderId,
    day: NaiveDate,
    currency: Currency,
    lines: Vec<SoldLine>,
    counted: bool,
}

impl Row for OrderedProducts {
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

impl Contribution for OrderedProducts {
    type Sum = ProductSales;

    fn of(sale: Sale) -> Self {
        // An order counts once for a SKU, however many of its lines name it.
        let mut lines: BTreeMap<Sku, SoldLine> = BTreeMap::new();
        for line in sale.lines {
            match lines.entry(line.sku.clone()) {
                Entry::Vacant(entry) => drop(entry.insert(line)),
                Entry::Occupied(mut entry) => entry.get_mut().add(&line),
            }
        }
        let (order_id, day, currency) = (sale.order_id, sale.day, sale.currency);
        Self { order_id, day, currency, lines: lines.into_values().collect(), counted: true }
    }

    fn counted(&mut self) -> &mut bool {
        &mut self.counted
    }

    fn parts(&self, times: i64) -> Vec<ProductSales> {
        let part = |line: &SoldLine| ProductSales {
            day: self.day,
            sku: line.sku.clone(),
            currency: self.currency,
            orders: times,
            units: times * line.units,
            gross: times * line.gross,
            net: times * line.net,
        };
        self.lines.iter().map(part).collect()
    }
}

impl Sum for ProductSales {
    fn key(&self) -> SalesKey {
        SalesKey { day: self.day, sku: self.sku.clone(), currency: self.currency }
    }

    fn add(&mut self, part: &Self) {
        self.orders += part.orders;
        self.units += part.units;
        self.gross = self.gross.saturating_add(part.gross);
        self.net = self.net.saturating_add(part.net);
    }
}

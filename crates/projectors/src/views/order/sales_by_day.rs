//! `sales_by_day`: orders, units and money by the day (in UTC) on which orders were placed.

use chrono::NaiveDate;
use daybook_domain::{
    Currency, Slice,
    ids::{CustomerId, OrderId},
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};

use super::{
    order::Key,
    sales::{self, Contribution, Sale},
};
use crate::engine::{
    store::{Row, Sum},
    view::ViewSpec,
};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "sales_by_day",
    slices: &[Slice::Order],
    tables: &["sales_by_day", "sales_orders"],
    revision: 2,
    ddl: "CREATE TABLE sales_by_day (
              day date, currency text, orders bigint NOT NULL, units bigint NOT NULL, gross bigint NOT NULL,
              discount bigint NOT NULL, net bigint NOT NULL, PRIMARY KEY (day, currency));
          CREATE TABLE sales_orders (
              order_id uuid PRIMARY KEY, day date NOT NULL, currency text NOT NULL, customer_id uuid, units bigint NOT NULL,
              gross bigint NOT NULL, discount bigint NOT NULL, net bigint NOT NULL, counted boolean NOT NULL);
          CREATE INDEX ON sales_orders (day, currency, customer_id) WHERE counted;",
    project: |store, events| sales::project::<SalesOrder>(store, events).boxed(),
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

impl Contribution for SalesOrder {
    type Sum = Day;

    fn of(sale: Sale) -> Self {
        Self {
            order_id: sale.order_id,
            day: sale.day,
            currency: sale.currency,
            customer_id: sale.customer_id,
            units: sale.lines.iter().map(|line| line.units).sum(),
            gross: sale.totals.gross.minor_units,
            discount: sale.totals.discount.minor_units,
            net: sale.totals.net.minor_units,
            counted: true,
        }
    }

    fn counted(&mut self) -> &mut bool {
        &mut self.counted
    }

    fn parts(&self, times: i64) -> Vec<Day> {
        vec![Day {
            day: self.day,
            currency: self.currency,
            orders: times,
            units: times * self.units,
            gross: times * self.gross,
            discount: times * self.discount,
            net: times * self.net,
        }]
    }
}

impl Sum for Day {
    fn key(&self) -> DayKey {
        DayKey { day: self.day, currency: self.currency }
    }

    fn add(&mut self, part: &Self) {
        self.orders += part.orders;
        self.units += part.units;
        self.gross = self.gross.saturating_add(part.gross);
        self.discount = self.discount.saturating_add(part.discount);
        self.net = self.net.saturating_add(part.net);
    }
}

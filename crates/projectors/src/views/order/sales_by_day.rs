//! `sales_by_day`: orders, units and money by the day (in UTC) on which orders were placed.

use chrono::NaiveDate;
use daybook_domain::{
    Currency, Slice,
    ids::{CustomerId, OrderId},
};
use futures::FutureExt;

use super::sales::{self, Contribution, Sale};
use crate::{
    engine::{
        store::{Row, Sum},
        view::ViewSpec,
    },
    row,
};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "sales_by_day",
    slices: &[Slice::Order],
    tables: &[Day::TABLE, SalesOrder::TABLE],
    revision: 2,
    project: |store, events| sales::project::<SalesOrder>(store, events).boxed(),
};

row! {
    /// What an order contributes.
    pub(in crate::views) struct SalesOrder in sales_orders {
        key SalesOrderKey { order_id: OrderId }
        day: NaiveDate,
        currency: Currency,
        customer_id: Option<CustomerId>,
        units: i64,
        gross: i64,
        discount: i64,
        net: i64,
        counted: bool,
    }
    indexes {
        // Customers are counted in the index alone.
        "(day, currency, customer_id) WHERE counted",
    }
}

row! {
    /// The sums of a day, or what is added to them.
    pub(in crate::views) struct Day in sales_by_day {
        key DayKey { day: NaiveDate, currency: Currency }
        orders: i64,
        units: i64,
        gross: i64,
        discount: i64,
        net: i64,
    }
}

impl Contribution for SalesOrder {
    type Sum = Day;

    fn key_of(order_id: OrderId) -> SalesOrderKey {
        SalesOrderKey { order_id }
    }

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
    fn add(&mut self, part: &Self) {
        self.orders += part.orders;
        self.units += part.units;
        self.gross = self.gross.saturating_add(part.gross);
        self.discount = self.discount.saturating_add(part.discount);
        self.net = self.net.saturating_add(part.net);
    }
}

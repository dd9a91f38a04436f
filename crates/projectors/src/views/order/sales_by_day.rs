//! `sales_by_day`: orders, units and money by quarter-hour, of which the days of every time zone consist.

use daybook_domain::{
    Currency, Slice,
    ids::{CustomerId, OrderId},
};
use futures::FutureExt;

use super::sales::{self, Contribution, Milestone, Sale};
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
    tables: &[QuarterHour::TABLE, SalesOrder::TABLE],
    revision: 3,
    project: |store, events| sales::project::<SalesOrder>(store, events).boxed(),
};

row! {
    /// What an order contributes. Its quarter-hours are those in which it was placed, cancelled, returned and refunded.
    pub(in crate::views) struct SalesOrder in sales_orders {
        key SalesOrderKey { order_id: OrderId }
        quarter_hour: i64,
        currency: Currency,
        customer_id: Option<CustomerId>,
        units: i64,
        gross: i64,
        discount: i64,
        net: i64,
        counted: bool,
        cancelled_in: Option<i64>,
        returned_in: Option<i64>,
        refunded_in: Option<i64>,
    }
    indexes {
        // Customers are counted in the index alone.
        "(quarter_hour, currency, customer_id) WHERE counted",
    }
}

row! {
    /// The sums of a quarter-hour, or what is added to them.
    pub(in crate::views) struct QuarterHour in sales_by_quarter_hour {
        key QuarterHourKey { quarter_hour: i64, currency: Currency }
        orders: i64,
        units: i64,
        gross: i64,
        discount: i64,
        net: i64,
        cancelled_orders: i64,
        cancelled: i64,
        returned_orders: i64,
        returned: i64,
        refunded_orders: i64,
        refunded: i64,
    }
}

impl Contribution for SalesOrder {
    type Sum = QuarterHour;

    fn key_of(order_id: OrderId) -> SalesOrderKey {
        SalesOrderKey { order_id }
    }

    fn of(sale: Sale) -> Self {
        Self {
            order_id: sale.order_id,
            quarter_hour: sale.placed,
            currency: sale.currency,
            customer_id: sale.customer_id,
            units: sale.lines.iter().map(|line| line.units).sum(),
            gross: sale.totals.gross.minor_units,
            discount: sale.totals.discount.minor_units,
            net: sale.totals.net.minor_units,
            counted: true,
            cancelled_in: None,
            returned_in: None,
            refunded_in: None,
        }
    }

    fn note(&mut self, milestone: Milestone, quarter_hour: i64) {
        match milestone {
            Milestone::Cancelled => (self.counted, self.cancelled_in) = (false, Some(quarter_hour)),
            Milestone::Returned => self.returned_in = Some(quarter_hour),
            Milestone::Refunded => self.refunded_in = Some(quarter_hour),
        }
    }

    fn parts(&self, times: i64) -> Vec<QuarterHour> {
        let counted = times * i64::from(self.counted);
        let placed = QuarterHour {
            orders: counted,
            units: counted * self.units,
            gross: counted * self.gross,
            discount: counted * self.discount,
            net: counted * self.net,
            ..self.nothing_in(self.quarter_hour)
        };
        let (orders, net) = (times, times * self.net);
        let cancelled =
            self.cancelled_in.map(|at| QuarterHour { cancelled_orders: orders, cancelled: net, ..self.nothing_in(at) });
        let returned =
            self.returned_in.map(|at| QuarterHour { returned_orders: orders, returned: net, ..self.nothing_in(at) });
        let refunded =
            self.refunded_in.map(|at| QuarterHour { refunded_orders: orders, refunded: net, ..self.nothing_in(at) });
        [Some(placed), cancelled, returned, refunded].into_iter().flatten().collect()
    }
}

impl SalesOrder {
    /// The sums of a quarter-hour in which nothing happened.
    fn nothing_in(&self, quarter_hour: i64) -> QuarterHour {
        QuarterHour {
            quarter_hour,
            currency: self.currency,
            orders: 0,
            units: 0,
            gross: 0,
            discount: 0,
            net: 0,
            cancelled_orders: 0,
            cancelled: 0,
            returned_orders: 0,
            returned: 0,
            refunded_orders: 0,
            refunded: 0,
        }
    }
}

impl Sum for QuarterHour {
    fn add(&mut self, part: &Self) {
        let sums = [
            (&mut self.orders, part.orders),
            (&mut self.units, part.units),
            (&mut self.gross, part.gross),
            (&mut self.discount, part.discount),
            (&mut self.net, part.net),
            (&mut self.cancelled_orders, part.cancelled_orders),
            (&mut self.cancelled, part.cancelled),
            (&mut self.returned_orders, part.returned_orders),
            (&mut self.returned, part.returned),
            (&mut self.refunded_orders, part.refunded_orders),
            (&mut self.refunded, part.refunded),
        ];
        for (sum, part) in sums {
            *sum = sum.saturating_add(part);
        }
    }
}

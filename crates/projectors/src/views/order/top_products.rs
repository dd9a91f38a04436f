//! `top_products`: units and money by SKU and quarter-hour, of which the days of every time zone consist.

use std::collections::{BTreeMap, btree_map::Entry};

use daybook_domain::{
    Currency, Slice,
    ids::{OrderId, Sku},
};
use futures::FutureExt;

use super::sales::{self, Contribution, Milestone, Sale, SoldLine};
use crate::{
    engine::{
        store::{Row, Sum},
        view::ViewSpec,
    },
    row,
};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "top_products",
    slices: &[Slice::Order],
    tables: &[ProductSales::TABLE, OrderedProducts::TABLE],
    revision: 3,
    project: |store, events| sales::project::<OrderedProducts>(store, events).boxed(),
};

row! {
    /// What an order contributes. Its quarter-hours are those in which it was placed and returned.
    pub(in crate::views) struct OrderedProducts in product_sales_orders {
        key OrderedProductsKey { order_id: OrderId }
        quarter_hour: i64,
        currency: Currency,
        lines: Vec<SoldLine> as jsonb,
        counted: bool,
        returned_in: Option<i64>,
    }
}

row! {
    /// The sums of a SKU in a quarter-hour, or what is added to them.
    pub(in crate::views) struct ProductSales in product_sales {
        key ProductSalesKey { quarter_hour: i64, sku: Sku, currency: Currency }
        orders: i64,
        units: i64,
        gross: i64,
        net: i64,
        returned_units: i64,
        returned: i64,
    }
}

impl Contribution for OrderedProducts {
    type Sum = ProductSales;

    fn key_of(order_id: OrderId) -> OrderedProductsKey {
        OrderedProductsKey { order_id }
    }

    fn of(sale: Sale) -> Self {
        // An order counts once for a SKU, however many of its lines name it.
        let mut lines: BTreeMap<Sku, SoldLine> = BTreeMap::new();
        for line in sale.lines {
            match lines.entry(line.sku.clone()) {
                Entry::Vacant(entry) => drop(entry.insert(line)),
                Entry::Occupied(mut entry) => entry.get_mut().add(&line),
            }
        }
        Self {
            order_id: sale.order_id,
            quarter_hour: sale.placed,
            currency: sale.currency,
            lines: lines.into_values().collect(),
            counted: true,
            returned_in: None,
        }
    }

    fn note(&mut self, milestone: Milestone, quarter_hour: i64) {
        match milestone {
            Milestone::Cancelled => self.counted = false,
            Milestone::Returned => self.returned_in = Some(quarter_hour),
            // Money goes back for an order, and not for its lines.
            Milestone::Refunded => {}
        }
    }

    fn parts(&self, times: i64) -> Vec<ProductSales> {
        let counted = times * i64::from(self.counted);
        let placed = self.lines.iter().map(|line| ProductSales {
            orders: counted,
            units: counted * line.units,
            gross: counted * line.gross,
            net: counted * line.net,
            ..self.nothing_of(line, self.quarter_hour)
        });
        let returned = self.returned_in.into_iter().flat_map(|at| {
            self.lines.iter().map(move |line| ProductSales {
                returned_units: times * line.units,
                returned: times * line.net,
                ..self.nothing_of(line, at)
            })
        });
        placed.chain(returned).collect()
    }
}

impl OrderedProducts {
    /// The sums of a SKU in a quarter-hour in which nothing happened.
    fn nothing_of(&self, line: &SoldLine, quarter_hour: i64) -> ProductSales {
        ProductSales {
            quarter_hour,
            sku: line.sku.clone(),
            currency: self.currency,
            orders: 0,
            units: 0,
            gross: 0,
            net: 0,
            returned_units: 0,
            returned: 0,
        }
    }
}

impl Sum for ProductSales {
    fn add(&mut self, part: &Self) {
        let sums = [
            (&mut self.orders, part.orders),
            (&mut self.units, part.units),
            (&mut self.gross, part.gross),
            (&mut self.net, part.net),
            (&mut self.returned_units, part.returned_units),
            (&mut self.returned, part.returned),
        ];
        for (sum, part) in sums {
            *sum = sum.saturating_add(part);
        }
    }
}

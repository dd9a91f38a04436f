//! `top_products`: units and money by SKU and by the day (in UTC) on which orders were placed.

use std::collections::{BTreeMap, btree_map::Entry};

use chrono::NaiveDate;
use daybook_domain::{
    Currency, Slice,
    ids::{OrderId, Sku},
};
use futures::FutureExt;

use super::sales::{self, Contribution, Sale, SoldLine};
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
    revision: 2,
    project: |store, events| sales::project::<OrderedProducts>(store, events).boxed(),
};

row! {
    /// What an order contributes.
    pub(in crate::views) struct OrderedProducts in product_sales_orders {
        key OrderedProductsKey { order_id: OrderId }
        day: NaiveDate,
        currency: Currency,
        lines: Vec<SoldLine> as jsonb,
        counted: bool,
    }
}

row! {
    /// The sums of a SKU on a day, or what is added to them.
    pub(in crate::views) struct ProductSales in product_sales {
        key ProductSalesKey { day: NaiveDate, sku: Sku, currency: Currency }
        orders: i64,
        units: i64,
        gross: i64,
        net: i64,
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
    fn add(&mut self, part: &Self) {
        self.orders += part.orders;
        self.units += part.units;
        self.gross = self.gross.saturating_add(part.gross);
        self.net = self.net.saturating_add(part.net);
    }
}

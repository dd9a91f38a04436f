//! Files to import, generated from a seed: their lines, and the expected result of each.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::nemesis::{load::ITEMS, random::Random};

/// The approximate number of lines of a file.
const PRODUCTS: u64 = 60;
const ORDERS: u64 = 240;
const DELIVERIES: u64 = 120;
/// The percentages of bad lines, and of duplicate lines.
const BAD: u64 = 8;
const TWICE: u64 = 4;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Products, with prices: CSV.
    Products,
    /// Orders from another system: NDJSON.
    Orders,
    /// Deliveries of goods: CSV.
    Stock,
}

impl What {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Orders => "orders",
            Self::Stock => "stock",
        }
    }
}

/// A line that must be rejected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejection {
    /// The key of the record: the reference of an order or delivery, or the name of a product. An unreadable line has its text.
    pub record: String,
    /// The code of the reason.
    pub code: String,
}

/// A file.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The number of its records. Duplicates count twice.
    pub records: u64,
    /// Its good orders, each an `ImportOrder`, by their references.
    pub orders: BTreeMap<String, Value>,
    /// Its good products, by their SKUs.
    pub products: BTreeMap<String, Product>,
    /// Its good deliveries, by their references.
    pub deliveries: BTreeMap<String, Delivery>,
    /// Its bad records.
    pub bad: Vec<Rejection>,
    /// References, SKUs and names that must not occur in the book.
    pub forbidden: BTreeSet<String>,
}

/// A product of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its name.
    pub name: String,
    /// The names of its categories, the root first.
    pub categories: [String; 2],
    /// Its price, in cents.
    pub price: u64,
}

/// Goods of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The SKU.
    pub sku: String,
    /// The quantity.
    pub quantity: u64,
    /// How many lines are equal. Each is a delivery of its own.
    pub times: u64,
}

impl File {
    /// Generates the file with a number.
    #[must_use]
    pub fn generated(what: What, number: u64, random: &mut Random) -> Self {
        match what {
            What::Products => products(number, random),
            What::Orders => orders(number, random),
            What::Stock => stock(number, random),
        }
    }

    /// The number of good records. Duplicate orders and products count once.
    #[must_use]
    pub fn good(&self) -> u64 {
        let deliveries: u64 = self.deliveries.values().map(|delivery| delivery.times).sum();
        self.orders.len() as u64 + self.products.len() as u64 + deliveries
    }

    fn line(&mut self, line: &str) {
        self.text += line;
        self.text += "\n";
    }

    fn reject(&mut self, record: String, code: &str) {
        self.records += 1;
        self.bad.push(Rejection { record, code: code.to_owned() });
    }
}

fn products(number: u64, random: &mut Random) -> File {
    let mut file = File { name: format!("products-{number}.csv"), ..File::default() };
    file.line("sku,name,brand,department,category,package_size,price_minor,currency");
    for nr in 0..PRODUCTS {
        let (sku, name) = (format!("import-sku-{number}-{nr}"), format!("Import {number} {nr}"));
        let categories = [format!("Department {number}"), format!("Category {}", random.between(0, 4))];
        let price = random.between(100, 10_000);
        let [department, category] = &categories;
        let rest = format!("{name},Acme,{department},{category},2 kg");
        if random.percent(BAD) {
            // A price that is no number, a missing currency, an unknown currency, and a missing SKU.
            let line = match random.between(0, 4) {
                0 => format!("{sku},{rest},cheap,EUR"),
                1 => format!("{sku},{rest},{price},"),
                2 => format!("{sku},{rest},{price},euros"),
                _ => format!(",{rest},{price},EUR"),
            };
            file.line(&line);
            file.forbidden.extend([sku, name.clone()]);
            file.reject(name, "invalid_record");
            continue;
        }
        let times = if random.percent(TWICE) { 2 } else { 1 };
        (0..times).for_each(|_| file.line(&format!("{sku},{rest},{price},EUR")));
        file.records += times;
        file.products.insert(sku, Product { name, categories, price });
    }
    file
}

fn orders(number: u64, random: &mut Random) -> File {
    let mut file = File { name: format!("orders-{number}.ndjson"), ..File::default() };
    for nr in 0..ORDERS {
        let reference = format!("import-order-{number}-{nr}");
        let order = order(&reference, random);
        if random.percent(BAD) {
            let (line, record, code) = spoiled(order, &reference, random);
            file.line(&line);
            file.forbidden.insert(reference);
            file.reject(record, code);
            continue;
        }
        let times = if random.percent(TWICE) { 2 } else { 1 };
        (0..times).for_each(|_| file.line(&order.to_string()));
        file.records += times;
        file.orders.insert(reference, order);
    }
    file
}

fn order(reference: &str, random: &mut Random) -> Value {
    let lines: Vec<_> = (0..random.between(1, 4))
        .map(|_| {
            json!({ "sku": format!("item-{}", random.between(0, ITEMS)), "quantity": random.between(1, 5),
                    "line_total": random.between(0, 10_000), "discount": random.between(0, 500) })
        })
        .collect();
    // The times are long past and follow from no clock, so a seed gives the same file on every day.
    let age = TimeDelta::seconds(i64::try_from(random.between(0, 30 * 86_400)).unwrap_or(0));
    let placed_at: DateTime<Utc> = DateTime::UNIX_EPOCH + TimeDelta::days(19_000) + age;
    json!({ "external_ref": reference, "customer_ref": format!("customer-{}", random.between(0, 50)),
            "placed_at": placed_at, "currency": "EUR", "lines": lines })
}

/// An order that cannot be imported: its line, its key, and the code of the reason.
fn spoiled(mut order: Value, reference: &str, random: &mut Random) -> (String, String, &'static str) {
    let code = match random.between(0, 6) {
        0 => {
            let mut line = order.to_string();
            line.truncate(line.len() / 2);
            return (line.clone(), line, "malformed_json");
        }
        1 => {
            order["placed_at"] = json!("the other day");
            "invalid_record"
        }
        2 => {
            order["lines"][0]["sku"] = json!("unknown-sku");
            "unknown_sku"
        }
        3 => {
            order["lines"][0]["quantity"] = json!(0);
            "quantity_not_positive"
        }
        4 => {
            order["lines"][0]["line_total"] = json!(-1);
            "amount_negative"
        }
        _ => {
            order["placed_at"] = json!("2999-01-01T00:00:00Z");
            "placed_in_the_future"
        }
    };
    (order.to_string(), reference.to_owned(), code)
}

fn stock(number: u64, random: &mut Random) -> File {
    let mut file = File { name: format!("stock-{number}.csv"), ..File::default() };
    file.line("sku,quantity,location,reference");
    for nr in 0..DELIVERIES {
        let (sku, quantity) = (format!("item-{}", random.between(0, ITEMS)), random.between(1, 4));
        let reference = format!("import-delivery-{number}-{nr}");
        if random.percent(BAD) {
            let (line, code) = match random.between(0, 4) {
                0 => (format!("{sku},a few,main,{reference}"), "invalid_record"),
                1 => (format!("{sku},0,main,{reference}"), "invalid_record"),
                2 => (format!(",{quantity},main,{reference}"), "invalid_record"),
                _ => (format!("unknown-sku,{quantity},main,{reference}"), "unknown_sku"),
            };
            file.line(&line);
            file.forbidden.insert(reference.clone());
            file.reject(reference, code);
            continue;
        }
        let location = if random.percent(50) { "main" } else { "" };
        let times = if random.percent(TWICE) { 2 } else { 1 };
        (0..times).for_each(|_| file.line(&format!("{sku},{quantity},{location},{reference}")));
        file.records += times;
        file.deliveries.insert(reference, Delivery { sku, quantity, times });
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_writes_the_same_file_with_good_and_bad_lines() {
        for what in [What::Products, What::Orders, What::Stock] {
            let file = |seed| File::generated(what, 3, &mut Random::new(seed));
            let one = file(1);
            assert_eq!(one.text, file(1).text);
            assert_ne!(one.text, file(2).text);
            assert!(one.good() > 40 && !one.bad.is_empty(), "{one:?}");
            let lines = one.text.lines().count() as u64;
            let head = u64::from(what != What::Orders);
            assert_eq!(one.records + head, lines);
            let all_once = one.orders.len() + one.products.len() + one.deliveries.len() + one.bad.len();
            assert!((all_once as u64) < one.records, "the file has duplicates");
        }
    }
}

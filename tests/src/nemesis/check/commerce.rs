//! The rules of the shop, checked on the JSON of the events alone. They are written here a second time, without the code of the domain.

use std::collections::HashMap;

use serde_json::Value;

use super::Check;
use crate::nemesis::book::{Book, Event};

pub(super) fn checks(book: &Book) -> Vec<Check> {
    vec![oversell(book), money(book)]
}

/// The stock of a SKU: units on hand, and claims on them.
#[derive(Default)]
struct Stock {
    on_hand: i64,
    claims: HashMap<String, i64>,
}

impl Stock {
    fn available(&self) -> i64 {
        self.on_hand - self.claims.values().sum::<i64>()
    }

    fn take_in(&mut self, event: &Event) {
        let units = event.data["quantity"].as_i64().unwrap_or(0);
        let claim = event.data["reservation_id"].as_str().unwrap_or_default().to_owned();
        match event.event_type.as_str() {
            "inventory.StockReceived" => self.on_hand += units,
            "inventory.StockAdjusted" => self.on_hand += event.data["delta"].as_i64().unwrap_or(0),
            "inventory.StockReserved" => drop(self.claims.insert(claim, units)),
            "inventory.ReservationReleased" => drop(self.claims.remove(&claim)),
            "inventory.ReservationCommitted" => self.on_hand -= self.claims.remove(&claim).unwrap_or(units),
            _ => {}
        }
    }
}

/// Checks that at no position claims exceed the units on hand. Within one command, expired claims end first.
fn oversell(book: &Book) -> Check {
    let mut check = Check::new("nothing is sold that is not there");
    let mut stocks: HashMap<&str, Stock> = HashMap::new();
    for event in book.events.iter().filter(|event| event.stream.starts_with("stock-")) {
        let stock = stocks.entry(&event.stream).or_default();
        stock.take_in(event);
        let left = stock.available();
        check.holds(left >= 0, || format!("{} has {left} left at position {}", event.stream, event.position));
    }
    check
}

fn minor(money: &Value) -> i64 {
    money["minor_units"].as_i64().unwrap_or(i64::MIN)
}

/// Checks that the total of an order is the sum of its lines, each at the price of that position.
fn money(book: &Book) -> Check {
    let mut check = Check::new("orders come to their lines at the prices of that moment");
    let mut prices: HashMap<String, i64> = HashMap::new();
    for event in &book.events {
        match event.event_type.as_str() {
            "catalog.PriceSet" => {
                let sku = event.data["sku"].as_str().unwrap_or_default().to_owned();
                prices.insert(sku, minor(&event.data["price"]));
            }
            "order.OrderPlaced" => {
                let wrong = wrong_order(&event.data, &prices);
                check.holds(wrong.is_none(), || format!("position {}: {}", event.position, wrong.unwrap_or_default()));
            }
            "order.OrderImported" => {
                let total: i64 = lines(&event.data).map(|line| minor(&line["line_total"])).sum();
                let net = minor(&event.data["totals"]["net"]);
                check.holds(total == net, || format!("position {}: {net} is not {total}", event.position));
            }
            _ => {}
        }
    }
    check
}

fn lines(order: &Value) -> impl Iterator<Item = &Value> {
    order["lines"].as_array().into_iter().flatten()
}

fn wrong_order(order: &Value, prices: &HashMap<String, i64>) -> Option<String> {
    let mut sum = 0;
    for line in lines(order) {
        let sku = line["sku"].as_str().unwrap_or_default();
        let (price, units) = (minor(&line["unit_price"]), line["quantity"].as_i64().unwrap_or(0));
        if prices.get(sku) != Some(&price) {
            return Some(format!("{sku} is sold at {price}, its price is {:?}", prices.get(sku)));
        }
        let total = minor(&line["line_total"]);
        if price.checked_mul(units) != Some(total) {
            return Some(format!("{units} {sku} at {price} do not come to {total}"));
        }
        sum += total;
    }
    let (gross, net) = (minor(&order["totals"]["gross"]), minor(&order["totals"]["net"]));
    let discount = minor(&order["totals"]["discount"]);
    let adds_up = sum == gross && gross - discount == net;
    (!adds_up).then(|| format!("lines of {sum} come to {gross} less {discount} is {net}"))
}

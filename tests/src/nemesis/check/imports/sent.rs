//! The commands that imports have sent: the commands of the book, matched with the lines of the files.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::known_by;
use crate::nemesis::{
    book::{Book, Event},
    history::Call,
    imports::{
        Outcome,
        file::{Delivery, Product},
    },
};

/// The actor of imports in the book.
pub(super) const IMPORTER: &str = "admin:import";

/// The commands of the book that came from files, as calls without answers. So they are decided again like all others. A command that
/// came from no line of a file counts as sent by no client.
#[must_use]
pub fn calls(book: &Book, outcomes: &[Outcome]) -> Vec<Call> {
    let sources = Sources::of(outcomes);
    let sent = book.commands.iter().filter_map(|(id, command)| {
        let (name, body) = sources.command(book.of(*command))?;
        Some(Call { key: *id, name, body, attempts: Vec::new() })
    });
    sent.collect()
}

/// The records of all files.
struct Sources<'o> {
    orders: HashMap<&'o str, &'o Value>,
    products: HashMap<&'o str, &'o Product>,
    deliveries: HashMap<&'o str, &'o Delivery>,
}

impl<'o> Sources<'o> {
    fn of(outcomes: &'o [Outcome]) -> Self {
        let files = || outcomes.iter().map(|outcome| &outcome.file);
        Self {
            orders: files().flat_map(|file| &file.orders).map(|(known_by, order)| (known_by.as_str(), order)).collect(),
            products: files().flat_map(|file| &file.products).map(|(sku, product)| (sku.as_str(), product)).collect(),
            deliveries: files()
                .flat_map(|file| &file.deliveries)
                .map(|(known_by, all)| (known_by.as_str(), all))
                .collect(),
        }
    }

    /// The command of these events, if it came from a line of a file. Its ids are those that the import has chosen.
    fn command(&self, events: &[Event]) -> Option<(&'static str, Value)> {
        let first = events.first().filter(|event| event.actor == IMPORTER)?;
        let of = |event_type: &str| events.iter().find(|event| event.event_type == event_type);
        if let Some(imported) = of("order.OrderImported") {
            let order = self.orders.get(known_by(imported)?)?;
            return Some(("ImportOrder", (*order).clone()));
        }
        if let Some(created) = of("catalog.ProductCreated") {
            let sku = known_by(of("catalog.SkuClaimed")?)?;
            let product = self.products.get(sku)?;
            return Some(("CreateProduct", create_product(sku, product, &created.data)));
        }
        if first.event_type == "inventory.StockReceived" {
            let reference = known_by(first)?;
            let Delivery { sku, quantity, .. } = self.deliveries.get(reference)?;
            return Some(("ReceiveStock", json!({ "sku": sku, "quantity": quantity, "reference": reference })));
        }
        let name = of("catalog.CategoryCreated")?.data["name"].as_str()?;
        let is_asked_for = self.products.values().any(|product| product.categories.iter().any(|known| known == name));
        is_asked_for.then(|| ("CreateCategory", first.data.clone()))
    }
}

fn create_product(sku: &str, product: &Product, created: &Value) -> Value {
    json!({ "product_id": created["product_id"], "name": product.name, "brand": "Acme",
            "categories": created["categories"], "attributes": { "package_size": "2 kg" },
            "variants": [{ "sku": sku, "prices": [{ "price": { "minor_units": product.price, "currency": "EUR" } }] }],
            "publish": true })
}

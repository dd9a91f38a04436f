//! The events of the tests. They are given as JSON, which the domain must be able to read.

use daybook_domain::{
    Event,
    ids::{CustomerId, CustomerRef},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// An event with its stream.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) stream: String,
    pub(crate) event: Event,
}

/// An id with this number.
pub(crate) fn id(nr: usize) -> String {
    Uuid::from_u128(nr as u128).to_string()
}

/// The id of the customer with this name.
pub(crate) fn customer(name: &str) -> String {
    CustomerId::imported(&CustomerRef::new(name).expect("a valid name")).to_string()
}

pub(crate) fn fact(stream: String, kind: &str, data: &Value) -> Fact {
    let version = Event::current_version(kind).expect("the domain has the event type");
    let event = daybook_codec::decode(kind, version, data.to_string().as_bytes()).expect("the data matches its schema");
    Fact { stream, event }
}

/// Adds `more` to the members of `data`.
pub(crate) fn with(mut data: Value, more: &Value) -> Value {
    let (members, more) = (data.as_object_mut().expect("an object"), more.as_object().expect("an object"));
    members.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
    data
}

pub(crate) fn eur(minor_units: i64) -> Value {
    json!({ "minor_units": minor_units, "currency": "EUR" })
}

pub(crate) fn product(kind: &str, nr: usize, more: &Value) -> Fact {
    fact(format!("product-{}", id(nr)), kind, &with(json!({ "product_id": id(nr) }), more))
}

pub(crate) fn category(kind: &str, nr: usize, more: &Value) -> Fact {
    fact(format!("category-{}", id(nr)), kind, &with(json!({ "category_id": id(nr) }), more))
}

pub(crate) fn sku(kind: &str, sku: &str, more: &Value) -> Fact {
    fact(format!("sku-{sku}"), kind, &with(json!({ "sku": sku, "product_id": id(1) }), more))
}

pub(crate) fn stock(kind: &str, sku: &str, location: &str, more: &Value) -> Fact {
    fact(format!("stock-{sku}@{location}"), kind, &with(json!({ "sku": sku, "location": location }), more))
}

pub(crate) fn received(of: &str, quantity: usize) -> Fact {
    stock("inventory.StockReceived", of, "main", &json!({ "quantity": quantity }))
}

/// An event of a reservation.
pub(crate) fn claim(kind: &str, of: &str, nr: usize, quantity: usize, more: &Value) -> Fact {
    let claim = json!({ "reservation_id": id(nr), "owner": format!("order:{}", id(nr)), "quantity": quantity });
    stock(kind, of, "main", &with(claim, more))
}

pub(crate) fn cart(kind: &str, nr: usize, more: &Value) -> Fact {
    fact(format!("cart-{}", id(nr)), kind, &with(json!({ "cart_id": id(nr) }), more))
}

pub(crate) fn opened(nr: usize) -> Fact {
    cart("cart.CartOpened", nr, &json!({ "channel": "web", "currency": "EUR", "customer_id": customer("ann") }))
}

pub(crate) fn line_added(nr: usize, sku: &str, quantity: usize) -> Fact {
    cart("cart.LineAdded", nr, &json!({ "sku": sku, "quantity": quantity, "unit_price": eur(100) }))
}

pub(crate) fn order(kind: &str, nr: usize, more: &Value) -> Fact {
    fact(format!("order-{}", id(nr)), kind, &with(json!({ "order_id": id(nr) }), more))
}

/// An order of one unit, at 1.00, of each SKU.
pub(crate) fn placed_of(nr: usize, skus: &[String], more: &Value) -> Fact {
    let lines: Vec<_> = skus
        .iter()
        .map(|sku| {
            json!({ "sku": sku, "product_id": id(1), "name": "Oat milk", "quantity": 1, "unit_price": eur(100),
                    "line_total": eur(100), "location": "main", "reservation_id": id(nr) })
        })
        .collect();
    let total = i64::try_from(skus.len()).expect("a small number") * 100;
    let order = json!({ "cart_id": id(nr), "customer_id": customer("ann"), "channel": "web", "currency": "EUR", "lines": lines,
                        "totals": { "gross": eur(total), "discount": eur(0), "net": eur(total) },
                        "placed_at": "2026-03-01T23:30:00Z" });
    order_of(nr, "order.OrderPlaced", &with(order, more))
}

/// An order of ann with one unit of `oat`.
pub(crate) fn placed(nr: usize) -> Fact {
    placed_of(nr, &["oat".to_owned()], &json!({}))
}

/// An order from another system: three units of `oat` for 2.50, after a discount of 0.50.
pub(crate) fn imported(nr: usize, more: &Value) -> Fact {
    let line = json!({ "sku": "oat", "product_id": id(1), "quantity": 3, "line_total": eur(250), "discount": eur(50) });
    let order = json!({ "external_ref": format!("old/{nr}"), "channel": "shop", "currency": "EUR", "lines": [line],
                        "totals": { "gross": eur(300), "discount": eur(50), "net": eur(250) },
                        "placed_at": "2026-03-02T00:30:00Z" });
    order_of(nr, "order.OrderImported", &with(order, more))
}

fn order_of(nr: usize, kind: &str, data: &Value) -> Fact {
    order(kind, nr, data)
}

/// The events of a number of orders, with their carts and stock. Every tenth order adds a product, and every third order is cancelled.
pub(crate) fn day(first: usize, orders: usize) -> Vec<Fact> {
    let mut facts = Vec::new();
    for nr in first..first + orders {
        let sku_of = format!("sku{}", nr % 11);
        if nr % 10 == 0 {
            facts.push(product("catalog.ProductCreated", nr, &json!({ "name": format!("Product {nr}") })));
            facts.push(product("catalog.VariantAdded", nr, &json!({ "sku": format!("v{nr}") })));
            facts.push(sku("catalog.PriceSet", &format!("v{nr}"), &json!({ "channel": "web", "price": eur(100) })));
            let slug = json!({ "slug": format!("p{nr}"), "product_id": id(nr) });
            facts.push(fact(format!("slug-p{nr}"), "catalog.SlugClaimed", &slug));
            facts.push(category("catalog.CategoryCreated", nr, &json!({ "name": format!("Category {nr}") })));
        }
        facts.push(received(&sku_of, 2));
        facts.push(opened(nr));
        facts.push(line_added(nr, &sku_of, 1));
        facts.push(placed_of(nr, std::slice::from_ref(&sku_of), &json!({})));
        facts.push(cart("cart.CartCheckedOut", nr, &json!({ "order_id": id(nr) })));
        facts.push(claim("inventory.StockReserved", &sku_of, nr, 1, &json!({})));
        if nr % 3 == 0 {
            facts.push(order("order.OrderCancelled", nr, &json!({ "reason": "second thoughts" })));
            facts.push(claim("inventory.ReservationReleased", &sku_of, nr, 1, &json!({ "cause": "order_cancelled" })));
        }
    }
    facts
}

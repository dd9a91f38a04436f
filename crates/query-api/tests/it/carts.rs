//! The status of a cart: a query shows as open what a command changes, and nothing else.

use chrono::TimeDelta;
use daybook_domain::cart::policy::{CUSTOMER_CART_LIFETIME, GUEST_CART_LIFETIME};
use serde_json::{Value, json};

use crate::shop::{Caller, Shop, id, skus};

/// The status of a cart and its version, as staff sees them.
async fn seen(shop: &Shop, cart: &str) -> (Value, Value) {
    let query = format!("{{ cart(id: \"{}\") {{ status version }} }}", id(cart));
    let mut data = shop.storefront(Caller::Support, &query).await.data();
    (data["cart"]["status"].take(), data["cart"]["version"].take())
}

/// What a storefront gets that adds a line to a cart: the codes of its user errors, and the status in the payload.
async fn add_line(shop: &Shop, who: Caller, cart: &str) -> (Value, Value) {
    let line = "lines: [{sku: \"S-000\", quantity: 1}]";
    let mutation = format!(
        "mutation {{ it: cartLinesAdd(input: {{cartId: \"{}\", {line}}}) {{ cart {{ status }} userErrors {{ code }} }} }}",
        id(cart)
    );
    let mut payload = shop.storefront(who, &mutation).await.data()["it"].take();
    (payload["userErrors"].take(), payload["cart"].take())
}

#[tokio::test]
async fn a_cart_is_shown_as_expired_from_its_time_on_without_any_event() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("guest"), None, &skus).await;
    shop.shown(shop.cart(id("ann"), Some("ann"), &skus).await).await;
    let head = shop.head().await;

    let day = TimeDelta::days(1);
    shop.pass(GUEST_CART_LIFETIME - day);
    assert_eq!(seen(&shop, "guest").await, (json!("OPEN"), json!(2)));
    shop.pass(day);
    assert_eq!(seen(&shop, "guest").await, (json!("EXPIRED"), json!(2)));
    let refused = (json!([{"code": "cart_expired"}]), Value::Null);
    assert_eq!(add_line(&shop, Caller::Guest, "guest").await, refused);

    assert_eq!(seen(&shop, "ann").await, (json!("OPEN"), json!(2)), "the cart of a customer lives longer");
    shop.pass(CUSTOMER_CART_LIFETIME);
    assert_eq!(seen(&shop, "ann").await, (json!("EXPIRED"), json!(2)));
    assert_eq!(add_line(&shop, Caller::Customer("ann"), "ann").await, refused);
    assert_eq!(shop.head().await, head, "the book has no event of it");
}

#[tokio::test]
async fn a_cart_that_has_ended_keeps_its_status() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    for cart in ["ordered", "abandoned", "merged", "open"] {
        shop.cart(id(cart), None, &skus).await;
    }
    assert_eq!(add_line(&shop, Caller::Guest, "open").await, (json!([]), json!({"status": "OPEN"})));
    shop.command("PlaceOrder", json!({"cart_id": id("ordered"), "order_id": id("order")})).await;
    shop.command("AbandonCart", json!({"cart_id": id("abandoned")})).await;
    shop.shown(shop.command("MergeCarts", json!({"from": id("merged"), "into": id("open")})).await).await;
    let statuses = async || {
        let mut statuses = Vec::new();
        for cart in ["ordered", "abandoned", "merged", "open"] {
            statuses.push(seen(&shop, cart).await.0);
        }
        statuses
    };
    assert_eq!(statuses().await, ["CHECKED_OUT", "ABANDONED", "MERGED", "OPEN"]);
    shop.pass(CUSTOMER_CART_LIFETIME);
    assert_eq!(statuses().await, ["CHECKED_OUT", "ABANDONED", "MERGED", "EXPIRED"]);
}

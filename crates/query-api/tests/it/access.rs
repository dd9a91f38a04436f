//! Access: what guests, customers and staff may see.

use axum::http::{Method, StatusCode, header};
use daybook_domain::ids::OrderId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Caller, Shop, customer_id, id, skus};

#[tokio::test]
async fn a_cart_and_an_order_are_seen_by_their_customer_and_by_staff_only() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    let (cart, order, open) = (id("cart"), id("order"), id("open"));
    shop.cart(open, Some("ann"), &skus).await;
    shop.cart(cart, Some("ann"), &skus).await;
    shop.shown(shop.command("PlaceOrder", json!({"cart_id": cart, "order_id": order})).await).await;
    let cart = format!(r#"{{ it: cart(id: "{open}") {{ customerId }} }}"#);
    let order = format!(r#"{{ it: order(id: "{order}") {{ customerId }} }}"#);
    for query in [cart, order] {
        for caller in [Caller::Customer("ann"), Caller::Support, Caller::Admin] {
            assert_eq!(shop.storefront(caller, &query).await.data()["it"]["customerId"], json!(customer_id("ann")));
        }
        for caller in [Caller::Guest, Caller::Customer("bob")] {
            let answer = shop.storefront(caller, &query).await;
            assert_eq!(answer.code(), "FORBIDDEN");
            assert!(!answer.text.contains(&customer_id("ann").to_string()), "{}", answer.text);
        }
    }
}

/// How a query answers: with the code of its error, or with whether it shows the object.
async fn seen(shop: &Shop, path: &str, caller: Caller, query: &str) -> String {
    let answer = shop.post(path, caller, &json!({"query": format!("{{ it: {query} {{ version }} }}")})).await.json();
    let shown = if answer["data"]["it"].is_null() { "nothing" } else { "shown" };
    answer.pointer("/errors/0/extensions/code").and_then(Value::as_str).unwrap_or(shown).to_owned()
}

/// The code with which a mutation is refused.
async fn refused(shop: &Shop, path: &str, caller: Caller, mutation: &str) -> String {
    let mutation = json!({"query": format!("mutation {{ it: {mutation} {{ userErrors {{ code }} }} }}")});
    let answer = shop.post(path, caller, &mutation).await.data();
    answer["it"]["userErrors"][0]["code"].as_str().expect("the mutation is refused").to_owned()
}

#[tokio::test]
async fn a_query_and_a_command_give_the_same_answer_about_the_owner() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    for cart in ["placed", "merged", "abandoned", "other"] {
        shop.cart(id(cart), Some("ann"), &skus).await;
    }
    shop.cart(id("guest"), None, &skus).await;
    shop.command("PlaceOrder", json!({"cart_id": id("placed"), "order_id": id("order")})).await;
    shop.command("MergeCarts", json!({"from": id("merged"), "into": id("other")})).await;
    shop.command("AbandonCart", json!({"cart_id": id("abandoned")})).await;
    shop.command("AbandonCart", json!({"cart_id": id("guest")})).await;
    for step in ["ConfirmOrder", "StartFulfilment", "ShipOrder"] {
        shop.command(step, json!({"order_id": id("order")})).await;
    }
    for (reference, customer) in [("x-1", None), ("x-2", Some("ann"))] {
        let line = json!({"sku": skus[0], "quantity": 1, "line_total": 250});
        let past = json!({"external_ref": reference, "customer_ref": customer, "placed_at": "2017-01-01T10:00:00Z",
                          "currency": "EUR", "lines": [line]});
        shop.command("ImportOrder", past).await;
    }
    shop.shown(shop.head().await).await;
    let imported = |reference: &str| OrderId::imported(&reference.parse().expect("a reference")).0;
    let cart = |name: &str| {
        let cart = id(name);
        (format!(r#"cart(id: "{cart}")"#), format!(r#"cartAbandon(input: {{cartId: "{cart}"}})"#))
    };
    let order = |order: Uuid| {
        (format!(r#"order(id: "{order}")"#), format!(r#"orderCancel(input: {{orderId: "{order}", reason: "late"}})"#))
    };
    // For each cart and order: whether it is forbidden to a guest, to bob and to ann.
    for ((query, mutation), forbidden) in [
        (cart("placed"), [true, true, false]),
        (cart("merged"), [true, true, false]),
        (cart("abandoned"), [true, true, false]),
        (cart("guest"), [false, false, false]),
        (cart("unknown"), [false, false, false]),
        (order(id("order")), [true, true, false]),
        (order(imported("x-1")), [false, false, false]),
        (order(imported("x-2")), [false, false, false]),
        (order(id("unknown")), [false, false, false]),
    ] {
        let buyers = [Caller::Guest, Caller::Customer("bob"), Caller::Customer("ann")].into_iter().zip(forbidden);
        let buyers = buyers.map(|(caller, forbidden)| ("/graphql", caller, forbidden));
        let staff = [Caller::Support, Caller::Admin].map(|caller| ("/admin/graphql", caller, false));
        for (path, caller, forbidden) in buyers.chain(staff) {
            let expected = match refused(&shop, path, caller, &mutation).await.as_str() {
                "cart_not_yours" | "order_not_yours" => "FORBIDDEN",
                "cart_not_found" | "order_not_found" => "nothing",
                "cart_closed" | "illegal_move" => "shown",
                other => panic!("{mutation} by {caller:?} is refused with {other}"),
            };
            assert_eq!(seen(&shop, path, caller, &query).await, expected, "{query} by {caller:?}");
            assert_eq!(expected == "FORBIDDEN", forbidden, "{query} by {caller:?}");
        }
    }
}

#[tokio::test]
async fn a_customer_sees_their_own_orders_and_a_guest_has_none() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    let mut position = 0;
    for (name, customer) in [("a", "ann"), ("b", "bob")] {
        shop.cart(id(name), Some(customer), &skus).await;
        position = shop.command("PlaceOrder", json!({"cart_id": id(name), "order_id": id(name)})).await;
    }
    shop.shown(position).await;
    let me = "{ me { id orders { edges { node { id customerId } } } } }";
    let ann = shop.storefront(Caller::Customer("ann"), me).await.data();
    assert_eq!(ann["me"]["id"], json!(customer_id("ann")));
    assert_eq!(ann["me"]["orders"]["edges"], json!([{"node": {"id": id("a"), "customerId": customer_id("ann")}}]));
    assert_eq!(shop.storefront(Caller::Guest, me).await.data()["me"], Value::Null);
}

#[tokio::test]
async fn the_back_office_is_for_staff() {
    let shop = Shop::open().await;
    let query = "{ views { name } }";
    for (caller, status, code) in [
        (Caller::Guest, StatusCode::UNAUTHORIZED, "token_missing"),
        (Caller::Expired, StatusCode::UNAUTHORIZED, "token_expired"),
        (Caller::Customer("ann"), StatusCode::FORBIDDEN, "forbidden"),
    ] {
        let answer = shop.office(caller, query).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{caller:?}");
    }
    let views = shop.office(Caller::Support, query).await.data()["views"].as_array().map(Vec::len);
    assert_eq!(views, Some(daybook_projectors::views::ALL.len()));
}

#[tokio::test]
async fn an_expired_token_is_refused_and_does_not_become_a_guest() {
    let shop = Shop::open().await;
    let answer = shop.storefront(Caller::Expired, "{ __typename }").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "token_expired"));
}

#[tokio::test]
async fn an_unpublished_product_is_seen_by_staff_only() {
    let shop = Shop::open().await;
    let draft = json!({"product_id": id("draft"), "name": "Draft", "variants": [{"sku": "D-1"}]});
    shop.shown(shop.command("CreateProduct", draft).await).await;
    let query = r#"{ product(sku: "D-1") { name } products { edges { node { name } } } }"#;
    let guest = shop.storefront(Caller::Guest, query).await.data();
    assert_eq!(guest, json!({"product": null, "products": {"edges": []}}));
    assert_eq!(shop.storefront(Caller::Support, query).await.data()["product"]["name"], "Draft");
}

#[tokio::test]
async fn the_history_and_the_notes_of_an_order_are_for_staff() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), Some("ann"), &skus).await;
    shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await;
    shop.shown(shop.command("AddNote", json!({"order_id": id("o"), "note": "rude"})).await).await;
    let query = format!(r#"{{ order(id: "{}") {{ timeline {{ type data }} }} }}"#, id("o"));
    let refused = shop.storefront(Caller::Customer("ann"), &query).await;
    assert_eq!(refused.code(), "FORBIDDEN");
    assert!(!refused.text.contains("rude"));
    let seen = shop.office(Caller::Support, &query).await;
    seen.data();
    assert!(seen.text.contains("rude"));
}

#[tokio::test]
async fn an_imported_order_without_a_customer_is_for_staff_and_others_cannot_tell_it_from_none() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let line = json!({"sku": "S-000", "quantity": 1, "line_total": 250});
    let past = json!({"external_ref": "x-1", "channel": "store-1", "placed_at": "2017-01-01T10:00:00Z",
                      "currency": "USD", "lines": [line]});
    shop.shown(shop.command("ImportOrder", past).await).await;
    let found = r#"{ orders(filter: {externalRef: "x-1"}) { edges { node { id } } } }"#;
    let found = shop.office(Caller::Support, found).await.data();
    let id = found["orders"]["edges"][0]["node"]["id"].as_str().expect("the order is found");
    let unknown = crate::shop::id("unknown").to_string();
    for query in [
        format!(r#"{{ order(id: "{id}") {{ externalRef }} }}"#),
        format!(r#"{{ order(id: "{id}", asOf: {{version: 1}}) {{ externalRef }} }}"#),
        format!(r#"subscription {{ orderUpdated(id: "{id}") {{ externalRef }} }}"#),
    ] {
        for caller in [Caller::Guest, Caller::Customer("ann")] {
            let ask = async |query: &str| {
                let request =
                    shop.request(Method::POST, "/graphql", caller).header(header::ACCEPT, "text/event-stream");
                let request = request.header(header::CONTENT_TYPE, "application/json");
                let body = json!({"query": query}).to_string();
                shop.send(request.body(body.into()).expect("the request is valid")).await.text
            };
            let answer = ask(&query).await;
            assert_eq!(answer, ask(&query.replace(id, &unknown)).await, "{query}");
            assert!(!answer.contains("x-1"), "{answer}");
        }
    }
    let query = format!(r#"{{ order(id: "{id}") {{ externalRef }} }}"#);
    assert_eq!(shop.storefront(Caller::Support, &query).await.data()["order"]["externalRef"], "x-1");
}

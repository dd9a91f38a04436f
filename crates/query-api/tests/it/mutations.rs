//! Mutations: their payloads, their refusals, and repetitions by idempotency key.

use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use daybook_domain::Slice;
use serde_json::{Value, json};

use crate::shop::{Caller, Shop, ShopSettings, customer_id, id, skus};

async fn mutate(shop: &Shop, caller: Caller, mutation: &str) -> Value {
    let path = if matches!(caller, Caller::Admin | Caller::Support) { "/admin/graphql" } else { "/graphql" };
    shop.post(path, caller, &json!({"query": format!("mutation {{ it: {mutation} }}")})).await.data()["it"].take()
}

#[tokio::test]
async fn a_guest_places_an_order_and_each_payload_is_the_whole_changed_object() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 2)).await;
    let errors = "userErrors { code message } consistencyToken";
    let cart = "cart { id status total { formatted } lines { sku quantity product { name } } }";
    let opened =
        mutate(&shop, Caller::Guest, &format!("cartOpen(input: {{currency: \"EUR\"}}) {{ {cart} {errors} }}")).await;
    let cart_id = opened["cart"]["id"].as_str().expect("the cart was opened").to_owned();
    let lines = r#"[{sku: "S-000", quantity: 2}, {sku: "S-001", quantity: 1}]"#;
    let added = format!("cartLinesAdd(input: {{cartId: \"{cart_id}\", lines: {lines}}}) {{ {cart} {errors} }}");
    let added = mutate(&shop, Caller::Guest, &added).await;
    assert_eq!(added["cart"]["total"]["formatted"], "7.50 EUR");
    assert_eq!(added["cart"]["lines"][0], json!({"sku": "S-000", "quantity": 2, "product": {"name": "Soap"}}));
    let changed =
        format!("cartLineQuantityChange(input: {{cartId: \"{cart_id}\", sku: \"S-000\", quantity: 4}}) {{ {cart} }}");
    assert_eq!(mutate(&shop, Caller::Guest, &changed).await["cart"]["total"]["formatted"], "12.50 EUR");
    let removed = format!("cartLineRemove(input: {{cartId: \"{cart_id}\", sku: \"S-001\"}}) {{ {cart} }}");
    assert_eq!(mutate(&shop, Caller::Guest, &removed).await["cart"]["lines"].as_array().map(Vec::len), Some(1));
    let order = "order { phase net { formatted } lines { sku } nextMoves { command } }";
    let placed = format!("orderPlace(input: {{cartId: \"{cart_id}\"}}) {{ {order} {errors} }}");
    let placed = mutate(&shop, Caller::Guest, &placed).await;
    assert_eq!((&placed["order"]["phase"], &placed["userErrors"]), (&json!("PLACED"), &json!([])));
    assert_eq!(placed["order"]["net"]["formatted"], "10.00 EUR");
    assert!(placed["consistencyToken"].as_i64() > opened["consistencyToken"].as_i64());
}

#[tokio::test]
async fn guests_and_customers_cannot_choose_another_channel() {
    let shop = Shop::open().await;
    let open = r#"cartOpen(input: {currency: "EUR", channel: "b2b"}) { cart { channel } userErrors { code path } }"#;
    for caller in [Caller::Guest, Caller::Customer("ann")] {
        let refused = mutate(&shop, caller, open).await;
        let errors = json!([{"code": "channel_not_served", "path": ["channel"]}]);
        assert_eq!((&refused["cart"], &refused["userErrors"]), (&Value::Null, &errors));
    }
    assert_eq!(mutate(&shop, Caller::Support, open).await["cart"]["channel"], "b2b");
}

#[tokio::test]
async fn staff_can_change_the_catalog() {
    let shop = Shop::open().await;
    let product = "product { id name brand status attributes { name value } variants { sku options { value } } } \
                   userErrors { code path }";
    let created = r#"productCreate(input: {name: "Tea", brand: "Assam", attributes: [{name: "origin", value: "India"}],
                       variants: [{sku: "T-1", options: [{name: "size", value: "S"}]}]})"#;
    let created = mutate(&shop, Caller::Admin, &format!("{created} {{ {product} }}")).await["product"].take();
    let id = created["id"].as_str().expect("the product was created").to_owned();
    let revise = format!(r#"productRevise(input: {{productId: "{id}", name: "Green tea"}}) {{ {product} }}"#);
    let revised = mutate(&shop, Caller::Admin, &revise).await["product"].take();
    assert_eq!((&revised["name"], &revised["brand"]), (&json!("Green tea"), &json!("Assam")));
    assert_eq!(revised["attributes"], json!([{"name": "origin", "value": "India"}]), "omitted fields are unchanged");
    let emptied = format!(r#"productRevise(input: {{productId: "{id}", attributes: []}}) {{ {product} }}"#);
    assert_eq!(mutate(&shop, Caller::Admin, &emptied).await["product"]["attributes"], json!([]));
    let add = format!(
        r#"variantAdd(input: {{productId: "{id}", sku: "T-2", options: [{{name: "size", value: "L"}}]}}) {{ {product} }}"#
    );
    let variants = mutate(&shop, Caller::Admin, &add).await["product"]["variants"].take();
    assert_eq!(variants[1], json!({"sku": "T-2", "options": [{"value": "L"}]}));
    let priced = r#"priceSet(input: {sku: "T-2", price: {minorUnits: 990, currency: "EUR"}})
                      { variant { sku prices { price { formatted } } } userErrors { code } }"#;
    let priced = mutate(&shop, Caller::Admin, priced).await;
    assert_eq!(priced["variant"], json!({"sku": "T-2", "prices": [{"price": {"formatted": "9.90 EUR"}}]}));
    for (move_it, status) in [("productPublish", "published"), ("productArchive", "archived")] {
        let moved =
            mutate(&shop, Caller::Admin, &format!(r#"{move_it}(input: {{productId: "{id}"}}) {{ {product} }}"#)).await;
        assert_eq!(moved["product"]["status"], status);
    }
    let category = async |mutation: &str| {
        let mutation = format!("{mutation} {{ category {{ id parentId name }} userErrors {{ code }} }}");
        mutate(&shop, Caller::Admin, &mutation).await["category"].take()
    };
    let root = category(r#"categoryCreate(input: {name: "Drinks"})"#).await["id"].to_string();
    let child = category(&format!(r#"categoryCreate(input: {{name: "Teas", parent: {root}}})"#)).await;
    assert_eq!(child["parentId"].to_string(), root);
    let moved = category(&format!("categoryMove(input: {{categoryId: {}}})", child["id"])).await;
    assert_eq!(moved, json!({"id": child["id"], "parentId": null, "name": "Teas"}));
}

#[tokio::test]
async fn staff_can_change_the_stock() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let stock = async |mutation: &str| {
        let stock = "stock { location onHand reserved available backorders reservations { id owner quantity } }";
        let payload = mutate(&shop, Caller::Admin, &format!("{mutation} {{ {stock} userErrors {{ code }} }}")).await;
        assert_eq!(payload["userErrors"], json!([]), "{mutation}");
        payload["stock"].clone()
    };
    assert_eq!(stock(r#"stockReceive(input: {sku: "S-000", quantity: 5})"#).await[0]["onHand"], 1_005);
    let adjusted = stock(r#"stockAdjust(input: {sku: "S-000", delta: -5, reason: "broken"})"#).await;
    assert_eq!(adjusted[0]["onHand"], 1_000);
    let reserve =
        |quantity: u32| format!(r#"stockReserve(input: {{sku: "S-000", owner: "fair", quantity: {quantity}}})"#);
    let claimed = stock(&reserve(10)).await[0].take();
    assert_eq!((&claimed["reserved"], &claimed["available"]), (&json!(10), &json!(990)));
    let claim = claimed["reservations"][0].clone();
    assert_eq!((&claim["owner"], &claim["quantity"]), (&json!("fair"), &json!(10)));
    let released = format!(r#"stockRelease(input: {{sku: "S-000", reservationId: {}}})"#, claim["id"]);
    assert_eq!(stock(&released).await[0]["reservations"], json!([]));
    let again = stock(&reserve(3)).await[0]["reservations"][0]["id"].to_string();
    let committed = stock(&format!(r#"reservationCommit(input: {{sku: "S-000", reservationId: {again}}})"#)).await;
    assert_eq!((&committed[0]["onHand"], &committed[0]["reserved"]), (&json!(997), &json!(0)));
    let moved = stock(r#"stockTransfer(input: {sku: "S-000", from: "main", to: "attic", quantity: 97})"#).await;
    let locations: Vec<_> = moved.as_array().into_iter().flatten().map(|at| (&at["location"], &at["onHand"])).collect();
    assert_eq!(locations, [(&json!("attic"), &json!(97)), (&json!("main"), &json!(900))]);
    let open = stock(r#"stockBackordersSet(input: {sku: "S-000", location: "attic", allowed: true})"#).await;
    assert_eq!((&open[0]["backorders"], &open[1]["backorders"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn a_refusal_is_a_typed_user_error_and_not_a_graphql_error() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    shop.command("OpenCart", json!({"cart_id": id("c"), "currency": "EUR"})).await;
    let lines = json!([{"sku": "S-000", "quantity": 2_000}]);
    shop.shown(shop.command("AddLines", json!({"cart_id": id("c"), "lines": lines})).await).await;
    let errors = "order { id } consistencyToken userErrors { __typename code path
                    ... on InsufficientStock { sku requested available } ... on TotalChanged { total { formatted } }
                    ... on IllegalMove { nextMoves } }";
    let place = |more: &str| format!(r#"orderPlace(input: {{cartId: "{}"{more}}}) {{ {errors} }}"#, id("c"));
    let refused = mutate(&shop, Caller::Guest, &place("")).await;
    assert_eq!((&refused["order"], &refused["consistencyToken"]), (&Value::Null, &Value::Null));
    let error = json!({"__typename": "InsufficientStock", "code": "insufficient_stock", "path": ["cartId"],
                       "sku": "S-000", "requested": 2_000, "available": 1_000});
    assert_eq!(refused["userErrors"], json!([error]));
    shop.command("ChangeQuantity", json!({"cart_id": id("c"), "sku": "S-000", "quantity": 2})).await;
    let shown = r#", expectedTotal: {minorUnits: 1, currency: "EUR"}"#;
    let changed = mutate(&shop, Caller::Guest, &place(shown)).await["userErrors"][0].take();
    assert_eq!((&changed["__typename"], &changed["total"]["formatted"]), (&json!("TotalChanged"), &json!("5.00 EUR")));
    let placed = mutate(&shop, Caller::Guest, &place("")).await;
    let ship = format!("orderShip(input: {{orderId: {}}}) {{ {errors} }}", placed["order"]["id"]);
    let illegal = mutate(&shop, Caller::Admin, &ship).await["userErrors"][0].take();
    assert_eq!(illegal["__typename"], "IllegalMove");
    assert!(illegal["nextMoves"].as_array().is_some_and(|moves| moves.contains(&json!("ConfirmOrder"))), "{illegal}");
}

#[tokio::test]
async fn bad_input_names_the_field() {
    let shop = Shop::open().await;
    let create = r#"productCreate(input: {name: "", variants: [{sku: "no good"}]}) { userErrors { code path } }"#;
    let error = mutate(&shop, Caller::Admin, create).await["userErrors"][0].take();
    assert_eq!(error["path"], json!(["name"]), "{error}");
    let twice = r#"mutation { productCreate(input: {name: "Tea", attributes: [{name: "a", value: "1"}, {name: "a", value: "2"}]})
                     { userErrors { code } } }"#;
    assert_eq!(shop.office(Caller::Admin, twice).await.code(), "BAD_INPUT");
}

#[tokio::test]
async fn a_repetition_with_the_same_key_in_the_input_or_directive_gets_the_first_payload() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let payload = "{ stock { onHand } consistencyToken userErrors { code } }";
    let (one, other) = (id("one"), id("other"));
    let input = format!(r#"stockReceive(input: {{sku: "S-000", quantity: 7, idempotencyKey: "{one}"}}) {payload}"#);
    let directive =
        format!(r#"stockReceive(input: {{sku: "S-000", quantity: 7}}) @idempotent(key: "{one}") {payload}"#);
    let both = format!(
        r#"stockReceive(input: {{sku: "S-000", quantity: 7, idempotencyKey: "{one}"}}) @idempotent(key: "{one}") {payload}"#
    );
    let first = mutate(&shop, Caller::Admin, &input).await;
    assert_eq!(first["stock"][0]["onHand"], 1_007);
    for repetition in [input, directive, both] {
        assert_eq!(mutate(&shop, Caller::Admin, &repetition).await, first);
    }
    let variable = json!({
        "query": format!("mutation($k: String!) {{ stockReceive(input: {{sku: \"S-000\", quantity: 7}}) @idempotent(key: $k) {payload} }}"),
        "variables": {"k": one},
    });
    assert_eq!(shop.post("/admin/graphql", Caller::Admin, &variable).await.data()["stockReceive"], first);
    let reused = format!(r#"stockReceive(input: {{sku: "S-000", quantity: 8}}) @idempotent(key: "{one}") {payload}"#);
    assert_eq!(mutate(&shop, Caller::Admin, &reused).await["userErrors"].as_array().map(Vec::len), Some(1));
    for (at, bad) in [
        format!("idempotencyKey: \"{one}\"}}) @idempotent(key: \"{other}\")"),
        "}) @idempotent(key: \"today\")".to_owned(),
        "}) @idempotent(key: 7)".to_owned(),
        "idempotencyKey: \"today\"})".to_owned(),
        format!("idempotencyKey: \"{}\"}})", uuid::Uuid::nil()),
        format!("}}) @idempotent(key: \"{}\")", uuid::Uuid::max()),
    ]
    .iter()
    .enumerate()
    {
        let query = format!(r#"mutation {{ stockReceive(input: {{sku: "S-000", quantity: 7, {bad} {payload} }}"#);
        let code = shop.office(Caller::Admin, &query).await.code();
        assert_eq!(code, if at == 2 { "GRAPHQL_VALIDATION_FAILED" } else { "BAD_INPUT" }, "{query}");
    }
    let stock = shop.office(Caller::Admin, r#"{ stock(sku: "S-000") { onHand } }"#).await.data();
    assert_eq!(stock["stock"][0]["onHand"], 1_007);
}

#[tokio::test]
async fn the_header_is_the_key_of_one_mutation_and_no_two_share_a_key() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let receive = "stockReceive(input: {sku: \"S-000\", quantity: 7}) { consistencyToken userErrors { code } }";
    let sent = async |query: String, keys: &[&str]| {
        let request = shop.request(Method::POST, "/admin/graphql", Caller::Admin);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = keys.iter().fold(request, |request, key| request.header("Idempotency-Key", *key));
        let request = request.body(json!({"query": query}).to_string().into());
        shop.send(request.expect("the request is valid")).await
    };
    let (one, two) = (id("one").to_string(), id("two").to_string());
    let mutation = format!("mutation {{ a: {receive} }}");
    let first = sent(mutation.clone(), &[&one]).await.data();
    assert!(first["a"]["consistencyToken"].is_i64(), "{first}");
    assert_eq!(sent(mutation.clone(), &[&one.to_uppercase()]).await.data(), first, "the header is a key");
    let other = sent(mutation.replace("quantity: 7", "quantity: 8"), &[&one]).await.data();
    assert_eq!(other["a"]["userErrors"][0]["code"], "idempotency_key_reused", "{other}");
    let own = sent(mutation.replace(") {", &format!(") @idempotent(key: \"{two}\") {{")), &[&one]).await.data();
    assert_ne!(own, first, "the key of the mutation itself comes first");
    assert_eq!(sent(mutation.clone(), &["order-123"]).await.code(), "malformed_idempotency_key");
    assert_eq!(sent("{ views { name } }".to_owned(), &["order-123"]).await.status, StatusCode::OK, "it is no mutation");

    let directive = format!(") @idempotent(key: \"{}\") {{", id("three"));
    let same = receive.replace(") {", &directive);
    for (mutation, key) in [(same.as_str(), None), (receive, Some(id("four").to_string()))] {
        let keys: Vec<_> = key.as_deref().into_iter().collect();
        let answer = sent(format!("mutation {{ a: {mutation} b: {mutation} }}"), &keys).await;
        assert_eq!(answer.code(), "BAD_INPUT", "{:?}", answer.json());
        assert!(answer.json()["data"]["a"]["consistencyToken"].is_i64() && answer.json()["data"]["b"].is_null());
    }
    shop.shown(shop.head().await).await;
    let stock = shop.office(Caller::Admin, r#"{ stock(sku: "S-000") { onHand } }"#).await.data();
    assert_eq!(stock["stock"][0]["onHand"], 1_000 + 4 * 7);
}

#[tokio::test]
async fn the_id_of_a_new_cart_is_random_and_follows_from_the_key_of_its_own_sender() {
    let shop = Shop::open().await;
    let open = |key: &str| {
        let directive = if key.is_empty() { String::new() } else { format!("@idempotent(key: \"{}\")", id(key)) };
        format!("cartOpen(input: {{currency: \"EUR\"}}) {directive} {{ cart {{ id }} userErrors {{ code }} }}")
    };
    let ann = Caller::Customer("ann");
    let mut ids = Vec::new();
    for (caller, key) in [(Caller::Guest, ""), (Caller::Guest, ""), (Caller::Guest, "key"), (ann, "key")] {
        let opened = mutate(&shop, caller, &open(key)).await;
        let id: uuid::Uuid = opened["cart"]["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        assert_eq!(id.get_version_num(), 4, "{opened}");
        assert!(!ids.contains(&id), "each is another cart");
        ids.push(id);
    }
    let again = mutate(&shop, Caller::Guest, &open("key")).await;
    assert_eq!(again["cart"]["id"], json!(ids[2]), "{again}");
}

#[tokio::test]
async fn a_customer_opens_their_own_cart_and_merges_a_guest_cart_into_it() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    shop.shown(shop.cart(id("guest"), None, &skus("S", 1)).await).await;
    let ann = Caller::Customer("ann");
    let opened = mutate(&shop, ann, "cartOpen(input: {currency: \"EUR\"}) { cart { id customerId } }").await;
    assert_eq!(opened["cart"]["customerId"], json!(customer_id("ann")));
    let merge = format!(
        r#"cartsMerge(input: {{from: "{}", into: {}}}) {{ cart {{ id lines {{ sku }} }} userErrors {{ code }} }}"#,
        id("guest"),
        opened["cart"]["id"]
    );
    let merged = mutate(&shop, ann, &merge).await;
    assert_eq!((&merged["cart"]["id"], &merged["cart"]["lines"]), (&opened["cart"]["id"], &json!([{"sku": "S-000"}])));
    let abandon = format!("cartAbandon(input: {{cartId: {}}}) {{ cart {{ status }} }}", opened["cart"]["id"]);
    assert_eq!(mutate(&shop, ann, &abandon).await["cart"]["status"], "ABANDONED");
}

#[tokio::test]
async fn an_expired_token_is_an_error_and_not_a_refusal() {
    let shop = Shop::open().await;
    let query = "mutation { cartOpen(input: {currency: \"EUR\"}) { cart { id } } }";
    let answer = shop.storefront(Caller::Expired, query).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "token_expired"));
}

#[tokio::test]
async fn a_mutation_whose_payload_cannot_be_shown_yet_returns_its_consistency_token() {
    let shop = Shop::with(ShopSettings { patience: Duration::from_millis(50), ..ShopSettings::default() }).await;
    let held = shop.projection.clone().lock_owned().await;
    let mutation = format!(
        "mutation {{ cartOpen(input: {{currency: \"EUR\"}}) @idempotent(key: \"{}\") {{ cart {{ id }} userErrors {{ code }} consistencyToken }} }}",
        id("key")
    );
    let early = shop.storefront(Caller::Guest, &mutation).await;
    assert_eq!(early.code(), "CONSISTENCY_TIMEOUT");
    let payload = early.json()["data"]["cartOpen"].take();
    assert_eq!(payload, json!({"cart": null, "userErrors": [], "consistencyToken": 1}));
    drop(held);
    let opened = loop {
        let again = shop.storefront(Caller::Guest, &mutation).await.json();
        if again.get("errors").is_none() {
            break again;
        }
    };
    assert!(opened["data"]["cartOpen"]["cart"]["id"].is_string(), "{opened}");
    assert_eq!(opened["data"]["cartOpen"]["consistencyToken"], 1, "the command was executed once");
}

#[tokio::test]
async fn a_mutation_waits_only_for_the_views_that_its_payload_reads() {
    let shop = Shop::with(ShopSettings { patience: Duration::from_secs(10), ..ShopSettings::default() }).await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 1)).await).await;
    shop.stall_views(Slice::Inventory).await;
    let cart = |payload: &str| {
        let open = format!("cartOpen(input: {{currency: \"EUR\"}}) {{ {payload} }}");
        let reserve = "stockReserve(input: {sku: \"S-000\", quantity: 1, owner: \"me\"}) { userErrors { code } consistencyToken }";
        json!({"query": format!("mutation {{ reserve: {reserve} open: {open} }}")})
    };
    let shown =
        shop.post("/admin/graphql", Caller::Admin, &cart("cart { status lines { product { name } } }")).await.data();
    assert_eq!(shown["open"]["cart"]["status"], "OPEN", "the views of carts and products are up to date");
    assert!(
        shown["reserve"]["consistencyToken"].is_i64(),
        "a payload without stock does not wait for the view of stock"
    );

    let reads_stock = "stockAdjust(input: {sku: \"S-000\", delta: -1, reason: \"broken\"}) \
                       { stock { onHand } userErrors { code } consistencyToken }";
    let behind = shop.office(Caller::Admin, &format!("mutation {{ it: {reads_stock} }}")).await;
    assert_eq!(behind.code(), "CONSISTENCY_TIMEOUT");
    let payload = behind.json()["data"]["it"].take();
    assert_eq!((&payload["stock"], payload["consistencyToken"].is_i64()), (&Value::Null, true));

    shop.stall_views(Slice::Cart).await;
    let id = id("cart");
    let nested = format!(
        "mutation {{ cartOpen(input: {{cartId: \"{id}\", currency: \"EUR\"}}) {{ consistencyToken }} \
         productRevise(input: {{productId: \"{}\", brand: \"Foam\"}}) {{ product {{ brand variants {{ available }} }} consistencyToken }} }}",
        crate::shop::id("Soap")
    );
    let nested = shop.office(Caller::Admin, &nested).await;
    assert_eq!(nested.code(), "CONSISTENCY_TIMEOUT", "the payload waits for the views of nested fields, too");
    assert!(nested.text.contains("the view stock has not passed"), "{}", nested.text);
}

#[tokio::test]
async fn an_unreachable_command_api_is_an_error_and_not_a_refusal() {
    // A port is free again when its listener is dropped.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", closed.local_addr().expect("the port is bound"));
    drop(closed);
    let shop = Shop::with(ShopSettings { command_url: Some(url), ..ShopSettings::default() }).await;
    let mutation = "mutation { cartOpen(input: {currency: \"EUR\"}) { userErrors { code } } }";
    let answer = shop.storefront(Caller::Guest, mutation).await;
    assert_eq!(answer.code(), "UNAVAILABLE");
}

#[tokio::test]
async fn a_failed_mutation_does_not_affect_the_others_in_the_request() {
    let shop = Shop::open().await;
    let mutation = r#"mutation {
        one: cartOpen(input: { currency: "EUR" }) { cart { status } }
        two: cartAbandon(input: { cartId: "no id" }) @idempotent(key: "no key") { cart { status } }
        three: cartOpen(input: { currency: "EUR" }) { cart { status } } }"#;
    let answer = shop.storefront(Caller::Guest, mutation).await;
    assert_eq!(answer.code(), "BAD_INPUT");
    let open = json!({ "cart": { "status": "OPEN" } });
    assert_eq!(answer.json()["data"], json!({ "one": open, "two": null, "three": open }));
}

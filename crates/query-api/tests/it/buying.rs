//! Whether something can be bought: the storefront, the cart and the checkout say the same.

use daybook_domain::Storefront;
use serde_json::{Value, json};

use crate::shop::{Caller, Shop, ShopSettings, id, skus};

const BUYING: &str = "available orderable backorder availability(quantity: 3, currency: \"EUR\") {
    available orderable backorder parts { location quantity backordered } problems { code message } }";

/// What a guest is shown of the variant of a SKU.
async fn variant(shop: &Shop, sku: &str) -> Value {
    let query = format!("{{ product(sku: \"{sku}\") {{ variants {{ sku {BUYING} }} }} }}");
    let mut data = shop.storefront(Caller::Guest, &query).await.data();
    let variants = data["product"]["variants"].as_array_mut().expect("the product has variants");
    variants.iter_mut().find(|variant| variant["sku"] == sku).expect("it has the variant").take()
}

/// What is shown of a cart.
async fn cart(shop: &Shop, caller: Caller, name: &str) -> Value {
    let query = format!(
        "{{ cart(id: \"{}\") {{ status orderable total {{ minorUnits }} problems {{ __typename code path
             ... on InsufficientStock {{ sku available }} ... on NoLongerOnSale {{ sku because }} }}
           lines {{ sku name quantity price {{ minorUnits }} total {{ minorUnits }} product {{ name status }}
             availability {{ available backorder }} problems {{ code }} }} }} }}",
        id(name)
    );
    shop.storefront(caller, &query).await.data()["cart"].take()
}

/// The code with which a checkout refuses a cart, and the codes of all of its problems.
async fn refused(shop: &Shop, name: &str) -> (String, Vec<String>) {
    let place = json!({"cart_id": id(name), "order_id": id("order")});
    let answer = shop.post("/commands/PlaceOrder", Caller::Admin, &place).await;
    let problems = answer.json()["problems"].as_array().cloned().unwrap_or_default();
    let codes = problems.iter().filter_map(|problem| problem["code"].as_str().map(str::to_owned));
    (answer.code(), codes.collect())
}

#[tokio::test]
async fn a_backorder_is_shown_and_nothing_is_less_than_nothing() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    shop.command("AdjustStock", json!({"sku": "S-000", "delta": -1_000, "reason": "flood"})).await;
    shop.shown(shop.head().await).await;
    let sold_out = variant(&shop, "S-000").await;
    assert_eq!(
        (&sold_out["available"], &sold_out["orderable"], &sold_out["backorder"]),
        (&json!(0), &json!(false), &json!(false))
    );
    assert_eq!(sold_out["availability"]["problems"][0]["code"], "insufficient_stock");
    shop.shown(shop.command("SetBackorders", json!({"sku": "S-000", "allowed": true})).await).await;
    let open = variant(&shop, "S-000").await;
    assert_eq!((&open["available"], &open["orderable"], &open["backorder"]), (&json!(0), &json!(true), &json!(true)));
    let part = json!([{"location": "main", "quantity": 3, "backordered": 3}]);
    assert_eq!((&open["availability"]["parts"], &open["availability"]["problems"]), (&part, &json!([])));
    shop.command("OpenCart", json!({"cart_id": id("c"), "currency": "EUR"})).await;
    shop.command("AddLine", json!({"cart_id": id("c"), "sku": "S-000", "quantity": 3})).await;
    shop.shown(shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await).await;
    let after = variant(&shop, "S-000").await;
    assert_eq!((&after["available"], &after["orderable"]), (&json!(0), &json!(true)));
    let stock =
        shop.office(Caller::Admin, r#"{ stock(sku: "S-000") { available backordered reserved } }"#).await.data();
    assert_eq!(stock["stock"][0], json!({"available": 0, "backordered": 3, "reserved": 3}));
}

#[tokio::test]
async fn a_cart_says_everything_that_a_checkout_refuses() {
    let shop = Shop::open().await;
    let skus = skus("S", 4);
    for sku in &skus {
        shop.sell(sku, "Suds", std::slice::from_ref(sku)).await;
    }
    shop.cart(id("c"), None, &skus).await;
    shop.command("ChangeQuantity", json!({"cart_id": id("c"), "sku": "S-001", "quantity": 5_000})).await;
    shop.command("ArchiveProduct", json!({"product_id": id("S-002")})).await;
    shop.command("RemovePrice", json!({"sku": "S-003", "currency": "EUR"})).await;
    shop.shown(shop.head().await).await;
    let shown = cart(&shop, Caller::Guest, "c").await;
    let problems = json!([
        {"__typename": "InsufficientStock", "code": "insufficient_stock", "path": ["lines", "1"], "sku": "S-001", "available": 1_000},
        {"__typename": "NoLongerOnSale", "code": "no_longer_on_sale", "path": ["lines", "2"], "sku": "S-002", "because": "archived"},
        {"__typename": "NoPrice", "code": "no_price", "path": ["lines", "3"]},
    ]);
    assert_eq!((&shown["problems"], &shown["orderable"]), (&problems, &json!(false)));
    let (code, codes) = refused(&shop, "c").await;
    assert_eq!(
        (code.as_str(), codes),
        (
            "several_problems",
            vec!["insufficient_stock".to_owned(), "no_longer_on_sale".to_owned(), "no_price".to_owned(),]
        )
    );
    // The total leaves out what is not for sale: 1 and 5,000 units at 2.50.
    assert_eq!(shown["total"]["minorUnits"], 5_001 * 250);
    let prices: Vec<_> = shown["lines"].as_array().into_iter().flatten().map(|line| line["price"].is_null()).collect();
    assert_eq!(prices, [false, false, true, true]);
    let of_line = |nr: usize| shown["lines"][nr]["problems"].as_array().map(Vec::len);
    assert_eq!((0..4).map(of_line).collect::<Vec<_>>(), [Some(0), Some(1), Some(1), Some(1)]);
    let archived = json!({"cart_id": id("c"), "sku": "S-002", "quantity": 9});
    let answer = shop.post("/commands/ChangeQuantity", Caller::Admin, &archived).await;
    assert_eq!((answer.code().as_str(), &answer.json()["pointer"]), ("no_longer_on_sale", &json!("/sku")));
    for sku in ["S-001", "S-002", "S-003"] {
        shop.command("RemoveLine", json!({"cart_id": id("c"), "sku": sku})).await;
    }
    shop.shown(shop.head().await).await;
    let shown = cart(&shop, Caller::Guest, "c").await;
    assert_eq!((&shown["problems"], &shown["orderable"]), (&json!([]), &json!(true)));
    shop.command("RemoveLine", json!({"cart_id": id("c"), "sku": "S-000"})).await;
    shop.shown(shop.head().await).await;
    assert_eq!(cart(&shop, Caller::Guest, "c").await["problems"][0]["code"], "cart_empty");
    assert_eq!(refused(&shop, "c").await.0, "cart_empty");
}

#[tokio::test]
async fn every_problem_of_a_mutation_is_a_user_error_of_its_own() {
    let shop = Shop::open().await;
    let skus = skus("S", 2);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), None, &skus).await;
    shop.command("RemovePrice", json!({"sku": "S-000", "currency": "EUR"})).await;
    shop.command("ChangeQuantity", json!({"cart_id": id("c"), "sku": "S-001", "quantity": 5_000})).await;
    let place = format!(
        "mutation {{ it: orderPlace(input: {{cartId: \"{}\"}}) {{ userErrors {{ __typename code path
             ... on NoPrice {{ sku }} ... on InsufficientStock {{ sku requested available line }} }} }} }}",
        id("c")
    );
    let errors = shop.storefront(Caller::Guest, &place).await.data()["it"]["userErrors"].take();
    assert_eq!(
        errors,
        json!([
            {"__typename": "NoPrice", "code": "no_price", "path": ["cartId"], "sku": "S-000"},
            {"__typename": "InsufficientStock", "code": "insufficient_stock", "path": ["cartId"], "sku": "S-001",
             "requested": 5_000, "available": 1_000, "line": 1},
        ])
    );
}

#[tokio::test]
async fn a_closed_cart_is_quoted_at_what_was_agreed() {
    let shop = Shop::open().await;
    let skus = skus("S", 2);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("ordered"), None, &skus).await;
    shop.cart(id("abandoned"), None, &skus).await;
    let dearer = |sku: &str, price: u32| json!({"sku": sku, "price": {"minor_units": price, "currency": "EUR"}});
    shop.command("SetPrice", dearer("S-000", 300)).await;
    shop.command("PlaceOrder", json!({"cart_id": id("ordered"), "order_id": id("o")})).await;
    shop.command("AbandonCart", json!({"cart_id": id("abandoned")})).await;
    shop.command("SetPrice", dearer("S-001", 900)).await;
    shop.command("ArchiveProduct", json!({"product_id": id("Soap")})).await;
    shop.shown(shop.head().await).await;
    for (name, prices) in [("ordered", [300, 250]), ("abandoned", [250, 250])] {
        let shown = cart(&shop, Caller::Guest, name).await;
        let seen: Vec<_> =
            shown["lines"].as_array().into_iter().flatten().map(|line| line["price"]["minorUnits"].clone()).collect();
        assert_eq!(seen, prices, "{name}");
        assert_eq!(shown["total"]["minorUnits"], prices[0] + prices[1], "{name}");
        assert_eq!((&shown["problems"], &shown["orderable"]), (&json!([]), &json!(false)), "{name}");
    }
}

#[tokio::test]
async fn buyers_see_the_prices_and_the_stock_that_the_storefront_serves() {
    let storefront = Storefront {
        channels: vec!["web".parse().expect("a channel")],
        locations: Some(vec!["berlin".parse().expect("a location")]),
    };
    let shop = Shop::with(ShopSettings { storefront, ..ShopSettings::default() }).await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let b2b = json!({"sku": "S-000", "channel": "b2b", "price": {"minor_units": 90, "currency": "EUR"}});
    shop.command("SetPrice", b2b).await;
    let berlin = json!({"sku": "S-000", "location": "berlin", "quantity": 7});
    shop.shown(shop.command("ReceiveStock", berlin).await).await;
    let query = "{ product(sku: \"S-000\") { variants { available prices { channel }
                   availability(channel: \"b2b\") { available } } } }";
    let prices = query.replace("availability(channel: \"b2b\") { available }", "");
    let seen = async |caller: Caller, query: &str| {
        let mut data = shop.storefront(caller, query).await.data();
        data["product"]["variants"][0].take()
    };
    for buyer in [Caller::Guest, Caller::Customer("ann")] {
        assert_eq!(seen(buyer, &prices).await, json!({"available": 7, "prices": [{"channel": "web"}]}));
        assert_eq!(shop.storefront(buyer, query).await.code(), "FORBIDDEN");
    }
    let all = json!([{"channel": "b2b"}, {"channel": "web"}]);
    assert_eq!(seen(Caller::Admin, query).await["prices"], all);
    // An order that names no location gets its goods from where the storefront says that they are.
    shop.cart(id("c"), None, &skus("S", 1)).await;
    shop.command("ChangeQuantity", json!({"cart_id": id("c"), "sku": "S-000", "quantity": 7})).await;
    let place =
        format!("mutation {{ it: orderPlace(input: {{cartId: \"{}\"}}) {{ userErrors {{ message }} }} }}", id("c"));
    assert_eq!(shop.storefront(Caller::Guest, &place).await.data()["it"]["userErrors"], json!([]));
}

#[tokio::test]
async fn a_buyer_sees_no_archived_product_through_the_line_of_a_cart() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    shop.cart(id("c"), None, &skus("S", 1)).await;
    shop.shown(shop.command("ArchiveProduct", json!({"product_id": id("Soap")})).await).await;
    let line = cart(&shop, Caller::Guest, "c").await["lines"][0].take();
    assert_eq!(
        (&line["product"], &line["name"], &line["availability"]["available"]),
        (&Value::Null, &json!("Soap"), &json!(0))
    );
    let line = cart(&shop, Caller::Support, "c").await["lines"][0].take();
    assert_eq!(line["product"], json!({"name": "Soap", "status": "archived"}));
}

#[tokio::test]
async fn the_second_click_of_a_checkout_has_the_first_outcome() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 2)).await;
    shop.cart(id("c"), None, &skus("S", 2)).await;
    let place = json!({"cart_id": id("c"), "order_id": id("o")});
    let first = shop.post("/commands/PlaceOrder", Caller::Admin, &place).await.json();
    let second = shop.post("/commands/PlaceOrder", Caller::Admin, &place).await.json();
    assert_eq!(first["events"].as_array().map(Vec::len), Some(4));
    for field in ["position", "streams", "events"] {
        assert_eq!(first[field], second[field], "{field}");
    }
    assert_eq!(second["replayed"], true);
    let other = json!({"cart_id": id("c"), "order_id": id("other")});
    let refused = shop.post("/commands/PlaceOrder", Caller::Admin, &other).await.json();
    assert_eq!((&refused["code"], &refused["order_id"]), (&json!("cart_closed"), &json!(id("o"))));
}

#[tokio::test]
async fn what_is_set_already_is_a_success_without_events_that_its_key_remembers() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let head = shop.head().await;
    let price = |minor_units: u32| json!({"sku": "S-000", "price": {"minor_units": minor_units, "currency": "EUR"}});
    let key = id("key").to_string();
    let sync = async || {
        let request = shop.request(axum::http::Method::POST, "/commands/SetPrice", Caller::Admin);
        let request = request.header("content-type", "application/json").header("idempotency-key", &key);
        let answer = shop.send(request.body(price(250).to_string().into()).expect("the request is valid")).await;
        answer.json()
    };
    let first = sync().await;
    assert_eq!((&first["events"], &first["position"], &first["replayed"]), (&json!([]), &json!(head), &json!(false)));
    shop.command("SetPrice", price(300)).await;
    let again = sync().await;
    assert_eq!((&again["events"], &again["position"], &again["replayed"]), (&json!([]), &json!(head), &json!(true)));
    assert_eq!(shop.head().await, head + 1, "the price of 3.00 stays");
    let mutation = "mutation { it: priceSet(input: {sku: \"S-000\", price: {minorUnits: 300, currency: \"EUR\"}})
                    { variant { prices { price { minorUnits } } } userErrors { code } consistencyToken } }";
    let payload = shop.office(Caller::Admin, mutation).await.data()["it"].take();
    assert_eq!((&payload["userErrors"], &payload["consistencyToken"]), (&json!([]), &json!(head + 1)));
    assert_eq!(payload["variant"]["prices"][0]["price"]["minorUnits"], 300);
}

#[tokio::test]
async fn a_cart_beyond_what_an_order_may_come_to_says_so() {
    let shop = Shop::open().await;
    let skus = skus("S", 2);
    for sku in &skus {
        shop.sell(sku, "Gold", std::slice::from_ref(sku)).await;
        shop.command("SetBackorders", json!({"sku": sku, "allowed": true})).await;
    }
    shop.cart(id("c"), None, &skus).await;
    let dearer = async |cents: i64| {
        for sku in &skus {
            let price = json!({"minor_units": cents, "currency": "EUR"});
            shop.command("SetPrice", json!({"sku": sku, "price": price})).await;
            shop.command("ChangeQuantity", json!({"cart_id": id("c"), "sku": sku, "quantity": 1_000})).await;
        }
        shop.shown(shop.head().await).await;
    };
    // Each line can be counted, and both together are more than an order may come to.
    dearer(10_000_000_000).await;
    let shown = cart(&shop, Caller::Guest, "c").await;
    let alone = json!([{"__typename": "AmountOverflow", "code": "amount_overflow", "path": null}]);
    assert_eq!((&shown["problems"], &shown["orderable"]), (&alone, &json!(false)));
    assert_eq!(shown["total"]["minorUnits"], 20_000_000_000_000_i64);
    assert_eq!(refused(&shop, "c").await.0, "amount_overflow");
    // A price that rose: the lines cannot be counted any more.
    for sku in &skus {
        let price = json!({"minor_units": 100_000_000_000_i64, "currency": "EUR"});
        shop.command("SetPrice", json!({"sku": sku, "price": price})).await;
    }
    shop.shown(shop.head().await).await;
    let shown = cart(&shop, Caller::Guest, "c").await;
    assert_eq!((&shown["lines"][0]["total"], &shown["total"]["minorUnits"]), (&json!(null), &json!(0)));
    assert_eq!(shown["problems"].as_array().map(Vec::len), Some(2));
    assert_eq!(refused(&shop, "c").await, ("several_problems".to_owned(), vec!["amount_overflow".to_owned(); 2]));
    let asked = variant(&shop, "S-000").await;
    assert_eq!(asked["availability"]["orderable"], true);
    let query = r#"{ product(sku: "S-000") { variants { availability(quantity: 101, currency: "EUR") { orderable problems { code } } } } }"#;
    let asked = shop.storefront(Caller::Guest, query).await.data()["product"]["variants"][0]["availability"].take();
    assert_eq!(asked, json!({"orderable": false, "problems": [{"code": "amount_overflow"}]}));
}

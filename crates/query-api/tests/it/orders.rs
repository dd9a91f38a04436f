//! Orders in their present and in earlier versions.

use serde_json::{Value, json};

use crate::shop::{Caller, Shop, customer_id, id, skus};

/// A shop with an order that was placed, confirmed and held.
async fn shop_with_order() -> Shop {
    let shop = Shop::open().await;
    let skus = skus("S", 2);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), Some("ann"), &skus).await;
    shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await;
    shop.command("ConfirmOrder", json!({"order_id": id("o")})).await;
    shop.shown(shop.command("HoldOrder", json!({"order_id": id("o"), "reason": "call first"})).await).await;
    shop
}

async fn order(shop: &Shop, as_of: &str) -> Value {
    let fields = "phase version updatedAt net { formatted } lines { sku } nextMoves { command }
                  timeline { version type recordedAt effectiveAt actor data }";
    let query = format!("{{ order(id: \"{}\"{as_of}) {{ {fields} }} }}", id("o"));
    shop.office(Caller::Admin, &query).await.data()["order"].take()
}

#[tokio::test]
async fn an_order_is_shown_as_it_was_at_each_version_and_time() {
    let shop = shop_with_order().await;
    let now = order(&shop, "").await;
    assert_eq!(now["phase"], "HELD");
    let timeline = now["timeline"].as_array().expect("the order has a timeline").clone();
    let phases: Vec<_> = ["PLACED", "CONFIRMED", "HELD"].into();
    assert_eq!(now["version"].as_u64(), Some(timeline.len() as u64));
    for entry in &timeline {
        let version = entry["version"].as_u64().expect("a version is a number");
        let by_version = order(&shop, &format!(", asOf: {{version: {version}}}")).await;
        let by_time = order(&shop, &format!(", asOf: {{time: {}}}", entry["recordedAt"])).await;
        assert_eq!(by_version["version"], version);
        assert_eq!(by_version["timeline"].as_array().map(|past| past.len() as u64), Some(version));
        assert_eq!(by_version["net"], now["net"]);
        assert_eq!(by_version["updatedAt"], entry["effectiveAt"], "it was changed last by this event");
        assert_eq!(by_time["updatedAt"], entry["effectiveAt"]);
        assert_eq!(by_time["phase"], by_version["phase"]);
    }
    let seen: Vec<_> = {
        let mut seen = Vec::new();
        for version in 1..=timeline.len() {
            seen.push(order(&shop, &format!(", asOf: {{version: {version}}}")).await["phase"].clone());
        }
        seen.dedup();
        seen
    };
    assert_eq!(seen, phases);
    let before = order(&shop, r#", asOf: {time: "2020-01-01T00:00:00Z"}"#).await;
    assert_eq!(before, Value::Null, "the order did not exist at that time");
}

#[tokio::test]
async fn as_of_takes_a_version_or_a_time_and_not_both() {
    let shop = shop_with_order().await;
    let query =
        format!(r#"{{ order(id: "{}", asOf: {{version: 1, time: "2020-01-01T00:00:00Z"}}) {{ phase }} }}"#, id("o"));
    assert_eq!(shop.office(Caller::Admin, &query).await.code(), "GRAPHQL_VALIDATION_FAILED");
}

#[tokio::test]
async fn a_version_that_the_order_does_not_have_is_refused() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), Some("ann"), &skus).await;
    shop.shown(shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await).await;
    for version in [-1, 7] {
        for field in [
            format!("order(id: \"{}\", asOf: {{version: {version}}}) {{ phase }}", id("o")),
            format!("orderDiff(id: \"{}\", from: 1, to: {version}) {{ path }}", id("o")),
            format!("orderDiff(id: \"{}\", from: {version}, to: 1) {{ path }}", id("o")),
        ] {
            let answer = shop.office(Caller::Admin, &format!("{{ {field} }}")).await;
            assert_eq!(answer.code(), "BAD_INPUT", "{field}");
            let message = answer.json()["errors"][0]["message"].to_string();
            assert!(message.contains("which has 1 version\""), "{message}");
        }
    }
    let last = order(&shop, ", asOf: {version: 1}").await;
    assert_eq!((&last["phase"], &last["version"]), (&json!("PLACED"), &json!(1)));
    assert_eq!(
        order(&shop, ", asOf: {version: 0}").await,
        Value::Null,
        "the order did not exist before its first event"
    );
}

#[tokio::test]
async fn a_diff_lists_the_changes_between_two_versions() {
    let shop = shop_with_order().await;
    let last = order(&shop, "").await["version"].as_i64().expect("the order has a version");
    let diff = async |from: i64, to: i64| {
        let query = format!("{{ orderDiff(id: \"{}\", from: {from}, to: {to}) {{ path before after }} }}", id("o"));
        shop.office(Caller::Support, &query).await.data()["orderDiff"].take()
    };
    assert_eq!(diff(last, last).await, json!([]));
    let held = diff(last - 1, last).await;
    let text = held.to_string();
    assert!(text.contains("held") && text.contains("confirmed"), "{text}");
    let back = diff(last, last - 1).await;
    let after: Vec<_> = held.as_array().into_iter().flatten().map(|one| (&one["path"], &one["after"])).collect();
    let before: Vec<_> = back.as_array().into_iter().flatten().map(|one| (&one["path"], &one["before"])).collect();
    assert_eq!(after, before);
    let began = diff(0, 1).await;
    let paths: Vec<_> = began.as_array().into_iter().flatten().filter_map(|one| one["path"].as_str()).collect();
    assert!(paths.contains(&"/phase") && paths.contains(&"/totals/net/minor_units"), "{began}");
    assert!(began.as_array().into_iter().flatten().all(|one| one["before"].is_null()), "{began}");
}

#[tokio::test]
async fn orders_are_filtered_and_paged_newest_first() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    let mut position = 0;
    for at in 0..7 {
        let (name, customer) = (format!("o{at}"), ["ann", "bob"][at % 2]);
        shop.cart(id(&name), Some(customer), &skus).await;
        position = shop.command("PlaceOrder", json!({"cart_id": id(&name), "order_id": id(&name)})).await;
    }
    shop.command("ConfirmOrder", json!({"order_id": id("o0")})).await;
    shop.shown(position + 1).await;
    let ids = async |filter: &str| {
        let (mut ids, mut after) = (Vec::new(), String::new());
        loop {
            let query = format!(
                "{{ orders(filter: {{{filter}}}, first: 2{after}) {{ edges {{ node {{ id }} }} pageInfo {{ hasNextPage endCursor }} }} }}"
            );
            let page = shop.office(Caller::Admin, &query).await.data()["orders"].take();
            let edges = page["edges"].as_array().into_iter().flatten();
            ids.extend(edges.map(|edge| edge["node"]["id"].as_str().unwrap_or_default().to_owned()));
            if page["pageInfo"]["hasNextPage"] == json!(false) {
                return ids;
            }
            after = format!(", after: {}", page["pageInfo"]["endCursor"]);
        }
    };
    let of = |numbers: &[usize]| numbers.iter().map(|at| id(&format!("o{at}")).to_string()).collect::<Vec<_>>();
    assert_eq!(ids("").await, of(&[6, 5, 4, 3, 2, 1, 0]));
    assert_eq!(ids(&format!("customerId: \"{}\"", customer_id("bob"))).await, of(&[5, 3, 1]));
    assert_eq!(ids("phase: CONFIRMED").await, of(&[0]));
    assert_eq!(ids("to: \"2020-01-01T00:00:00Z\"").await, of(&[]));
}

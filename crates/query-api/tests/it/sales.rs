//! Sales figures: within a currency, by the days of a time zone, with what came back when it came back.

use serde_json::{Value, json};

use crate::shop::{Caller, Shop, id};

/// Imports an order of one SKU.
async fn sold(shop: &Shop, reference: &str, at: &str, currency: &str, sku: &str, amount: i64) -> i64 {
    let line = json!({"sku": sku, "quantity": 1, "line_total": amount});
    let order = json!({"external_ref": reference, "placed_at": at, "currency": currency, "lines": [line]});
    shop.command("ImportOrder", order).await
}

async fn shop_with_skus(skus: &[&str]) -> Shop {
    let shop = Shop::open().await;
    for sku in skus {
        let product = json!({"product_id": id(sku), "name": format!("Product {sku}"), "variants": [{"sku": sku}]});
        shop.command("CreateProduct", product).await;
    }
    shop
}

async fn sales(shop: &Shop, query: &str) -> Value {
    let data = shop.office(Caller::Admin, &format!("{{ {query} }}")).await.data();
    data.as_object().and_then(|data| data.values().next().cloned()).expect("the query has one field")
}

#[tokio::test]
async fn products_are_ranked_within_a_currency() {
    let shop = shop_with_skus(&["a", "b", "c"]).await;
    sold(&shop, "1", "2026-01-05T12:00:00Z", "KWD", "a", 12_000).await;
    sold(&shop, "2", "2026-01-05T12:00:00Z", "JPY", "b", 6_000).await;
    sold(&shop, "3", "2026-01-05T12:00:00Z", "EUR", "c", 5_000).await;
    let last = sold(&shop, "4", "2026-01-05T12:00:00Z", "EUR", "a", 7_000).await;
    shop.shown(last).await;
    let ranking = |arguments: &str| {
        format!("topProducts(from: \"2026-01-01\", to: \"2026-01-31\"{arguments}) {{ sku name net {{ formatted }} }}")
    };
    let row = |sku: &str, net: &str| json!({"sku": sku, "name": format!("Product {sku}"), "net": {"formatted": net}});
    let euros = json!([row("a", "70.00 EUR"), row("c", "50.00 EUR")]);
    assert_eq!(sales(&shop, &ranking(", currency: \"EUR\"")).await, euros);
    assert_eq!(sales(&shop, &ranking(", currency: \"KWD\"")).await, json!([row("a", "12.000 KWD")]));
    let each = json!([row("a", "70.00 EUR"), row("b", "6000 JPY"), row("a", "12.000 KWD")]);
    assert_eq!(sales(&shop, &ranking(", first: 1")).await, each, "each currency has a ranking of its own");
    let unknown = shop.office(Caller::Admin, &format!("{{ {} }}", ranking(", currency: \"EURO\""))).await;
    assert_eq!(unknown.code(), "BAD_INPUT");
}

#[tokio::test]
async fn a_day_is_one_of_the_time_zone_and_a_day_without_orders_is_a_day() {
    let shop = shop_with_skus(&["a"]).await;
    // New Year's Eve, 19:50 in Chicago.
    sold(&shop, "1", "2026-01-01T01:50:00Z", "EUR", "a", 100).await;
    // Midnight of 4 January in Kathmandu (+05:45), and the quarter-hour before.
    sold(&shop, "2", "2026-01-03T18:14:59Z", "EUR", "a", 10).await;
    let last = sold(&shop, "3", "2026-01-03T18:15:00Z", "EUR", "a", 1).await;
    shop.shown(last).await;
    let days = async |zone: &str| {
        let query = format!(
            "salesByDay(from: \"2025-12-01\", to: \"2026-01-05\"{zone}) {{ date orders net {{ minorUnits }} }}"
        );
        let days = sales(&shop, &query).await;
        let days = days.as_array().expect("a list").iter();
        days.map(|day| {
            (day["date"].as_str().expect("a date").to_owned(), day["net"]["minorUnits"].as_i64().expect("cents"))
        })
        .collect::<Vec<_>>()
    };
    let expected = |days: &[(&str, i64)]| days.iter().map(|(day, net)| ((*day).to_owned(), *net)).collect::<Vec<_>>();
    let utc =
        expected(&[("2026-01-01", 100), ("2026-01-02", 0), ("2026-01-03", 11), ("2026-01-04", 0), ("2026-01-05", 0)]);
    assert_eq!(days("").await, utc, "the zone of the shop");
    let mut chicago = expected(&[("2025-12-31", 100), ("2026-01-01", 0), ("2026-01-02", 0), ("2026-01-03", 11)]);
    chicago.extend(expected(&[("2026-01-04", 0), ("2026-01-05", 0)]));
    assert_eq!(days(", timeZone: \"America/Chicago\"").await, chicago);
    let kathmandu = days(", timeZone: \"Asia/Kathmandu\"").await;
    assert_eq!(kathmandu[2..4], expected(&[("2026-01-03", 10), ("2026-01-04", 1)]));
    let totals = "salesTotals(from: \"2026-01-04\", to: \"2026-01-04\", timeZone: \"Asia/Kathmandu\")
                  { orders skus customers net { minorUnits } }";
    let total = json!([{"orders": 1, "skus": 1, "customers": 0, "net": {"minorUnits": 1}}]);
    assert_eq!(sales(&shop, totals).await, total);
}

#[tokio::test]
async fn a_period_has_an_end_and_a_zone_that_exist() {
    let shop = shop_with_skus(&["a"]).await;
    assert_eq!(sales(&shop, "salesByDay(from: \"2026-01-01\", to: \"2026-12-31\") { date }").await, json!([]));
    shop.shown(sold(&shop, "1", "1950-01-01T00:00:00Z", "USD", "a", 1).await).await;
    for arguments in [
        "from: \"2026-01-02\", to: \"2026-01-01\"",
        "from: \"2026-01-01\", to: \"2026-01-02\", timeZone: \"Mars/Olympus\"",
        "from: \"2026-01-01\", to: \"2026-01-02\", timeZone: \"+02:00\"",
        "from: \"2026-1-1\", to: \"2026-01-02\"",
    ] {
        for query in ["salesByDay", "salesTotals", "topProducts"] {
            let field = if query == "topProducts" { "sku" } else { "orders" };
            let answer = shop.office(Caller::Admin, &format!("{{ {query}({arguments}) {{ {field} }} }}")).await;
            assert_eq!(answer.code(), "BAD_INPUT", "{query} {arguments}: {}", answer.text);
        }
    }
    let long = "salesByDay(from: \"1900-01-01\", to: \"2100-01-01\") { date }";
    assert_eq!(shop.office(Caller::Admin, &format!("{{ {long} }}")).await.code(), "BAD_INPUT", "76 years of days");
    let all = "salesTotals(from: \"1900-01-01\", to: \"2100-01-01\") { orders }";
    assert_eq!(sales(&shop, all).await, json!([{"orders": 1}]));
}

#[tokio::test]
async fn returns_and_refunds_count_on_the_day_on_which_they_happen() {
    let shop = shop_with_skus(&["a", "b"]).await;
    sold(&shop, "1", "2026-01-05T12:00:00Z", "EUR", "a", 1_000).await;
    let last = sold(&shop, "2", "2026-01-05T12:00:00Z", "EUR", "b", 500).await;
    shop.shown(last).await;
    let orders =
        shop.office(Caller::Admin, "{ orders(filter: {externalRef: \"1\"}) { edges { node { id } } } }").await.data();
    let order = &orders["orders"]["edges"][0]["node"]["id"];
    shop.command("ReturnOrder", json!({"order_id": order, "reason": "too small"})).await;
    shop.shown(shop.command("RefundOrder", json!({"order_id": order, "reason": "as agreed"})).await).await;
    let fields =
        "orders net { minorUnits } returnedOrders returned { minorUnits } refundedOrders refunded { minorUnits }
                  cancelledOrders cancelled { minorUnits }";
    let day = |from: &str, to: &str| format!("salesTotals(from: \"{from}\", to: \"{to}\") {{ {fields} }}");
    let row = |orders: i64, net: i64, back: i64| {
        let back_orders = i64::from(back > 0);
        json!([{"orders": orders, "net": {"minorUnits": net}, "returnedOrders": back_orders, "returned": {"minorUnits": back},
                "refundedOrders": back_orders, "refunded": {"minorUnits": back}, "cancelledOrders": 0,
                "cancelled": {"minorUnits": 0}}])
    };
    assert_eq!(sales(&shop, &day("2026-01-05", "2026-01-05")).await, row(2, 1_500, 0), "the day of the sale stays");
    assert_eq!(sales(&shop, &day("2026-01-06", "2100-01-01")).await, row(0, 0, 1_000), "what came back today");
    let ranking = "topProducts(from: \"2026-01-01\", to: \"2100-01-01\", currency: \"EUR\")
                   { sku units net { minorUnits } returnedUnits returned { minorUnits } }";
    let row = |sku: &str, net: i64, units: i64, back: i64| json!({"sku": sku, "units": 1, "net": {"minorUnits": net}, "returnedUnits": units, "returned": {"minorUnits": back}});
    assert_eq!(sales(&shop, ranking).await, json!([row("a", 1_000, 1, 1_000), row("b", 500, 0, 0)]));
}

#[tokio::test]
async fn money_of_a_currency_that_was_given_up_is_shown_with_its_decimals() {
    let shop = shop_with_skus(&["a"]).await;
    sold(&shop, "1", "1999-05-01T12:00:00Z", "ITL", "a", 19_500).await;
    shop.shown(sold(&shop, "2", "1999-05-01T12:00:00Z", "DEM", "a", 1_995).await).await;
    let query = "salesTotals(from: \"1999-01-01\", to: \"1999-12-31\") { currency net { formatted } }";
    let totals = json!([{"currency": "DEM", "net": {"formatted": "19.95 DEM"}},
                        {"currency": "ITL", "net": {"formatted": "19500 ITL"}}]);
    assert_eq!(sales(&shop, query).await, totals);
}

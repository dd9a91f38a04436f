//! Pages, sorting, search and facets.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::shop::{Caller, Shop, skus};

/// Follows the cursors to the end. Returns the names of all pages, and the size of each page.
async fn all_pages(shop: &Shop, sort: &str, first: usize) -> (Vec<String>, Vec<usize>) {
    let (mut names, mut sizes, mut after) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let query = format!(
            "query($after: String) {{ products(sort: {sort}, first: {first}, after: $after)
               {{ edges {{ cursor node {{ name }} }} pageInfo {{ hasNextPage hasPreviousPage endCursor }} }} }}"
        );
        let body = json!({"query": query, "variables": {"after": after}});
        let page = shop.post("/graphql", Caller::Guest, &body).await.data()["products"].take();
        let edges = page["edges"].as_array().expect("a page has edges");
        names.extend(edges.iter().filter_map(|edge| edge["node"]["name"].as_str().map(str::to_owned)));
        sizes.push(edges.len());
        assert_eq!(page["pageInfo"]["hasPreviousPage"], json!(!after.is_null()));
        assert_eq!(page["pageInfo"]["endCursor"], edges.last().expect("no page is empty")["cursor"]);
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            return (names, sizes);
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

async fn shop_of(products: usize) -> Shop {
    let shop = Shop::open().await;
    let mut position = 0;
    for at in 0..products {
        let (name, brand) = (format!("Tea {at:02}"), ["Assam", "Ceylon"][at % 2]);
        let product = json!({
            "product_id": crate::shop::id(&name), "name": name, "brand": brand, "publish": true,
            "variants": [{"sku": format!("TEA-{at:02}")}],
        });
        position = shop.command("CreateProduct", product).await;
    }
    shop.shown(position).await;
    shop
}

#[tokio::test]
async fn paging_to_the_end_visits_each_product_once_in_its_order() {
    let shop = shop_of(25).await;
    let by_name: Vec<_> = (0..25).map(|at| format!("Tea {at:02}")).collect();
    let newest_first: Vec<_> = by_name.iter().rev().cloned().collect();
    for first in [1, 7, 25, 100] {
        let (names, sizes) = all_pages(&shop, "NAME", first).await;
        assert_eq!(names, by_name);
        assert!(sizes[..sizes.len() - 1].iter().all(|size| *size == first), "{sizes:?}");
        assert_eq!(all_pages(&shop, "NEWEST", first).await.0, newest_first);
    }
}

#[tokio::test]
async fn a_cursor_is_opaque_and_valid_only_for_its_own_connection() {
    let shop = shop_of(2).await;
    let query = "{ products(first: 1) { pageInfo { endCursor } } }";
    let data = shop.storefront(Caller::Guest, query).await.data();
    let cursor = data["products"]["pageInfo"]["endCursor"].as_str().expect("the page has a cursor");
    assert!(!cursor.contains("Tea"), "{cursor}");
    for bad in ["", "zz", "1", "7b7d", "é", &cursor[1..]] {
        let query = format!(r#"{{ products(after: "{bad}") {{ edges {{ cursor }} }} }}"#);
        assert_eq!(shop.storefront(Caller::Guest, &query).await.code(), "BAD_CURSOR", "{bad}");
    }
    let query = format!(r#"{{ orders(after: "{cursor}") {{ edges {{ cursor }} }} }}"#);
    assert_eq!(shop.office(Caller::Admin, &query).await.code(), "BAD_CURSOR");
}

#[tokio::test]
async fn a_page_of_less_than_one_or_more_than_a_hundred_is_refused() {
    let shop = Shop::open().await;
    for first in [-1, 0, 101, i32::MAX] {
        for field in ["products", "search(query: \"tea\""] {
            let arguments = if field == "products" { "products(" } else { "search(query: \"tea\", " };
            let rows = if field == "products" { "{ edges { cursor } }" } else { "{ products { edges { cursor } } }" };
            let query = format!("{{ {arguments}first: {first}) {rows} }}");
            assert_eq!(shop.storefront(Caller::Guest, &query).await.code(), "BAD_PAGE", "{query}");
        }
    }
}

#[tokio::test]
async fn a_search_finds_all_words_and_counts_brands_over_all_pages() {
    let shop = shop_of(25).await;
    shop.shown(shop.sell("Coffee", "Assam", &skus("COF", 1)).await).await;
    let search = |filter: &str, after: &str| {
        format!(
            r#"{{ search(query: "TEA", first: 10{filter}{after}) {{
                 products {{ edges {{ node {{ name brand }} }} pageInfo {{ hasNextPage endCursor }} }}
                 facets {{ brands {{ value count }} }} }} }}"#
        )
    };
    let mut seen = BTreeSet::new();
    let mut after = String::new();
    loop {
        let found = shop.storefront(Caller::Guest, &search("", &after)).await.data()["search"].take();
        let brands = json!([{"value": "Assam", "count": 13}, {"value": "Ceylon", "count": 12}]);
        assert_eq!(found["facets"]["brands"], brands);
        for edge in found["products"]["edges"].as_array().expect("the page has edges") {
            assert!(seen.insert(edge["node"]["name"].to_string()), "{edge} comes twice");
        }
        if found["products"]["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
        after = format!(", after: {}", found["products"]["pageInfo"]["endCursor"]);
    }
    assert_eq!(seen.len(), 25);
    let narrowed = shop.storefront(Caller::Guest, &search(r#", filter: {brand: "Ceylon"}"#, "")).await.data();
    let edges = narrowed["search"]["products"]["edges"].as_array().expect("the page has edges");
    assert!(edges.len() == 10 && edges.iter().all(|edge| edge["node"]["brand"] == "Ceylon"));
    let nothing = r#"{ search(query: "tea coffee") { products { edges { cursor } } } }"#;
    assert_eq!(shop.storefront(Caller::Guest, nothing).await.data()["search"]["products"]["edges"], json!([]));
}

#[tokio::test]
async fn a_product_is_found_by_its_id_its_slug_and_its_sku() {
    let shop = Shop::open().await;
    let id = crate::shop::id("mug");
    let mug = json!({"product_id": id, "name": "Mug", "slug": "mug", "publish": true, "variants": [{"sku": "MUG"}]});
    shop.shown(shop.command("CreateProduct", mug).await).await;
    for key in [format!("id: \"{id}\""), "slug: \"mug\"".to_owned(), "sku: \"MUG\"".to_owned()] {
        let data = shop.storefront(Caller::Guest, &format!("{{ product({key}) {{ name }} }}")).await.data();
        assert_eq!(data["product"]["name"], "Mug", "{key}");
    }
    for key in ["id: \"no id\"", "slug: \"none\"", "sku: \"NONE\""] {
        let data = shop.storefront(Caller::Guest, &format!("{{ product({key}) {{ name }} }}")).await.data();
        assert_eq!(data["product"], Value::Null, "{key}");
    }
    let both = shop.storefront(Caller::Guest, "{ product(slug: \"mug\", sku: \"MUG\") { name } }").await;
    assert_eq!(both.code(), "BAD_INPUT");
}

#[tokio::test]
async fn a_cursor_of_another_order_is_refused() {
    let shop = shop_of(2).await;
    for (of, other) in [("NAME", "NEWEST"), ("NEWEST", "NAME")] {
        let query = format!("{{ products(sort: {of}, first: 1) {{ pageInfo {{ endCursor }} }} }}");
        let cursor = shop.storefront(Caller::Guest, &query).await.data()["products"]["pageInfo"]["endCursor"].take();
        for field in [
            format!("products(sort: {other}, after: {cursor}) {{ edges {{ cursor }} }}"),
            format!("search(query: \"tea\", after: {cursor}) {{ products {{ edges {{ cursor }} }} }}"),
        ] {
            let answer = shop.storefront(Caller::Guest, &format!("{{ {field} }}")).await;
            assert_eq!(answer.code(), "BAD_CURSOR", "{field}");
        }
    }
}

/// A cursor that no page has shown.
fn forged(order: &str, key: &str) -> String {
    let text = json!([order, [key, crate::shop::id("x")]]).to_string();
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_forged_cursor_of_the_right_order_is_refused() {
    let shop = shop_of(1).await;
    let no_times = ["soon", "", "now", "today", "infinity", "-infinity", "2026-01-01", "a\0"];
    for key in no_times.into_iter().chain(["0000-01-01T00:00:00+00:00", "+12000-01-01T00:00:00+00:00"]) {
        let newest = forged("products, newest first", key);
        let query = format!("{{ products(sort: NEWEST, after: \"{newest}\") {{ edges {{ cursor }} }} }}");
        assert_eq!(shop.storefront(Caller::Guest, &query).await.code(), "BAD_CURSOR", "{key:?}");
        let orders = forged("orders", key);
        let query = format!("{{ orders(after: \"{orders}\") {{ edges {{ cursor }} }} }}");
        assert_eq!(shop.office(Caller::Admin, &query).await.code(), "BAD_CURSOR", "{key:?}");
    }
    let (by_name, found) = (forged("products by name", "a\0"), forged("search", "a\0"));
    for field in [
        format!("products(after: \"{by_name}\") {{ edges {{ cursor }} }}"),
        format!("search(query: \"tea\", after: \"{found}\") {{ products {{ edges {{ cursor }} }} }}"),
    ] {
        assert_eq!(shop.storefront(Caller::Guest, &format!("{{ {field} }}")).await.code(), "BAD_CURSOR", "{field}");
    }
}

#[tokio::test]
async fn a_text_that_postgresql_cannot_store_is_bad_input() {
    let shop = shop_of(1).await;
    for field in [
        r#"product(slug: "a\u0000b") { name }"#.to_owned(),
        r#"product(sku: "a\u0000b") { name }"#.to_owned(),
        r#"products(filter: {brand: "a\u0000b"}) { edges { cursor } }"#.to_owned(),
        r#"search(query: "a\u0000b") { products { edges { cursor } } }"#.to_owned(),
    ] {
        assert_eq!(shop.storefront(Caller::Guest, &format!("{{ {field} }}")).await.code(), "BAD_INPUT", "{field}");
    }
    for field in [
        r#"orders(filter: {externalRef: "a\u0000b"}) { edges { cursor } }"#,
        r#"stock(sku: "a\u0000b") { location }"#,
        r#"events(stream: "a\u0000b") { position }"#,
    ] {
        assert_eq!(shop.office(Caller::Admin, &format!("{{ {field} }}")).await.code(), "BAD_INPUT", "{field}");
    }
}

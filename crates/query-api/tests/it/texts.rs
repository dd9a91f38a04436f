//! Texts: what a search finds, how names are sorted, and the slugs that products get from their names.

use serde_json::{Value, json};

use crate::shop::{Caller, Shop, id};

/// A shop with a product of each name, and its SKU.
async fn shop_of(products: &[(&str, &str)]) -> Shop {
    let shop = Shop::open().await;
    let mut position = 0;
    for (name, sku) in products {
        let product = json!({"product_id": id(sku), "name": name, "publish": true, "variants": [{"sku": sku}]});
        position = shop.command("CreateProduct", product).await;
    }
    shop.shown(position).await;
    shop
}

fn names(connection: &Value) -> Vec<&str> {
    let edges = connection["edges"].as_array().expect("a page has edges");
    edges.iter().map(|edge| edge["node"]["name"].as_str().expect("a name")).collect()
}

async fn found(shop: &Shop, asked: &str) -> Vec<String> {
    let query = "query($asked: String!) { search(query: $asked) { products { edges { node { name } } } } }";
    let body = json!({"query": query, "variables": {"asked": asked}});
    let data = shop.post("/graphql", Caller::Guest, &body).await.data();
    names(&data["search"]["products"]).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_search_finds_every_script_any_accent_a_beginning_and_a_sku() {
    let shop = shop_of(&[
        ("有机燕麦奶", "ZH-1"),
        ("オーツミルク", "JA-1"),
        ("Crème brûlée", "FR-1"),
        ("cafe\u{301} au lait", "FR-2"),
        ("Łopata łódzka", "PL-1"),
        ("سُكَّر", "AR-1"),
        ("Straßenkreide", "00047"),
    ])
    .await;
    for (asked, name) in [
        ("燕麦", "有机燕麦奶"),
        ("奶", "有机燕麦奶"),
        ("ミルク", "オーツミルク"),
        ("creme brulee", "Crème brûlée"),
        ("BRÛLÉE", "Crème brûlée"),
        ("Café", "café au lait"),
        ("lopata", "Łopata łódzka"),
        ("łódz", "Łopata łódzka"),
        ("سكر", "سُكَّر"),
        ("strassenkr", "Straßenkreide"),
        ("00047", "Straßenkreide"),
        ("pl-1", "Łopata łódzka"),
        ("PL 1", "Łopata łódzka"),
        (" fr-2 ", "café au lait"),
    ] {
        assert_eq!(found(&shop, asked).await, [name], "{asked}");
    }
    for asked in ["", " ", "' & |", "!", "brulee milk", "麦燕", "\u{200b}"] {
        assert_eq!(found(&shop, asked).await, [] as [&str; 0], "{asked:?}");
    }
}

#[tokio::test]
async fn what_is_revised_is_found_by_its_new_words_and_its_skus() {
    let shop = shop_of(&[("Tea", "T-1")]).await;
    shop.command("AddVariant", json!({"product_id": id("T-1"), "sku": "X 99"})).await;
    let revised =
        json!({"product_id": id("T-1"), "name": "Coffee", "description": "Röst\nfrisch", "brand": "Österreich"});
    shop.shown(shop.command("ReviseProduct", revised).await).await;
    for asked in ["coffee", "rost", "osterreich", "t-1", "x 99", "X"] {
        assert_eq!(found(&shop, asked).await, ["Coffee"], "{asked}");
    }
    assert_eq!(found(&shop, "tea").await, [] as [&str; 0]);
}

#[tokio::test]
async fn names_are_sorted_as_people_sort_them_whatever_the_database_is() {
    let sorted = ["Ärmel", "eclair", "Eclair", "Éclair", "Tea 2", "Tea 9", "Tea 10", "Zebra", "Žito", "чай", "茶"];
    let mut products: Vec<_> = sorted.iter().map(|name| (*name, *name)).collect();
    products.reverse();
    let shop = shop_of(&products).await;
    let mut all = Vec::new();
    let mut after = Value::Null;
    loop {
        let query = "query($after: String) { products(first: 3, after: $after)
                       { edges { node { name } } pageInfo { endCursor hasNextPage } } }";
        let body = json!({"query": query, "variables": {"after": after}});
        let mut page = shop.post("/graphql", Caller::Guest, &body).await.data()["products"].take();
        all.extend(names(&page).into_iter().map(str::to_owned));
        after = page["pageInfo"]["endCursor"].take();
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
    }
    assert_eq!(all, sorted, "page by page");
    for name in ["b", "a", "B", "ä"] {
        shop.command("CreateCategory", json!({"category_id": id(name), "name": name})).await;
    }
    let last = shop.command("CreateCategory", json!({"category_id": id("c"), "name": "c"})).await;
    shop.shown(last).await;
    let categories = shop.storefront(Caller::Guest, "{ categories { name } }").await.data();
    let categories =
        categories["categories"].as_array().expect("a list").iter().map(|category| category["name"].clone());
    assert_eq!(categories.collect::<Vec<_>>(), ["a", "ä", "b", "B", "c"]);
}

#[tokio::test]
async fn a_slug_is_made_from_the_name_in_its_script_and_is_unique() {
    let shop = shop_of(&[("Łopata łódzka", "1"), ("سكر", "2"), ("Tee", "3"), ("Tee", "4")]).await;
    for (slug, sku) in [("lopata-lodzka", "1"), ("سكر", "2"), ("tee", "3"), ("tee-2", "4")] {
        let body =
            json!({"query": "query($slug: String) { product(slug: $slug) { id } }", "variables": {"slug": slug}});
        let data = shop.post("/graphql", Caller::Guest, &body).await.data();
        assert_eq!(data["product"]["id"], json!(id(sku)), "{slug}");
    }
}

#[tokio::test]
async fn a_text_that_cannot_be_seen_or_misleads_is_refused_and_names_its_field() {
    let shop = Shop::open().await;
    for name in ["  ", "\u{a0}", "\u{200b}", "Oat\u{202e}klim", "a\u{0}b"] {
        let body = json!({"product_id": id("x"), "name": name});
        let answer = shop.post("/commands/CreateProduct", Caller::Admin, &body).await;
        assert!(answer.status.is_client_error(), "{name:?}: {}", answer.text);
        assert_eq!(answer.json()["pointer"], "/name", "{name:?}: {}", answer.text);
    }
    let twice = json!({"product_id": id("x"), "name": "Oat", "attributes": {"é": "1", "e\u{301}": "2"}});
    let answer = shop.post("/commands/CreateProduct", Caller::Admin, &twice).await;
    assert!(answer.status.is_client_error() && answer.text.contains("twice"), "{}", answer.text);
    let entered =
        json!({"product_id": id("x"), "name": " Cafe\u{301}\u{a0}", "publish": true, "variants": [{"sku": " AB#12 "}]});
    shop.shown(shop.command("CreateProduct", entered).await).await;
    let data = shop.storefront(Caller::Guest, "{ product(sku: \"AB#12\\n\") { name variants { sku } } }").await.data();
    assert_eq!(data["product"], json!({"name": "Café", "variants": [{"sku": "AB#12"}]}));
}

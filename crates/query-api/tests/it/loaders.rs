//! Data loaders: the number of statements does not grow with the number of rows.

use axum::http::{Method, header};
use serde_json::json;

use crate::shop::{Caller, Shop, id, skus};

/// The numbers of rows and of statements of a query. The query runs twice, so that preparing its statements is not counted.
async fn statements(shop: &Shop, query: &str, rows: &str) -> (usize, usize) {
    shop.storefront(Caller::Admin, query).await.data();
    let before = shop.proxy.executed();
    let data = shop.storefront(Caller::Admin, query).await.data();
    let counted = shop.proxy.executed() - before;
    (data.pointer(rows).and_then(|rows| rows.as_array()).expect("the answer has rows").len(), counted)
}

#[tokio::test]
async fn a_hundred_products_take_as_many_statements_as_one_product() {
    let shop = Shop::open().await;
    let category = json!({"category_id": id("category"), "name": "Tea"});
    shop.command("CreateCategory", category).await;
    let mut position = 0;
    for at in 0..100 {
        let product = json!({
            "product_id": id(&format!("tea-{at}")), "name": format!("Tea {at:02}"), "publish": true,
            "categories": [id("category")], "variants": [{"sku": format!("TEA-{at}-A")}, {"sku": format!("TEA-{at}-B")}],
        });
        position = shop.command("CreateProduct", product).await;
    }
    shop.shown(position).await;
    let query = |first: usize| {
        format!(
            "{{ products(first: {first}) {{ edges {{ node {{ id categories {{ name }}
                  variants {{ sku available prices {{ price {{ formatted }} }} }} }} }} }} }}"
        )
    };
    let (one, few) = statements(&shop, &query(1), "/products/edges").await;
    let (all, many) = statements(&shop, &query(100), "/products/edges").await;
    assert_eq!((one, all), (1, 100));
    assert_eq!(few, many);
    assert!(many <= 5, "{many} statements");
    let before = shop.proxy.executed();
    let request = shop
        .request(Method::POST, "/graphql", Caller::Guest)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream");
    let request = request.body(json!({"query": query(100)}).to_string().into()).expect("the request is valid");
    let text = shop.send(request).await.text;
    assert!(text.contains("TEA-99-A"), "{text}");
    assert_eq!(shop.proxy.executed() - before, many, "server-sent events take as many statements");
}

#[tokio::test]
async fn a_cart_of_a_hundred_lines_takes_as_many_statements_as_a_cart_of_one_line() {
    let shop = Shop::open().await;
    let skus = skus("S", 100);
    for sku in &skus {
        shop.sell(sku, "Suds", std::slice::from_ref(sku)).await;
    }
    shop.cart(id("small"), None, &skus[..1]).await;
    shop.shown(shop.cart(id("large"), None, &skus).await).await;
    let query = |cart: &str| {
        format!(
            "{{ cart(id: \"{}\") {{ total {{ formatted }} lines {{ sku price {{ formatted }}
                  product {{ name variants {{ sku available }} }} }} }} }}",
            id(cart)
        )
    };
    let (one, few) = statements(&shop, &query("small"), "/cart/lines").await;
    let (all, many) = statements(&shop, &query("large"), "/cart/lines").await;
    assert_eq!((one, all), (1, 100));
    assert_eq!(few, many);
    assert!(many <= 6, "{many} statements");
}

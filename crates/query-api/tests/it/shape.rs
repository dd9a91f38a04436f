//! The shape of results follows the specification of GraphQL.

use serde_json::{Value, json};

use crate::shop::{Caller, Shop, customer_id, id, skus};

#[tokio::test]
async fn fields_are_in_the_order_of_the_query() {
    let shop = Shop::open().await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 2)).await).await;
    let query = "query Q($no: Boolean!) {
        b: products { edges { node { ...P brand variants { prices { channel } available sku ... { options { name } } } name id } } }
        a: products @skip(if: $no) { edges { cursor } } __typename categories { id }
      } fragment P on Product { status variants { name } categories { name } slug }";
    let body = json!({"query": query, "variables": {"no": true}});
    let answer = shop.post("/graphql", Caller::Guest, &body).await;
    let variant = |sku: &str| {
        format!(r#"{{"name":null,"prices":[{{"channel":"web"}}],"available":1000,"sku":"{sku}","options":[]}}"#)
    };
    let product = format!(
        r#"{{"status":"published","variants":[{},{}],"categories":[],"slug":"soap","brand":"Suds","name":"Soap","id":"{}"}}"#,
        variant("S-000"),
        variant("S-001"),
        id("Soap")
    );
    let data = format!(r#"{{"data":{{"b":{{"edges":[{{"node":{product}}}]}},"__typename":"Query","categories":[]}},"#);
    assert!(answer.text.starts_with(&data), "{}\n{data}", answer.text);
}

#[tokio::test]
async fn a_field_with_an_error_is_null_and_the_other_fields_have_data() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.shown(shop.cart(id("c"), Some("ann"), &skus).await).await;
    let cart = format!("cart(id: \"{}\") {{ id }}", id("c"));
    let alone = shop.storefront(Caller::Guest, &format!("{{ {cart} }}")).await;
    assert_eq!((&alone.json()["data"], alone.code().as_str()), (&json!({"cart": null}), "FORBIDDEN"));
    let beside = shop.storefront(Caller::Guest, &format!("{{ {cart} product(sku: \"S-000\") {{ name }} }}")).await;
    assert_eq!(beside.json()["data"], json!({"cart": null, "product": {"name": "Soap"}}));
}

#[tokio::test]
async fn null_propagates_to_the_nearest_nullable_parent() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), Some("ann"), &skus).await;
    shop.shown(shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await).await;
    let ann = Caller::Customer("ann");
    // `timeline` is a list that is never null, and only staff may read it.
    let order = format!("{{ me {{ id }} order(id: \"{}\") {{ phase timeline {{ type }} }} }}", id("o"));
    assert_eq!(
        shop.storefront(ann, &order).await.json()["data"],
        json!({"me": {"id": customer_id("ann")}, "order": null})
    );
    // The orders of a customer are never null either, so the null propagates to the customer.
    let me = "{ __typename me { orders { edges { node { id timeline { type } } } } } }";
    assert_eq!(shop.storefront(ann, me).await.json()["data"], json!({"__typename": "Query", "me": null}));
    // `products` is never null, so the null propagates to the data.
    let products = shop.storefront(ann, "{ __typename products(after: \"zz\") { edges { cursor } } }").await;
    assert_eq!((&products.json()["data"], products.code().as_str()), (&Value::Null, "BAD_CURSOR"));
}

#[tokio::test]
async fn fragments_on_an_interface_keep_their_order() {
    let shop = Shop::open().await;
    let mutation = format!(
        "mutation {{ cartAbandon(input: {{cartId: \"{}\"}})
           {{ userErrors {{ message ... on InsufficientStock {{ sku }} ... on CartNotFound {{ code }} __typename }} cart {{ id }} }} }}",
        id("none")
    );
    let text = shop.storefront(Caller::Guest, &mutation).await.text;
    let offsets: Vec<_> = ["\"userErrors\"", "\"message\"", "\"code\"", "\"__typename\"", "\"cart\""]
        .iter()
        .map(|key| text.find(key).unwrap_or_else(|| panic!("{key} is not in {text}")))
        .collect();
    assert!(offsets.is_sorted() && !text.contains("sku"), "{text}");
}

//! Results have the shape that the specification of GraphQL says.

use serde_json::{Value, json};

use crate::shop::{Shop, Who, customer_id, id, skus};

#[tokio::test]
async fn fields_stand_in_the_order_of_the_query() {
    let shop = Shop::open().await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 2)).await).await;
    let query = "query Q($no: Boolean!) {
        b: products { edges { node { ...P brand variants { prices { channel } available sku ... { options { name } } } name id } } }
        a: products @skip(if: $no) { edges { cursor } } __typename categories { id }
      } fragment P on Product { status variants { name } categories { name } slug }";
    let body = json!({"query": query, "variables": {"no": true}});
    let answer = shop.post("/graphql", Who::Guest, &body).await;
    let variant = |sku: &str| {
        format!(r#"{{"name":null,"prices":[{{"channel":"web"}}],"available":1000,"sku":"{sku}","options":[]}}"#)
    };
    let product = format!(
        r#"{{"status":"published","variants":[{},{}],"categories":[],"slug":null,"brand":"Suds","name":"Soap","id":"{}"}}"#,
        variant("S-000"),
        variant("S-001"),
        id("Soap")
    );
    let data = format!(r#"{{"data":{{"b":{{"edges":[{{"node":{product}}}]}},"__typename":"Query","categories":[]}},"#);
    assert!(answer.text.starts_with(&data), "{}\n{data}", answer.text);
}

#[tokio::test]
async fn what_met_an_error_is_null_and_what_stands_beside_it_is_there() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.shown(shop.cart(id("c"), Some("ann"), &skus).await).await;
    let cart = format!("cart(id: \"{}\") {{ id }}", id("c"));
    let alone = shop.storefront(Who::Guest, &format!("{{ {cart} }}")).await;
    assert_eq!((&alone.json()["data"], alone.code().as_str()), (&json!({"cart": null}), "FORBIDDEN"));
    let beside = shop.storefront(Who::Guest, &format!("{{ {cart} product(sku: \"S-000\") {{ name }} }}")).await;
    assert_eq!(beside.json()["data"], json!({"cart": null, "product": {"name": "Soap"}}));
}

#[tokio::test]
async fn null_rises_to_the_nearest_parent_that_may_be_null() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), Some("ann"), &skus).await;
    shop.shown(shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await).await;
    let ann = Who::Customer("ann");
    // `timeline` is a list that is never null, and for staff.
    let order = format!("{{ me {{ id }} order(id: \"{}\") {{ phase timeline {{ type }} }} }}", id("o"));
    assert_eq!(
        shop.storefront(ann, &order).await.json()["data"],
        json!({"me": {"id": customer_id("ann")}, "order": null})
    );
    // So are the orders of a customer, up to the customer, who may be null.
    let me = "{ __typename me { orders { edges { node { id timeline { type } } } } } }";
    assert_eq!(shop.storefront(ann, me).await.json()["data"], json!({"__typename": "Query", "me": null}));
    // And a query whose field is never null has no data at all.
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
    let text = shop.storefront(Who::Guest, &mutation).await.text;
    let places: Vec<_> = ["\"userErrors\"", "\"message\"", "\"code\"", "\"__typename\"", "\"cart\""]
        .iter()
        .map(|key| text.find(key).unwrap_or_else(|| panic!("{key} is not in {text}")))
        .collect();
    assert!(places.is_sorted() && !text.contains("sku"), "{text}");
}

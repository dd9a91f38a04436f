//! Corrections of what was once set, and trees that are read as trees.

use chrono::TimeDelta;
use daybook_domain::catalog::policy::OLD_SLUG_LIFETIME;
use serde_json::{Value, json};

use crate::shop::{Caller, Shop, id, skus};

async fn mutate(shop: &Shop, mutation: &str) -> Value {
    let query = format!("mutation {{ it: {mutation} }}");
    shop.office(Caller::Admin, &query).await.data()["it"].take()
}

#[tokio::test]
async fn null_empties_and_what_is_left_out_stays() {
    let shop = Shop::open().await;
    let product = json!({"product_id": id("p"), "name": "Tea", "slug": "tea", "brand": "Suds", "description": "Hot",
                         "attributes": {"a": "1"}, "variants": [{"sku": "T", "name": "One", "options": {"size": "M"}}], "publish": true});
    shop.shown(shop.command("CreateProduct", product).await).await;
    let revise = |fields: &str| {
        format!(
            "productRevise(input: {{productId: \"{}\", {fields}}}) {{ userErrors {{ code path }}
               product {{ name slug brand description attributes {{ name }} variants {{ name options {{ value }} }} }} }}",
            id("p")
        )
    };
    let kept = mutate(&shop, &revise("name: \"Green tea\"")).await["product"].take();
    assert_eq!((&kept["name"], &kept["brand"], &kept["slug"]), (&json!("Green tea"), &json!("Suds"), &json!("tea")));
    let emptied = mutate(&shop, &revise("slug: null, brand: null, description: null, attributes: null")).await;
    assert_eq!(emptied["userErrors"], json!([]));
    let emptied = &emptied["product"];
    for field in ["slug", "brand", "description"] {
        assert_eq!(emptied[field], Value::Null, "{field}");
    }
    assert_eq!(emptied["attributes"], json!([]));
    let nameless = mutate(&shop, &revise("name: null")).await["userErrors"][0].take();
    assert_eq!(nameless["path"], json!(["name"]), "{nameless}");
    let variant = |fields: &str| {
        format!(
            "variantRevise(input: {{productId: \"{}\", sku: \"T\", {fields}}}) {{ product {{ variants {{ name options {{ value }} }} }} }}",
            id("p")
        )
    };
    let renamed = mutate(&shop, &variant("name: \"Uno\"")).await["product"]["variants"][0].take();
    assert_eq!(renamed, json!({"name": "Uno", "options": [{"value": "M"}]}));
    let emptied = mutate(&shop, &variant("name: null, options: null")).await["product"]["variants"][0].take();
    assert_eq!(emptied, json!({"name": null, "options": []}));
}

#[tokio::test]
async fn an_old_slug_leads_to_its_product_for_its_time() {
    let shop = Shop::open().await;
    let product = |name: &str, slug: &str| json!({"product_id": id(name), "name": name, "slug": slug, "variants": [{"sku": name}], "publish": true});
    shop.command("CreateProduct", product("Oat", "oat")).await;
    shop.shown(shop.command("ReviseProduct", json!({"product_id": id("Oat"), "slug": "oat-milk"})).await).await;
    let found = async |slug: &str| {
        let data =
            shop.storefront(Caller::Guest, &format!("{{ product(slug: \"{slug}\") {{ name slug }} }}")).await.data();
        data["product"].clone()
    };
    let oat = json!({"name": "Oat", "slug": "oat-milk"});
    assert_eq!((found("oat").await, found("oat-milk").await), (oat.clone(), oat.clone()));
    let taken = shop.post("/commands/CreateProduct", Caller::Admin, &product("Other", "oat")).await;
    assert_eq!((taken.code().as_str(), &taken.json()["pointer"]), ("slug_taken", &json!("/slug")));
    shop.pass(OLD_SLUG_LIFETIME);
    assert_eq!((found("oat").await, found("oat-milk").await), (Value::Null, oat.clone()));
    shop.shown(shop.command("CreateProduct", product("Other", "oat")).await).await;
    assert_eq!((found("oat").await["name"].clone(), found("oat-milk").await), (json!("Other"), oat));
}

#[tokio::test]
async fn a_removed_variant_and_a_removed_price_are_gone_from_the_storefront_and_stay_in_orders() {
    let shop = Shop::open().await;
    let skus = skus("S", 2);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), None, &skus).await;
    shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await;
    shop.shown(shop.head().await).await;
    let removed = format!(
        "variantRemove(input: {{productId: \"{}\", sku: \"S-001\"}}) {{ product {{ variants {{ sku }} }} }}",
        id("Soap")
    );
    assert_eq!(mutate(&shop, &removed).await["product"]["variants"], json!([{"sku": "S-000"}]));
    let price = "priceRemove(input: {sku: \"S-000\", currency: \"EUR\"}) { variant { prices { channel } orderable } }";
    assert_eq!(mutate(&shop, price).await["variant"], json!({"prices": [], "orderable": false}));
    let query = "{ product(sku: \"S-001\") { name } }";
    assert_eq!(shop.storefront(Caller::Guest, query).await.data()["product"], Value::Null);
    let query = format!("{{ order(id: \"{}\") {{ lines {{ sku total {{ minorUnits }} }} }} }}", id("o"));
    let lines = shop.storefront(Caller::Guest, &query).await.data()["order"]["lines"].take();
    assert_eq!(lines.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn an_order_shows_what_its_variants_were_called() {
    let shop = Shop::open().await;
    let variants = json!([{"sku": "M", "name": "Medium", "options": {"colour": "red"}}, {"sku": "L", "options": {"colour": "blue"}}]);
    shop.command("CreateProduct", json!({"product_id": id("t"), "name": "Tee", "variants": variants, "publish": true}))
        .await;
    for sku in ["M", "L"] {
        shop.command("SetPrice", json!({"sku": sku, "price": {"minor_units": 100, "currency": "EUR"}})).await;
        shop.command("ReceiveStock", json!({"sku": sku, "quantity": 1})).await;
    }
    shop.cart(id("c"), None, &["M".to_owned(), "L".to_owned()]).await;
    shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await;
    let revise = json!({"product_id": id("t"), "sku": "M", "name": "Other", "options": null});
    shop.shown(shop.command("ReviseVariant", revise).await).await;
    let query = format!("{{ order(id: \"{}\") {{ lines {{ name variantName options {{ value }} }} }} }}", id("o"));
    let lines = shop.storefront(Caller::Guest, &query).await.data()["order"]["lines"].take();
    assert_eq!(
        lines,
        json!([
            {"name": "Tee", "variantName": "Medium", "options": [{"value": "red"}]},
            {"name": "Tee", "variantName": null, "options": [{"value": "blue"}]},
        ])
    );
}

/// A shop with the categories Food > Dairy > Milk, each with a product of its name, and a category beside them.
async fn tree() -> Shop {
    let shop = Shop::open().await;
    for (name, parent) in [("Food", None), ("Dairy", Some("Food")), ("Milk", Some("Dairy")), ("Tools", None)] {
        shop.command("CreateCategory", json!({"category_id": id(name), "parent": parent.map(id), "name": name})).await;
        let product = json!({"product_id": id(&format!("a {name}")), "name": format!("a {name}"), "brand": "B",
                             "categories": [id(name)], "variants": [{"sku": name}], "publish": true});
        shop.command("CreateProduct", product).await;
    }
    shop.shown(shop.head().await).await;
    shop
}

/// The names of the products that a filter selects: by a list, and by a search with the count of their brand.
async fn selected(shop: &Shop, filter: &str) -> Vec<String> {
    let query = format!(
        "{{ products(filter: {{{filter}}}) {{ edges {{ node {{ name }} }} }} newest: products(filter: {{{filter}}}, sort: NEWEST)
           {{ edges {{ node {{ name }} }} }} branded: products(filter: {{{filter}, brand: \"B\"}}) {{ edges {{ node {{ name }} }} }}
           search(query: \"a\", filter: {{{filter}}}) {{ products {{ edges {{ node {{ name }} }} }} facets {{ brands {{ count }} }} }} }}"
    );
    let data = shop.storefront(Caller::Guest, &query).await.data();
    let names = |edges: &Value| -> Vec<String> {
        let mut names: Vec<_> =
            edges.as_array().into_iter().flatten().map(|edge| edge["node"]["name"].to_string()).collect();
        names.sort();
        names
    };
    let listed = names(&data["products"]["edges"]);
    for other in [&data["newest"]["edges"], &data["branded"]["edges"], &data["search"]["products"]["edges"]] {
        assert_eq!(names(other), listed, "{filter}");
    }
    let count = data["search"]["facets"]["brands"][0]["count"].as_u64().unwrap_or_default();
    assert_eq!(usize::try_from(count), Ok(listed.len()), "{filter}");
    listed.into_iter().map(|name| name.trim_matches('"').trim_start_matches("a ").to_owned()).collect()
}

#[tokio::test]
async fn a_category_has_the_products_of_its_subtree_or_of_itself_alone() {
    let shop = tree().await;
    let of = |name: &str| format!("categoryId: \"{}\"", id(name));
    let alone = |name: &str| format!("{}, includeSubcategories: false", of(name));
    assert_eq!(selected(&shop, &of("Food")).await, ["Dairy", "Food", "Milk"]);
    assert_eq!(selected(&shop, &of("Dairy")).await, ["Dairy", "Milk"]);
    assert_eq!(selected(&shop, &alone("Food")).await, ["Food"]);
    assert_eq!(selected(&shop, &of("Tools")).await, ["Tools"]);
    assert!(selected(&shop, &of("nothing")).await.is_empty());
    shop.shown(shop.command("MoveCategory", json!({"category_id": id("Milk"), "parent": id("Tools")})).await).await;
    assert_eq!(selected(&shop, &of("Food")).await, ["Dairy", "Food"]);
    assert_eq!(selected(&shop, &of("Tools")).await, ["Milk", "Tools"]);
}

#[tokio::test]
async fn what_stood_in_a_removed_category_stands_in_its_parent() {
    let shop = tree().await;
    let of = |name: &str| format!("categoryId: \"{}\"", id(name));
    let renamed =
        format!("categoryRename(input: {{categoryId: \"{}\", name: \"Milks\"}}) {{ category {{ name }} }}", id("Milk"));
    assert_eq!(mutate(&shop, &renamed).await["category"], json!({"name": "Milks"}));
    let removed = format!(
        "categoryRemove(input: {{categoryId: \"{}\"}}) {{ category {{ name }} userErrors {{ code }} }}",
        id("Dairy")
    );
    assert_eq!(mutate(&shop, &removed).await, json!({"category": null, "userErrors": []}));
    let data = shop.storefront(Caller::Guest, "{ categories { id name parentId } }").await.data();
    let milks = json!({"id": id("Milk"), "name": "Milks", "parentId": id("Food")});
    assert!(data["categories"].as_array().is_some_and(|all| all.len() == 3 && all.contains(&milks)), "{data}");
    assert_eq!(selected(&shop, &of("Food")).await, ["Dairy", "Food", "Milk"]);
    assert_eq!(selected(&shop, &format!("{}, includeSubcategories: false", of("Food"))).await, ["Dairy", "Food"]);
    assert!(selected(&shop, &of("Dairy")).await.is_empty(), "it is no category any more");
    let query = "{ product(sku: \"Milk\") { categories { name parentId } } dairy: product(sku: \"Dairy\") { categories { name } } }";
    let data = shop.storefront(Caller::Guest, query).await.data();
    assert_eq!(data["product"]["categories"], json!([{"name": "Milks", "parentId": id("Food")}]));
    assert_eq!(data["dairy"]["categories"], json!([]));
}

#[tokio::test]
async fn a_reduction_shows_the_lowest_price_of_the_30_days_before_it() {
    let shop = Shop::open().await;
    let price = |minor_units: u32| json!({"sku": "S", "price": {"minor_units": minor_units, "currency": "EUR"}});
    shop.command("CreateProduct", json!({"product_id": id("p"), "name": "P", "variants": [{"sku": "S"}]})).await;
    shop.command("SetPrice", price(50)).await;
    shop.pass(TimeDelta::days(1));
    shop.command("SetPrice", price(100)).await;
    shop.command("PublishProduct", json!({"product_id": id("p")})).await;
    let lowest = async || {
        shop.shown(shop.head().await).await;
        let query =
            "{ product(sku: \"S\") { variants { prices { price { minorUnits } lowestOf30Days { minorUnits } } } } }";
        let data = shop.storefront(Caller::Guest, query).await.data();
        data["product"]["variants"][0]["prices"][0]["lowestOf30Days"]["minorUnits"].clone()
    };
    assert_eq!(lowest().await, 100, "nobody could pay the price of the draft");
    shop.pass(TimeDelta::days(5));
    shop.command("SetPrice", price(80)).await;
    assert_eq!(lowest().await, 100);
    shop.pass(TimeDelta::days(5));
    shop.command("SetPrice", price(70)).await;
    assert_eq!(lowest().await, 100, "the reduction grew");
    shop.pass(TimeDelta::days(60));
    assert_eq!(lowest().await, 100, "and is in force still");
    shop.command("SetPrice", price(90)).await;
    assert_eq!(lowest().await, 70);
}

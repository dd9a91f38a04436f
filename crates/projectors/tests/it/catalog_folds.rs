//! The rows of the views of the catalog after given events. The events are also applied in other batches, see [`Stage::shows`](crate::stage::Stage::shows).

use serde_json::{Value, json};

use crate::{
    facts::{category, eur, fact, id, product, sku, with},
    stage::stage,
};

fn none() -> Value {
    json!({})
}

#[tokio::test]
async fn product_shows_variants_and_prices() {
    let stage = stage().await;
    let facts = [
        product(
            "catalog.ProductCreated",
            1,
            &json!({ "name": "Oat", "slug": "oat", "brand": "Acme", "categories": [id(7)] }),
        ),
        sku("catalog.SkuClaimed", "oat-1l", &none()),
        product("catalog.VariantAdded", 1, &json!({ "sku": "oat-1l", "options": { "size": "1 l" } })),
        product("catalog.ProductCreated", 2, &json!({ "name": "Tea" })),
        sku("catalog.PriceSet", "oat-1l", &json!({ "channel": "web", "price": eur(199) })),
        product("catalog.ProductPublished", 1, &none()),
        product("catalog.VariantAdded", 1, &json!({ "sku": "oat-2l", "name": "Two litres" })),
        product(
            "catalog.ProductRevised",
            1,
            &json!({ "name": "Oat milk", "description": "It froths", "attributes": { "vegan": "yes" } }),
        ),
        sku("catalog.PriceSet", "oat-1l", &json!({ "channel": "web", "price": eur(149), "previous": eur(199) })),
        sku("catalog.PriceSet", "oat-1l", &json!({ "channel": "shop", "price": eur(179) })),
        product("catalog.ProductArchived", 2, &none()),
        product("catalog.VariantRevised", 1, &json!({ "sku": "oat-1l", "name": "One litre" })),
        product("catalog.VariantRemoved", 1, &json!({ "sku": "oat-2l" })),
        product("catalog.ProductArchived", 1, &none()),
        product("catalog.ProductPublished", 1, &none()),
        sku("catalog.PriceRemoved", "oat-1l", &json!({ "channel": "shop", "currency": "EUR", "previous": eur(179) })),
    ];
    stage
        .shows(
            "product",
            &facts,
            "SELECT name, slug, brand, description, status, category_ids, attributes, created_at = updated_at AS as_created,
                    position, skus, search @@ '''froth'':*' AS found FROM products ORDER BY product_id",
            json!([
                { "name": "Oat milk", "slug": null, "brand": null, "description": "It froths", "status": "published",
                  "category_ids": [], "attributes": { "vegan": "yes" }, "as_created": false, "position": 15, "skus": ["oat-1l"], "found": true },
                { "name": "Tea", "slug": null, "brand": null, "description": null, "status": "archived",
                  "category_ids": [], "attributes": {}, "as_created": false, "position": 11, "skus": [], "found": false },
            ]),
        )
        .await;
    stage
        .shows(
            "product",
            &facts,
            "SELECT sales FROM products WHERE name = 'Oat milk'",
            json!([{ "sales": [{ "since": "2026-03-01T12:05:00Z", "on_sale": true },
                               { "since": "2026-03-01T12:13:00Z", "on_sale": false },
                               { "since": "2026-03-01T12:14:00Z", "on_sale": true }] }]),
        )
        .await;
    stage
        .shows(
            "product",
            &facts,
            "SELECT sku, product_id, ordinal, name, options, removed, jsonb_array_length(sales) AS sales, position
             FROM product_variants ORDER BY ordinal",
            json!([
                { "sku": "oat-1l", "product_id": id(1), "ordinal": 2, "name": "One litre", "options": {}, "removed": false,
                  "sales": 1, "position": 12 },
                { "sku": "oat-2l", "product_id": id(1), "ordinal": 4, "name": "Two litres", "options": {}, "removed": true,
                  "sales": 2, "position": 13 },
            ]),
        )
        .await;
    stage
        .shows(
            "product",
            &facts,
            "SELECT channel, minor_units, changes, position FROM sku_prices ORDER BY channel",
            json!([
                { "channel": "shop", "minor_units": null, "position": 16,
                  "changes": [{ "since": "2026-03-01T12:09:00Z", "minor_units": 179 },
                              { "since": "2026-03-01T12:15:00Z", "minor_units": null }] },
                { "channel": "web", "minor_units": 149, "position": 9,
                  "changes": [{ "since": "2026-03-01T12:04:00Z", "minor_units": 199 },
                              { "since": "2026-03-01T12:08:00Z", "minor_units": 149 }] },
            ]),
        )
        .await;
}

#[tokio::test]
async fn a_slug_leads_to_its_product_of_now_and_an_old_one_until_its_time() {
    let slug = |kind: &str, of: &str, nr: usize, more: &Value| {
        let data = with(json!({ "slug": of, "product_id": id(nr) }), more);
        fact(format!("slug-{of}"), kind, &data)
    };
    let until = json!({ "until": "2027-03-01T12:00:00Z" });
    let facts = [
        slug("catalog.SlugClaimed", "oat", 1, &none()),
        slug("catalog.SlugClaimed", "oat-milk", 1, &none()),
        slug("catalog.SlugForwarded", "oat", 1, &until),
        slug("catalog.SlugClaimed", "tea", 2, &none()),
        slug("catalog.SlugReleased", "tea", 2, &none()),
        slug("catalog.SlugClaimed", "milk", 3, &none()),
        slug("catalog.SlugForwarded", "milk", 3, &until),
        slug("catalog.SlugClaimed", "milk", 4, &none()),
    ];
    stage()
        .await
        .shows(
            "product",
            &facts,
            "SELECT slug, product_id, until IS NULL AS of_now, position FROM product_slugs ORDER BY slug",
            json!([
                { "slug": "milk", "product_id": id(4), "of_now": true, "position": 8 },
                { "slug": "oat", "product_id": id(1), "of_now": false, "position": 3 },
                { "slug": "oat-milk", "product_id": id(1), "of_now": true, "position": 2 },
            ]),
        )
        .await;
}

#[tokio::test]
async fn category_shows_the_tree() {
    let facts = [
        category("catalog.CategoryCreated", 1, &json!({ "name": "Food" })),
        category("catalog.CategoryCreated", 2, &json!({ "name": "Drinks", "parent": id(1) })),
        category("catalog.CategoryCreated", 3, &json!({ "name": "Tea", "parent": id(1) })),
        category("catalog.CategoryMoved", 3, &json!({ "parent": id(2) })),
        category("catalog.CategoryMoved", 2, &none()),
        category("catalog.CategoryRenamed", 3, &json!({ "name": "Teas" })),
        category("catalog.CategoryRemoved", 2, &none()),
    ];
    stage()
        .await
        .shows(
            "category",
            &facts,
            "SELECT name, parent_id, removed, position FROM categories ORDER BY category_id",
            json!([
                { "name": "Food", "parent_id": null, "removed": false, "position": 1 },
                { "name": "Drinks", "parent_id": null, "removed": true, "position": 7 },
                { "name": "Teas", "parent_id": id(2), "removed": false, "position": 6 },
            ]),
        )
        .await;
}

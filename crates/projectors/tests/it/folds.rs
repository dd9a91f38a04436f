//! The rows of each view after given events. The events are also applied in other batches, see [`Stage::shows`].

use serde_json::{Value, json};

use crate::{
    facts::{
        Fact, cart, category, claim, customer, day, eur, id, imported, line_added, opened, order, placed, placed_of,
        product, received, sku, stock,
    },
    stage::{Stage, stage},
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
        let data = crate::facts::with(json!({ "slug": of, "product_id": id(nr) }), more);
        crate::facts::fact(format!("slug-{of}"), kind, &data)
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

#[tokio::test]
async fn stock_shows_quantities_and_reservations() {
    let stage = stage().await;
    let facts = [
        received("oat", 10),
        claim("inventory.StockReserved", "oat", 1, 4, &json!({ "expires_at": "2026-03-02T00:00:00Z" })),
        claim("inventory.StockReserved", "oat", 2, 3, &none()),
        stock("inventory.StockTransferredOut", "oat", "main", &json!({ "to": "shop", "quantity": 2 })),
        stock("inventory.StockTransferredIn", "oat", "shop", &json!({ "from": "main", "quantity": 2 })),
        claim("inventory.ReservationCommitted", "oat", 2, 3, &none()),
        stock("inventory.StockAdjusted", "oat", "main", &json!({ "delta": -1, "reason": "broken" })),
        stock("inventory.BackordersAllowed", "oat", "shop", &none()),
        stock("inventory.BackordersAllowed", "oat", "main", &none()),
        claim("inventory.StockReserved", "oat", 3, 9, &none()),
        claim("inventory.ReservationReleased", "oat", 3, 9, &json!({ "cause": "given_up" })),
        stock("inventory.BackordersForbidden", "oat", "main", &none()),
    ];
    stage
        .shows(
            "stock",
            &facts,
            "SELECT location, on_hand, reserved, backorders, updated_at, position FROM stock ORDER BY location",
            json!([
                { "location": "main", "on_hand": 4, "reserved": 4, "backorders": false,
                  "updated_at": "2026-03-01T12:11:00+00:00", "position": 12 },
                { "location": "shop", "on_hand": 2, "reserved": 0, "backorders": true,
                  "updated_at": "2026-03-01T12:07:00+00:00", "position": 8 },
            ]),
        )
        .await;
    stage
        .shows(
            "stock",
            &facts,
            "SELECT sku, location, reservation_id, owner, quantity, expires_at FROM reservations",
            json!([{ "sku": "oat", "location": "main", "reservation_id": id(1), "owner": format!("order:{}", id(1)),
                     "quantity": 4, "expires_at": "2026-03-02T00:00:00+00:00" }]),
        )
        .await;
}

#[tokio::test]
async fn cart_shows_every_status() {
    let merged = json!({ "from": id(2), "lines": [{ "sku": "tea", "quantity": 5, "unit_price": eur(100) }] });
    let facts = [
        opened(1),
        line_added(1, "oat", 2),
        cart("cart.CartOpened", 2, &json!({ "channel": "web", "currency": "EUR" })),
        line_added(2, "tea", 5),
        line_added(1, "oat", 1),
        cart("cart.CartMerged", 1, &merged),
        cart("cart.CartMergedInto", 2, &json!({ "into": id(1) })),
        cart("cart.QuantityChanged", 1, &json!({ "sku": "tea", "quantity": 4 })),
        opened(3),
        line_added(3, "oat", 1),
        line_added(3, "tea", 1),
        cart("cart.LineRemoved", 3, &json!({ "sku": "oat" })),
        opened(4),
        cart("cart.CartAbandoned", 4, &none()),
        cart("cart.CartCheckedOut", 1, &json!({ "order_id": id(9) })),
    ];
    let line = |sku: &str, quantity: u32| json!({ "sku": sku, "product_id": null, "quantity": quantity, "unit_price": eur(100) });
    stage()
        .await
        .shows(
            "cart",
            &facts,
            "SELECT customer_id, status, lines, order_id, merged_into, expires_at, version, position FROM carts ORDER BY cart_id",
            json!([
                { "customer_id": customer("ann"), "status": "checked_out", "lines": [line("oat", 3), line("tea", 4)], "order_id": id(9),
                  "merged_into": null, "expires_at": null, "version": 6, "position": 15 },
                { "customer_id": null, "status": "merged", "lines": [line("tea", 5)], "order_id": null,
                  "merged_into": id(1), "expires_at": null, "version": 3, "position": 7 },
                { "customer_id": customer("ann"), "status": "open", "lines": [line("tea", 1)], "order_id": null,
                  "merged_into": null, "expires_at": "2026-03-31T12:11:00+00:00", "version": 4, "position": 12 },
                { "customer_id": customer("ann"), "status": "abandoned", "lines": [], "order_id": null,
                  "merged_into": null, "expires_at": null, "version": 2, "position": 14 },
            ]),
        )
        .await;
}

/// Order 1 is returned and refunded, and order 2 is cancelled. Order 3 is imported, and order 4 belongs to a guest and is held. Order 5
/// is held and resumed, and order 6 is held and cancelled.
fn orders() -> Vec<Fact> {
    let because = json!({ "reason": "a reason" });
    let guest = json!({ "customer_id": null });
    vec![
        placed(1),
        placed_of(2, &["oat".to_owned(), "tea".to_owned()], &json!({ "customer_id": customer("bob") })),
        order("order.OrderConfirmed", 1, &none()),
        order("order.OrderCancelled", 2, &because),
        order("order.FulfilmentStarted", 1, &none()),
        imported(3, &json!({ "customer_id": customer("ann") })),
        order("order.OrderShipped", 1, &none()),
        placed_of(4, &["tea".to_owned()], &guest),
        order("order.OrderConfirmed", 4, &none()),
        order("order.OrderHeld", 4, &because),
        order("order.OrderDelivered", 1, &none()),
        order("order.NoteAdded", 4, &json!({ "note": "call back" })),
        order("order.OrderReturned", 1, &because),
        order("order.OrderRefunded", 1, &because),
        order("order.NoteAdded", 2, &json!({ "note": "gone" })),
        placed(5),
        order("order.OrderConfirmed", 5, &none()),
        order("order.OrderHeld", 5, &because),
        order("order.OrderResumed", 5, &none()),
        placed(6),
        order("order.OrderHeld", 6, &because),
        order("order.OrderCancelled", 6, &because),
    ]
}

#[tokio::test]
async fn order_shows_orders_and_timelines() {
    let stage = stage().await;
    stage
        .shows(
            "order",
            &orders(),
            "SELECT customer_id, external_ref, cart_id, channel, phase, held_in, placed_at, gross, discount, net, units,
                    json_array_length(lines) AS lines, version, updated_at, position FROM orders ORDER BY order_id",
            json!([
                { "customer_id": customer("ann"), "external_ref": null, "cart_id": id(1), "channel": "web", "phase": "refunded",
                  "held_in": null, "placed_at": "2026-03-01T23:30:00+00:00", "gross": 100, "discount": 0, "net": 100,
                  "units": 1, "lines": 1, "version": 7, "updated_at": "2026-03-01T12:13:00+00:00", "position": 14 },
                { "customer_id": customer("bob"), "external_ref": null, "cart_id": id(2), "channel": "web", "phase": "cancelled",
                  "held_in": null, "placed_at": "2026-03-01T23:30:00+00:00", "gross": 200, "discount": 0, "net": 200,
                  "units": 2, "lines": 2, "version": 3, "updated_at": "2026-03-01T12:14:00+00:00", "position": 15 },
                { "customer_id": customer("ann"), "external_ref": "old/3", "cart_id": null, "channel": "shop", "phase": "delivered",
                  "held_in": null, "placed_at": "2026-03-02T00:30:00+00:00", "gross": 300, "discount": 50, "net": 250,
                  "units": 3, "lines": 1, "version": 1, "updated_at": "2026-03-01T12:05:00+00:00", "position": 6 },
                { "customer_id": null, "external_ref": null, "cart_id": id(4), "channel": "web", "phase": "held",
                  "held_in": "confirmed", "placed_at": "2026-03-01T23:30:00+00:00", "gross": 100, "discount": 0, "net": 100,
                  "units": 1, "lines": 1, "version": 4, "updated_at": "2026-03-01T12:11:00+00:00", "position": 12 },
                { "customer_id": customer("ann"), "external_ref": null, "cart_id": id(5), "channel": "web", "phase": "confirmed",
                  "held_in": null, "placed_at": "2026-03-01T23:30:00+00:00", "gross": 100, "discount": 0, "net": 100,
                  "units": 1, "lines": 1, "version": 4, "updated_at": "2026-03-01T12:18:00+00:00", "position": 19 },
                { "customer_id": customer("ann"), "external_ref": null, "cart_id": id(6), "channel": "web", "phase": "cancelled",
                  "held_in": null, "placed_at": "2026-03-01T23:30:00+00:00", "gross": 100, "discount": 0, "net": 100,
                  "units": 1, "lines": 1, "version": 3, "updated_at": "2026-03-01T12:21:00+00:00", "position": 22 },
            ]),
        )
        .await;
    stage
        .shows(
            "order",
            &orders(),
            &format!(
                "SELECT version, position, type, actor, effective_at, data FROM order_timeline
                 WHERE order_id = '{}' ORDER BY version OFFSET 1",
                id(2)
            ),
            json!([
                { "version": 2, "position": 4, "type": "order.OrderCancelled", "actor": "support:sam",
                  "effective_at": "2026-03-01T12:03:00+00:00", "data": { "order_id": id(2), "reason": "a reason" } },
                { "version": 3, "position": 15, "type": "order.NoteAdded", "actor": "support:sam",
                  "effective_at": "2026-03-01T12:14:00+00:00", "data": { "order_id": id(2), "note": "gone" } },
            ]),
        )
        .await;
}

#[tokio::test]
async fn sales_count_an_order_in_its_quarter_hour_until_it_is_cancelled_and_what_happens_later_when_it_happens() {
    let stage = stage().await;
    stage
        .shows(
            "sales_by_day",
            &orders(),
            "SELECT to_timestamp(quarter_hour * 900) AT TIME ZONE 'UTC' AS begins, currency, orders, units, gross, discount, net,
                    cancelled_orders, cancelled, returned_orders, returned, refunded_orders, refunded
             FROM sales_by_quarter_hour ORDER BY quarter_hour",
            json!([
                { "begins": "2026-03-01T12:00:00", "currency": "EUR", "orders": 0, "units": 0, "gross": 0, "discount": 0, "net": 0,
                  "cancelled_orders": 1, "cancelled": 200, "returned_orders": 1, "returned": 100, "refunded_orders": 1,
                  "refunded": 100 },
                { "begins": "2026-03-01T12:15:00", "currency": "EUR", "orders": 0, "units": 0, "gross": 0, "discount": 0, "net": 0,
                  "cancelled_orders": 1, "cancelled": 100, "returned_orders": 0, "returned": 0, "refunded_orders": 0,
                  "refunded": 0 },
                { "begins": "2026-03-01T23:30:00", "currency": "EUR", "orders": 3, "units": 3, "gross": 300, "discount": 0,
                  "net": 300, "cancelled_orders": 0, "cancelled": 0, "returned_orders": 0, "returned": 0, "refunded_orders": 0,
                  "refunded": 0 },
                { "begins": "2026-03-02T00:30:00", "currency": "EUR", "orders": 1, "units": 3, "gross": 300, "discount": 50,
                  "net": 250, "cancelled_orders": 0, "cancelled": 0, "returned_orders": 0, "returned": 0, "refunded_orders": 0,
                  "refunded": 0 },
            ]),
        )
        .await;
    stage
        .shows(
            "sales_by_day",
            &orders(),
            "SELECT order_id, customer_id, net, counted FROM sales_orders ORDER BY order_id",
            json!([
                { "order_id": id(1), "customer_id": customer("ann"), "net": 100, "counted": true },
                { "order_id": id(2), "customer_id": customer("bob"), "net": 200, "counted": false },
                { "order_id": id(3), "customer_id": customer("ann"), "net": 250, "counted": true },
                { "order_id": id(4), "customer_id": null, "net": 100, "counted": true },
                { "order_id": id(5), "customer_id": customer("ann"), "net": 100, "counted": true },
                { "order_id": id(6), "customer_id": customer("ann"), "net": 100, "counted": false },
            ]),
        )
        .await;
}

#[tokio::test]
async fn top_products_shows_sales_by_sku_and_quarter_hour() {
    let stage = stage().await;
    stage
        .shows(
            "top_products",
            &orders(),
            "SELECT to_timestamp(quarter_hour * 900) AT TIME ZONE 'UTC' AS begins, sku, orders, units, gross, net, returned_units,
                    returned FROM product_sales ORDER BY quarter_hour, sku",
            json!([
                { "begins": "2026-03-01T12:00:00", "sku": "oat", "orders": 0, "units": 0, "gross": 0, "net": 0,
                  "returned_units": 1, "returned": 100 },
                { "begins": "2026-03-01T23:30:00", "sku": "oat", "orders": 2, "units": 2, "gross": 200, "net": 200,
                  "returned_units": 0, "returned": 0 },
                { "begins": "2026-03-01T23:30:00", "sku": "tea", "orders": 1, "units": 1, "gross": 100, "net": 100,
                  "returned_units": 0, "returned": 0 },
                { "begins": "2026-03-02T00:30:00", "sku": "oat", "orders": 1, "units": 3, "gross": 300, "net": 250,
                  "returned_units": 0, "returned": 0 },
            ]),
        )
        .await;
}

#[tokio::test]
async fn top_products_counts_an_order_once_when_several_lines_name_the_product() {
    let line = |quantity: u32| json!({ "sku": "oat", "product_id": id(1), "quantity": quantity, "line_total": eur(100), "discount": eur(0) });
    stage()
        .await
        .shows(
            "top_products",
            &[imported(1, &json!({ "lines": [line(1), line(2)] }))],
            "SELECT sku, orders, units, gross, net FROM product_sales",
            json!([{ "sku": "oat", "orders": 1, "units": 3, "gross": 200, "net": 200 }]),
        )
        .await;
}

#[tokio::test]
async fn the_rows_of_every_view_do_not_depend_on_the_batches() {
    let stage: Stage = stage().await;
    for view in daybook_projectors::views::ALL {
        stage.assert_batches_do_not_matter(view.name, &day(10, 7)).await;
    }
}

//! The rows of each view after given events. The events are also applied in other batches, see [`Stage::shows`].

use serde_json::{Value, json};

use crate::{
    facts::{
        Fact, cart, claim, customer, day, eur, id, imported, line_added, opened, order, placed, placed_of, received,
        stock,
    },
    stage::{Stage, stage},
};

fn none() -> Value {
    json!({})
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

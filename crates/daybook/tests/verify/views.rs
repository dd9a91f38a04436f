//! Corruptions of the views, and of the reactions.

use uuid::Uuid;

use crate::shop::{failures, shop};

#[tokio::test(flavor = "multi_thread")]
async fn every_corruption_of_a_view_is_named() {
    let shop = shop().await;
    let view = |name: &str| format!("view {name} equals a fold of the book");
    let changed = "stock: sku oat, location main shows reserved 3, the book says 2";
    let (stock, order, category) = (view("stock"), view("order"), view("category"));
    shop.assert_named("stock_v1.stock", "UPDATE stock_v1.stock SET reserved = 3", &[(&*stock, changed)]).await;

    let id = uuid::Builder::from_random_bytes(11_u128.to_be_bytes()).into_uuid();
    let missing = format!("DELETE FROM order_v1.order_timeline WHERE order_id = '{id}' AND version = 2");
    let first = format!("order_timeline: order_id {id}, version 2 is in the book and is not shown");
    shop.assert_named("order_v1.order_timeline", &missing, &[(&*order, &*first)]).await;

    let id = Uuid::from_u128(77);
    let extra = format!("INSERT INTO category_v1.categories VALUES ('{id}', NULL, 'Extra', false, 1)");
    let first = format!("categories: category_id {id} is shown and is not in the book");
    shop.assert_named("category_v1.categories", &extra, &[(&*category, &*first)]).await;

    let sum = "UPDATE sales_by_day_v1.sales_by_quarter_hour SET net = net + 1 WHERE quarter_hour = 1648032";
    let expected = [
        (
            &*view("sales_by_day"),
            "sales_by_quarter_hour: quarter_hour 1648032, currency EUR shows net 151, the book says 150",
        ),
        (
            "sales by day are the sums of the orders",
            "from 2017-01-01 00:00:00 on net sales are shown as 151 EUR of 1 orders, the orders of that quarter-hour come to 150 of 1",
        ),
    ];
    shop.assert_named("sales_by_day_v1.sales_by_quarter_hour", sum, &expected).await;

    let slug = shop.position("catalog.SlugClaimed").await;
    let parked = format!("INSERT INTO parked_events VALUES ('category_v1', {slug}, 'slug-oat-milk', 'a reason')");
    let first = format!("category_v1 has parked position {slug} of slug-oat-milk: a reason");
    shop.assert_named("public.parked_events", &parked, &[("nothing is parked", &*first)]).await;

    // The views are at the position of the relay, which does not move.
    let behind = "UPDATE relay SET position = 1";
    shop.assert_named("public.relay", behind, &[("no view stands still", "cart shows position 1 of ")]).await;

    let cart = view("cart");
    let never = "DELETE FROM views WHERE name = 'cart'";
    shop.assert_named("public.views", never, &[(&*cart, "it was never built")]).await;
    assert_eq!(failures(&shop.verify().await), [], "every table is restored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_that_is_not_sent_is_named() {
    let shop = shop().await;
    // Reactions of the last day, which no process sends.
    let with = |key: &str, failure: &str, parked: bool| {
        format!(
            "INSERT INTO reactions (id, reactor, key, planned, due, command, body, correlation_id, causation_id, failure, parked)
             VALUES (gen_random_uuid(), 'cart_expiry', '{key}', now() - interval '1 day', now() + interval '1 minute',
                     'ExpireCart', '{{}}', gen_random_uuid(), gen_random_uuid(), {failure}, {parked})"
        )
    };
    let check = "every reaction is sent when it is due";
    let parked = with("cart 7", "'cart-7 cannot be read'", true);
    let expected = [(check, "cart_expiry has not sent ExpireCart for cart 7, planned for ")];
    shop.assert_named("public.reactions", &parked, &expected).await;

    let both = format!("{}; {}", with("cart 8", "NULL", false), with("cart 9", "'it rains'", false));
    let expected = [(check, "cart_expiry has not sent ExpireCart for cart 8, planned for ")];
    shop.assert_named("public.reactions", &both, &expected).await;

    let later = "INSERT INTO reactions (id, reactor, key, planned, due, command, body, correlation_id, causation_id)
                 VALUES (gen_random_uuid(), 'cart_expiry', 'cart 7', now() - interval '1 minute', now(), 'ExpireCart', '{}',
                         gen_random_uuid(), gen_random_uuid())";
    shop.assert_named("public.reactions", later, &[]).await;
}

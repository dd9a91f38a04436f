//! Every table of every view: its SQL, what COPY writes, and what serde reads and writes agree.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{
    cart::cart::CartRow,
    catalog::{category::Category, price::Price, product::Product, slug::ProductSlug, variant::Variant},
    inventory::stock::{Reservation, Stock},
    order::{
        order::{Entry, OrderRow},
        sales_by_day::{QuarterHour, SalesOrder},
        top_products::{OrderedProducts, ProductSales},
    },
};
use crate::engine::store::{Row, agreement::assert_agreement};

const ONE: &str = "00000000-0000-0000-0000-000000000001";
const TWO: &str = "00000000-0000-0000-0000-000000000002";
const AT: &str = "2026-03-01T23:30:00.123456Z";

/// Asserts the agreement for two rows, which are sorted by key. Returns the table.
async fn agrees<R: Row>(client: &Client, rows: [Value; 2]) -> &'static str {
    let rows = rows.map(|row| serde_json::from_value::<R>(row).expect("a row"));
    assert_agreement(client, &rows).await;
    R::TABLE.name
}

/// An object with other members.
fn with(mut object: Value, others: &Value) -> Value {
    let (members, others) = (object.as_object_mut().expect("an object"), others.as_object().expect("an object"));
    members.extend(others.clone());
    object
}

#[tokio::test]
async fn every_table_is_made_written_and_read_as_its_row_is_declared() {
    let database = daybook_test_postgres::database().await;
    let client = database.connect().await;
    let order = "CREATE SCHEMA read; CREATE COLLATION read.text_order (provider = icu, locale = 'und-u-kn-true')";
    client.batch_execute(order).await.expect("PostgreSQL has ICU");
    let mut tested = Vec::new();
    tested.extend(catalog(&client).await);
    tested.extend(stock_and_carts(&client).await);
    tested.extend(orders(&client).await);
    tested.extend(sales(&client).await);
    let all: Vec<_> = super::ALL.iter().flat_map(|view| view.tables).map(|table| table.name).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "a table has one name");
    assert_eq!(tested.into_iter().collect::<BTreeSet<_>>(), all.into_iter().collect(), "every table is tested");
}

async fn catalog(client: &Client) -> [&'static str; 5] {
    let category = json!({ "category_id": ONE, "parent_id": null, "name": "Drinks", "removed": false, "position": 1 });
    let child = with(category.clone(), &json!({ "category_id": TWO, "parent_id": ONE, "removed": true }));
    let product = json!({ "product_id": ONE, "slug": "oat", "name": "Oat", "description": "It\nfroths", "brand": "Acme",
                          "status": "published", "category_ids": [ONE, TWO], "attributes": { "vegan": "yes" },
                          "skus": ["oat-1l"], "search": "'1l' 'acme' 'oat' '燕麦'",
                          "sales": [{ "since": AT, "on_sale": true }], "created_at": AT, "updated_at": AT, "position": 1 });
    let bare = json!({ "product_id": TWO, "slug": null, "description": null, "brand": null, "status": "draft",
                       "category_ids": [], "attributes": {}, "skus": [], "search": "", "sales": [] });
    let variant = json!({ "sku": "oat-1l", "product_id": ONE, "ordinal": 2, "name": "One litre",
                          "options": { "size": "1 l" }, "removed": false, "sales": [{ "since": AT, "on_sale": true }],
                          "position": 3 });
    let unnamed = json!({ "sku": "oat-2l", "name": null, "options": {}, "removed": true, "sales": [] });
    let unnamed = with(variant.clone(), &unnamed);
    let price = json!({ "sku": "oat-1l", "channel": "shop", "currency": "EUR", "minor_units": 199, "since": AT,
                        "changes": [{ "since": AT, "minor_units": 199 }], "position": 4 });
    let other = with(price.clone(), &json!({ "channel": "web", "minor_units": null, "changes": [] }));
    let slug = json!({ "slug": "oat", "product_id": ONE, "until": null, "position": 5 });
    let old = with(slug.clone(), &json!({ "slug": "oat-milk", "until": AT }));
    [
        agrees::<Category>(client, [category, child]).await,
        agrees::<Product>(client, [product.clone(), with(product, &bare)]).await,
        agrees::<Variant>(client, [variant, unnamed]).await,
        agrees::<Price>(client, [price, other]).await,
        agrees::<ProductSlug>(client, [slug, old]).await,
    ]
}

async fn stock_and_carts(client: &Client) -> [&'static str; 3] {
    let stock = json!({ "sku": "oat", "location": "main", "on_hand": 4, "reserved": 1, "backorders": true,
                        "updated_at": AT, "position": 1 });
    let negative = json!({ "location": "shop", "on_hand": -4, "backorders": false });
    let claim = json!({ "sku": "oat", "location": "main", "reservation_id": ONE, "owner": "order:1", "quantity": 2,
                        "expires_at": AT });
    let kept = json!({ "reservation_id": TWO, "expires_at": null });
    let line = json!({ "sku": "oat", "product_id": null, "quantity": 2,
                       "unit_price": { "minor_units": 100, "currency": "EUR" } });
    let open = json!({ "phase": "open", "customer_id": ONE, "channel": "web", "currency": "EUR", "lines": [line],
                       "touched_at": AT });
    let cart = json!({ "cart_id": ONE, "customer_id": ONE, "channel": "web", "currency": "EUR", "status": "open",
                       "lines": [line], "order_id": null, "merged_into": null, "expires_at": AT, "updated_at": AT,
                       "version": 2, "position": 5, "state": open });
    let bought = json!({ "cart_id": TWO, "customer_id": null, "status": "checked_out", "lines": [], "order_id": TWO,
                         "merged_into": ONE, "expires_at": null,
                         "state": { "phase": "checked_out", "customer_id": null, "order_id": TWO } });
    [
        agrees::<Stock>(client, [stock.clone(), with(stock, &negative)]).await,
        agrees::<Reservation>(client, [claim.clone(), with(claim, &kept)]).await,
        agrees::<CartRow>(client, [cart.clone(), with(cart, &bought)]).await,
    ]
}

async fn orders(client: &Client) -> [&'static str; 2] {
    let order = json!({ "order_id": ONE, "customer_id": ONE, "external_ref": "old/1", "cart_id": TWO, "channel": "web",
                        "currency": "EUR", "phase": "held", "held_in": "in_fulfilment", "placed_at": AT, "gross": 300,
                        "discount": 50, "net": 250, "units": 3, "lines": [{ "sku": "oat" }], "version": 2,
                        "updated_at": AT, "position": 7 });
    let guest = json!({ "order_id": TWO, "customer_id": null, "external_ref": null, "cart_id": null, "held_in": null,
                        "phase": "placed", "lines": [] });
    let entry = json!({ "order_id": ONE, "version": 1, "position": 7, "event_id": ONE, "type": "order.NoteAdded",
                        "schema_version": 1, "recorded_at": AT, "effective_at": AT, "actor": "support:sam",
                        "correlation_id": ONE, "causation_id": TWO, "data": { "note": "call \u{1F375} back" } });
    let next = json!({ "version": 2, "data": {} });
    [
        agrees::<OrderRow>(client, [order.clone(), with(order, &guest)]).await,
        agrees::<Entry>(client, [entry.clone(), with(entry, &next)]).await,
    ]
}

async fn sales(client: &Client) -> [&'static str; 4] {
    let sums = json!({ "quarter_hour": 1_969_442, "sku": "oat", "currency": "EUR", "orders": 2, "units": 3, "gross": 300,
                       "discount": 50, "net": 250, "cancelled_orders": 1, "cancelled": 100, "returned_orders": 1,
                       "returned_units": 2, "returned": 200, "refunded_orders": 1, "refunded": 200 });
    let next = with(sums.clone(), &json!({ "quarter_hour": 1_969_443, "net": -250 }));
    let sale = json!({ "order_id": ONE, "quarter_hour": 1_969_442, "currency": "EUR", "customer_id": ONE, "units": 3,
                       "gross": 300, "discount": 50, "net": 250, "counted": true, "cancelled_in": null,
                       "returned_in": 1_969_443, "refunded_in": 1_969_444,
                       "lines": [{ "sku": "oat", "units": 3, "gross": 300, "net": 250 }] });
    let cancelled = json!({ "order_id": TWO, "customer_id": null, "counted": false, "cancelled_in": 1_969_442,
                            "returned_in": null, "refunded_in": null, "lines": [] });
    let cancelled = with(sale.clone(), &cancelled);
    [
        agrees::<QuarterHour>(client, [sums.clone(), next.clone()]).await,
        agrees::<ProductSales>(client, [sums, next]).await,
        agrees::<SalesOrder>(client, [sale.clone(), cancelled.clone()]).await,
        agrees::<OrderedProducts>(client, [sale, cancelled]).await,
    ]
}

//! What a record comes to: created, unchanged, updated or rejected.

use std::collections::BTreeSet;

use daybook_bus::CommandError;
use daybook_domain::{
    Actor,
    ids::{CustomerId, OrderId},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world;

const PRODUCTS: &str = "sku,name,brand,department,category,price,currency\n\
                        oat,Oat milk,Oatly,Drinks,Milk,1.99,EUR\nsoy,Soy milk,,,Milk,2.49,EUR\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_writes_nothing_and_other_contents_are_a_conflict_or_an_update() {
    let world = world().await;
    let first = world.import("products", "products.csv", PRODUCTS, &[]);
    assert_eq!(first.outcomes(), [2, 2, 0, 0, 0], "{first:?}");
    let (head, categories) = (world.head().await, world.events("catalog.CategoryCreated").await);
    assert_eq!(first.summary["position"], head);
    assert_eq!(categories.len(), 3, "Drinks, Milk below it, and Milk as a root: {categories:?}");
    let again = world.import("products", "products.csv", PRODUCTS, &[]);
    assert_eq!((again.outcomes(), again.code), ([2, 0, 2, 0, 0], Some(0)), "{again:?}");
    assert_eq!((world.head().await, &again.summary["position"]), (head, &json!(head)), "nothing was written");

    // The book has moved on, and the old file does not bring the old price back.
    let price = json!({ "sku": "oat", "price": { "minor_units": 250, "currency": "EUR" } });
    world.admin("SetPrice", price).await;
    let head = world.head().await;
    let stale = world.import("products", "products.csv", PRODUCTS, &[]);
    assert_eq!((stale.outcomes(), stale.codes()), ([2, 0, 1, 0, 1], vec!["conflict"]), "{stale:?}");
    let reason = stale.rejected[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("price is `1.99 EUR` here and `2.50 EUR` in the book"), "{reason}");
    let corrected = PRODUCTS.replace("Oat milk", "Oat drink").replace("Drinks,Milk", "Drinks,Plants");
    let conflict = world.import("products", "corrected.csv", &corrected, &[]);
    assert_eq!(conflict.outcomes(), [2, 0, 1, 0, 1], "{conflict:?}");
    assert_eq!(world.events("catalog.ProductRevised").await.len(), 0);
    assert_eq!(world.head().await, head + 2, "only the new category was written, and its parent's height");

    let updated = world.import("products", "corrected.csv", &corrected, &["--update"]);
    assert_eq!((updated.outcomes(), updated.code), ([2, 0, 1, 1, 0], Some(0)), "{updated:?}");
    let revised = world.events("catalog.ProductRevised").await;
    assert_eq!((revised.len(), &revised[0]["name"], &revised[0]["brand"]), (1, &json!("Oat drink"), &json!("Oatly")));
    let prices: Vec<_> =
        world.events("catalog.PriceSet").await.iter().map(|data| data["price"]["minor_units"].clone()).collect();
    assert_eq!(prices, [199, 249, 250, 199]);
    let head = world.head().await;
    assert_eq!(world.import("products", "corrected.csv", &corrected, &["--update"]).outcomes(), [2, 0, 2, 0, 0]);
    assert_eq!(world.head().await, head);
    assert!(!world.path("corrected.csv.rejected.ndjson").exists(), "nothing is rejected any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_an_import_comes_to_and_writes_nothing() {
    let world = world().await;
    let rows = format!("{PRODUCTS}oat,Oat milk,Oatly,Drinks,Milk,3.99,EUR\nbad,,,,,1,EUR\n");
    let flags = ["--dry-run", "--rejected"];
    let path = world.path("elsewhere.ndjson");
    let flags = [flags[0], flags[1], path.to_str().expect("text")];
    let dry = world.import("products", "products.csv", &rows, &flags);
    assert_eq!((dry.outcomes(), world.head().await), ([4, 2, 0, 0, 2], 0), "{dry:?}");
    assert_eq!(dry.summary["dry_run"], true);
    assert!(path.exists() && !world.path("products.csv.rejected.ndjson").exists());
    let real = world.import("products", "products.csv", &rows, &flags[1..]);
    assert_eq!((real.outcomes(), real.codes()), (dry.outcomes(), dry.codes()), "{real:?}");
    let head = world.head().await;
    let dry = world.import("products", "products.csv", PRODUCTS.replace("1.99", "5"), &["--dry-run", "--update"]);
    assert_eq!((dry.outcomes(), world.head().await), ([2, 0, 1, 1, 0], head), "{dry:?}");
    let deliveries = "sku,quantity,reference\noat,5,N-1\noat,5,N-1\n";
    let dry = world.import("stock", "stock.csv", deliveries, &["--dry-run"]);
    let real = world.import("stock", "stock.csv", deliveries, &[]);
    assert_eq!((dry.outcomes(), real.outcomes()), ([2, 2, 0, 0, 0], [2, 2, 0, 0, 0]));
    let dry = world.import("stock", "stock.csv", deliveries, &["--dry-run"]);
    assert_eq!(dry.outcomes(), [2, 0, 2, 0, 0], "{dry:?}");
}

fn order(reference: &str, total: i64) -> Value {
    json!({ "external_ref": reference, "customer_ref": "ann@example.org", "placed_at": "2017-01-01T10:00:00Z",
            "currency": "EUR", "lines": [{ "sku": "A&B #1", "quantity": 1, "line_total": total }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_a_known_reference_with_other_contents_is_a_conflict() {
    let world = world().await;
    world.with_product("A&B #1").await;
    let text = format!("{}\n{}\n", order("#1001", 100), order("#1002", 200));
    assert_eq!(world.import("orders", "orders.ndjson", &text, &[]).outcomes(), [2, 2, 0, 0, 0]);
    let head = world.head().await;
    let changed = format!("{}\n{}\n", order("#1001", 100), order("#1002", 201));
    let said = world.import("orders", "orders.ndjson", &changed, &["--update"]);
    assert_eq!((said.outcomes(), said.codes()), ([2, 0, 1, 0, 1], vec!["import_conflict"]), "{said:?}");
    let rows = "external_ref;customer_ref;placed_at;currency;sku;quantity;line_total\n\
                #1001;ann@example.org;2017-01-01T10:00:00Z;eur;A&B #1;1;\"1,00\"\n\
                #2001;;2017-01-01T10:00:00Z;EUR;A&B #1;1;1.00\n#2001;;;;A&B #1;2;2.00\n\
                #2002;;2017-01-01T10:00:00Z;EUR;A&B #1;1;1.00\n#2002;;;;A&B #1;2\n";
    let said = world.import("orders", "orders.csv", rows, &[]);
    assert_eq!(said.outcomes(), [4, 1, 1, 0, 2], "{said:?}");
    assert_eq!(said.codes(), ["field_count", "incomplete_order"], "an order is never imported in part");
    let imported = world.events("order.OrderImported").await;
    assert_eq!(imported[2]["totals"]["net"]["minor_units"], 300);
    assert_eq!(world.head().await, head + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_take_the_id_of_an_imported_order_or_the_key_of_a_delivery() {
    let world = world().await;
    world.with_product("A&B #1").await;
    let order_id = OrderId::imported(&"#1001".parse().expect("a reference"));
    let cart = json!({ "cart_id": Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0001), "order_id": order_id });
    let refused = daybook_domain::Command::deserialize("PlaceOrder", &cart).expect("it exists");
    assert!(refused.is_err(), "a caller cannot choose an id that can be computed");

    let delivery = "sku,quantity\nA&B #1,5\n";
    let contents = r#"{"sku":"A&B #1","location":"main","quantity":5,"reference":null}"#;
    let namespace = Uuid::from_u128(0x1b0c_67a5_2d1e_4f7f_8c3a_5e9d_04b2_71f6);
    let key = Uuid::new_v5(&namespace, format!("{contents}\n0").as_bytes());
    // A guest, a customer and a member of the staff use the key of the delivery.
    let (bus, stopped) =
        daybook_bus::Bus::start(world.book.clone(), daybook_bus::Clock::system(), &daybook_bus::BusSettings::default());
    for (nr, actor) in (2..).zip([Actor::Guest, Actor::Customer(CustomerId(namespace)), Actor::Admin("ada".into())]) {
        let cart = Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0000 + nr);
        let body = json!({ "cart_id": cart, "currency": "EUR" });
        let command = daybook_domain::Command::deserialize("OpenCart", &body).expect("it exists").expect("it is right");
        bus.execute(daybook_bus::Submission::new(command, key, actor)).await.expect("the key is its sender's own");
    }
    drop(bus);
    stopped.await.expect("the bus stops");
    let said = world.import("stock", "stock.csv", delivery, &[]);
    assert_eq!((said.outcomes(), said.code), ([1, 1, 0, 0, 0], Some(0)), "{said:?}");

    // A guest does not learn whether an order was imported.
    let cancel = json!({ "order_id": order_id, "reason": "why not" });
    let code = async || match world.send(Actor::Guest, "CancelOrder", cancel.clone()).await {
        Err(CommandError::Refused { refusal, .. }) => refusal.to_string(),
        other => panic!("{other:?}"),
    };
    let before = code().await;
    assert_eq!(world.import("orders", "orders.ndjson", order("#1001", 5).to_string(), &[]).outcomes(), [1, 1, 0, 0, 0]);
    assert_eq!(code().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_identifies_a_delivery_and_a_used_key_is_a_rejection() {
    let world = world().await;
    world.with_product("oat").await;
    let rows = |quantity: u32| format!("sku,quantity,reference\noat,{quantity},N-1\noat,7,N-2\noat,7,\n");
    assert_eq!(world.import("stock", "stock.csv", rows(5), &[]).outcomes(), [3, 3, 0, 0, 0]);
    assert_eq!(world.import("stock", "other name.csv", rows(5), &[]).outcomes(), [3, 0, 3, 0, 0]);
    let said = world.import("stock", "stock.csv", rows(6), &[]);
    assert_eq!((said.outcomes(), said.codes()), ([3, 0, 2, 0, 1], vec!["conflict"]), "{said:?}");
    assert_eq!(world.events("inventory.StockReceived").await.len(), 3);
    let rows = "sku,quantity,reference\noat,5,N-3\noat,7,N-3\noat,5,N-3\n";
    let said = world.import("stock", "two quantities.csv", rows, &[]);
    assert_eq!((said.outcomes(), said.codes()), ([3, 2, 0, 0, 1], vec!["conflict"]), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_says_one_thing_of_a_product() {
    let world = world().await;
    let rows = "sku,name,price,currency\na,A1,1.10,EUR\na,A2,1.10,EUR\nb,B,,\na,A1,\"1,1\",eur\n";
    let first = world.import("products", "products.csv", rows, &[]);
    assert_eq!((first.outcomes(), first.codes()), ([4, 2, 1, 0, 1], vec!["repeated_sku"]), "{first:?}");
    let reason = first.rejected[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("line 2"), "{reason}");
    let head = world.head().await;
    for _ in 0..3 {
        let again = world.import("products", "products.csv", rows, &["--update"]);
        assert_eq!((again.outcomes(), world.head().await), ([4, 0, 3, 0, 1], head), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_a_slash_and_codes_of_other_systems_are_kept_apart() {
    let world = world().await;
    let rows = "sku,name,department,category\nAB 12,Oat,A/B,\nAB-12,Oat,A,B\nAB#12,Oat,,B\n燕麦,燕麦,A/B,B\n";
    let said = world.import("products", "products.csv", rows, &[]);
    assert_eq!(said.outcomes(), [4, 4, 0, 0, 0], "{said:?}");
    let mut paths: Vec<_> = Vec::new();
    for category in world.events("catalog.CategoryCreated").await {
        paths.push((category["name"].clone(), category["parent"].is_null()));
    }
    assert_eq!(
        paths,
        [(json!("A/B"), true), (json!("A"), true), (json!("B"), false), (json!("B"), true), (json!("B"), false)]
    );
    let skus = world.events("catalog.SkuClaimed").await;
    let skus: BTreeSet<_> = skus.iter().filter_map(|data| data["sku"].as_str()).collect();
    assert_eq!(skus, BTreeSet::from(["AB 12", "AB-12", "AB#12", "燕麦"]));
    let stock = "sku,quantity\nAB 12,1\nAB#12,2\n燕麦,3\nnone,4\n";
    let said = world.import("stock", "stock.csv", stock, &[]);
    assert_eq!((said.outcomes(), said.codes()), ([4, 3, 0, 0, 1], vec!["unknown_sku"]), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_that_was_removed_is_created_again_by_a_file_that_names_it() {
    let world = world().await;
    let header = "sku,name,department,category\n";
    assert_eq!(world.import("products", "a.csv", format!("{header}a,A,Food,Milk\n"), &[]).outcomes(), [1, 1, 0, 0, 0]);
    for category in world.events("catalog.CategoryCreated").await {
        world.admin("RemoveCategory", json!({ "category_id": category["category_id"] })).await;
    }
    let rows = format!("{header}b,B,Food,Milk\nc,C,Food,Milk\n");
    for arguments in [&["--dry-run"][..], &[]] {
        let said = world.import("products", "b.csv", &rows, arguments);
        assert_eq!(said.outcomes(), [2, 2, 0, 0, 0], "{said:?}");
    }
    assert_eq!(world.import("products", "b.csv", &rows, &[]).outcomes(), [2, 0, 2, 0, 0], "each once");
    let created = world.events("catalog.CategoryCreated").await;
    let names: Vec<_> = created.iter().map(|category| category["name"].clone()).collect();
    assert_eq!(names, ["Food", "Milk", "Food", "Milk"]);
    assert_eq!(created[3]["parent"], created[2]["category_id"]);
    let products = world.events("catalog.ProductCreated").await;
    assert_eq!(products[2]["categories"], json!([created[3]["category_id"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_rows_stand_apart_is_rejected_whole() {
    let world = world().await;
    world.with_product("a").await;
    let row = |reference: &str, rest: &str| format!("{reference},2026-05-01T10:00:00Z,EUR,{rest}\n");
    let header = "external_ref,placed_at,currency,sku,quantity,line_total\n";
    let rows = [
        row("#1001", "a,1,1.00"),
        row("#1002 ", "a,1,1.00"),
        row("#1002", "a,2,2.00"),
        row("#1003", "a,1,1.00"),
        row("#1004", "a,1,1.00"),
        row("#1001", "a,1,1.00"),
        row("#1003", "a,one,1.00"),
        row("#1004", "a,1,1.00,more"),
        row("#1005", "a,1,1.00"),
    ];
    let text = format!("{header}{}", rows.concat());
    let said = world.import("orders", "sorted.csv", &text, &[]);
    assert_eq!((said.outcomes(), said.code), ([8, 2, 0, 0, 6], Some(0)), "{said:?}");
    let mut rejected: Vec<_> =
        said.rejected.iter().map(|record| (record["line"].as_u64(), record["code"].as_str())).collect();
    rejected.sort_unstable();
    let apart = Some("rows_apart");
    let expected = [(2, apart), (5, apart), (6, apart), (7, apart), (8, apart), (9, Some("field_count"))];
    assert_eq!(rejected, expected.map(|(line, code)| (Some(line), code)), "{said:?}");
    let reason = said.rejected.iter().find(|record| record["line"] == 7).and_then(|record| record["reason"].as_str());
    assert!(reason.is_some_and(|reason| reason.contains("in lines 2 and 7. Sort the file")), "{reason:?}");
    let placed = |events: Vec<Value>| events.iter().map(|data| data["external_ref"].clone()).collect::<Vec<_>>();
    assert_eq!(placed(world.events("order.OrderImported").await), ["#1002", "#1005"]);

    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    let said = world.import("orders", "sorted.csv", format!("{header}{}", sorted.concat()), &[]);
    assert_eq!(said.outcomes(), [6, 1, 2, 0, 3], "#1001 is imported with both of its rows: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_rejected_records_that_cannot_be_written_is_named() {
    let world = world().await;
    let before = world.head().await;
    let missing = world.path("missing/rejected.ndjson");
    let flags = ["--rejected", missing.to_str().expect("the path is text")];
    let said = world.import("products", "products.csv", "sku,name\na,Oat\nb,\n", &flags);
    assert_eq!((said.outcomes(), said.code), ([0; 5], Some(1)), "{said:?}");
    assert!(said.errors.contains("missing/rejected.ndjson cannot be written"), "{said:?}");
    assert_eq!(world.head().await, before, "that is known before the first record");
    // Every write to this device fails, but it can be opened.
    let said = world.import("products", "products.csv", "sku,name\na,Oat\nb,\n", &["--rejected", "/dev/full"]);
    assert!(said.code == Some(1) && said.errors.contains("/dev/full cannot be written"), "{said:?}");
}

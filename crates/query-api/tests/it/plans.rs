//! How PostgreSQL finds the rows of listings: in an index that has their order, from the place of the cursor on.

use crate::shop::{Shop, Who};

/// Every listing, with its filters. Each has a statement of its own.
const LISTINGS: [&str; 8] = [
    "orders { edges { cursor } }",
    "orders(filter: {phase: HELD}) { edges { cursor } }",
    "orders(filter: {customerId: \"1b671a64-40d5-491e-99b0-da01ff1f3341\"}) { edges { cursor } }",
    "products { edges { cursor } }",
    "products(sort: NEWEST) { edges { cursor } }",
    "products(filter: {brand: \"Suds\"}) { edges { cursor } }",
    "products(filter: {brand: \"Suds\"}, sort: NEWEST) { edges { cursor } }",
    "categories { id }",
];

/// What has no order in an index, and is sorted after an index has found it: what has one reference, one category, one word.
const SORTED: [(&str, &str); 4] = [
    ("orders(filter: {externalRef: \"x-1\"}) { edges { cursor } }", "external_ref = "),
    (
        "products(filter: {categoryId: \"1b671a64-40d5-491e-99b0-da01ff1f3341\"}) { edges { cursor } }",
        "category_ids @> ",
    ),
    ("search(query: \"tea\") { products { edges { cursor } } }", "search @@ "),
    ("search(query: \"tea\") { facets { brands { value } } }", "search @@ "),
];

/// The statements that a query prepares, each with the plan that it has for any parameters.
async fn plans(shop: &Shop, field: &str, settings: &str) -> Vec<(String, String)> {
    shop.wire.prepared();
    shop.office(Who::Admin, &format!("{{ {field} }}")).await.data();
    let client = shop.connect().await;
    // A plan for any parameters is the worst that a statement can have. Without rows, PostgreSQL would read the whole table and sort
    // it, so both are made dear: what they are still used for, no index can do.
    let settings = format!("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; {settings}");
    client.batch_execute(&settings).await.expect("the settings exist");
    let mut plans = Vec::new();
    for sql in shop.wire.prepared().into_iter().filter(|sql| sql.contains("read.")) {
        let name = format!("listing_{}", plans.len());
        client.batch_execute(&format!("PREPARE {name} AS {sql}")).await.expect("the statement can be prepared");
        let parameters = (1..).take_while(|nr| sql.contains(&format!("${nr}"))).map(|_| "NULL").collect::<Vec<_>>();
        let arguments = if parameters.is_empty() { String::new() } else { format!("({})", parameters.join(", ")) };
        let lines = client.query(&format!("EXPLAIN EXECUTE {name}{arguments}"), &[]).await.expect("it has a plan");
        let lines: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
        plans.push((sql, lines.join("\n")));
    }
    assert!(!plans.is_empty(), "{field} prepares nothing that was not prepared before");
    plans
}

#[tokio::test]
async fn a_listing_is_read_in_its_order_from_the_cursor_on() {
    let shop = Shop::open().await;
    let no_sort = "SET enable_sort = off; SET enable_incremental_sort = off; SET enable_bitmapscan = off";
    for field in LISTINGS {
        for (sql, plan) in plans(&shop, field, no_sort).await {
            assert!(plan.contains("Index Scan"), "{field}: no index serves\n{sql}\n{plan}");
            assert!(
                !plan.contains("Seq Scan") && !plan.contains("Sort"),
                "{field}: no index has the order\n{sql}\n{plan}"
            );
            let from_cursor = plan.lines().any(|line| line.contains("Index Cond:") && line.contains("ROW("));
            assert!(
                from_cursor || field.starts_with("categories"),
                "{field}: pages are read from the begin\n{sql}\n{plan}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_sorted_is_found_by_an_index_first() {
    let shop = Shop::open().await;
    for (field, condition) in SORTED {
        for (sql, plan) in plans(&shop, field, "SET enable_indexscan = off").await {
            let found = plan.lines().any(|line| line.contains("Index Cond:") && line.contains(condition));
            assert!(found && !plan.contains("Seq Scan"), "{field}: no index finds it\n{sql}\n{plan}");
        }
    }
}

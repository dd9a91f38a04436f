//! Query plans of listings: PostgreSQL reads the rows from an index in their order, from the cursor on.

use crate::shop::{Caller, Shop};

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

/// Listings without an index for their order: an index finds the rows by reference, category or word, and then they are sorted. Each
/// statement has one of the conditions.
const SORTED: [(&str, &str); 4] = [
    ("orders(filter: {externalRef: \"x-1\"}) { edges { cursor } }", "external_ref = "),
    (
        "products(filter: {categoryId: \"1b671a64-40d5-491e-99b0-da01ff1f3341\"}) { edges { cursor } }",
        "category_ids && |parent_id = ",
    ),
    ("search(query: \"tea\") { products { edges { cursor } } }", "search @@ "),
    ("search(query: \"tea\") { facets { brands { value } } }", "search @@ "),
];

/// The statements that a query prepares, each with its generic plan.
async fn plans(shop: &Shop, field: &str, settings: &str) -> Vec<(String, String)> {
    shop.proxy.prepared();
    shop.office(Caller::Admin, &format!("{{ {field} }}")).await.data();
    let client = shop.connect().await;
    // A generic plan is the worst one of a statement. On empty tables PostgreSQL would prefer a sequential scan and a sort. Both are made
    // expensive, so they appear only where no index can replace them.
    let settings = format!("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; {settings}");
    client.batch_execute(&settings).await.expect("the settings exist");
    let mut plans = Vec::new();
    for sql in shop.proxy.prepared().into_iter().filter(|sql| sql.contains("read.")) {
        let name = format!("listing_{}", plans.len());
        client.batch_execute(&format!("PREPARE {name} AS {sql}")).await.expect("the statement can be prepared");
        let parameters = (1..).take_while(|nr| sql.contains(&format!("${nr}"))).map(|_| "NULL").collect::<Vec<_>>();
        let arguments = if parameters.is_empty() { String::new() } else { format!("({})", parameters.join(", ")) };
        let lines =
            client.query(&format!("EXPLAIN EXECUTE {name}{arguments}"), &[]).await.expect("the statement has a plan");
        let lines: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
        plans.push((sql, lines.join("\n")));
    }
    assert!(!plans.is_empty(), "{field} prepares no new statement");
    plans
}

#[tokio::test]
async fn a_listing_is_read_from_an_index_in_order_from_the_cursor_on() {
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
                "{field}: pages are read from the start\n{sql}\n{plan}"
            );
        }
    }
}

#[tokio::test]
async fn a_sorted_listing_finds_its_rows_by_an_index() {
    let shop = Shop::open().await;
    for (field, condition) in SORTED {
        for (sql, plan) in plans(&shop, field, "SET enable_indexscan = off").await {
            let is_found = |line: &str| condition.split('|').any(|condition| line.contains(condition));
            let found = plan.lines().any(|line| line.contains("Index Cond:") && is_found(line));
            assert!(found && !plan.contains("Seq Scan"), "{field}: no index finds it\n{sql}\n{plan}");
        }
    }
}

//! The number of statements of a batch, counted in PostgreSQL's log.

use std::{fs, path::PathBuf};

use daybook_projectors::views;
use serde_json::json;

use crate::{
    facts::{Fact, claim, id, line_added, opened, placed_of, product, sku},
    stage::{Stage, apply, recorded, stage},
};

impl Stage {
    /// The log file of the tests' server.
    fn log(&self) -> PathBuf {
        let url = self.database.url();
        let host = url.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("a host");
        PathBuf::from(host.replace("%2F", "/")).join("log")
    }

    /// The number of statements with which a view processes these facts as one batch. The transaction is rolled back.
    async fn statements(&self, view: &str, facts: &[Fact]) -> usize {
        let (view, events) = (views::named(view).expect("the view exists"), recorded(facts));
        let mut client = self.book.pool().get().await.expect("a connection");
        let transaction = client.transaction().await.expect("the database answers");
        let row = transaction.query_one("SELECT pg_backend_pid()", &[]).await.expect("the database answers");
        transaction.batch_execute("SET LOCAL log_statement = 'all'").await.expect("the setting may be changed");
        let before = fs::read_to_string(self.log()).expect("a log").len();
        apply(&transaction, view, &events).await;
        let after = fs::read_to_string(self.log()).expect("a log");
        transaction.rollback().await.expect("the transaction is rolled back");
        let backend = format!("[{}] LOG:", row.get::<_, i32>(0));
        let is_statement =
            |line: &&str| line.contains(&backend) && (line.contains(" execute ") || line.contains(" statement: "));
        after[before..].lines().filter(is_statement).count()
    }
}

fn cart_of(lines: usize) -> Vec<Fact> {
    let mut facts = vec![opened(1)];
    facts.extend((0..lines).map(|nr| line_added(1, &format!("sku{nr}"), 1)));
    facts
}

fn order_of(lines: usize) -> Vec<Fact> {
    let skus: Vec<_> = (0..lines).map(|nr| format!("sku{nr}")).collect();
    vec![placed_of(1, &skus, &json!({}))]
}

fn claims(count: usize) -> Vec<Fact> {
    (0..count).map(|nr| claim("inventory.StockReserved", &format!("sku{nr}"), nr, 1, &json!({}))).collect()
}

fn products(count: usize) -> Vec<Fact> {
    let mut facts: Vec<_> =
        (0..count).map(|nr| product("catalog.ProductCreated", nr, &json!({ "name": id(nr) }))).collect();
    facts.extend((0..count).map(|nr| product("catalog.VariantAdded", nr, &json!({ "sku": format!("sku{nr}") }))));
    let price = json!({ "channel": "web", "price": { "minor_units": 1, "currency": "EUR" } });
    facts.extend((0..count).map(|nr| sku("catalog.PriceSet", &format!("sku{nr}"), &price)));
    facts
}

#[tokio::test]
async fn a_batch_of_two_hundred_rows_takes_as_many_statements_as_a_batch_of_one() {
    let stage = stage().await;
    for view in views::ALL {
        let facts: fn(usize) -> Vec<Fact> = match view.name {
            "cart" => cart_of,
            "stock" => claims,
            "product" => products,
            "category" => continue,
            "order" | "sales_by_day" | "top_products" => order_of,
            other => panic!("this test has no events for the view {other}"),
        };
        let (one, many) =
            (stage.statements(view.name, &facts(1)).await, stage.statements(view.name, &facts(200)).await);
        assert_eq!(one, many, "view {}", view.name);
        // One statement checks that the version is the shown one. At most one read and one write follow for each table.
        assert!((3..=2 + 2 * view.tables.len()).contains(&one), "view {} needs {one}", view.name);
    }
}

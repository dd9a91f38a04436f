//! `daybook verify` passes on an intact shop, and names each corruption of it, one at a time.
#![allow(missing_docs, reason = "tests")]

mod book;
mod shop;
mod views;
mod wire;

use std::process::Command as Process;

use serde_json::{Value, json};

use crate::shop::{failures, shop};

#[tokio::test(flavor = "multi_thread")]
async fn an_intact_shop_passes_and_the_command_says_so() {
    let shop = shop().await;
    let verdict = shop.verify().await;
    assert_eq!(failures(&verdict), []);
    assert!(verdict.checks.iter().all(|check| check.checked > 0), "every check has checked something: {verdict:#?}");

    let run = || {
        let output = Process::new(env!("CARGO_BIN_EXE_daybook"))
            .args(["verify", "--json", "--database-url", shop.database.url(), "--kafka-brokers", &shop.kafka.brokers])
            .output()
            .expect("the binary runs");
        let printed: Value = serde_json::from_slice(&output.stdout).expect("the output is one JSON object");
        (output.status.code(), printed)
    };
    let (code, printed) = run();
    assert_eq!((code, &printed), (Some(0), &serde_json::to_value(&verdict).expect("JSON")));
    shop.execute("UPDATE stock_v1.stock SET on_hand = 6").await;
    let (code, printed) = run();
    assert_eq!((code, &printed["ok"]), (Some(1), &json!(false)));
    let checks = printed["checks"].as_array().expect("a list");
    let failed: Vec<_> = checks.iter().filter(|check| check["violations"] != 0).collect();
    let first = "stock: sku oat, location main shows on_hand 6, the book says 5";
    let name = "view stock equals a fold of the book";
    assert_eq!(failed, [&json!({ "name": name, "checked": 2, "violations": 1, "first": first })]);
}

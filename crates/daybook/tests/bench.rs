//! Every measurement of `daybook bench` comes to its end. What it measures on a busy machine says nothing, so nothing is asserted of that.
#![allow(missing_docs, reason = "tests")]

use std::process::Command;

use daybook_test_postgres::database;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn every_measurement_ends_with_its_figures() {
    let database = database().await;
    let bench = |what: &str, processes: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_daybook"))
            .args(["bench", what, "--json", "--clients", "4", "--seconds", "1", "--events", "10000"])
            .args(["--processes", processes])
            .env("DATABASE_URL", database.url())
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{what} with {processes}: {said}");
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(figures.as_object().is_some_and(|figures| figures.len() > 2), "{what}: {figures}");
        figures
    };
    for what in ["append", "place-order", "flash-sale", "end-to-end", "replay", "rebuild", "query", "relay"] {
        bench(what, "1");
    }
    assert!(bench("place-order", "2")["ratio_to_one"].as_f64() > Some(0.0));
    let rush = bench("flash-sale", "2");
    assert!(rush["reserved"].as_i64() > Some(0) && rush["oversold"] == 0, "{rush}");
}

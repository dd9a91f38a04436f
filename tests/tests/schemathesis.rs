//! Schemathesis on a running shop: requests that are derived from our API documents, and answers that must match them. The long form
//! is `.ci/schemathesis run`.

use std::{path::Path, process::Command};

use daybook_test_needs::{Need, skipped};
use daybook_tests::{Shop, directory};

/// The exit code of the script if Python or Schemathesis is unavailable.
const UNAVAILABLE: i32 = 69;
/// How many requests are drawn for each operation, beside those that are derived from the schemas.
const EXAMPLES: &str = "15";
/// The requests are the same in every run, on every machine.
const SEED: &str = "20261121";

#[tokio::test]
async fn the_apis_match_their_documents() {
    let directory = directory();
    let shop = Shop::up_with(directory.path(), "shop", &["--demo"]).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/schemathesis");
    let data = shop.data().to_owned();
    let run = move || Command::new(script).arg("against").arg(data).arg(EXAMPLES).env("SEED", SEED).output();
    let output = tokio::task::spawn_blocking(run).await.expect("the script ends").expect("the script can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(UNAVAILABLE) {
        return skipped(Need::Python, &said);
    }
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    assert!(said.contains("nothing was found"), "{said}");
}

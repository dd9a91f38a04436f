//! The README's tour, run as it is written there.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use daybook_tests::{Shop, binary, directory};

/// The shell commands of the tour.
fn tour() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("there is a README");
    let (_, after) = readme.split_once("```sh\n").expect("the README has a tour");
    after.split_once("```").expect("it has an end").0.to_owned()
}

#[tokio::test]
async fn the_tour_of_the_readme_works_as_it_is_written() {
    let directory = directory();
    // Where the reader stands: in the project's folder, with `./daybook` and the running shop's `.daybook`.
    symlink(binary(), directory.path().join("daybook")).expect("a link can be made");
    let shop = Shop::up_with(directory.path(), ".daybook", &[]).await;
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &tour()])
        .current_dir(directory.path())
        .env_remove("DATABASE_URL")
        .env_remove("KAFKA_BROKERS")
        .stdin(Stdio::null())
        .output()
        .expect("bash can be run");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    for seen in [
        r#"[{"id":"order-018f0000-0000-7000-8000-000000000003","version":1}"#,
        r#""code":"insufficient_stock""#,
        r#""available":3"#,
        r#"{"phase":"PLACED","net":{"formatted":"3.98 EUR"}"#,
        r#"{"type":"daybook.order.OrderPlaced","subject":"order-018f0000-0000-7000-8000-000000000003","net":{"minor_units":398,"currency":"EUR"}}"#,
        " order.OrderPlaced ",
    ] {
        assert!(said.contains(seen), "{seen} is not in:\n{said}\n{complained}");
    }
    assert!(shop.stop().success());
}

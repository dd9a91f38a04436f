//! What the npm package graphql-http has to say of the endpoints: its audits are the specification of GraphQL over HTTP.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use daybook_test_needs::{Need, skipped};
use serde_json::Value;

use crate::shop::{Shop, Who};

const FILES: [&str; 3] = ["package.json", "package-lock.json", "audit.mjs"];

/// Where the audits are installed, None where there is no Node. Both tests use them, so they are installed once: two
/// installations into one directory at a time leave it in pieces.
static INSTALLED: LazyLock<Option<PathBuf>> = LazyLock::new(install);

/// Installs the audits beside the build, where they are not installed yet.
fn install() -> Option<PathBuf> {
    for program in ["node", "npm"] {
        if !Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success()) {
            return None;
        }
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit");
    let there = Path::new(env!("CARGO_TARGET_TMPDIR")).join("audit");
    std::fs::create_dir_all(&there).expect("a directory can be made");
    let read = |file: &Path| std::fs::read(file).ok();
    let same = FILES.iter().all(|file| read(&here.join(file)) == read(&there.join(file)));
    // Written at the end: an installation that was killed has left parts behind.
    let whole = there.join("installed");
    if !(same && whole.exists()) {
        std::fs::remove_file(&whole).ok();
        for file in FILES {
            std::fs::copy(here.join(file), there.join(file)).expect("a file can be copied");
        }
        // A registry that is busy at this moment may not be in the next.
        let installed = (0..3).any(|_| {
            let output = Command::new("npm").arg("ci").current_dir(&there).output().expect("npm runs");
            eprintln!("npm ci: {}", String::from_utf8_lossy(&output.stderr));
            output.status.success()
        });
        assert!(installed, "npm ci has failed three times");
        std::fs::write(&whole, "").expect("a file can be written");
    }
    Some(there)
}

async fn audit(url: String, authorization: Option<String>) {
    let Some(directory) = tokio::task::spawn_blocking(|| INSTALLED.clone()).await.expect("it is installed") else {
        return skipped(Need::Node, "the audits of graphql-http need node and npm, which are not installed");
    };
    let run = move || {
        let mut command = Command::new("node");
        command.arg("audit.mjs").arg(url).args(authorization).current_dir(directory);
        command.output().expect("node runs")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("it is a text");
    let audits: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let failed: Vec<_> = audits.iter().filter(|audit| audit["status"] != "ok").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(audits.len(), 61);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storefront_passes_every_audit() {
    let shop = Shop::open().await;
    audit(format!("{}/graphql", shop.url), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_back_office_passes_every_audit() {
    let shop = Shop::open().await;
    audit(format!("{}/admin/graphql", shop.url), shop.authorization(Who::Admin)).await;
}

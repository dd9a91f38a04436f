//! The audits of the npm package graphql-http. They are the specification of GraphQL over HTTP.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use daybook_test_needs::{Need, skipped};
use serde_json::Value;

use crate::shop::{Caller, Shop};

const FILES: [&str; 3] = ["package.json", "package-lock.json", "audit.mjs"];

/// The directory of the audits. None where Node is missing. Both tests share one installation, since two installations into one
/// directory at a time damage it.
static INSTALLED: LazyLock<Option<PathBuf>> = LazyLock::new(install);

/// Installs the audits into the target directory, unless they are installed already.
fn install() -> Option<PathBuf> {
    for program in ["node", "npm"] {
        if !Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success()) {
            return None;
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("audit");
    std::fs::create_dir_all(&target).expect("a directory can be created");
    let read = |file: &Path| std::fs::read(file).ok();
    let same = FILES.iter().all(|file| read(&source.join(file)) == read(&target.join(file)));
    // This file is written last, since a killed installation is incomplete.
    let complete = target.join("installed");
    if !(same && complete.exists()) {
        std::fs::remove_file(&complete).ok();
        for file in FILES {
            std::fs::copy(source.join(file), target.join(file)).expect("a file can be copied");
        }
        // The registry may be busy, so the installation is tried again.
        let installed = (0..3).any(|_| {
            let output = Command::new("npm").arg("ci").current_dir(&target).output().expect("npm runs");
            eprintln!("npm ci: {}", String::from_utf8_lossy(&output.stderr));
            output.status.success()
        });
        assert!(installed, "npm ci has failed three times");
        std::fs::write(&complete, "").expect("a file can be written");
    }
    Some(target)
}

async fn audit(url: String, authorization: Option<String>) {
    let Some(directory) =
        tokio::task::spawn_blocking(|| INSTALLED.clone()).await.expect("the installation does not panic")
    else {
        return skipped(Need::Node, "the audits of graphql-http need node and npm, which are not installed");
    };
    let run = move || {
        let mut command = Command::new("node");
        command.arg("audit.mjs").arg(url).args(authorization).current_dir(directory);
        command.output().expect("node runs")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("the audit does not panic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("the output is a text");
    let audits: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
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
    audit(format!("{}/admin/graphql", shop.url), shop.authorization(Caller::Admin)).await;
}

//! The short form of the nemesis: every fault once, by one seed. docs/reliability.md describes the long form.

use std::process::{Command, Stdio};

use serde_json::Value;

const SEED: &str = "7";

#[test]
fn every_promise_is_kept_while_every_fault_is_injected_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_nemesis"))
        .args(["--minutes", "0", "--seed", SEED, "--json"])
        // Without CARGO the nemesis does not build the engine. The caller of the tests has built it, as for the journeys.
        .env_remove("CARGO")
        .stdin(Stdio::null())
        .output()
        .expect("the nemesis can be run");
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last = said.lines().next_back().unwrap_or_else(|| panic!("the nemesis has printed nothing: {log}"));
    let report: Value = serde_json::from_str(last).expect("the last line is an object");
    assert_eq!(report["violations"], 0, "{said}\n{log}");
    assert!(output.status.success(), "{said}\n{log}");
    let faults = report["faults"].as_array().expect("the report lists the faults");
    // Half-open networks need a packet filter of the Linux kernel.
    let known = if cfg!(target_os = "linux") { 32 } else { 28 };
    assert_eq!(faults.len(), known, "every fault was injected: {faults:?}");
    assert!(report["acknowledged"].as_u64() > Some(100), "the shop was under load: {report}");
    assert!(report["recovery_p99_ms"].is_u64(), "the cluster has recovered: {report}");
}

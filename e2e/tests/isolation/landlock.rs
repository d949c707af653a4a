//! Landlock is in force where the kernel has it, and a session says so either way.

use std::process::Command;

use sandkasten_e2e::{binary, with_daemon};
use serde_json::Value;

/// What the kernel of this host has, as the binary finds out by itself: the ABI, 0 for none.
fn kernel_abi() -> u64 {
    let output = Command::new(binary()).args(["doctor", "--json"]).output().expect("the binary runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let features = report["features"].as_array().expect("features");
    let landlock = features.iter().find(|feature| feature["name"] == "landlock").expect("it is looked for");
    let detail = landlock["status"]["detail"].as_str().unwrap_or_default();
    let number = detail.strip_prefix("ABI ").and_then(|rest| rest.split(':').next()?.parse().ok());
    number.unwrap_or(0)
}

#[test]
fn a_session_says_which_landlock_it_is_under() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let shown = daemon.raw().get(&format!("/v1/sessions/{}", session.id)).await.ok(200);
        assert_eq!(shown["isolation"]["landlock_abi"], kernel_abi(), "{shown}");
    });
}

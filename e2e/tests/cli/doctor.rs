//! `doctor` and `version`.

use sandkasten_e2e::with_daemon;
use serde_json::Value;

use crate::outcome::Outcome;

#[test]
fn doctor_finds_this_host_able_and_says_so_in_both_forms() {
    with_daemon(async |daemon| {
        let shown = Outcome::output(daemon, &["doctor"]);
        assert!(shown.contains("can run sandboxes") && !shown.contains("MISSING"), "{shown}");
        let report: Value =
            serde_json::from_str(&Outcome::output(daemon, &["doctor", "--json"])).expect("JSON");
        let features = report["features"].as_array().expect("features");
        assert!(features.len() > 5 && report["kernel"].is_string(), "{report}");
        assert!(Outcome::output(daemon, &["version"]).contains('.'));
        assert!(daemon.leaks(None).sockets.is_empty());
    });
}

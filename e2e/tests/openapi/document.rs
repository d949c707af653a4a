//! Where the document is, that it is one, and that it has the routes that there are.

use std::process::Command;

use reqwest::Method;
use sandkasten_e2e::{make_virtual_environment, with_config, with_daemon};
use serde_json::Value;

const VALIDATOR: &str = "openapi-spec-validator==0.9.0";
/// Those of which the document speaks. `HEAD` is answered as `GET` is.
const METHODS: [Method; 6] =
    [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS];

#[test]
fn the_daemon_serves_what_its_command_line_prints_to_those_who_have_the_key() {
    with_daemon(async |daemon| {
        let served = daemon.raw().get("/openapi.json").await;
        assert_eq!(
            (served.status, &served.headers["content-type"]),
            (200, &"application/json".parse().expect("a value"))
        );
        let printed = daemon.command(&["openapi"]).output().expect("the binary runs");
        assert!(printed.status.success());
        assert_eq!(served.text, String::from_utf8_lossy(&printed.stdout));
        for key in [None, Some("sk-another-0123456789abcdef")] {
            assert_eq!(daemon.raw().with_key(key).get("/openapi.json").await.status, 401);
        }
    });
}

#[test]
fn the_served_document_is_sound_openapi() {
    let directory = tempfile::tempdir().expect("a directory");
    let environment = directory.path().join("venv");
    if let Err(reason) = make_virtual_environment(&environment, &[VALIDATOR]) {
        println!("SKIP: {VALIDATOR} could not be installed: {reason}");
        return;
    }
    with_daemon(async |daemon| {
        let file = directory.path().join("openapi.json");
        std::fs::write(&file, daemon.raw().get("/openapi.json").await.text).expect("a file is written");
        let output = Command::new(environment.join("bin/openapi-spec-validator"))
            .arg(&file)
            .output()
            .expect("the validator runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    });
}

#[test]
fn a_path_takes_the_methods_that_are_described_and_no_others() {
    with_config("workspace:\n  enabled: true\n  min_free_mb: 16", async |daemon| {
        let raw = daemon.raw();
        let document: Value = serde_json::from_str(&raw.get("/openapi.json").await.text).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        assert!(paths.len() > 30, "{}", paths.len());
        for (path, item) in paths {
            let some = if path.starts_with("/v1/workspaces") { "no-such" } else { "00000000-0000" };
            let asked = path.replace("{id}", some).replace("{exec_id}", "0000000000000000");
            for method in METHODS {
                // A body that no route takes, so that nothing is made.
                let request = raw.request(method.clone(), &asked).body("[]");
                let status = request.send().await.expect("an answer").status().as_u16();
                let is_described = item.get(method.as_str().to_ascii_lowercase()).is_some();
                assert_eq!(status != 405, is_described, "{method} {path} gave {status}");
            }
        }
    });
}

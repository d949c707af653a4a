//! The package `sandkasten` 0.3.0 from PyPI.

use std::path::Path;
use std::process::Command;

use sandkasten_e2e::{API_KEY, make_virtual_environment, with_config};

const PACKAGE: &str = "sandkasten==0.3.0";

#[test]
fn the_published_python_package_drives_the_daemon_unchanged() {
    let directory = tempfile::tempdir().expect("a directory");
    let environment = directory.path().join("venv");
    if let Err(reason) = make_virtual_environment(&environment, &[PACKAGE]) {
        println!("SKIP: {PACKAGE} could not be installed: {reason}");
        return;
    }
    with_config("workspace:\n  enabled: true\n  min_free_mb: 16", async |daemon| {
        let output = Command::new(environment.join("bin/python"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/drive.py"))
            .env_clear()
            .env("SANDKASTEN_URL", daemon.url())
            .env("SANDKASTEN_API_KEY", API_KEY)
            .output()
            .expect("python runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{said}");
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        for verb in [
            "create",
            "exec",
            "exec_stream",
            "write",
            "read",
            "upload",
            "stats",
            "info",
            "list",
            "destroy",
            "workspaces",
        ] {
            assert!(
                said.lines().any(|line| line.starts_with(&format!("{verb}: "))),
                "{verb} was not done:\n{said}"
            );
        }
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
        assert!(daemon.leaks(None).sockets.is_empty());
    });
}

//! Agent frameworks from PyPI with the integrations of our Python package, which have their own tests in `sdk/python`.

use std::path::Path;
use std::process::{Command, Stdio};

use sandkasten_e2e::{API_KEY, TestDaemon, make_virtual_environment, with_config};

use crate::python::{CONFIG, below_root, install_wheel, run};

const PYTEST: [&str; 4] = ["-m", "pytest", "-o", "faulthandler_timeout=120"];
const OF_INSPECT: [&str; 2] = ["test_inspect_ai.py", "test_inspect_evaluation.py"];
const OTHERS: [&str; 3] =
    ["--ignore=test_inspect_ai.py", "--ignore=test_inspect_evaluation.py", "--ignore=writable_root"];
const TYPES: [&str; 4] = ["-m", "mypy", "--config-file", "mypy.ini"];

#[test]
fn agent_frameworks_use_sessions_as_their_sandbox_and_pass_their_own_suites() {
    let directory = tempfile::tempdir().expect("a directory");
    let package = directory.path().join("python");
    run(Command::new("cp").arg("-r").args([&below_root("sdk/python"), &package]));
    let environment = directory.path().join("venv");
    let tests = package.join("tests/integrations");
    let requirements = tests.join("requirements.txt").to_string_lossy().into_owned();
    // Compiled is what is imported: a small part of it.
    let arguments = ["--no-compile", "--requirement", &requirements];
    if let Err(reason) = make_virtual_environment("python3", &environment, &arguments) {
        assert!(!reason.contains("ResolutionImpossible"), "{requirements} contradicts itself");
        println!("SKIP: the agent frameworks that tests of sdk/python need could not be installed: {reason}");
        return;
    }
    install_wheel(&package, &environment, &directory.path().join("wheels"));
    let python = environment.join("bin/python");
    with_config(CONFIG, async |daemon| {
        // Inspect's own suite waits for most of its time, and neither counts the other's sessions.
        let runs = [[&PYTEST[..], &OF_INSPECT].concat(), [&PYTEST[..], &OTHERS].concat(), TYPES.to_vec()];
        all_at_once(daemon, &python, &tests, &runs).await;
    });
    with_config("defaults:\n  readonly_rootfs: false", async |daemon| {
        all_at_once(daemon, &python, &tests, &[[&PYTEST[..], &["writable_root"]].concat()]).await;
    });
}

/// Runs Python with each of these arguments, side by side; all have to succeed, and to leave no session.
async fn all_at_once(daemon: &TestDaemon, python: &Path, tests: &Path, runs: &[Vec<&str>]) {
    let started = runs.iter().map(|arguments| {
        Command::new(python)
            .args(arguments)
            .current_dir(tests)
            .env("HOME", tests)
            .env("SANDKASTEN_DOCS", below_root("docs"))
            .env("SANDKASTEN_URL", daemon.url())
            .env("SANDKASTEN_API_KEY", API_KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python runs")
    });
    let started: Vec<_> = started.collect();
    for child in started {
        let output = child.wait_with_output().expect("python ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains(" skipped"), "{said}");
    }
    assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
}

//! Agent frameworks from PyPI with the integrations of our Python package, which have their own tests in `sdk/python`.

use std::process::{Command, Stdio};

use sandkasten_e2e::{API_KEY, make_virtual_environment, with_config};

use crate::python::{CONFIG, below_root, install_wheel, run};

/// What runs at once, because Inspect's own suite waits for most of its time: the two count sessions of their own.
const RUNS: [&[&str]; 3] = [
    &["pytest", "-o", "faulthandler_timeout=120", "test_inspect_ai.py", "test_inspect_evaluation.py"],
    &[
        "pytest",
        "-o",
        "faulthandler_timeout=120",
        "--ignore=test_inspect_ai.py",
        "--ignore=test_inspect_evaluation.py",
    ],
    &["mypy", "--config-file", "mypy.ini"],
];

#[test]
fn agent_frameworks_use_sessions_as_their_sandbox_and_pass_their_own_suites() {
    let directory = tempfile::tempdir().expect("a directory");
    let package = directory.path().join("python");
    run(Command::new("cp").arg("-r").args([&below_root("sdk/python"), &package]));
    let tests = package.join("tests/integrations");
    let environment = directory.path().join("venv");
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
        let started = RUNS.map(|arguments| {
            Command::new(&python)
                .arg("-m")
                .args(arguments)
                .current_dir(&tests)
                .env("HOME", directory.path())
                .env("SANDKASTEN_DOCS", below_root("docs"))
                .env("SANDKASTEN_URL", daemon.url())
                .env("SANDKASTEN_API_KEY", API_KEY)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("python runs")
        });
        let ended = started.map(|child| child.wait_with_output().expect("python ends"));
        for output in ended {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
            println!("{}", said.lines().last().unwrap_or_default());
            assert!(!said.contains(" skipped"), "{said}");
        }
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
    });
}

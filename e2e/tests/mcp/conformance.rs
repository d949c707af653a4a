//! The protocol's own checks of servers, and its inspector, from npm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use sandkasten_e2e::{TestDaemon, with_open_daemon};
use serde_json::Value;

/// The scenarios of `@modelcontextprotocol/conformance` that are about any server. The others call tools, prompts and resources of
/// a server that was written for them (`tools-call-*`, `json-schema-2020-12`, `elicitation-*`, `resources-read-*`,
/// `resources-templates-read`, `prompts-*`), or want what this one does not offer and does not claim to: logging, completions, prompts
/// and subscriptions (`logging-set-level`, `completion-complete`, `resources-subscribe`, `resources-unsubscribe`).
const SCENARIOS: [&str; 7] = [
    "server-initialize",
    "ping",
    "tools-list",
    "resources-list",
    "server-sse-polling",
    "server-sse-multiple-streams",
    "dns-rebinding-protection",
];

#[test]
fn the_protocols_own_checks_pass() {
    let directory = tempfile::tempdir().expect("a directory");
    let modules = match install(directory.path()) {
        Ok(modules) => modules,
        Err(reason) => {
            println!(
                "SKIP: @modelcontextprotocol/conformance and inspector-cli could not be installed: {reason}"
            );
            return;
        }
    };
    // The checks know no key.
    with_open_daemon(async |daemon| {
        let conformance = modules.join("@modelcontextprotocol/conformance/dist/index.js");
        let url = format!("{}/mcp", daemon.url());
        let outcomes: Vec<(&str, std::process::Output)> = thread::scope(|scope| {
            let runs: Vec<_> = SCENARIOS
                .into_iter()
                .map(|scenario| {
                    let mut command = node(&conformance, directory.path());
                    command.args(["server", "--url", &url, "--scenario", scenario]);
                    (scenario, scope.spawn(move || command.output().expect("node runs")))
                })
                .collect();
            runs.into_iter().map(|(scenario, run)| (scenario, run.join().expect("no panic"))).collect()
        });
        for (scenario, output) in outcomes {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains(", 0 failed"), "{scenario}:\n{said}");
            assert!(said.contains("SUCCESS"), "{scenario} checked nothing:\n{said}");
        }
        inspect(&modules, directory.path(), daemon);
    });
}

/// Has the inspector list the tools and call one, over standard input and output.
fn inspect(modules: &Path, directory: &Path, daemon: &TestDaemon) {
    let inspector = modules.join("@modelcontextprotocol/inspector-cli/build/index.js");
    let ask = |arguments: &[&str]| -> Value {
        let mut command = node(&inspector, directory);
        command.arg(sandkasten_e2e::binary()).args(["mcp", "--url", &daemon.url()]);
        let output = command.args(arguments).output().expect("node runs");
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}\n{complained}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}\n{complained}"))
    };
    let listed = ask(&["--method", "tools/list"]);
    assert_eq!(listed["tools"].as_array().expect("tools").len(), 14);
    let called = ask(&["--method", "tools/call", "--tool-name", "exec", "--tool-arg", "cmd=echo inspected"]);
    assert_eq!(called["structuredContent"]["output"], "inspected\n", "{called}");
}

fn node(script: &Path, home: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(script).current_dir(home).env_clear().env("HOME", home);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Installs both packages, at the versions of the lock file, into a directory of the test; or says why that cannot be.
fn install(directory: &Path) -> Result<PathBuf, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp/node");
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(here.join(name), directory.join(name)).expect("copied");
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(directory);
    let output = npm.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(directory.join("node_modules"));
    }
    Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("npm said nothing").to_owned())
}

//! The packages for Python: `sandkasten` 0.3.0 from PyPI, and ours, which has its own tests in `sdk/python`.

use std::path::Path;
use std::process::{Command, Output};

use sandkasten_e2e::{API_KEY, TestDaemon, make_virtual_environment, with_config};

const PUBLISHED: &str = "0.3.0";
const OURS: &str = "0.4.0";
pub(crate) const CONFIG: &str = "workspace:\n  enabled: true\n  min_free_mb: 16";

#[test]
fn the_published_python_package_drives_the_daemon_unchanged() {
    let directory = tempfile::tempdir().expect("a directory");
    let environment = directory.path().join("venv");
    let package = format!("sandkasten=={PUBLISHED}");
    if let Err(reason) = make_virtual_environment("python3", &environment, &[&package]) {
        println!("SKIP: {package} could not be installed: {reason}");
        return;
    }
    with_config(CONFIG, async |daemon| println!("{}", drive(daemon, &environment, PUBLISHED).await));
}

#[test]
fn our_python_package_drives_it_by_the_same_file_and_passes_its_own_tests() {
    let directory = tempfile::tempdir().expect("a directory");
    // A copy, so that nothing is written beside the sources.
    let package = directory.path().join("python");
    run(Command::new("cp").arg("-r").args([&below_root("sdk/python"), &package]));
    let environment = directory.path().join("venv");
    let requirements = package.join("tests/requirements.txt").to_string_lossy().into_owned();
    if let Err(reason) = make_virtual_environment("python3", &environment, &["--requirement", &requirements])
    {
        assert!(!reason.contains("ResolutionImpossible"), "{requirements} contradicts itself");
        println!("SKIP: the packages that tests of sdk/python need could not be installed: {reason}");
        return;
    }
    install_wheel(&package, &environment, &directory.path().join("wheels"));

    let tool = |arguments: &[&str]| {
        run(Command::new(environment.join("bin/python")).arg("-m").args(arguments).current_dir(&package))
    };
    tool(&["ruff", "check"]);
    tool(&["ruff", "format", "--check"]);
    tool(&["mypy"]);
    with_config(CONFIG, async |daemon| {
        println!("{}", drive(daemon, &environment, OURS).await);
        let output = run(Command::new(environment.join("bin/python"))
            .args([
                "-m",
                "pytest",
                "-o",
                "faulthandler_timeout=120",
                "-o",
                "faulthandler_exit_on_timeout=true",
            ])
            .current_dir(&package)
            .env("SANDKASTEN_DOCS", below_root("docs"))
            .env("SANDKASTEN_URL", daemon.url())
            .env("SANDKASTEN_API_KEY", API_KEY));
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{}", said.lines().last().unwrap_or_default());
        assert!(said.contains(" passed") && !said.contains(" skipped"), "{said}");
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
    });
}

/// Drives a daemon with the package that is installed in an environment, and says what was done.
async fn drive(daemon: &TestDaemon, environment: &Path, version: &str) -> String {
    let output = run(Command::new(environment.join("bin/python"))
        .arg(below_root("e2e/tests/sdk/drive.py"))
        .arg(version)
        .env_clear()
        .env("SANDKASTEN_URL", daemon.url())
        .env("SANDKASTEN_API_KEY", API_KEY));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
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
    said
}

pub(crate) fn below_root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Installs the package as a wheel, built by what the environment has: no package comes from elsewhere any more.
pub(crate) fn install_wheel(package: &Path, environment: &Path, wheels: &Path) {
    let pip = environment.join("bin/pip");
    run(Command::new(&pip)
        .args(["wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir"])
        .args([wheels, package]));
    let wheel = wheels.join(format!("sandkasten-{OURS}-py3-none-any.whl"));
    run(Command::new(&pip).args(["install", "--quiet", "--no-index"]).arg(&wheel));
}

/// Runs a command, which has to succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{command:?}\n{}\n{}", said[0], said[1]);
    output
}

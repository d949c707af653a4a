//! pytest: the host's own, or the one of PyPI, put into the session.

use std::path::Path;

use sandkasten_e2e::{TestSession, make_virtual_environment, with_daemon};

use super::{put, put_bytes};

const PACKAGE: &str = "pytest==8.4.2";
/// What the host's image has; the packages are chosen for it.
const PYTHON: &str = "/usr/bin/python3";

const TESTS: &str = "\
import os, subprocess, threading
import pytest

@pytest.fixture
def directory(tmp_path):
    (tmp_path / 'file').write_text('text')
    yield tmp_path

@pytest.mark.parametrize('number', range(3))
def test_numbers(number): assert number < 3
def test_files(directory): assert os.listdir(directory) == ['file']
def test_children(capfd):
    subprocess.run(['echo', 'captured'], check=True)
    assert capfd.readouterr().out == 'captured\\n'
def test_threads(monkeypatch):
    monkeypatch.setenv('X', 'y')
    seen = []
    thread = threading.Thread(target=lambda: seen.append(os.environ['X']))
    thread.start(); thread.join()
    assert seen == ['y']
def test_fails(): assert [1, 2] == [1, 3]
";

/// Makes pytest importable, or says that the test is skipped.
#[expect(clippy::print_stderr, reason = "says what is skipped")]
async fn has_pytest(session: &TestSession) -> bool {
    if session.exec("python3 -c 'import pytest'").await.exit_code == 0 {
        return true;
    }
    let directory = tempfile::tempdir().expect("a directory");
    if let Err(reason) = fetch(directory.path()) {
        eprintln!("SKIP: {PACKAGE} could not be installed: {reason}");
        return false;
    }
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all("packages", directory.path().join("packages")).expect("packages are archived");
    put_bytes(session, "packages.tar", &archive.into_inner().expect("a whole archive")).await;
    session.output("cd /workspace && tar xf packages.tar && export PYTHONPATH=/workspace/packages").await;
    true
}

/// Installs the package into `packages` of the directory, or says why not.
fn fetch(directory: &Path) -> Result<(), String> {
    let packages = directory.join("packages");
    let packages = packages.to_str().expect("a path that is text");
    let arguments = ["--no-compile", "--target", packages, PACKAGE];
    make_virtual_environment(PYTHON, &directory.join("venv"), &arguments)
}

#[test]
fn pytest_runs_tests_and_reports_the_failing_one() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        if !has_pytest(&session).await {
            return;
        }
        put(&session, "project/test_everything.py", TESTS).await;
        let result = session.exec("cd /workspace/project && python3 -m pytest -q").await;
        assert_eq!(result.exit_code, 1, "{}", result.output);
        assert!(result.output.contains("FAILED test_everything.py::test_fails"), "{}", result.output);
        assert!(result.output.contains("1 failed, 6 passed"), "{}", result.output);
        assert_eq!(session.exec("python3 -m pytest -q -k 'not fails'").await.exit_code, 0);
    });
}

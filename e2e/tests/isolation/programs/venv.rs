//! A virtual environment, and pip in it; without any network.

use sandkasten_e2e::{TestSession, with_daemon};

use super::put;

const PROJECT: &str = "\
[build-system]
requires = []
build-backend = \"backend\"
backend-path = [\".\"]
";

const GREETING: &str = "\
import sys
def main(): print('hello from', sys.prefix)
";

/// Makes `/workspace/venv`; where Python lacks what it needs for that, says that the test is skipped.
#[expect(clippy::print_stderr, reason = "says what is skipped")]
async fn environment(session: &TestSession) -> bool {
    if session.exec("python3 -c 'import ensurepip, venv'").await.exit_code != 0 {
        eprintln!("SKIP: this host's python3 has no ensurepip, and so makes no environment with pip");
        return false;
    }
    session.output("python3 -m venv /workspace/venv && . /workspace/venv/bin/activate").await;
    true
}

async fn write_package(session: &TestSession) {
    put(session, "greeting/pyproject.toml", PROJECT).await;
    put(session, "greeting/backend.py", include_str!("backend.py")).await;
    put(session, "greeting/greeting.py", GREETING).await;
}

#[test]
fn pip_installs_source_packages_and_wheels_in_a_virtual_environment() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        if !environment(&session).await {
            return;
        }
        write_package(&session).await;
        session.output("export PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1").await;

        session.output("pip install /workspace/greeting").await;
        assert_eq!(session.output("greet").await, "hello from /workspace/venv");
        session.output("pip uninstall --yes greeting && hash -r").await;
        assert_eq!(session.exec("command -v greet").await.exit_code, 1);

        session.output("pip wheel --wheel-dir /workspace/wheels /workspace/greeting").await;
        session.output("pip install --find-links /workspace/wheels greeting && pip check").await;
        assert_eq!(session.output("greet").await, "hello from /workspace/venv");
    });
}

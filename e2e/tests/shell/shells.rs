//! The same claim for each shell that an image may have.

use sandkasten_e2e::{RootArchive, TestDaemon, with_config, with_daemon};

use crate::cases::{assert_all, skip_without};
use crate::play::play;
use crate::strategy::steps;

/// What a session's image has as its shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    /// `/bin/bash` of the image `host`.
    Bash,
    /// An image whose only shell is this.
    Dash,
    /// An image of nothing but busybox.
    Busybox,
}

/// What the commands of the tests run besides the shell.
const PROGRAMS: &[&str] = &["cat", "head", "mkdir", "rmdir", "sleep", "stty", "tr"];

/// Runs a test for sessions that have only this shell.
pub(crate) fn with_shell(shell: Shell, body: impl AsyncFnOnce(&TestDaemon)) {
    let program = match shell {
        Shell::Bash => return with_daemon(body),
        Shell::Dash => "dash",
        Shell::Busybox => "busybox",
    };
    let Some(archive) = RootArchive::of_shell(program, PROGRAMS) else { return skip_without(program) };
    with_config("default_image: only-shell", async |daemon| {
        let path = archive.path().to_string_lossy().into_owned();
        let imported = daemon.command(&["image", "import", "--name", "only-shell", "--tar", &path]).output();
        let imported = imported.expect("the binary runs");
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        body(daemon).await;
    });
}

fn assert_model_holds(shell: Shell, usual_cases: u32) {
    with_shell(shell, async |daemon| {
        assert_all(usual_cases, &steps(shell), async |steps| play(daemon, shell, &steps).await);
    });
}

#[test]
fn any_commands_in_bash_have_the_results_and_leave_the_state_of_the_model() {
    assert_model_holds(Shell::Bash, 60);
}

#[test]
fn any_commands_in_dash_have_the_results_and_leave_the_state_of_the_model() {
    assert_model_holds(Shell::Dash, 40);
}

#[test]
fn any_commands_in_busybox_have_the_results_and_leave_the_state_of_the_model() {
    assert_model_holds(Shell::Busybox, 40);
}

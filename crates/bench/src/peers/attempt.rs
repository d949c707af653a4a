//! One run of another sandbox's program, after which nothing of it is left, however it ends.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::milliseconds;

/// How long a run may take; a bound on a hang.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for what takes away what is left.
const UNDO_PATIENCE: Duration = Duration::from_secs(20);
/// How often that is looked at. Nothing is measured then.
const UNDO_INTERVAL: Duration = Duration::from_millis(5);

/// A command that is run where this is dropped before it is called off.
pub(super) struct Undo(Option<Command>);

impl Undo {
    pub(super) fn new(command: Option<Command>) -> Self {
        Self(command)
    }

    fn call_off(mut self) {
        self.0 = None;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let Some(command) = &mut self.0 else { return };
        let Ok(mut child) = quiet(command).stderr(Stdio::null()).spawn() else { return };
        let until = Instant::now() + UNDO_PATIENCE;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                // It hangs; the failure that it followed has been counted.
                drop(child.kill());
                drop(child.wait());
                return;
            }
            thread::sleep(UNDO_INTERVAL);
        }
    }
}

/// Runs a command to its end and says how many milliseconds it took. Where it fails, takes too long, or this is dropped, `undo` is
/// run. What it says on standard error is the reason.
pub(super) async fn attempt(mut command: Command, undo: Option<Command>) -> Result<f64, String> {
    let undo = Undo::new(undo);
    let shown = command.get_program().to_string_lossy().into_owned();
    quiet(&mut command).stderr(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let started = Instant::now();
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    let took = milliseconds(started.elapsed());
    let output = ended
        .map_err(|_| format!("{shown} did not end within {} s", PATIENCE.as_secs()))?
        .map_err(|error| format!("{shown}: {error}"))?;
    if output.status.success() {
        undo.call_off();
        return Ok(took);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing was said");
    Err(format!("{}: {said}", output.status))
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use super::attempt;

    fn shell(script: &str, file: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("FILE", file);
        command
    }

    #[tokio::test]
    async fn only_what_did_not_succeed_is_undone() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("undone");
        let undo = || Some(shell(": > \"$FILE\"", &file));
        attempt(shell(":", &file), undo()).await.expect("success");
        assert!(!file.exists());
        let reason = attempt(shell("echo; echo no daemon >&2; exit 3", &file), undo()).await;
        let reason = reason.expect_err("a failure");
        assert!(reason.contains("exit status: 3") && reason.contains("no daemon"), "{reason}");
        assert!(file.exists());
    }

    #[tokio::test]
    async fn what_is_given_up_is_killed_and_undone() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("undone");
        let undo = Some(shell(": > \"$FILE\"", &file));
        let given_up = attempt(shell("exec sleep 1000", &file), undo);
        assert!(tokio::time::timeout(Duration::from_millis(50), given_up).await.is_err());
        assert!(file.exists());
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_a_failure() {
        let reason = attempt(Command::new("/nowhere/program"), None).await.expect_err("a failure");
        assert!(reason.contains("/nowhere/program"), "{reason}");
    }
}

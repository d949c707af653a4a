//! `sandkasten mcp` where no daemon runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use sandkasten_e2e::{Leaks, binary};
use serde_json::json;
use tokio::process::Command;

use crate::stdio_agent::StdioAgent;

fn command(directory: &Path) -> Command {
    let mut command = Command::new(binary());
    command
        .args(["mcp", "--config", "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("SANDKASTEN_LISTEN", format!("unix:{}/api.sock", directory.display()))
        .env("SANDKASTEN_DATA_DIR", directory.join("data"));
    command
}

fn nothing_is_left(directory: &Path) {
    let data = directory.join("data");
    let leaks = Leaks::find(&data, None);
    assert!(leaks.is_empty(), "{leaks:?}");
    let run = fs::read_dir(data.join("run")).into_iter().flatten().flatten();
    let private: Vec<_> = run
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("private-"))
        .collect();
    assert!(private.is_empty(), "{private:?}");
}

#[tokio::test]
async fn a_private_daemon_lives_as_long_as_the_agent() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "an end-to-end test was skipped in CI: not root");
        println!("SKIP: sandboxes need root");
        return;
    }
    let directory = tempfile::Builder::new().prefix("sk-").tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).expect("a mode can be set");
    let mut agent = StdioAgent::of(command(directory.path())).await;
    assert_eq!(agent.tool("exec", json!({"cmd": "echo alone"})).await["output"], "alone\n");
    assert!(agent.close().await.success());
    nothing_is_left(directory.path());

    let mut agent = StdioAgent::of(command(directory.path())).await;
    agent.tool("exec", json!({"cmd": "sleep 3210 &"})).await;
    assert!(agent.signal(Signal::TERM).await.success());
    nothing_is_left(directory.path());
}

//! What docs/operations.md has people type, typed: with the places of the test in place of those of a host.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use sandkasten_api::exec::ExecRequest;
use sandkasten_api::session::CreateSessionRequest;
use sandkasten_e2e::{API_KEY, DetachedDaemon, binary, with_detached};

use crate::repository;

/// The commands of a section, block by block.
fn blocks(section: &str) -> Vec<String> {
    let page = fs::read_to_string(repository().join("docs/operations.md")).expect("the page is there");
    let heading = format!("## {section}\n");
    let text = page.split_once(&heading).unwrap_or_else(|| panic!("the page has no {section}")).1;
    let text = text.split("\n## ").next().unwrap_or_default();
    text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

/// Runs commands beside the configuration of the test, where `sandkasten` is the binary and root needs no sudo.
fn run(daemon: &DetachedDaemon, commands: &str) -> Output {
    let programs = daemon.directory().join("programs");
    if fs::create_dir(&programs).is_ok() {
        symlink(fs::canonicalize(binary()).expect("it is there"), programs.join("sandkasten"))
            .expect("a link");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let commands = commands
        .replace("sudo ", "")
        .replace("/var/lib/sandkasten", &daemon.data_dir().display().to_string())
        .replace("/root/sandkasten.tar", &daemon.directory().join("backup.tar").display().to_string());
    let mut shell = Command::new("bash");
    shell.args(["-eu", "-o", "pipefail", "-c", &commands]).current_dir(daemon.directory()).env_clear();
    let output = shell.env("PATH", format!("{}:{path}", programs.display())).output().expect("bash starts");
    assert!(output.status.success(), "{commands}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

async fn exec(daemon: &DetachedDaemon, session: &sandkasten_api::id::SessionId, cmd: &str) -> String {
    let request = ExecRequest { cmd: Some(cmd.to_owned()), ..ExecRequest::default() };
    daemon.client().exec(session, &request).await.expect("it runs").output
}

#[test]
fn a_backup_as_the_page_has_it_leaves_sessions_alive_and_brings_workspaces_back() {
    with_detached("workspace:\n  enabled: true\n  min_free_mb: 16", async |daemon| {
        daemon.start(&[]);
        let request =
            CreateSessionRequest { workspace_id: Some("kept".to_owned()), ..CreateSessionRequest::default() };
        let session = daemon.client().create_session(&request).await.expect("a session").id;
        exec(daemon, &session, "echo precious > file; chmod 640 file; x=alive").await;
        let [save, restore] = <[String; 2]>::try_from(blocks("Backup")).expect("two blocks");
        run(daemon, &save);
        assert_eq!(exec(daemon, &session, "echo $x").await, "alive\n");

        // The host is lost: nothing of the data directory is left, and no sandbox.
        daemon.client().destroy_session(&session).await.expect("it is destroyed");
        run(daemon, "sandkasten stop");
        fs::remove_dir_all(daemon.data_dir()).expect("removed");
        run(daemon, &restore);
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
        let session = daemon.client().create_session(&request).await.expect("a session").id;
        assert_eq!(exec(daemon, &session, "cat file; stat -c '%a %U' file").await, "precious\n640 sandbox\n");
        daemon.client().destroy_session(&session).await.expect("it is destroyed");
    });
}

#[test]
fn uninstalling_as_the_page_has_it_ends_sessions_and_daemon() {
    with_detached("", async |daemon| {
        daemon.start(&[]);
        for _ in 0..2 {
            daemon.session().await;
        }
        let commands = blocks("Uninstalling").concat();
        // A daemon of a test listens on a port that no configuration says.
        let found =
            || format!("export SANDKASTEN_URL={} SANDKASTEN_API_KEY={API_KEY}\n{commands}", daemon.url());
        let said = run(daemon, &found()).stdout;
        assert!(String::from_utf8_lossy(&said).contains("has ended"), "{}", String::from_utf8_lossy(&said));
        // Where nothing is left to end, the same is no failure.
        daemon.start(&[]);
        run(daemon, &found());
    });
}

#[test]
fn units_for_another_prefix_are_made_as_the_page_has_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let units = blocks("make install").pop().expect("a block");
    let (units, _) = units.split_once("sudo sandkasten init").expect("units come first");
    let place = directory.path().display().to_string();
    let script = units.replace("sudo ", "").replace("/etc/systemd/system", &place);
    let made = Command::new("bash").args(["-euc", &script]).current_dir(repository()).status();
    assert!(made.is_ok_and(|status| status.success()), "{script}");
    let read = |name: &str| fs::read_to_string(Path::new(&place).join(name)).expect("made");
    assert!(read("sandkasten.service").contains("\nExecStart=/usr/local/bin/sandkasten daemon "));
    assert!(read("sandkasten.socket").contains("\nListenStream="));
}

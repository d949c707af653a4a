//! Who may use a data directory, and what a daemon does with one that it finds.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sandkasten_e2e::{TestDaemon, patience, with_daemon};

#[test]
fn a_second_daemon_on_one_data_directory_is_refused() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let said = start_in_vain(daemon);
        assert!(said.contains("another daemon") && said.contains("data_dir"), "{said}");
        assert_eq!(session.output("echo alive").await, "alive");
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1);
    });
}

#[test]
fn a_data_directory_that_is_open_to_others_is_refused() {
    with_daemon(async |daemon| {
        daemon.terminate();
        fs::set_permissions(daemon.data_dir(), fs::Permissions::from_mode(0o777)).expect("a mode can be set");
        let said = start_in_vain(daemon);
        assert!(said.contains("0777") && said.contains("0700"), "{said}");
        fs::set_permissions(daemon.data_dir(), fs::Permissions::from_mode(0o700)).expect("a mode can be set");
        daemon.start_again();
        daemon.session().await.destroy().await;
    });
}

#[test]
fn what_is_secret_is_closed_to_others() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for path in ["", "run", "run/s", "images"] {
            let mode = fs::metadata(daemon.data_dir().join(path)).expect("a directory").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{path:?} has mode {mode:o}");
        }
        assert!(!daemon.log().contains(sandkasten_e2e::API_KEY), "the key is in the log");
        session.destroy().await;
    });
}

#[test]
fn a_database_that_is_none_is_refused_and_left_as_it_is() {
    with_daemon(async |daemon| {
        daemon.terminate();
        let database = daemon.data_dir().join("sandkasten.db");
        let sound = fs::read(&database).expect("a database");
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(daemon.data_dir().join(format!("sandkasten.db{suffix}"))).ok();
        }
        fs::write(&database, b"this is no database, but somebody may want it").expect("it can be written");
        let said = start_in_vain(daemon);
        assert!(said.contains("sandkasten.db") || said.contains("database"), "{said}");
        assert!(fs::read(&database).expect("it is there").starts_with(b"this is no database"));
        fs::write(&database, sound).expect("it can be written");
        daemon.start_again();
        daemon.session().await.destroy().await;
    });
}

/// Starts a daemon on the same configuration, which must end by itself, and returns what it says.
fn start_in_vain(daemon: &TestDaemon) -> String {
    let config = daemon.config();
    let child = daemon
        .command(&["daemon", "--config", &config.to_string_lossy()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    let (ended, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()).ok());
    let Ok(output) = wait.recv_timeout(patience(std::time::Duration::from_secs(20))) else {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        panic!("it started");
    };
    let output = output.expect("it ended");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

//! `security`: what it says of good and bad configurations, and that it leaves nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_e2e::{Leaks, binary, with_daemon};
use serde_json::Value;

use crate::alone::{alone, nothing_is_left, private_directory};
use crate::outcome::Outcome;
use crate::security_guide::GUIDE;

/// The example of the security guide, with directories that are the test's own.
fn guide(data: &Path) -> String {
    GUIDE.replace("/var/lib/sandkasten", &data.display().to_string())
}

fn write_config(directory: &Path, text: &str) {
    let path = directory.join("sandkasten.yaml");
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
}

/// `security` with the configuration of the directory and nothing else.
fn security(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = alone(directory, &["security", "--config", "sandkasten.yaml"]);
    command.args(arguments).env_remove("SANDKASTEN_LISTEN").env_remove("SANDKASTEN_DATA_DIR");
    command
}

fn finding<'a>(report: &'a Value, name: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("{name} in {report}"))
}

#[test]
fn the_command_of_the_guide_works_as_printed_on_the_configuration_of_the_guide() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = private_directory();
    write_config(directory.path(), &guide(&directory.path().join("data")));
    let outcome = Outcome::from(security(directory.path(), &[]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for word in
        ["OK      seccomp profile", "Passed, with", "denied  call ptrace", "denied  end the supervisor"]
    {
        assert!(outcome.stdout.contains(word), "{word:?} is not in {}", outcome.stdout);
    }
    // The key is known from the guide, which is as good as none; the image is not there.
    let warned = outcome.stdout.lines().filter(|line| line.starts_with("WARN    api key")).count();
    assert_eq!(warned, 2, "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("BREACH") && !outcome.stdout.contains("FAIL"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("sk-replace"), "the key is shown");
    let denied = outcome.stdout.lines().filter(|line| line.starts_with("denied  ")).count();
    assert!(denied > 150, "{denied} attacks");
    nothing_is_left(directory.path());
}

#[test]
fn programs_read_the_same_as_json() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = private_directory();
    let text = guide(&directory.path().join("data")).replace("python", "host");
    write_config(directory.path(), &text);
    let outcome = Outcome::from(security(directory.path(), &["--json"]));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(report["passed"], true);
    assert_eq!(finding(&report, "seccomp profile")["verdict"], "OK");
    assert_eq!(finding(&report, "no new privileges")["part"], "sandbox");
    let attack = finding(&report, "call io_uring_setup");
    assert_eq!((&attack["part"], &attack["verdict"]), (&"attack".into(), &"OK".into()));
    let advised = finding(&report, "programs of the host");
    assert!(advised["verdict"] == "WARN" && advised["advice"].is_string(), "{advised}");
    nothing_is_left(directory.path());
}

#[test]
fn what_is_not_fit_for_hostile_code_fails_with_what_to_do() {
    let directory = private_directory();
    let guide = guide(&directory.path().join("data"));
    let weakened = guide.replace("\"strict\"", "\"off\"").replace("127.0.0.1:8080", "0.0.0.0:8080");
    let weakened = weakened.replace("sk-replace-with-long-random-secret", "short");
    write_config(directory.path(), &weakened);
    let outcome = Outcome::from(security(directory.path(), &["--no-live", "--json"]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(report["passed"], false);
    for name in ["seccomp profile", "api key strength"] {
        let finding = finding(&report, name);
        assert_eq!(finding["verdict"], "FAIL", "{finding}");
        assert!(finding["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{finding}");
    }
    // Nothing was started.
    let findings = report["findings"].as_array().expect("findings");
    assert!(findings.iter().all(|finding| finding["part"] != "sandbox" && finding["part"] != "attack"));
    assert!(!directory.path().join("data").exists());
}

#[test]
fn files_that_others_can_read_or_change_fail() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = private_directory();
    let data = directory.path().join("data");
    write_config(directory.path(), &guide(&data));
    fs::create_dir_all(data.join("run")).expect("a directory");
    let log = data.join("run/sandkasten.log");
    fs::write(&log, "").expect("a file");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o644)).expect("a mode");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).expect("a mode");
    let config = directory.path().join("sandkasten.yaml");
    fs::set_permissions(config, fs::Permissions::from_mode(0o666)).expect("a mode");
    let outcome = Outcome::from(security(directory.path(), &["--no-live", "--json"]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    for name in ["log of a detached daemon", "data directory owner", "configuration file"] {
        assert_eq!(finding(&report, name)["verdict"], "FAIL", "{name}");
    }
}

#[test]
fn a_host_on_which_no_sandbox_starts_fails() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = private_directory();
    let data = directory.path().join("data");
    write_config(directory.path(), &guide(&data));
    fs::create_dir(&data).expect("a directory");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("a mode");
    let outcome = Outcome::from(security(directory.path(), &[]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let line = outcome.stdout.lines().find(|line| line.contains("live checks")).expect("a line");
    assert!(line.starts_with("FAIL") && line.contains("0755"), "{line}");
}

#[test]
fn an_interrupt_leaves_nothing() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = private_directory();
    write_config(directory.path(), &guide(&directory.path().join("data")));
    let mut command = security(directory.path(), &[]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    // The canary is there when its socket is.
    let sockets = directory.path().join("data/run");
    let started = || {
        let private = fs::read_dir(&sockets).into_iter().flatten().flatten();
        private
            .into_iter()
            .any(|entry| fs::read_dir(entry.path().join("s")).into_iter().flatten().next().is_some())
    };
    while !started() {
        std::thread::yield_now();
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("an id")).expect("an id");
    kill_process(pid, Signal::INT).expect("it can be interrupted");
    let private = child.id();
    let outcome = Outcome::from(child.wait_with_output().expect("it ends"));
    outcome.failed(125, &["interrupted"]);
    nothing_is_left(directory.path());
    let leaks = Leaks::of_private(&directory.path().join("data"), private);
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[test]
fn a_running_daemon_is_not_disturbed() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("KEPT=kept").await;
        let outcome = Outcome::of(daemon, &["security"]);
        assert!(matches!(outcome.code, Some(0 | 1)), "{outcome:?}");
        assert!(outcome.stdout.contains("denied  end the supervisor"), "{outcome:?}");
        assert_eq!(session.output("echo $KEPT").await, "kept");
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1);
    });
}

#[test]
fn another_user_is_told_what_only_root_can_check() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = private_directory();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let copy = directory.path().join("sandkasten");
    fs::copy(binary(), &copy).expect("a copy that everybody may run");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
    command.args(["security", "--config", "/dev/null"]).env_clear().current_dir(directory.path());
    let outcome = Outcome::from(command);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let line = outcome.stdout.lines().find(|line| line.contains("live checks")).expect("a line");
    assert!(line.starts_with("WARN") && line.contains("root"), "{line}");
    assert!(outcome.stdout.contains("FAIL    root"), "{outcome:?}");
}

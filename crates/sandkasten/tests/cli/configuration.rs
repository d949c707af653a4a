//! Finding, checking and showing the configuration, and what the command line refuses.

use std::fs;

use crate::support::{FakeDaemon, run, sandkasten, text};

#[test]
fn the_configured_daemon_and_key_are_used() {
    let daemon = FakeDaemon::new(&[("GET /v1/sessions", 200, "[]")]);
    let directory = tempfile::tempdir().expect("a directory");
    let listen = daemon.url.trim_start_matches("http://");
    fs::write(
        directory.path().join("sandkasten.yaml"),
        format!("listen: {listen}\napi_key: sk-from-the-file\n"),
    )
    .expect("written");
    let output = sandkasten(&["ps", "-q"]).current_dir(directory.path()).output().expect("runs");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), String::new()));
    assert!(daemon.asked()[0].contains("authorization: Bearer sk-from-the-file\r\n"));
}

#[test]
fn the_configured_key_is_not_sent_to_a_named_daemon() {
    let daemon = FakeDaemon::new(&[("GET /v1/sessions", 200, "[]")]);
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("sandkasten.yaml"), "api_key: sk-from-the-file\n").expect("written");
    let output =
        sandkasten(&["ps", "--url", &daemon.url]).current_dir(directory.path()).output().expect("runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(!daemon.asked()[0].contains("sk-from-the-file"));
}

#[test]
fn show_masks_the_key_and_says_where_values_come_from() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("c.yaml");
    fs::write(&path, "api_key: sk-top-secret-value\nmax_sessions: 7\n").expect("written");
    let path = path.display().to_string();
    let output = sandkasten(&["config", "show", "--config", &path]).env("SANDKASTEN_TMP_MB", "8").output();
    let shown = text(&output.expect("runs").stdout);
    assert!(shown.contains("********") && !shown.contains("top-secret"), "{shown}");
    assert!(shown.contains(&format!("{path}:2")) && shown.contains("env SANDKASTEN_TMP_MB"), "{shown}");

    let json: serde_json::Value =
        serde_json::from_slice(&run(&["config", "show", "--json", "--config", &path]).stdout).expect("JSON");
    assert_eq!(json[1]["value"], "********");
}

#[test]
fn a_wrong_configuration_is_wrong_usage_with_a_caret() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("c.yaml");
    fs::write(&path, "defaults:\n  pids_limit: 7\n").expect("written");
    let output = run(&["config", "check", "--config", &path.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    let shown = text(&output.stderr);
    assert!(shown.contains("c.yaml:2:15: defaults.pids_limit: `7` is lower than 8"), "{shown}");
    assert!(shown.contains("2 |   pids_limit: 7\n         |               ^"), "{shown}");
}

#[test]
fn a_missing_file_that_was_named_is_wrong_usage() {
    for words in [&["config", "check", "--config", "/nowhere.yaml"][..], &["--config", "/nowhere.yaml"]] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("/nowhere.yaml"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_daemon_takes_no_key_from_the_command_line() {
    for words in [
        &["daemon", "--api-key", "sk-on-the-command-line"][..],
        &["--api-key=sk-on-the-command-line", "daemon", "--detach"],
        &["--config", "/dev/null", "--api-key", "sk-on-the-command-line"],
    ] {
        let output = run(words);
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {shown}");
        assert!(shown.contains("`--api-key`") && shown.contains("SANDKASTEN_API_KEY"), "{shown}");
        assert!(!shown.contains("sk-on-the-command-line"), "{shown}");
    }
}

#[test]
fn the_key_is_in_no_request_line() {
    let daemon = FakeDaemon::new(&[("GET /v1/sessions", 200, "[]")]);
    let output = sandkasten(&["ps", "--url", &daemon.url]).env("SANDKASTEN_API_KEY", "sk-from-here").output();
    assert_eq!(output.expect("runs").status.code(), Some(0));
    for asked in daemon.asked() {
        let (line, headers) = asked.split_once("\r\n").expect("a request");
        assert!(!line.contains("sk-from-here"), "{line}");
        assert!(!headers.to_ascii_lowercase().contains("cookie:"), "{headers}");
    }
}

#[test]
fn what_only_detach_may_start_is_refused_elsewhere() {
    let output = run(&["daemon", "--detached"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("`sandkasten daemon --detach`"));
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    let output = run(&["run", "--network", "bridge", "--", "true"]);
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(shown.contains("--network bridge") && shown.contains("not built yet"), "{shown}");
}

#[test]
fn help_and_version_succeed_and_no_words_do_not() {
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(run(&["version"]).status.code(), Some(0));
    let output = run(&[]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
    assert!(text(&output.stderr).contains("Usage: sandkasten"));
}

//! `config check` and `config show`, and starting with a bad configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sandkasten_e2e::{API_KEY, binary, with_daemon, with_detached};
use serde_json::Value;

use crate::outcome::Outcome;

#[test]
fn a_bad_configuration_is_refused_with_its_place_and_a_caret() {
    for (text, words) in [
        ("defaults:\n  pids_limit: many\n", &[":2:", "pids_limit", "^"][..]),
        ("defaults:\n  cpu_limit: -1\n", &[":2:", "cpu_limit", "^"]),
        ("listn: \"127.0.0.1:1\"\n", &[":1:", "listn", "^"]),
        ("data_dir: /tmp/x\nsecurity:\n  seccomp: stict\n", &[":3:", "seccomp", "^"]),
        ("listen: [\n", &["^"]),
        ("listen: \"0.0.0.0:8080\"\n", &["listen", "api_key"]),
        ("session_ttl_seconds: 0\n", &[":1:", "session_ttl_seconds", "^"]),
        ("defaults:\n  network_mode: bridge\n", &["network_mode", "bridge"]),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sandkasten.yaml");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode can be set");
        for command in [&["config", "check"][..], &["daemon"]] {
            let mut checked = Command::new(binary());
            checked.env_clear().args(command).arg("--config").arg(&path);
            Outcome::from(checked).failed(2, words);
        }
    }
}

#[test]
fn no_message_about_a_configuration_shows_the_key_beside_the_fault() {
    const KEY: &str = "sk-beside-the-fault-0123456789";
    with_detached("", async |daemon| {
        for text in [
            format!("api_key: {KEY}\nlistn: 5\n"),
            format!("listn: 5\napi_key: \"{KEY}\"\n"),
            format!("api_key: {KEY}\n  listen: 5\n"),
            format!("{{api_key: {KEY}, listen: 5}}\n"),
            format!("{{listen: 5, api_key: {KEY}}}\n"),
            format!("defaults: {{cpu_limit: x, api_key: {KEY}}}\n"),
            format!("api_kye: {KEY}\n"),
            format!("api_key {KEY}\n"),
            format!("api_key: {KEY} {KEY}\n"),
            format!("api_key: [{KEY}]\n"),
            format!("api_key:\n  - {KEY}\nlisten: 5\n"),
            format!("api_key: |\n  {KEY}\n  x y\n"),
            format!("api_key: \"{KEY}\nlisten: x\n"),
            format!("api_key: {KEY}\napi_key: {KEY}\n"),
            format!("api_key: {KEY}\napi_key_file: /nowhere\n"),
            format!("api_key: {KEY}\ndefaults:\n  network_mode: bridge\n"),
        ] {
            daemon.configure(Some(&text));
            for words in [
                &["daemon"][..],
                &["daemon", "--detach"],
                &["config", "check"],
                &["config", "show"],
                &["status"],
                &["ps"],
            ] {
                let outcome = Outcome::from(daemon.run(words));
                outcome.failed(2, &[]);
                assert!(!outcome.stderr.contains("beside-the-fault"), "{text}: {outcome:?}");
            }
        }
        assert!(!daemon.log_path().exists());
        // The same from the environment.
        daemon.configure(Some(""));
        let mut command = daemon.command(&["daemon", "-d"]);
        command.env("SANDKASTEN_API_KEY", format!("{KEY} {KEY}"));
        let outcome = Outcome::from(command);
        outcome.failed(2, &["SANDKASTEN_API_KEY"]);
        assert!(!outcome.stderr.contains("beside-the-fault"), "{outcome:?}");
    });
}

#[test]
fn the_configuration_of_a_daemon_is_valid_and_shown_without_its_key() {
    with_daemon(async |daemon| {
        let config = daemon.config().to_string_lossy().into_owned();
        let bare = |arguments: &[&str]| {
            let mut command = daemon.command(arguments);
            command.env_remove("SANDKASTEN_API_KEY").env_remove("SANDKASTEN_DATA_DIR");
            Outcome::from(command)
        };
        let checked = bare(&["config", "check", "--config", &config]);
        assert_eq!(checked.code, Some(0), "{checked:?}");
        for words in
            [&["config", "show", "--config", &config][..], &["config", "show", "--json", "--config", &config]]
        {
            let shown = bare(words);
            assert_eq!(shown.code, Some(0), "{shown:?}");
            assert!(!shown.stdout.contains(API_KEY) && !shown.stderr.contains(API_KEY));
            assert!(shown.stdout.contains("data_dir") && shown.stdout.contains(&config), "{shown:?}");
        }
        let shown = bare(&["config", "show", "--json", "--config", &config]);
        let settings: Value = serde_json::from_str(&shown.stdout).expect("JSON");
        let value = |key: &str| {
            let all = settings.as_array().expect("an array");
            all.iter().find(|setting| setting["key"] == key).map(|setting| setting["value"].clone())
        };
        for (key, expected) in [
            ("db_max_open_conns", "4"),
            ("default_image", "host"),
            ("session_ttl_seconds", "1800"),
            ("defaults.mem_limit_mb", "512"),
            ("defaults.pids_limit", "256"),
            ("defaults.max_exec_timeout_ms", "120000"),
            ("defaults.network_mode", "none"),
            ("defaults.readonly_rootfs", "true"),
            ("defaults.exec_mode", "stateful"),
            ("defaults.shell_prefer", "bash"),
            ("pool.enabled", "false"),
            ("pool.max", "8"),
            ("workspace.enabled", "false"),
            ("security.seccomp", "strict"),
            ("dashboard.enabled", "false"),
        ] {
            assert_eq!(value(key), Some(Value::from(expected)), "{key}");
        }
    });
}

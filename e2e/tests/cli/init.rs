//! `init`: from nothing to a first sandbox.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use sandkasten_e2e::{PseudoTerminal, RootArchive, binary};

use crate::alone::{nothing_is_left, private_directory};

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.current_dir(directory).stdin(std::process::Stdio::null());
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().expect("it runs")
}

fn init(directory: &Path, more: &[&str]) -> Output {
    let listen = format!("unix:{}/api.sock", directory.display());
    let data_dir = directory.join("data").display().to_string();
    let arguments =
        ["init", "--config", "conf/s.yaml", "--data-dir", &data_dir, "--listen", &listen, "--image", "host"];
    run(directory, &[&arguments[..], more].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_it_says_to_do_next_works() {
    let directory = private_directory();
    let place = directory.path();
    let made = init(place, &["--yes"]);
    assert!(made.status.success(), "{made:?}");
    let config = fs::read_to_string(place.join("conf/s.yaml")).expect("a configuration");
    assert_eq!(fs::metadata(place.join("conf/s.yaml")).expect("there").permissions().mode() & 0o777, 0o600);
    let key =
        config.lines().find_map(|line| line.strip_prefix("api_key: ")).expect("a key").trim_matches('"');
    assert_eq!(key.len(), "sk-".len() + 64);
    let said = text(&made.stdout);
    assert!(!said.contains(key), "the key is printed");
    let next: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let words = |line: &str| -> Vec<String> { line.split(' ').skip(1).map(str::to_owned).collect() };
    let carry_out = |line: &str| {
        let words = words(line);
        run(place, &words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let started = carry_out(next[0]);
    assert!(started.status.success(), "{started:?}");
    let ran = carry_out(next[1]);
    assert!(text(&ran.stdout).starts_with("Linux"), "{ran:?}");
    let checked = run(place, &["config", "check", "--config", "conf/s.yaml"]);
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    let stopped = run(place, &["stop", "--config", "conf/s.yaml"]);
    assert!(stopped.status.success(), "{stopped:?}");
    nothing_is_left(place);
}

#[test]
fn a_configuration_that_is_there_stays() {
    let directory = private_directory();
    let place = directory.path();
    assert!(init(place, &["--yes"]).status.success());
    let first = fs::read(place.join("conf/s.yaml")).expect("a configuration");
    let again = init(place, &["--yes"]);
    assert_eq!(again.status.code(), Some(4), "{again:?}");
    assert!(text(&again.stderr).contains("--force"), "{again:?}");
    assert_eq!(fs::read(place.join("conf/s.yaml")).expect("there"), first);
    let forced = init(place, &["--yes", "--force"]);
    assert!(forced.status.success() && text(&forced.stderr).contains("s.yaml.1"), "{forced:?}");
    assert_eq!(fs::read(place.join("conf/s.yaml.1")).expect("there"), first);
    assert_ne!(fs::read(place.join("conf/s.yaml")).expect("there"), first, "a key of its own");
}

#[test]
fn nothing_happens_without_consent_or_where_an_image_cannot_be_had() {
    let directory = private_directory();
    let place = directory.path();
    let unasked = init(place, &[]);
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    assert!(text(&unasked.stderr).contains("--yes"), "{unasked:?}");
    let arguments = ["init", "--config", "s.yaml", "--data-dir", "data"];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for answer in ["n\r", "what\r", "\x04"] {
            let mut terminal = PseudoTerminal::start(&command(place, &arguments));
            terminal.shows("Go on? [Y/n]").await;
            terminal.give(answer);
            assert_eq!(terminal.ends().await, Some(4), "{}", terminal.text());
        }
    });
    let image = ["--data-dir", "data", "--config", "s.yaml", "--yes", "--image"];
    for (name, code) in [("no registry", 2), ("registry.invalid/x:1", 3)] {
        let refused = run(place, &[&["init"][..], &image, &[name]].concat());
        assert_eq!(refused.status.code(), Some(code), "{refused:?}");
    }
    assert!(!place.join("s.yaml").exists() && !place.join("conf").exists());
}

#[test]
fn an_image_that_is_there_is_taken() {
    let directory = private_directory();
    let place = directory.path();
    let archive = RootArchive::of_programs(&["cat"]);
    let path = archive.path().display().to_string();
    let mut import = command(place, &["image", "import", "--name", "small:1", &path]);
    let imported = import.env("SANDKASTEN_DATA_DIR", place.join("data")).output().expect("it runs");
    assert!(imported.status.success(), "{imported:?}");
    assert_eq!(fs::metadata(place.join("data")).expect("made").permissions().mode() & 0o777, 0o700);
    let made = run(
        place,
        &[
            "init",
            "--yes",
            "--data-dir",
            "data",
            "--config",
            "s.yaml",
            "--listen",
            "127.0.0.1:0",
            "--image",
            "small:1",
        ],
    );
    assert!(text(&made.stdout).contains("small:1, here already"), "{made:?}");
    let config = fs::read_to_string(place.join("s.yaml")).expect("a configuration");
    assert!(config.contains("\ndefault_image: \"small:1\"\n"), "{config}");
    let ran = run(place, &["run", "--config", "s.yaml", "--", "cat", "/etc/made-for-a-test"]);
    assert_eq!(text(&ran.stdout), "yes\n", "{ran:?}");
    nothing_is_left(place);
}

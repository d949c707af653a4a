//! `bench`: that it gives figures, refuses what it cannot measure, and leaves nothing. How good the figures are is no matter here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_e2e::{Leaks, patience, with_daemon};
use serde_json::Value;

use crate::alone::{alone, nothing_is_left, private_directory};
use crate::outcome::Outcome;

/// Everything that is measured and can be measured everywhere.
const NAMES: [&str; 23] = [
    "floor_process",
    "floor_namespaces",
    "floor_network",
    "floor",
    "cold_create",
    "pooled_create",
    "first_exec",
    "destroy",
    "cycle",
    "exec_builtin",
    "exec_true",
    "stream_first_byte",
    "file_write_64k",
    "file_read_64k",
    "stream_in",
    "stream_out",
    "parallel_cycles",
    "burst_of_100",
    "session_memory",
    "daemon_memory",
    "cpu_bound",
    "getpid_loop",
    "teardown",
];

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["rows"].as_array().expect("rows");
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} is not in {report}"))
}

/// The process ids of private daemons that are or were there.
fn daemons(directory: &std::path::Path) -> Vec<u32> {
    let entries = fs::read_dir(directory.join("data/run")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter_map(|name| name.strip_prefix("private-")?.parse().ok()).collect()
}

#[test]
fn every_figure_is_there_and_nothing_is_left() {
    if !is_root() {
        return;
    }
    let directory = private_directory();
    let groups = "sessions,exec,files,parallel,memory,cpu,density";
    let outcome = Outcome::from(alone(directory.path(), &["bench", "--quick", "--json", "--only", groups]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert!(report["machine"]["kernel"].is_string() && report["image"] == "host", "{report}");
    for name in NAMES {
        let row = row(&report, name);
        assert_eq!((&row["status"], &row["failures"]), (&"measured".into(), &0.into()), "{row}");
        assert!(row["samples"].as_u64().is_some_and(|samples| samples > 0), "{row}");
        for figure in ["p10", "p50", "p90", "p99", "worst"] {
            assert!(row[figure].as_f64().is_some_and(|value| value > 0.0), "{figure} of {row}");
        }
    }
    let budgets = row(&report, "cold_create")["budgets"].as_array().expect("budgets");
    assert!(budgets.iter().all(|budget| budget["limit"].is_f64() && budget["verdict"].is_string()));
    let last = report["density"].as_array().and_then(|steps| steps.last()).expect("steps");
    assert_eq!((&last["sessions"], &last["failures"]), (&5.into(), &0.into()), "{last}");
    assert!(last["session_bytes"].as_f64().is_some_and(|bytes| bytes > 100_000.0), "{last}");
    nothing_is_left(directory.path());
}

#[test]
fn an_image_that_is_not_there_is_refused_and_nothing_is_left() {
    if !is_root() {
        return;
    }
    let directory = private_directory();
    let outcome = Outcome::from(alone(directory.path(), &["bench", "--quick", "--image", "nowhere"]));
    outcome.failed(4, &["cannot create a session to measure", "nowhere", "image list"]);
    nothing_is_left(directory.path());
}

#[test]
fn others_that_fail_are_counted_and_cleared_away_and_say_why() {
    if !is_root() {
        return;
    }
    let directory = private_directory();
    let programs = directory.path().join("programs");
    fs::create_dir(&programs).expect("a directory");
    let calls = directory.path().join("calls");
    for (name, script) in [
        ("bwrap", "exit 0"),
        ("crun", "echo 'no <cgroup> here' >&2; exit 3"),
        ("podman", "case $1 in import) exec /bin/true;; run) kill -9 $$;; esac"),
    ] {
        let text = format!("#!/bin/sh\necho {name} \"$@\" >> {}\n{script}\n", calls.display());
        fs::write(programs.join(name), text).expect("a file");
        fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    std::os::unix::fs::symlink("/bin/tar", programs.join("tar")).expect("a link");
    let mut command = alone(directory.path(), &["bench", "--quick", "--only", "peers", "--json"]);
    command.env("PATH", &programs);
    let outcome = Outcome::from(command);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let peers = report["peers"].as_array().expect("peers");
    let names: Vec<_> = peers.iter().map(|peer| peer["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["bwrap", "crun", "podman"]);
    let (bwrap, crun, podman) = (&peers[0], &peers[1], &peers[2]);
    assert!(bwrap["failures"] == 0 && bwrap["p50"].as_f64().is_some_and(|value| value > 0.0), "{bwrap}");
    for (peer, reason) in [(crun, "no <cgroup> here"), (podman, "signal: 9")] {
        assert!(peer["failures"].as_u64().is_some_and(|failures| failures > 0), "{peer}");
        assert!(
            peer["p50"].is_null() && peer["reason"].as_str().expect("a reason").contains(reason),
            "{peer}"
        );
    }
    let calls = fs::read_to_string(calls).expect("calls");
    let count = |words: &str| calls.lines().filter(|line| line.contains(words)).count();
    assert!(count(" run --bundle ") > 0 && count("podman run ") > 0, "{calls}");
    assert_eq!(count(" delete --force "), count(" run --bundle "), "{calls}");
    assert_eq!(count("podman rm --force "), count("podman run "), "{calls}");
    assert_eq!(count("podman rmi --force "), 1, "{calls}");
    nothing_is_left(directory.path());
}

#[test]
fn however_it_is_ended_nothing_is_left() {
    if !is_root() {
        return;
    }
    for (signal, code) in [(Signal::INT, Some(130)), (Signal::TERM, Some(143)), (Signal::KILL, None)] {
        let directory = private_directory();
        let arguments = ["bench", "--only", "density,sessions", "--samples", "1", "--sessions", "2000"];
        let mut command = alone(directory.path(), &arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let sockets = |daemon: &u32| {
            let path = directory.path().join(format!("data/run/private-{daemon}/s"));
            fs::read_dir(path).into_iter().flatten().count()
        };
        // So many live at once only while the density is measured.
        while daemons(directory.path()).iter().map(sockets).sum::<usize>() < 10 {
            std::thread::yield_now();
        }
        let daemon = daemons(directory.path());
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("an id")).expect("an id");
        kill_process(pid, signal).expect("it can be ended");
        let outcome = Outcome::from(child.wait_with_output().expect("it ends"));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{outcome:?}");
        // Where it was killed, its daemon ends by itself; it then held the output open until the end.
        let until = std::time::Instant::now() + patience(std::time::Duration::from_secs(30));
        while !daemons(directory.path()).is_empty() && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        nothing_is_left(directory.path());
        for daemon in daemon {
            let leaks = Leaks::of_private(&directory.path().join("data"), daemon);
            assert!(leaks.is_empty(), "after {signal:?}: {leaks:?}");
        }
    }
}

#[test]
fn a_running_daemon_is_neither_measured_nor_disturbed() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("KEPT=kept").await;
        let outcome = Outcome::of(daemon, &["bench", "--quick", "--only", "exec,density"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains("exec of a builtin"), "{outcome:?}");
        assert_eq!(session.output("echo $KEPT").await, "kept");
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1);
    });
}

#[test]
fn a_page_is_written_whole_or_not_at_all() {
    if !is_root() {
        return;
    }
    let directory = private_directory();
    let bench = |file: &str, groups: &str| {
        let arguments = ["bench", "--quick", "--samples", "3", "--only", groups, "--html", file];
        Outcome::from(alone(directory.path(), &arguments))
    };
    let page = directory.path().join("bench.html");
    fs::write(&page, "an older one").expect("a file");
    let outcome = bench("bench.html", "sessions,density");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let text = fs::read_to_string(&page).expect("a page");
    assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>\n"), "{text}");
    assert!(text.contains("<svg") && text.contains("cold create"), "{text}");
    for place in ["nowhere/bench.html", "."] {
        let started = std::time::Instant::now();
        bench(place, "parallel").failed(125, &["cannot write the page", "directory"]);
        assert!(started.elapsed() < patience(std::time::Duration::from_secs(5)), "it measured before");
    }
    let left: Vec<_> = fs::read_dir(directory.path()).expect("a directory").flatten().collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')), "{left:?}");
    nothing_is_left(directory.path());
}

#[test]
fn a_run_that_is_worse_than_an_accepted_one_fails_and_says_which_figure() {
    if !is_root() {
        return;
    }
    let directory = private_directory();
    let bench = |options: &[&str]| {
        let arguments = [&["bench", "--quick", "--only", "exec"], options].concat();
        Outcome::from(alone(directory.path(), &arguments))
    };
    let first = bench(&["--json"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let accept = |factor: f64| {
        let mut report: Value = serde_json::from_str(&first.stdout).expect("JSON");
        for row in report["rows"].as_array_mut().expect("rows") {
            let factor = if row["group"] == "exec" { factor } else { 1.0 };
            row["p10"] = (row["p10"].as_f64().expect("a figure") * factor).into();
        }
        fs::write(directory.path().join("accepted.json"), report.to_string()).expect("a file");
    };
    // So much that no other program of the host can turn it around.
    accept(20.0);
    let better = bench(&["--compare", "accepted.json"]);
    assert_eq!(better.code, Some(0), "{better:?}");
    assert!(better.stdout.contains("Nothing is worse than what was accepted."), "{better:?}");
    accept(0.02);
    let worse = bench(&["--compare", "accepted.json", "--json"]);
    assert_eq!(worse.code, Some(1), "{worse:?}");
    let report: Value = serde_json::from_str(&worse.stdout).expect("JSON");
    let figures = report["comparison"]["figures"].as_array().expect("figures");
    let found = figures.iter().find(|figure| figure["name"] == "exec_builtin").expect("compared");
    assert_eq!((&found["change"], &found["measure"]), (&"worse".into(), &"floors".into()), "{found}");
    assert!(found["times_worse"].as_f64().is_some_and(|times| times > 1.6), "{found}");
    assert!(row(&report, "exec_builtin")["p50"].is_f64());
    bench(&["--compare", "nowhere.json"]).failed(125, &["cannot compare with nowhere.json", "bench --json"]);
    nothing_is_left(directory.path());
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_started() {
    let directory = private_directory();
    for (arguments, word) in [
        (&["bench", "--only", "disk"][..], "floor, sessions"),
        (&["bench", "--sessions", "5000"], "4000"),
        (&["bench", "--samples", "0"], "samples"),
    ] {
        Outcome::from(alone(directory.path(), arguments)).failed(2, &[word]);
    }
    assert!(!directory.path().join("data").exists());
}

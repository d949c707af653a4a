//! How builds end other than well: nothing is left, and it is said why.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_e2e::{Leaks, with_config, with_daemon};

use super::Kitchen;

#[test]
fn a_run_that_fails_says_its_line_and_status_and_leaves_no_image() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        let built = kitchen.build(
            "FROM base\n\nRUN echo first\n# a comment\nRUN echo about to fail; exit 42\nRUN echo never\n",
            &[],
        );
        built.failed(
            4,
            &["about to fail", "Dockerfile:5: RUN echo about to fail; exit 42 ended with status 42", "try:"],
        );
        assert!(!built.has("[4/4]") && built.stdout.is_empty(), "{built:?}");
        assert!(!kitchen.is_made());
        assert!(kitchen.build("FROM base\n\nRUN echo first\n", &[]).has("CACHED RUN echo first"));
        // An image of that name stays as it was.
        kitchen.build("FROM base\nRUN exit 1\n", &[]).failed(4, &["status 1"]);
        assert!(kitchen.is_made());
        kitchen
            .build("FROM base\nRUN [\"/no/such/program\"]\n", &[])
            .failed(4, &["/no/such/program: not found", "status 127"]);
        kitchen.build("FROM base\nRUN kill -9 $$\n", &[]).failed(4, &["status 137"]);
        kitchen
            .build("FROM base\nRUN --mount=type=cache,target=/x true\n", &[])
            .failed(4, &["Dockerfile:2:", "RUN --mount is not supported"]);
        kitchen
            .build("FROM base\nUSER nobody-here\nRUN true\n", &[])
            .failed(4, &["no user \"nobody-here\" in /etc/passwd"]);
        assert_eq!(kitchen.left_over(), [""; 0]);
    });
}

#[test]
fn a_run_that_takes_too_long_is_killed() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        let built = kitchen.build("FROM base\nRUN setsid sleep 1000 & sleep 1000\n", &["--timeout", "1"]);
        built.failed(124, &["took longer than 1 seconds", "--timeout"]);
        assert_eq!(kitchen.left_over(), [""; 0]);
        assert!(!kitchen.is_made());
    });
}

#[test]
fn a_run_that_takes_too_much_memory_is_told_so() {
    with_config("defaults:\n  mem_limit_mb: 64\n", async |daemon| {
        let kitchen = Kitchen::new(daemon);
        let config = daemon.config().to_string_lossy().into_owned();
        let options = ["--config", config.as_str()];
        let built = kitchen.build("FROM base\nRUN tail /dev/zero\n", &options);
        built.failed(4, &["for lack of memory", "mem_limit_mb"]);
        // What is written to the disk is not memory.
        let built = kitchen.build("FROM base\nRUN dd if=/dev/zero of=/large bs=1M count=200\n", &options);
        assert_eq!(built.code, Some(0), "{built:?}");
    });
}

#[test]
fn an_interrupt_leaves_nothing_of_the_build() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.file("Dockerfile", "FROM base\nRUN echo started; setsid sleep 1000 & sleep 1000\n");
        for signal in [Signal::INT, Signal::TERM] {
            let mut child =
                kitchen.command(&["--name", "made"]).stderr(Stdio::piped()).spawn().expect("it starts");
            let id = child.id();
            let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
            assert!(lines.any(|line| line.expect("a line") == "started"));
            kill_process(Pid::from_child(&child), signal).expect("it can be interrupted");
            let expected = if signal == Signal::INT { 130 } else { 143 };
            assert_eq!(child.wait().expect("it ends").code(), Some(expected));
            let leaks = Leaks::of_private(&daemon.data_dir(), id);
            assert!(leaks.is_empty(), "{leaks:?}");
            assert_eq!(kitchen.left_over(), [""; 0]);
            assert!(!kitchen.is_made());
        }
    });
}

#[test]
fn a_build_that_is_killed_is_cleared_away_by_the_next_command() {
    with_daemon(async |daemon| {
        let kitchen = Kitchen::new(daemon);
        kitchen.file("Dockerfile", "FROM base\nRUN echo started; touch /half; sleep 1000\n");
        let mut child =
            kitchen.command(&["--name", "made"]).stderr(Stdio::piped()).spawn().expect("it starts");
        let id = child.id();
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        assert!(lines.any(|line| line.expect("a line") == "started"));
        kill_process(Pid::from_child(&child), Signal::KILL).expect("it can be killed");
        child.wait().expect("it ends");
        assert!(!kitchen.left_over().is_empty());
        kitchen.file("Dockerfile", "FROM base\nRUN true\n");
        assert!(kitchen.command(&[]).output().expect("it runs").status.success());
        let leaks = Leaks::of_private(&daemon.data_dir(), id);
        assert!(leaks.is_empty(), "{leaks:?}");
        assert_eq!(kitchen.left_over(), [""; 0]);
    });
}

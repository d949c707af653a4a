//! `run`: with a daemon and without one.

use std::process::{Command, Stdio};

use sandkasten_e2e::with_daemon;

use crate::alone::{alone, nothing_is_left, private_directory};
use crate::outcome::Outcome;

#[test]
fn run_makes_a_session_of_the_daemon_and_leaves_none() {
    with_daemon(async |daemon| {
        let outcome = Outcome::of(daemon, &["run", "--", "sh", "-c", "echo out; echo err >&2; pwd; exit 42"]);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
            (Some(42), "out\n/workspace\n", "err\n"),
            "{outcome:?}"
        );
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 0);
        assert_eq!(Outcome::output(daemon, &["run", "--", "printf", "%s|", "a b", "$x", "'"]), "a b|$x|'|");
        let report = Outcome::of(daemon, &["run", "--report", "--", "echo", "only this"]);
        assert_eq!((report.code, report.stdout.as_str()), (Some(0), "only this\n"));
        assert!(report.stderr.contains("namespaces") && report.stderr.contains("system calls"), "{report:?}");
        Outcome::of(daemon, &["run", "--image", "no-such-image", "--", "true"]).failed(4, &["no-such-image"]);
        let late = Outcome::of(daemon, &["run", "--timeout-ms", "200", "--", "sleep", "1000"]);
        assert_eq!((late.code, late.stdout.as_str()), (Some(124), ""), "{late:?}");
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 0);
        assert!(daemon.leaks(None).sockets.is_empty());
    });
}

#[test]
fn run_without_a_daemon_starts_a_private_one_and_leaves_nothing() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = private_directory();
    let outcome =
        Outcome::from(alone(directory.path(), &["run", "--", "sh", "-c", "echo $((6 * 7)); exit 9"]));
    assert_eq!(
        (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
        (Some(9), "42\n", ""),
        "{outcome:?}"
    );
    nothing_is_left(directory.path());
    let missing = Outcome::from(alone(directory.path(), &["run", "--image", "no-such-image", "--", "true"]));
    missing.failed(4, &["no-such-image"]);
    nothing_is_left(directory.path());
}

#[test]
fn two_private_runs_at_once_do_not_disturb_each_other() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = private_directory();
    let children: Vec<_> = (0..4)
        .map(|number: i32| {
            let script = format!("sleep 0.5; echo {number} > mine; cat mine; ls | wc -l; exit {number}");
            alone(directory.path(), &["run", "--", "sh", "-c", &script])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the binary runs")
        })
        .collect();
    for (number, child) in (0..).zip(children) {
        let outcome = Outcome::from(child.wait_with_output().expect("it ends"));
        assert_eq!(
            (outcome.code, outcome.stdout),
            (Some(number), format!("{number}\n1\n")),
            "{}",
            outcome.stderr
        );
    }
    nothing_is_left(directory.path());
}

#[test]
fn a_private_run_that_is_killed_is_cleared_away_by_the_next() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = private_directory();
    let mut command = alone(directory.path(), &["run", "--", "sh", "-c", "echo started; sleep 1000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
    let mut started = [0; 8];
    std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut started).expect("it starts");
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    let outcome = Outcome::from(alone(directory.path(), &["run", "--", "echo", "next"]));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "next\n"), "{outcome:?}");
    nothing_is_left(directory.path());
}

#[test]
fn where_the_kernel_refuses_a_step_of_isolation_nothing_runs() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = private_directory();
    // The same command works with all capabilities; each of these is for one step.
    let command = ["run", "--", "echo", "it", "ran"];
    let whole = Outcome::from(alone(directory.path(), &command));
    assert_eq!((whole.code, whole.stdout.as_str()), (Some(0), "it ran\n"), "{whole:?}");
    for (capability, step) in [
        ("mknod", "/dev/null"),
        ("setuid", "uid_map"),
        ("setgid", "gid_map"),
        ("chown", "the owner of"),
        ("sys_admin", "a tmpfs for device nodes"),
    ] {
        let complete = alone(directory.path(), &command);
        let mut weak = Command::new("setpriv");
        weak.args([format!("--inh-caps=-{capability}"), format!("--bounding-set=-{capability}")])
            .arg(complete.get_program())
            .args(complete.get_args())
            .env_clear()
            .envs(complete.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(directory.path());
        Outcome::from(weak).failed(125, &[step, "Operation not permitted"]);
        nothing_is_left(directory.path());
    }
}

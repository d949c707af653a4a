//! `daemon --detach`: what it leaves behind of whoever started it, and what it says where it does not start.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use sandkasten_e2e::{API_KEY, DetachedDaemon, TestSession, until, until_some, with_daemon, with_detached};

use crate::outcome::Outcome;

#[test]
fn a_detached_daemon_keeps_nothing_of_whoever_started_it() {
    with_detached("", async |daemon| {
        // A descriptor that the caller forgot to close to programs.
        let forgotten = File::open("/etc/hostname").expect("a file");
        fcntl_setfd(&forgotten, FdFlags::empty()).expect("open to programs");
        // Its pipes are at their ends although the daemon runs: `output` would wait otherwise.
        let said = daemon.start(&[]);
        let pid = daemon.pid();
        assert!(said.contains(&format!("process {pid}")) && said.lines().count() == 1, "{said}");
        let process = Path::new("/proc").join(pid.to_string());
        assert_eq!(fs::read_link(process.join("cwd")).expect("a directory"), Path::new("/"));
        let log = daemon.log_path();
        for (number, target) in [("0", Path::new("/dev/null")), ("1", &log), ("2", &log)] {
            assert_eq!(fs::read_link(process.join("fd").join(number)).expect("open"), target);
        }
        for descriptor in fs::read_dir(process.join("fd")).expect("descriptors").flatten() {
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            let target = target.to_string_lossy();
            assert!(target != "/etc/hostname" && !target.starts_with("/dev/pts"), "{target}");
            assert!(!target.starts_with("pipe:"), "the pipe to the starter is still open: {target}");
        }
        let stat = fs::read_to_string(process.join("stat")).expect("a process");
        let (name, behind) = stat.split_once(") ").expect("a name");
        assert!(name.ends_with("(sandkasten"), "{name}");
        let fields: Vec<&str> = behind.split(' ').collect();
        // Group and session are its own, and there is no terminal: proc_pid_stat(5).
        let own = pid.to_string();
        assert_eq!(fields[2..5], [own.as_str(), own.as_str(), "0"]);
        let session = daemon.session().await;
        assert_eq!(session.output("echo $((6 * 7))").await, "42");
        session.destroy().await;
    });
}

#[test]
fn its_files_are_closed_to_others_and_say_what_is_true() {
    with_detached("", async |daemon| {
        daemon.start(&[]);
        let pid = daemon.pid();
        assert_eq!(fs::read_to_string(daemon.pid_file()).expect("read"), format!("{pid}\n"));
        let run = daemon.data_dir().join("run");
        for (path, mode) in [
            (run.clone(), 0o700),
            (daemon.pid_file(), 0o600),
            (daemon.log_path(), 0o600),
            (run.join("daemon.json"), 0o600),
        ] {
            let found = fs::symlink_metadata(&path).expect("there").permissions().mode() & 0o7777;
            assert_eq!(found, mode, "{}", path.display());
        }
        let log = daemon.log();
        let last: serde_json::Value =
            serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
        assert_eq!(last["message"], "ready");
        assert!(daemon.url().ends_with(last["address"].as_str().expect("an address")), "{last}");
        assert_eq!(Outcome::from(daemon.run(&["stop"])).code, Some(0));
        assert!(!daemon.pid_file().exists() && !run.join("daemon.json").exists());
        // Appended to, never begun anew.
        daemon.start(&[]);
        assert!(daemon.log().starts_with(&log));
    });
}

#[test]
fn a_second_daemon_is_refused_with_who_is_there() {
    with_detached("", async |daemon| {
        daemon.start(&[]);
        let pid = format!("process {}", daemon.pid());
        for words in [&["daemon", "--detach"][..], &["daemon"]] {
            Outcome::from(daemon.run(words)).failed(125, &[&pid, "data_dir"]);
        }
        let log = daemon.log();
        assert_eq!(log.lines().count(), 1, "the log is the first one's alone: {log}");
        assert_eq!(daemon.client().list_sessions().await.expect("it goes on").len(), 0);
    });
    with_daemon(async |daemon| {
        let config = daemon.config().to_string_lossy().into_owned();
        let second = Outcome::of(daemon, &["daemon", "-d", "--config", &config]);
        second.failed(125, &[&format!("process {}", daemon.pid()), "sandkasten stop"]);
        assert!(!daemon.data_dir().join("run/sandkasten.log").exists());
    });
}

#[test]
fn of_many_that_start_at_once_one_runs() {
    with_detached("", async |daemon| {
        let start = || {
            let mut command = daemon.command(&["daemon", "-d"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
        };
        let children: Vec<Child> = (0..4).map(|_| start()).collect();
        let outcomes: Vec<Outcome> = children
            .into_iter()
            .map(|child| Outcome::from(child.wait_with_output().expect("it ends")))
            .collect();
        let winners = outcomes.iter().filter(|outcome| outcome.code == Some(0)).count();
        assert_eq!(winners, 1, "{outcomes:?}");
        let pid = daemon.pid();
        assert_eq!(fs::read_to_string(daemon.pid_file()).expect("read"), format!("{pid}\n"));
        let won = outcomes.iter().find(|outcome| outcome.code == Some(0)).expect("one");
        assert!(won.stdout.contains(&format!("process {pid}")), "{won:?}");
        for lost in outcomes.iter().filter(|outcome| outcome.code != Some(0)) {
            lost.failed(125, &["data_dir"]);
        }
    });
}

#[test]
fn what_keeps_it_from_starting_is_said_as_in_the_foreground() {
    with_detached("", async |daemon| {
        let sound = fs::read_to_string(daemon.config()).expect("read");
        let same = |text: &str, status: i32, word: &str| {
            daemon.configure(Some(text));
            let [detached, foreground] =
                [&["daemon", "-d"][..], &["daemon"]].map(|words| Outcome::from(daemon.run(words)));
            daemon.configure(None);
            detached.failed(status, &[word]);
            // In the foreground, lines of the log may stand before it.
            assert!(foreground.stderr.ends_with(&detached.stderr), "{foreground:?} is not {detached:?}");
            assert_eq!(foreground.code, Some(status));
            assert_eq!(daemon.status()["running"], false);
            assert!(!daemon.pid_file().exists());
        };
        same(&format!("{sound}\nlistn: 5\n"), 2, "listn");
        assert!(!daemon.log_path().exists());
        // Here nothing is wrong until it is to listen.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("an address").to_string();
        same(&sound.replace("127.0.0.1:0", &address), 125, &address);
        assert!(daemon.log().contains("failed to listen"), "{}", daemon.log());
        assert!(!daemon.log().contains("error: "), "a log of lines: {}", daemon.log());

        let mode = |mode| {
            fs::set_permissions(daemon.data_dir(), fs::Permissions::from_mode(mode))
                .expect("a mode can be set");
        };
        mode(0o755);
        let open = Outcome::from(daemon.run(&["daemon", "-d"]));
        open.failed(125, &["0755", "chmod 0700"]);
        mode(0o700);
        daemon.start(&[]);
    });
}

#[test]
fn a_link_in_the_place_of_the_log_is_not_followed() {
    with_detached("", async |daemon| {
        let target = daemon.directory().join("precious");
        fs::write(&target, "untouched").expect("written");
        let run = daemon.data_dir().join("run");
        fs::create_dir(&run).expect("a directory");
        fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).expect("a mode can be set");
        std::os::unix::fs::symlink(&target, daemon.log_path()).expect("a link");
        Outcome::from(daemon.run(&["daemon", "-d"])).failed(125, &["sandkasten.log"]);
        assert_eq!(fs::read_to_string(&target).expect("read"), "untouched");
        fs::remove_file(daemon.log_path()).expect("removed");
        daemon.start(&[]);
    });
}

#[test]
fn sessions_survive_its_stop_and_its_death() {
    with_detached("", async |daemon| {
        daemon.start(&[]);
        let session = daemon.session().await;
        session.exec("kept=yes").await;
        for round in 0..3 {
            if round == 1 {
                daemon.kill();
                assert!(daemon.pid_file().exists(), "nobody was left to remove it");
                assert_eq!(daemon.status()["running"], false);
            } else {
                assert_eq!(Outcome::from(daemon.run(&["stop"])).code, Some(0));
            }
            daemon.start(&[]);
            let again = TestSession { id: session.id.clone(), client: daemon.client() };
            assert_eq!(again.output("echo $kept").await, "yes", "round {round}");
        }
        assert_eq!(daemon.status()["sessions"], 1);
    });
}

#[test]
fn a_start_that_is_interrupted_leaves_no_daemon() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        with_detached("", async |daemon| {
            let (held, child) = start_that_waits(daemon).await;
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("an id")).expect("an id");
            kill_process(pid, signal).expect("it can be interrupted");
            // It goes on only now, and finds out that it is to end.
            drop(held);
            let outcome = Outcome::from(child.wait_with_output().expect("it ends"));
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(status), ""), "{outcome:?}");
            assert_eq!(daemon.status()["running"], false);
        });
    }
}

#[test]
fn a_start_that_is_killed_is_told_from_one_that_failed() {
    with_detached("", async |daemon| {
        let (held, child) = start_that_waits(daemon).await;
        daemon.kill();
        let outcome = Outcome::from(child.wait_with_output().expect("it ends"));
        outcome.failed(125, &["signal 9", "sandkasten.log"]);
        drop(held);
        daemon.start(&[]);
    });
}

#[test]
fn a_daemon_whose_starter_was_killed_goes_on() {
    with_detached("", async |daemon| {
        let (held, mut child) = start_that_waits(daemon).await;
        child.kill().expect("killed");
        child.wait().expect("ended");
        drop(held);
        until("it is ready", async || daemon.status()["ready"] == true).await;
        assert!(daemon.log().contains("did not wait"), "{}", daemon.log());
    });
}

#[test]
fn the_key_is_not_taken_from_the_command_line() {
    with_detached("", async |daemon| {
        for words in [&["daemon", "-d", "--api-key", API_KEY][..], &["daemon", "--api-key", API_KEY]] {
            let outcome = Outcome::from(daemon.run(words));
            outcome.failed(2, &["--api-key", "SANDKASTEN_API_KEY"]);
            assert!(!outcome.stderr.contains(API_KEY));
        }
        assert!(!daemon.log_path().exists());
    });
}

/// Begins a start that holds the lock and waits for its turn to look for abandoned runs, as long as the file returned
/// is open.
async fn start_that_waits(daemon: &DetachedDaemon) -> (File, Child) {
    let run = daemon.data_dir().join("run");
    fs::create_dir(&run).expect("a directory");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).expect("a mode can be set");
    let turn = run.join("private.lock");
    let held = File::create(&turn).expect("a file");
    fs::set_permissions(&turn, fs::Permissions::from_mode(0o600)).expect("a mode can be set");
    flock(held.as_fd(), FlockOperation::LockExclusive).expect("a lock");
    let mut command = daemon.command(&["daemon", "-d"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let waiting = until_some("the daemon waits", async || {
        let status = daemon.status();
        (status["running"] == true).then_some(status)
    });
    assert_eq!(waiting.await["ready"], false);
    (held, child)
}

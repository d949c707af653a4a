//! `stop`, `status` and `logs`.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_e2e::{DetachedDaemon, until, with_daemon, with_detached};
use serde_json::Value;

use crate::outcome::Outcome;

#[test]
fn stop_ends_the_daemon_and_says_so_where_there_is_none() {
    with_detached("", async |daemon| {
        let none = Outcome::from(daemon.run(&["stop"]));
        assert_eq!(none.code, Some(0), "{none:?}");
        assert!(none.stdout.contains("no daemon runs"), "{none:?}");
        daemon.start(&[]);
        let pid = daemon.pid();
        let stopped = Outcome::from(daemon.run(&["stop"]));
        assert_eq!((stopped.code, stopped.stderr.as_str()), (Some(0), ""), "{stopped:?}");
        assert!(stopped.stdout.contains(&format!("process {pid}")), "{stopped:?}");
        assert!(!is_running(pid), "it has ended when `stop` returns");
        assert!(daemon.log().contains("sessions live on"), "{}", daemon.log());
        assert_eq!(Outcome::from(daemon.run(&["stop"])).stdout, none.stdout);
    });
    with_daemon(async |daemon| {
        // One in the foreground as well: it holds the same lock.
        assert_eq!(Outcome::of(daemon, &["stop"]).code, Some(0));
        daemon.start_again();
    });
}

#[test]
fn stop_never_ends_a_process_that_only_has_the_number() {
    with_detached("", async |daemon| {
        daemon.start(&[]);
        daemon.kill();
        let mut bystander = bystander();
        // The number of the killed daemon was given away, as far as the file is concerned.
        fs::write(daemon.pid_file(), format!("{}\n", bystander.id())).expect("written");
        assert_eq!(daemon.status()["running"], false);
        let outcome = Outcome::from(daemon.run(&["stop"]));
        assert!(outcome.code == Some(0) && outcome.stdout.contains("no daemon runs"), "{outcome:?}");
        daemon.start(&[]);
        let pid = daemon.pid();
        // And whatever the file says, the one that holds the lock is ended.
        fs::write(daemon.pid_file(), format!("{}\n", bystander.id())).expect("written");
        assert_eq!(daemon.pid(), pid);
        let outcome = Outcome::from(daemon.run(&["stop"]));
        assert!(outcome.stdout.contains(&format!("process {pid}")), "{outcome:?}");
        assert!(bystander.try_wait().expect("a child").is_none(), "the bystander was ended");
        bystander.kill().expect("killed");
        bystander.wait().expect("ended");
    });
}

#[test]
fn status_says_what_is_true_and_fails_where_none_runs() {
    with_detached("", async |daemon| {
        let none = Outcome::from(daemon.run(&["status"]));
        assert_eq!(none.code, Some(3), "{none:?}");
        assert!(none.stdout.contains("no daemon runs"), "{none:?}");
        let status = daemon.status();
        assert_eq!(
            (&status["running"], &status["pid"], &status["log"]),
            (&false.into(), &Value::Null, &Value::Null)
        );

        daemon.start(&[]);
        let session = daemon.session().await;
        let status = daemon.status();
        assert_eq!((&status["running"], &status["ready"]), (&true.into(), &true.into()));
        assert_eq!(status["sessions"], 1);
        assert_eq!(status["version"], version(daemon));
        assert_eq!(status["log"], daemon.log_path().to_string_lossy().into_owned());
        assert_eq!(status["data_dir"], daemon.data_dir().to_string_lossy().into_owned());
        let since: jiff::Timestamp = status["since"].as_str().and_then(|at| at.parse().ok()).expect("a time");
        let age = jiff::Timestamp::now().duration_since(since).as_secs();
        assert!((0..120).contains(&age), "{since}");
        let text = Outcome::from(daemon.run(&["status"]));
        assert_eq!(text.code, Some(0), "{text:?}");
        for word in ["sessions  1", &daemon.pid().to_string(), &*daemon.log_path().to_string_lossy()] {
            assert!(text.stdout.contains(word), "{word}: {text:?}");
        }
        session.destroy().await;
        assert_eq!(daemon.status()["sessions"], 0);

        // With a key that is not the daemon's, it still runs.
        let mut wrong = daemon.command(&["status", "--json"]);
        let wrong = Outcome::from({
            wrong.env("SANDKASTEN_API_KEY", "sk-another-0123456789");
            wrong
        });
        let status: Value = serde_json::from_str(&wrong.stdout).expect("JSON");
        assert_eq!(
            (wrong.code, &status["ready"], &status["sessions"]),
            (Some(0), &true.into(), &Value::Null)
        );
        daemon.kill();
        let status = daemon.status();
        assert_eq!((&status["running"], &status["address"]), (&false.into(), &Value::Null));
        // The next one puts in order what the killed one left.
        daemon.start(&[]);
    });
    with_daemon(async |daemon| {
        let shown = Outcome::output(daemon, &["status", "--json"]);
        let status: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!((&status["pid"], &status["log"]), (&daemon.pid().into(), &Value::Null));
        assert!(daemon.url().ends_with(status["address"].as_str().expect("an address")));
    });
}

#[test]
fn logs_prints_the_log_and_says_where_there_is_none() {
    with_detached("", async |daemon| {
        for words in [&["logs"][..], &["logs", "-f"]] {
            Outcome::from(daemon.run(words)).failed(125, &["no log", "--detach"]);
        }
        daemon.start(&["--log-level", "debug"]);
        let printed = Outcome::from(daemon.run(&["logs"]));
        assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
        assert_eq!(printed.stdout, daemon.log());
        assert!(printed.stdout.contains("\"ready\""), "{printed:?}");
    });
}

#[test]
fn logs_follows_what_is_added_and_the_log_when_it_is_rotated() {
    with_detached("", async |daemon| {
        daemon.start(&["--log-level", "debug"]);
        let mut follower = Follower::of(daemon);
        follower.wait_for("\"ready\"");
        daemon.raw().get("/v1/first").await;
        follower.wait_for("/v1/first");
        // Copied and truncated, which needs no word to the daemon.
        OpenOptions::new().write(true).truncate(true).open(daemon.log_path()).expect("truncated");
        daemon.raw().get("/v1/second").await;
        follower.wait_for("/v1/second");
        let log = daemon.log();
        assert!(!log.contains('\0') && !log.contains("/v1/first"), "it goes on at the start: {log}");
        // Renamed, and the daemon is told.
        let old = daemon.log_path().with_extension("log.1");
        fs::rename(daemon.log_path(), &old).expect("renamed");
        daemon.raw().get("/v1/third").await;
        let pid = Pid::from_raw(daemon.pid()).expect("a process id");
        kill_process(pid, Signal::HUP).expect("told");
        until("the next log is there", async || daemon.log().contains("opened again")).await;
        daemon.raw().get("/v1/fourth").await;
        follower.wait_for("/v1/third");
        follower.wait_for("/v1/fourth");
        assert!(fs::read_to_string(&old).expect("read").contains("/v1/third"));
        assert!(!daemon.log().contains("/v1/third") && daemon.log().contains("/v1/fourth"));
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(daemon.log_path()).expect("there").permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        follower.end();
    });
}

#[test]
fn logs_ends_when_nobody_reads_it_any_more() {
    with_detached("", async |daemon| {
        daemon.start(&[]);
        let mut command = daemon.command(&["logs", "-f"]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut String::new()).expect("a line");
        drop(stdout);
        until("it ends", async || child.try_wait().expect("a child").is_some()).await;
        let outcome = Outcome::from(child.wait_with_output().expect("it ended"));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    });
}

/// `logs -f`, with the lines that it prints.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn of(daemon: &DetachedDaemon) -> Self {
        let mut child =
            daemon.command(&["logs", "--follow"]).stdout(Stdio::piped()).spawn().expect("it runs");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The test may have ended.
                sender.send(line).ok();
            }
        });
        Self { child, lines }
    }

    fn wait_for(&mut self, word: &str) {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(20)) {
                Ok(line) if line.contains(word) => return,
                Ok(line) => seen.push(line),
                Err(error) => panic!("{word} was not printed, {error}: {seen:#?}"),
            }
        }
    }

    fn end(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

fn version(daemon: &DetachedDaemon) -> String {
    let shown = Outcome::from(daemon.run(&["version", "--json"]));
    let version: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    version["version"].as_str().expect("a version").to_owned()
}

/// A process that has nothing to do with a daemon.
fn bystander() -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a process")
}

fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // One that has ended may wait to be collected by its parent, which is not us.
    stat.rsplit_once(") ").is_some_and(|(_, behind)| !behind.starts_with(['Z', 'X']))
}

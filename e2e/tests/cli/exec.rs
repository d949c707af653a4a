//! `exec`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_e2e::{until, with_daemon};

use crate::outcome::Outcome;

#[test]
fn a_command_in_a_session_has_its_output_and_exit_status_passed_through() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let id = session.id.as_str();
        for (command, code, output) in [
            (&["echo", "one", "two  spaces", "$HOME", "it's", "*"][..], 0, "one two  spaces $HOME it's *\n"),
            (&["sh", "-c", "echo out; echo err >&2; exit 7"], 7, "out\nerr\n"),
            (&["sh", "-c", "kill -KILL $$"], 137, ""),
            (&["no-such-command"], 127, "bash: line 1: no-such-command: command not found\n"),
            (&["printf", "no line break"], 0, "no line break"),
            (&["printf", "\\033[31mred\\033[0m\\n"], 0, "red\n"),
            (&["cat"], 0, ""),
        ] {
            let outcome = Outcome::of(daemon, &[&["exec", id, "--"], command].concat());
            assert_eq!(outcome.code, Some(code), "{command:?}: {outcome:?}");
            if code != 127 {
                assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (output, ""), "{command:?}");
            }
        }
        let raw = Outcome::of(daemon, &["exec", id, "--raw", "--", "printf", "\\033[31mred\\r\\n"]);
        assert_eq!(raw.stdout, "\u{1b}[31mred\r\n");
        Outcome::output(daemon, &["exec", id, "--", "cd", "/tmp"]);
        assert_eq!(Outcome::output(daemon, &["exec", id, "--", "pwd"]), "/tmp");
        let late = Outcome::of(
            daemon,
            &["exec", id, "--timeout-ms", "200", "--", "sh", "-c", "echo so far; sleep 1000"],
        );
        assert_eq!((late.code, late.stdout.as_str()), (Some(124), "so far\n"), "{late:?}");
        Outcome::of(daemon, &["exec", "0123abcd-ef01", "--", "true"]).failed(4, &["0123abcd-ef01"]);
        Outcome::of(daemon, &["exec", "no id", "--", "true"]).failed(2, &["no id"]);
        Outcome::of(daemon, &["exec", id]).failed(2, &[]);
    });
}

#[test]
fn output_comes_as_it_is_produced_and_an_interrupt_stops_the_command() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("kept=yes").await;
        let id = session.id.as_str();
        let mut command = daemon.command(&["exec", id, "--", "sh", "-c", "echo started; sleep 1000"]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, "started\n");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::INT).expect("it can be interrupted");
        let ended =
            tokio::task::spawn_blocking(move || child.wait()).await.expect("a task").expect("it ends");
        assert_eq!(ended.code(), Some(130));
        until("the command is stopped", async || {
            daemon.client().session_stats(&session.id).await.is_ok_and(|stats| stats.pids == 1)
        })
        .await;
        assert_eq!(session.output("echo $kept").await, "yes");
    });
}

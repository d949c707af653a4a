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
            (&["sh", "-c", "echo out; exit 7"], 7, "out\n"),
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

#[test]
fn standard_error_goes_to_ours_and_keeps_its_place_where_both_are_one() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let id = session.id.as_str();
        let script = "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done; exit 7";
        let (out, err) = ("out1\nout2\nout3\nout4\nout5\n", "err1\nerr2\nerr3\nerr4\nerr5\n");
        let both = "out1\nerr1\nout2\nerr2\nout3\nerr3\nout4\nerr4\nout5\nerr5\n";
        for words in [&["exec", id][..], &["exec", id, "--shell", "none"], &["exec", id, "--raw"], &["run"]] {
            let words = [words, &["--", "sh", "-c", script]].concat();
            let outcome = Outcome::of(daemon, &words);
            assert_eq!(
                (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
                (Some(7), out, err),
                "{words:?}"
            );
            let file = tempfile::NamedTempFile::new().expect("a file");
            let mut command = daemon.command(&words);
            let [one, other] = [(); 2].map(|()| file.as_file().try_clone().expect("a copy"));
            let ended =
                command.stdout(one).stderr(other).stdin(Stdio::null()).status().expect("the binary runs");
            assert_eq!(ended.code(), Some(7));
            assert_eq!(std::fs::read_to_string(file.path()).expect("read"), both, "{words:?}");
        }
        let raw =
            Outcome::of(daemon, &["exec", id, "--raw", "--", "sh", "-c", "printf '\\033[31mred\\r\\n' >&2"]);
        assert_eq!((raw.stdout.as_str(), raw.stderr.as_str()), ("", "\u{1b}[31mred\r\n"));
        let plain = Outcome::of(daemon, &["exec", id, "--", "sh", "-c", "printf '\\033[31mred\\r\\n' >&2"]);
        assert_eq!((plain.stdout.as_str(), plain.stderr.as_str()), ("", "red\n"));
    });
}

#[test]
fn a_command_has_variables_a_directory_and_a_shell_of_its_own() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let id = session.id.as_str();
        let show = ["--", "sh", "-c", "echo $A,$B,$PWD"];
        let exec = |words: &[&str]| Outcome::output(daemon, &[&["exec", id], words, &show].concat());
        assert_eq!(exec(&["-e", "A=one two", "--env", "B=x=y", "-e", "A=last"]), "last,x=y,/workspace");
        assert_eq!(exec(&["--cwd", "/tmp", "--shell", "other"]), ",,/tmp");
        assert_eq!(exec(&["--shell", "other"]), ",,/tmp");
        assert_eq!(exec(&["--shell", "none", "--cwd", "/"]), ",,/");
        assert_eq!(exec(&[]), ",,/workspace");
        let words = [&["exec", id, "-e", "A"], &show[..]].concat();
        let mut taken = daemon.command(&words);
        taken.env("A", "ours");
        assert_eq!(Outcome::from(taken).stdout, "ours,,/workspace\n");
        let mut missing = daemon.command(&words);
        missing.env_remove("A");
        Outcome::from(missing).failed(2, &["A=VALUE"]);
        for (words, code, why) in [
            (["-e", "=x"], 2, "no name"),
            (["-e", "1=x"], 4, "digit"),
            (["--cwd", "tmp"], 4, "absolute"),
            (["--shell", "No"], 4, "shell"),
        ] {
            Outcome::of(daemon, &[&["exec", id], &words[..], &show].concat()).failed(code, &[why]);
        }
    });
}

#[test]
fn what_runs_is_listed_and_ended() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let id = session.id.as_str();
        session.output("echo ended").await;
        let body = serde_json::json!({"cmd": "sleep 1000", "name": "sleeper"});
        let started = daemon.raw().post(&format!("/v1/sessions/{id}/processes"), &body).await.ok(201);
        let process = started["id"].as_str().expect("an id");
        assert_eq!(Outcome::output(daemon, &["processes", id, "-q"]), process);
        let table = Outcome::output(daemon, &["processes", id]);
        assert!(
            table.lines().count() == 2 && table.contains("sleeper") && table.contains("running"),
            "{table}"
        );
        let all = Outcome::output(daemon, &["processes", id, "--all"]);
        assert!(all.contains("echo ended") && all.contains("exited 0"), "{all}");
        let listed: serde_json::Value =
            serde_json::from_str(&Outcome::output(daemon, &["processes", id, "--json"])).expect("JSON");
        assert_eq!((&listed[0]["id"], &listed[0]["kind"]), (&process.into(), &"process".into()));
        assert_eq!(Outcome::output(daemon, &["kill", id, process, "--signal", "STOP"]), process);
        assert_eq!(Outcome::output(daemon, &["processes", id, "-q"]), process);
        let outcome = Outcome::of(daemon, &["kill", id, "0000000000000000", process]);
        assert_eq!((outcome.code, outcome.stdout), (Some(4), format!("{process}\n")));
        assert_eq!(Outcome::output(daemon, &["processes", id, "-q"]), "");
        Outcome::of(daemon, &["kill", id, process, "--signal", "TERM"]).failed(4, &[process]);
        Outcome::of(daemon, &["kill", id, "no-id"]).failed(2, &["no-id"]);
        Outcome::of(daemon, &["kill", id]).failed(2, &[]);
        Outcome::of(daemon, &["processes", "nobody"]).failed(4, &["nobody"]);
    });
}

//! Commands that run past their timeout.

use std::time::{Duration, Instant};

use sandkasten_e2e::{TestSession, until, with_config, with_daemon};
use serde_json::json;

#[test]
fn a_timeout_ends_the_command_and_keeps_the_shell() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session
            .exec("cd /tmp; before=1; sleep 43210 & (while :; do echo tick >> ticks; sleep 0.05; done) &")
            .await;
        let path = format!("/v1/sessions/{}/exec", session.id);
        let command = "during=2; echo so far; echo more >&2; sleep 54321; echo never > never";
        let answer = daemon.raw().post(&path, &json!({"cmd": command, "timeout_ms": 400})).await;
        let body = answer.refused(504, "COMMAND_TIMEOUT");
        assert_eq!(body["details"]["output"], "so far\nmore\n", "{body}");
        assert_eq!(body["details"]["timeout_ms"], 400, "{body}");
        assert_eq!(body["details"]["truncated"], false, "{body}");
        assert!(body["message"].as_str().is_some_and(|text| text.contains("400")), "{body}");
        assert!(!runs_on_host("sleep\x0054321"), "its processes are gone when the answer comes");
        assert!(runs_on_host("sleep\x0043210"), "jobs of earlier execs live on");
        assert_eq!(
            session.output("echo $before $during $PWD; cat never 2>/dev/null; true").await,
            "1 2 /tmp"
        );
        session.exec("cp ticks earlier; sleep 0.3").await;
        assert_eq!(
            session.output("[ $(wc -l < ticks) -gt $(wc -l < earlier) ] && echo goes on").await,
            "goes on"
        );
        assert_eq!(
            session.output("jobs | wc -l; kill %1 %2; wait; echo clean").await.lines().last(),
            Some("clean")
        );
    });
}

#[test]
fn whatever_a_command_starts_ends_with_it() {
    with_daemon(async |daemon| {
        for (number, command) in [
            "sh -c 'sleep NUMBER; true'",
            "setsid sleep NUMBER",
            "nohup sleep NUMBER",
            "(setsid sh -c 'setsid sleep NUMBER & wait' & wait)",
            "trap '' INT TERM HUP; sh -c \"trap '' INT TERM HUP; sleep NUMBER; true\"",
            "python3 -c 'import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(NUMBER)'",
            "sleep NUMBER | sleep NUMBER | cat",
            "while :; do sleep NUMBER; done",
            "sleep NUMBER & wait",
            "setsid sleep NUMBER & disown -a; sleep 1000",
            "coproc sleep NUMBER; wait",
            "while :; do :; done",
            "trap '' INT; while :; do :; done",
            "trap 'echo again' INT; while :; do sleep NUMBER; done",
            "yes",
            "cat /dev/zero",
            "read line < <(sleep NUMBER)",
            "kill -STOP $$",
        ]
        .iter()
        .enumerate()
        {
            let session = daemon.session().await;
            session.exec("sleep 32109 & kept=yes").await;
            let mark = 60_000 + number;
            let command = command.replace("NUMBER", &mark.to_string());
            let started = Instant::now();
            let outcome = session.try_exec(&command, Some(300)).await;
            assert!(outcome.is_err_and(|error| error.to_string().contains("timeout")), "{command}");
            let took = started.elapsed();
            assert!(
                took > Duration::from_millis(290) && took < Duration::from_secs(5),
                "{command}: {took:?}"
            );
            assert!(!runs_on_host(&mark.to_string()), "{command}: something of it goes on");
            assert!(runs_on_host("sleep\x0032109"), "{command}: it took an earlier job with it");
            assert_eq!(session.output("echo alive").await, "alive", "after {command}");
            // Only a shell that does not give up may be replaced.
            if !command.contains("trap") && !command.contains("STOP") {
                assert_eq!(session.output("echo $kept").await, "yes", "after {command}");
            }
            session.destroy().await;
        }
    });
}

#[test]
fn the_configured_maximum_caps_every_timeout() {
    with_config("defaults:\n  max_exec_timeout_ms: 1000", async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec", session.id);
        for body in [
            json!({"cmd": "sleep 1000"}),
            json!({"cmd": "sleep 1000", "timeout_ms": 0}),
            json!({"cmd": "sleep 1000", "timeout_ms": 600_000}),
        ] {
            let refused = daemon.raw().post(&path, &body).await.refused(504, "COMMAND_TIMEOUT");
            assert_eq!(refused["details"]["timeout_ms"], 1_000, "{body}");
        }
        for timeout in [json!(600_001), json!(-1), json!(1.5), json!("5"), json!(u64::MAX)] {
            let answer = daemon.raw().post(&path, &json!({"cmd": "true", "timeout_ms": timeout})).await;
            assert!(!answer.message(400, "INVALID_REQUEST").is_empty(), "{timeout}");
        }
        assert_eq!(session.output("echo quick").await, "quick");
    });
}

#[test]
fn a_timeout_with_much_output_answers_with_the_beginning_of_it() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec", session.id);
        let body = json!({"cmd": "head -c 3M /dev/zero | tr '\\0' x; sleep 1000", "timeout_ms": 2_000});
        let refused = daemon.raw().post(&path, &body).await.refused(504, "COMMAND_TIMEOUT");
        assert_eq!(refused["details"]["output"].as_str().map(str::len), Some(1 << 20));
        assert_eq!(refused["details"]["truncated"], true);
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

#[test]
fn a_client_that_goes_away_stops_its_command() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("kept=yes").await;
        let task = tokio::spawn({
            let session: TestSession = session.clone();
            async move { session.try_exec("sleep 98765", None).await.is_ok() }
        });
        until("the command runs", async || runs_on_host("sleep\x0098765")).await;
        task.abort();
        until("the command is stopped", async || !runs_on_host("sleep\x0098765")).await;
        assert_eq!(session.output("echo $kept").await, "yes");
    });
}

/// Whether a process of this host has these words in its command line; they are joined by NUL.
fn runs_on_host(words: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(words))
}

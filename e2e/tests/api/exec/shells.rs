//! More shells of a session, and processes without one.

use std::time::Duration;

use sandkasten_e2e::{until, with_daemon};
use serde_json::json;

use super::options::exec;

#[test]
fn a_named_shell_has_a_state_of_its_own_and_runs_beside_the_main_one() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let busy = session.stream("sleep 1000").await;
        let result =
            exec(daemon, &session, json!({"cmd": "cd /tmp; V=1; f() { echo f; }", "shell": "two"})).await;
        assert_eq!(result["cwd"], "/tmp");
        let result = exec(daemon, &session, json!({"cmd": "pwd; echo $V; f", "shell": "two"})).await;
        assert_eq!(result["output"], "/tmp\n1\nf\n");
        let result = exec(daemon, &session, json!({"cmd": "pwd; echo ${V-unset}", "shell": "three"})).await;
        assert_eq!(result["output"], "/workspace\nunset\n");
        drop(busy);
        assert_eq!(session.output("pwd; echo ${V-unset}").await, "/workspace\nunset");
    });
}

#[test]
fn a_named_shell_that_exits_gives_its_code_and_a_fresh_one_in_the_same_directory() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        exec(daemon, &session, json!({"cmd": "mkdir d; cd d; V=1", "shell": "two"})).await;
        for (command, code) in [("exit 9", 9), ("kill -9 $$", 137), ("exec true", 0)] {
            let result = exec(daemon, &session, json!({"cmd": command, "shell": "two"})).await;
            assert_eq!(result["exit_code"], code, "{command}: {result}");
            let result = exec(daemon, &session, json!({"cmd": "pwd; echo ${V-unset}", "shell": "two"})).await;
            assert_eq!(result["output"], "/workspace/d\nunset\n", "{command}");
        }
    });
}

#[test]
fn a_timeout_in_one_shell_ends_its_tree_and_nothing_of_another() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        exec(daemon, &session, json!({"cmd": "sleep 1111 & V=kept", "shell": "two"})).await;
        session.exec("sleep 2222 &").await;
        let body = json!({"cmd": "setsid sleep 3333 & (setsid sleep 4444 &); sleep 5555", "shell": "two",
                          "timeout_ms": 500});
        let path = format!("/v1/sessions/{}/exec", session.id);
        let details = daemon.raw().post(&path, &body).await.refused(504, "COMMAND_TIMEOUT");
        assert_eq!(details["details"]["reason"], "timeout", "{details}");
        let alive = "ps -eo args | grep -oE '^sleep [0-9]+' | sort | tr '\\n' ' '";
        assert_eq!(session.output(alive).await, "sleep 1111 sleep 2222 ");
        let result = exec(daemon, &session, json!({"cmd": "echo $V", "shell": "two"})).await;
        assert_eq!(result["output"], "kept\n");
    });
}

#[test]
fn there_are_as_many_shells_as_there_may_be_and_the_next_is_refused() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for number in 1..16 {
            exec(daemon, &session, json!({"cmd": "true", "shell": format!("s{number}")})).await;
        }
        let path = format!("/v1/sessions/{}/exec", session.id);
        let body = json!({"cmd": "true", "shell": "one-too-many"});
        daemon.raw().post(&path, &body).await.refused(429, "LIMIT_EXCEEDED");
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

#[test]
fn arguments_reach_the_program_as_they_are_with_no_shell_between() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("export LEAKED=1; cd /tmp").await;
        let result =
            exec(daemon, &session, json!({"argv": ["printf", "[%s]", "a b", "$HOME", "", "*", "'"]})).await;
        assert_eq!(result["output"], "[a b][$HOME][][*][']");
        let result =
            exec(daemon, &session, json!({"argv": ["sh", "-c", "pwd; echo ${LEAKED-unset}; umask"]})).await;
        assert_eq!(
            result["output"], "/workspace\nunset\n0022\n",
            "nothing of the shell's state is inherited"
        );
        for (program, code) in [("no-such-program", 127), ("/etc/passwd", 126), ("/workspace", 126)] {
            let result = exec(daemon, &session, json!({"argv": [program]})).await;
            assert_eq!(result["exit_code"], code, "{result}");
            assert!(result["output"].as_str().expect("text").contains(program), "{result}");
        }
        let result = exec(daemon, &session, json!({"argv": ["sh", "-c", "kill -SEGV $$"]})).await;
        assert_eq!((&result["exit_code"], &result["signal"]), (&json!(139), &json!("SIGSEGV")));
    });
}

#[test]
fn fresh_processes_run_beside_everything_and_their_own_tree_ends_at_a_timeout() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let busy = session.stream("sleep 1000").await;
        let path = format!("/v1/sessions/{}/exec", session.id);
        let body =
            json!({"argv": ["sh", "-c", "setsid sleep 6666 & echo begun; sleep 7777"], "timeout_ms": 500});
        let answer = daemon.raw().post(&path, &body).await.refused(504, "COMMAND_TIMEOUT");
        assert_eq!(answer["details"]["output"], "begun\n");
        let alive = json!({"argv": ["sh", "-c", "ps -eo args | grep -cE '^sleep [67]'"]});
        assert_eq!(exec(daemon, &session, alive).await["output"], "0\n");
        drop(busy);
    });
}

#[test]
fn a_terminal_is_one_with_its_size_and_the_process_leads_it() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let body = json!({"cmd": "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && stty size && echo $TERM && tty && : > /dev/tty",
                          "tty": {"rows": 33, "cols": 101}});
        let result = exec(daemon, &session, body).await;
        assert_eq!(result["output"], "33 101\nxterm-256color\n/dev/pts/0\n", "{result}");
        // Its end hangs up whatever still has it open.
        let body =
            json!({"cmd": "sleep 8888 & echo begun", "tty": {"rows": 24, "cols": 80}, "raw_output": true});
        assert_eq!(exec(daemon, &session, body).await["output"], "begun\r\n");
        until("the hang-up has ended it", async || {
            session.output("ps -eo args | grep -c '^sleep 8888' || true").await == "0"
        })
        .await;
        let body = json!({"cmd": "yes", "tty": {"rows": 24, "cols": 80}, "timeout_ms": 300});
        let path = format!("/v1/sessions/{}/exec", session.id);
        daemon.raw().post(&path, &body).await.refused(504, "COMMAND_TIMEOUT");
        tokio::time::timeout(Duration::from_secs(20), session.exec("true")).await.expect("no hang");
    });
}

#[test]
fn the_largest_commands_and_inputs_fit_in_all_shells_at_once() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let padding = format!(": {}\n", "x".repeat((1 << 20) - 100));
        let execs = (0..16).map(|number| {
            let shell = if number == 0 { "main".to_owned() } else { format!("s{number}") };
            let body = json!({"cmd": format!("{padding}cat | wc -c; sleep 0.5"), "stdin": "y".repeat(1 << 20), "shell": shell});
            exec(daemon, &session, body)
        });
        for result in futures_util::future::join_all(execs).await {
            assert_eq!(result["output"], "1048576\n", "{}", result["exit_code"]);
        }
    });
}

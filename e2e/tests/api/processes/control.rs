//! Signals, ends and waits.

use sandkasten_e2e::{until, with_daemon};
use serde_json::json;

use super::TestProcess;

#[test]
fn a_signal_reaches_everything_that_a_process_has_started() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let command =
            "trap 'echo caught; exit 5' USR1; setsid sleep 1234 & echo ready; while :; do sleep 0.05; done";
        let process = TestProcess::start(daemon, &session, json!({"cmd": command})).await;
        until("it is ready", async || process.logs(0).await["output"] == "ready\n").await;
        process.signal("USR1").await;
        let ended = process.wait().await;
        assert_eq!(ended["exit_code"], 5, "{ended}");
        assert!(process.logs(0).await["output"].as_str().expect("text").ends_with("caught\n"));
        // sleep dies of it as well.
        assert_eq!(session.output("ps -eo args | grep -c '^sleep 1234' || true").await, "0");
        let path = format!("{}/signal", process.path);
        daemon.raw().post(&path, &json!({"signal": "TERM"})).await.refused(409, "PROCESS_NOT_RUNNING");
        daemon.raw().post(&path, &json!({"signal": "NOPE"})).await.refused(400, "INVALID_REQUEST");
    });
}

#[test]
fn an_end_takes_daemonised_grandchildren_with_it_and_nothing_else() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("sleep 4321 &").await;
        let command = "(setsid sleep 2345 &); trap '' TERM INT; echo ready; sleep 1000; sleep 1000";
        let process = TestProcess::start(daemon, &session, json!({"cmd": command})).await;
        until("it is ready", async || process.logs(0).await["output"] == "ready\n").await;
        process.end().await;
        let alive = "ps -eo args | grep -oE '^sleep [0-9]+' || true";
        assert_eq!(session.output(alive).await, "sleep 4321");
        // What a process that has ended by itself left in the background goes in the same way.
        let process = TestProcess::start(daemon, &session, json!({"cmd": "(setsid sleep 2345 &)"})).await;
        process.wait().await;
        assert_eq!(session.output(alive).await, "sleep 4321\nsleep 2345");
        process.end().await;
        assert_eq!(session.output(alive).await, "sleep 4321");
        process.end().await;
    });
}

#[test]
fn an_exec_is_cancelled_like_a_process_and_its_shell_lives_on() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("kept=1").await;
        let list = format!("/v1/sessions/{}/processes", session.id);
        let raw = daemon.raw();
        let waiting = session.exec("echo begun; setsid sleep 3456 & sleep 1000");
        let cancel = async {
            let found = sandkasten_e2e::until_some("the exec is listed", async || {
                let listed = raw.get(&list).await.ok(200);
                let all = listed["processes"].as_array().expect("a list").clone();
                all.into_iter().find(|process| {
                    process["status"] == "running"
                        && process["command"].as_str().unwrap_or("").contains("3456")
                })
            })
            .await;
            let path = format!("{list}/{}", found["id"].as_str().expect("an id"));
            until("it has begun", async || {
                raw.get(&format!("{path}/logs")).await.ok(200)["output"] == "begun\n"
            })
            .await;
            raw.delete(&path).await.ok(200)
        };
        let (result, ended) = tokio::join!(waiting, cancel);
        assert_eq!(ended["reason"], "cancelled", "{ended}");
        assert_eq!(serde_json::to_value(&result).expect("JSON")["reason"], "cancelled");
        assert_eq!(result.output, "begun\n");
        assert_eq!(session.output("echo $kept; ps -eo args | grep -c '^sleep' || true").await, "1\n0");
    });
}

#[test]
fn an_exec_that_waits_for_its_shell_is_cancelled_and_never_runs() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let list = format!("/v1/sessions/{}/processes", session.id);
        let raw = daemon.raw();
        let busy = session.stream("sleep 1000").await;
        let cancel = async {
            let found = sandkasten_e2e::until_some("it waits", async || {
                let listed = raw.get(&list).await.ok(200);
                let all = listed["processes"].as_array().expect("a list").clone();
                all.into_iter()
                    .find(|process| process["status"] == "queued" && process["command"] == "touch ran")
            })
            .await;
            raw.delete(&format!("{list}/{}", found["id"].as_str().expect("an id"))).await.ok(200)
        };
        let (result, ended) = tokio::join!(session.exec("touch ran"), cancel);
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("ended"), &json!("cancelled")), "{ended}");
        assert_eq!((result.exit_code, result.output.as_str()), (130, ""));
        drop(busy);
        assert_eq!(session.output("ls").await, "");
    });
}

#[test]
fn a_timeout_ends_a_process_and_a_wait_that_is_over_says_so() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let body = json!({"argv": ["sleep", "1000"], "timeout_ms": 700});
        let process = TestProcess::start(daemon, &session, body).await;
        let waited = daemon.raw().get(&format!("{}/wait?timeout_ms=1", process.path)).await.ok(200);
        assert_eq!(waited["status"], "running", "{waited}");
        let ended = process.wait().await;
        assert_eq!((&ended["reason"], &ended["limit"]), (&json!("timeout"), &json!(700)), "{ended}");
    });
}

#[test]
fn a_session_that_ends_ends_its_processes_and_those_who_wait_for_them() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let process = TestProcess::start(daemon, &session, json!({"argv": ["sleep", "1000"]})).await;
        let raw = daemon.raw();
        let wait = format!("{}/wait", process.path);
        let (waited, ()) = tokio::join!(raw.get(&wait), async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            session.clone().destroy().await;
        });
        assert_eq!(waited.ok(200)["status"], "ended");
        raw.get(&process.path).await.refused(409, "SESSION_NOT_RUNNING");
        assert!(daemon.leaks(Some(session.id.as_str())).is_empty());
    });
}

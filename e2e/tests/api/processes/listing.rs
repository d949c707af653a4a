//! Starting and finding processes.

use sandkasten_e2e::{until, with_daemon};
use serde_json::json;

use super::TestProcess;

#[test]
fn a_process_runs_beside_the_shell_and_is_found_again_by_its_id() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let body = json!({"cmd": "echo $A; pwd; exec sleep 1000", "env": {"A": "x"}, "cwd": "/tmp", "name": "server"});
        let process = TestProcess::start(daemon, &session, body).await;
        assert_eq!(session.output("echo the shell is free").await, "the shell is free");
        until("it has spoken", async || process.logs(0).await["output"] == "x\n/tmp\n").await;
        let shown = process.show().await;
        assert_eq!((&shown["status"], &shown["name"]), (&json!("running"), &json!("server")), "{shown}");
        assert_eq!((&shown["kind"], &shown["tty"]), (&json!("process"), &json!(false)));
        let listed = daemon.raw().get(&format!("/v1/sessions/{}/processes", session.id)).await.ok(200);
        let kinds: Vec<_> =
            listed["processes"].as_array().expect("a list").iter().map(|p| &p["kind"]).collect();
        assert_eq!(kinds, ["process", "exec"], "{listed}");
        let ended = process.end().await;
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("ended"), &json!("cancelled")), "{ended}");
        assert_eq!(session.output("ps -eo args | grep -c '^sleep 1000' || true").await, "0");
    });
}

#[test]
fn a_program_that_is_not_there_is_a_process_that_has_ended() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let process = TestProcess::start(daemon, &session, json!({"argv": ["no-such-program"]})).await;
        let ended = process.wait().await;
        assert_eq!(ended["exit_code"], 127, "{ended}");
        assert!(process.logs(0).await["output"].as_str().expect("text").contains("no-such-program"));
    });
}

#[test]
fn as_many_processes_run_as_may_and_the_next_is_refused() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut processes = Vec::new();
        for _ in 0..64 {
            processes.push(TestProcess::start(daemon, &session, json!({"argv": ["sleep", "1000"]})).await);
        }
        let path = format!("/v1/sessions/{}/processes", session.id);
        daemon.raw().post(&path, &json!({"argv": ["true"]})).await.refused(429, "LIMIT_EXCEEDED");
        assert_eq!(session.output("echo alive").await, "alive");
        processes[0].end().await;
        TestProcess::start(daemon, &session, json!({"argv": ["true"]})).await.wait().await;
    });
}

#[test]
fn the_last_that_have_ended_are_kept_and_the_oldest_are_forgotten() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let first = TestProcess::start(daemon, &session, json!({"argv": ["echo", "first"]})).await;
        first.wait().await;
        for _ in 0..140 {
            session.exec(":").await;
        }
        daemon.raw().get(&first.path).await.refused(404, "PROCESS_NOT_FOUND");
        let listed = daemon.raw().get(&format!("/v1/sessions/{}/processes", session.id)).await.ok(200);
        assert_eq!(listed["processes"].as_array().expect("a list").len(), 128);
    });
}

#[test]
fn what_is_no_process_is_refused() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/processes", session.id);
        let raw = daemon.raw();
        raw.get(&format!("{path}/0123456789abcdef")).await.refused(404, "PROCESS_NOT_FOUND");
        for id in ["1", "0123456789ABCDEF", "0123456789abcdefa", "+123456789abcdef"] {
            raw.get(&format!("{path}/{id}")).await.refused(400, "INVALID_REQUEST");
        }
        for (body, reason) in [
            (json!({}), "nothing to run"),
            (json!({"cmd": "a", "name": ""}), "name is"),
            (json!({"cmd": "a", "name": "a\nb"}), "name is"),
            (json!({"cmd": "a", "name": "x".repeat(65)}), "1 to 64"),
            (json!({"cmd": "a", "shell": "main"}), "shell"),
            (json!({"cmd": "a", "user": "root"}), "root"),
        ] {
            let message = raw.post(&path, &body).await.message(400, "INVALID_REQUEST");
            assert!(message.contains(reason), "{reason}: {message}");
        }
    });
}

//! The standard input of processes, and their terminals.

use sandkasten_e2e::{until, with_daemon};
use serde_json::json;

use super::TestProcess;

#[test]
fn input_arrives_in_order_and_its_end_is_seen() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let process = TestProcess::start(daemon, &session, json!({"argv": ["cat"], "stdin": true})).await;
        process.give(json!({"text": "one\n"})).await;
        process.give(json!({"content_base64": "AP8K"})).await;
        process.give(json!({"text": "end", "close": true})).await;
        let ended = process.wait().await;
        assert_eq!(ended["exit_code"], 0);
        assert_eq!(process.logs(0).await["output"], "one\n\u{0}\u{fffd}\nend");
        let path = format!("{}/stdin", process.path);
        daemon.raw().post(&path, &json!({"text": "late"})).await.refused(409, "PROCESS_NOT_RUNNING");
        daemon.raw().post(&path, &json!({})).await.refused(400, "INVALID_REQUEST");
    });
}

#[test]
fn standard_input_is_at_its_end_unless_it_was_asked_for() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let process =
            TestProcess::start(daemon, &session, json!({"cmd": "cat; echo ended; sleep 1000"})).await;
        until("it has read the end", async || process.logs(0).await["output"] == "ended\n").await;
        let path = format!("{}/stdin", process.path);
        daemon.raw().post(&path, &json!({"text": "x"})).await.refused(409, "PROCESS_NOT_RUNNING");
    });
}

#[test]
fn a_process_that_does_not_read_takes_a_mebibyte_and_no_more() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let body = json!({"argv": ["sleep", "1000"], "stdin": true});
        let process = TestProcess::start(daemon, &session, body).await;
        let path = format!("{}/stdin", process.path);
        let piece = json!({"text": "x".repeat(700_000)});
        daemon.raw().post(&path, &piece).await.ok(200);
        daemon.raw().post(&path, &piece).await.refused(429, "LIMIT_EXCEEDED");
        assert_eq!(session.output("echo alive").await, "alive");
        process.end().await;
    });
}

#[test]
fn a_terminal_echoes_interrupts_and_changes_its_size() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let command =
            "trap 'stty size' WINCH; trap 'echo interrupted' INT; echo ready; while :; do sleep 0.05; done";
        let body = json!({"cmd": command, "tty": {"rows": 24, "cols": 80}});
        let process = TestProcess::start(daemon, &session, body).await;
        until("it is ready", async || process.logs(0).await["output"] == "ready\r\n").await;
        process.give(json!({"text": "\u{3}"})).await;
        until("it was interrupted", async || {
            process.logs(0).await["output"].as_str().expect("text").contains("^Cinterrupted")
        })
        .await;
        let path = format!("{}/resize", process.path);
        daemon.raw().post(&path, &json!({"rows": 50, "cols": 132})).await.ok(200);
        until("it knows its new size", async || {
            process.logs(0).await["output"].as_str().expect("text").contains("50 132")
        })
        .await;
        daemon.raw().post(&path, &json!({"rows": 0, "cols": 132})).await.refused(400, "INVALID_REQUEST");
        process.end().await;
        daemon.raw().post(&path, &json!({"rows": 50, "cols": 132})).await.refused(409, "PROCESS_NOT_RUNNING");
    });
}

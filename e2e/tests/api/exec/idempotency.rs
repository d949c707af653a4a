//! Commands that are sent twice and run once.

use std::time::Duration;

use reqwest::Method;
use sandkasten_e2e::{Answer, TestDaemon, TestSession, until, with_daemon};
use serde_json::{Value, json};

async fn keyed(daemon: &TestDaemon, session: &TestSession, key: &str, body: &Value) -> Answer {
    let path = format!("/v1/sessions/{}/exec", session.id);
    Answer::to(daemon.raw().request(Method::POST, &path).header("idempotency-key", key).json(body)).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some()
}

#[test]
fn a_command_that_is_sent_twice_runs_once_and_gives_the_same_result() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let body = json!({"cmd": "echo ran >> log; sleep 0.3; echo out; (exit 3)", "separate_output": true});
        // Also where the second comes while the first runs.
        let (first, second) =
            tokio::join!(keyed(daemon, &session, "a", &body), keyed(daemon, &session, "a", &body));
        assert_eq!(first.ok(200), second.ok(200));
        assert!(is_replayed(&first) != is_replayed(&second));
        let third = keyed(daemon, &session, "a", &body).await;
        assert_eq!((third.ok(200), is_replayed(&third)), (first.ok(200), true));
        assert_eq!(first.ok(200)["stdout"], "out\n");
        keyed(daemon, &session, "a", &json!({"cmd": "true"})).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
        keyed(daemon, &session, "b", &body).await.ok(200);
        assert_eq!(session.output("cat log").await, "ran\nran");
        let late = json!({"cmd": "echo part; sleep 1000", "timeout_ms": 300});
        let first = keyed(daemon, &session, "c", &late).await.refused(504, "COMMAND_TIMEOUT");
        let again = keyed(daemon, &session, "c", &late).await;
        assert_eq!((again.refused(504, "COMMAND_TIMEOUT"), is_replayed(&again)), (first, true));
    });
}

#[test]
fn a_command_with_a_key_outlives_its_client_and_the_daemon() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let body = json!({"cmd": "echo ran >> log; until [ -e go ]; do sleep 0.05; done; echo over"});
        let asked = keyed(daemon, &session, "k", &body);
        assert!(tokio::time::timeout(Duration::from_millis(700), asked).await.is_err(), "it goes on");
        until("it runs", async || session.client.read_file(&session.id, "log", None).await.is_ok()).await;
        daemon.kill_and_restart();
        let client = daemon.client();
        client.write_file(&session.id, "go", b"").await.expect("written");
        let answer = keyed(daemon, &session, "k", &body).await;
        assert_eq!((&answer.ok(200)["output"], is_replayed(&answer)), (&json!("over\n"), true));
        let (log, _) = client.read_file(&session.id, "log", None).await.expect("read");
        assert_eq!(log, b"ran\n");
    });
}

#[test]
fn a_stream_takes_no_key() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec/stream", session.id);
        let request = daemon.raw().request(Method::POST, &path).header("idempotency-key", "k");
        Answer::to(request.json(&json!({"cmd": "true"}))).await.refused(400, "INVALID_REQUEST");
    });
}

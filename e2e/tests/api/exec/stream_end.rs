//! How a stream ends before its command does.

use reqwest::Method;
use sandkasten_api::error::ErrorCode;
use sandkasten_api::exec::ExecRequest;
use sandkasten_client::ExecEvent;
use sandkasten_e2e::{Answer, until, until_some, with_daemon};
use serde_json::json;

#[test]
fn a_timeout_is_an_error_event_behind_the_output() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let request = ExecRequest {
            cmd: Some("kept=yes; echo before; sleep 1000".to_owned()),
            timeout_ms: Some(300),
            ..ExecRequest::default()
        };
        let mut stream = session.client.exec_stream(&session.id, &request).await.expect("a stream");
        let first = stream.next().await.expect("an event").expect("a sound one");
        assert!(matches!(first, ExecEvent::Chunk(chunk) if chunk.chunk == "before\n"));
        let ExecEvent::Failed(failed) = stream.next().await.expect("an event").expect("a sound one") else {
            panic!("no error event");
        };
        assert_eq!(failed.error_code, ErrorCode::CommandTimeout);
        assert!(failed.error.contains("300"), "{}", failed.error);
        assert!(stream.next().await.is_none());
        assert_eq!(session.output("echo $kept").await, "yes");
    });
}

#[test]
fn what_is_refused_is_refused_before_the_stream_starts() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec/stream", session.id);
        let raw = daemon.raw();
        for body in [
            json!({}),
            json!({"cmd": ""}),
            json!({"cmd": "x".repeat((1 << 20) + 1)}),
            json!({"cmd": "a", "timeout_ms": -5}),
        ] {
            assert!(!raw.post(&path, &body).await.message(400, "INVALID_REQUEST").is_empty());
        }
        let command = json!({"cmd": "true"});
        let unknown = raw.post("/v1/sessions/0123abcd-ef01/exec/stream", &command).await;
        assert!(!unknown.message(404, "SESSION_NOT_FOUND").is_empty());
        let closed = raw.with_key(None).post(&path, &command).await;
        assert!(!closed.message(401, "UNAUTHORIZED").is_empty());
        let wrong_method = Answer::to(raw.request(Method::GET, &path)).await;
        assert!(!wrong_method.message(405, "INVALID_REQUEST").is_empty());
        session.destroy().await;
        assert!(!raw.post(&path, &command).await.message(409, "SESSION_NOT_RUNNING").is_empty());
    });
}

#[test]
fn a_reader_that_leaves_stops_the_command_and_all_it_started() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("kept=yes; sleep 1000 &").await;
        let before = daemon.client().session_stats(&session.id).await.expect("stats").pids;
        let mut stream =
            session.stream("setsid sleep 1000 & echo started; while :; do echo more; sleep 0.05; done").await;
        until_some("the command runs", async || {
            matches!(stream.next().await, Some(Ok(ExecEvent::Chunk(_)))).then_some(())
        })
        .await;
        drop(stream);
        until("the command is stopped", async || {
            daemon.client().session_stats(&session.id).await.is_ok_and(|stats| stats.pids == before)
        })
        .await;
        assert_eq!(session.output("echo $kept").await, "yes");
        // A reader that takes nothing holds its command up and loses nothing but itself.
        let silent = session.stream("yes").await;
        drop(silent);
        assert_eq!(session.output("echo free again").await, "free again");
    });
}

#[test]
fn a_session_that_is_destroyed_ends_its_streams_with_an_error() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut stream = session.stream("echo started; sleep 1000").await;
        let first = stream.next().await.expect("an event").expect("a sound one");
        assert!(matches!(first, ExecEvent::Chunk(_)));
        session.destroy().await;
        let last = stream.next().await.expect("an event").expect("a sound one");
        assert!(
            matches!(&last, ExecEvent::Failed(failed) if failed.error_code == ErrorCode::SessionNotRunning),
            "{last:?}"
        );
    });
}

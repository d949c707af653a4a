//! `GET /metrics`: what has been done is in it, and nothing that clients make up.

use reqwest::Method;
use sandkasten_e2e::{Answer, TestDaemon, TestSession, until, with_config, with_daemon};
use serde_json::json;

/// The value of a line, named with its labels; 0 where it is not there yet.
async fn figure(daemon: &TestDaemon, line: &str) -> f64 {
    let text = daemon.raw().get("/metrics").await.text;
    let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().expect("a number"))
}

#[test]
fn creates_execs_and_ends_are_counted_by_what_came_of_them() {
    with_config("max_sessions: 1\n", async |daemon| {
        let answer = daemon.raw().get("/metrics").await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.headers["content-type"]
                .to_str()
                .expect("text")
                .starts_with("application/openmetrics-text")
        );
        let session = daemon.session().await;
        assert_eq!(session.output("echo one").await, "one");
        let exec = format!("/v1/sessions/{}/exec", session.id);
        daemon
            .raw()
            .post(&exec, &json!({"cmd": "sleep 60", "timeout_ms": 100}))
            .await
            .refused(504, "COMMAND_TIMEOUT");
        daemon.raw().post("/v1/sessions", &json!({})).await.refused(429, "LIMIT_EXCEEDED");
        assert!((figure(daemon, "sandkasten_sessions").await - 1.0).abs() < 0.1);
        session.destroy().await;
        for (line, at_least) in [
            (r#"sandkasten_create_seconds_count{source="cold"}"#, 1.0),
            (r#"sandkasten_create_failures_total{reason="place"}"#, 1.0),
            (r#"sandkasten_exec_seconds_count{reason="exit"}"#, 1.0),
            (r#"sandkasten_exec_seconds_count{reason="timeout"}"#, 1.0),
            (r#"sandkasten_session_ends_total{status="destroyed"}"#, 1.0),
            (r#"sandkasten_teardown_seconds_count"#, 1.0),
            (r#"sandkasten_http_requests_total{method="POST",route="/v1/sessions",status="201"}"#, 1.0),
            (
                r#"sandkasten_http_requests_total{method="POST",route="/v1/sessions/{id}/exec",status="504"}"#,
                1.0,
            ),
        ] {
            assert!(
                figure(daemon, line).await >= at_least,
                "{line}\n{}",
                daemon.raw().get("/metrics").await.text
            );
        }
        assert!(figure(daemon, "sandkasten_sessions").await.abs() < 0.1);
    });
}

#[test]
fn what_clients_make_up_becomes_no_line() {
    with_daemon(async |daemon| {
        for word in 0..50 {
            daemon.raw().get(&format!("/made-up-{word}")).await;
            daemon.raw().get(&format!("/v1/sessions/0123abcd-ef{word:02}")).await;
            let method = Method::from_bytes(format!("MADEUP{word}").as_bytes()).expect("a method");
            Answer::to(daemon.raw().request(method, "/v1/sessions")).await;
        }
        let text = daemon.raw().get("/metrics").await.text;
        assert!(
            !text.contains("made-up") && !text.contains("MADEUP") && !text.contains("0123abcd"),
            "{text}"
        );
        assert!(text.contains(r#"{method="GET",route="none",status="404"} 50"#), "{text}");
        assert!(text.lines().count() < 400, "{}", text.lines().count());
    });
}

#[test]
fn the_pool_says_what_is_ready_and_who_found_nothing() {
    with_config("pool: {enabled: true, images: {host: 1}, max: 1}\n", async |daemon| {
        daemon.idle_until(1).await;
        let made = daemon.raw().post("/v1/sessions", &json!({})).await.ok(201);
        assert_eq!(made["acquire_source"], "pool");
        assert!(
            (figure(daemon, r#"sandkasten_pool_takes_total{image="host",result="hit"}"#).await - 1.0).abs()
                < 0.1
        );
        until("there is another", async || {
            (figure(daemon, r#"sandkasten_pool_idle{image="host"}"#).await - 1.0).abs() < 0.1
        })
        .await;
        let id = made["id"].as_str().expect("an id").parse().expect("an id");
        TestSession { id, client: daemon.client() }.destroy().await;
    });
}

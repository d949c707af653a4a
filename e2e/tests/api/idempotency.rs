//! `Idempotency-Key` on `POST /v1/sessions`.

use std::time::Duration;

use reqwest::Method;
use sandkasten_e2e::{Answer, RawApi, RawConnection, until, with_config, with_daemon};
use serde_json::{Value, json};

#[test]
fn the_same_request_again_gets_the_same_answer_and_makes_nothing() {
    with_daemon(async |daemon| {
        let raw = daemon.raw();
        let first = create(&raw, "key 1", json!({"labels": {"a": "1", "b": "2"}})).await;
        let session = first.ok(201);
        assert!(first.headers.get("idempotency-replayed").is_none());
        // Neither white space nor order is what a body says.
        let spaced = br#"{ "labels": {"b": "2",  "a": "1"} }"#;
        let again = raw.request(Method::POST, "/v1/sessions").header("idempotency-key", "key 1");
        let again = Answer::to(again.header("content-type", "application/json").body(&spaced[..])).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
        assert_eq!(again.headers["idempotency-replayed"], "true");
        assert_eq!(again.headers["content-type"], first.headers["content-type"]);
        let message = create(&raw, "key 1", json!({})).await.message(422, "IDEMPOTENCY_KEY_REUSED");
        assert!(message.contains("key 1"), "{message}");
        let other = create(&raw, "key 2", json!({})).await.ok(201);
        assert_ne!(other["id"], session["id"]);
        // Also after its end, and by another daemon.
        let id = session["id"].as_str().expect("an id");
        assert_eq!(raw.delete(&format!("/v1/sessions/{id}")).await.status, 200);
        daemon.kill_and_restart();
        let raw = daemon.raw();
        let again = create(&raw, "key 1", json!({"labels": {"a": "1", "b": "2"}})).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
        assert_eq!(raw.get("/v1/sessions").await.ok(200).as_array().map(Vec::len), Some(1));
    });
}

#[test]
fn of_the_same_request_many_times_at_once_one_makes_a_session() {
    with_daemon(async |daemon| {
        let mut creates = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let raw = daemon.raw();
            creates.spawn(async move { create(&raw, "k", json!({})).await });
        }
        let answers = creates.join_all().await;
        assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
        let replayed = answers.iter().filter(|answer| answer.headers.contains_key("idempotency-replayed"));
        assert_eq!(replayed.count(), 11);
        assert_eq!(daemon.raw().get("/v1/sessions").await.ok(200).as_array().map(Vec::len), Some(1));
    });
}

#[test]
fn a_request_that_made_nothing_may_be_mended_under_its_key() {
    with_config("max_sessions: 1", async |daemon| {
        let raw = daemon.raw();
        assert_eq!(create(&raw, "k", json!({"image": "absent"})).await.status, 400);
        let blocking = raw.post("/v1/sessions", &json!({})).await.ok(201);
        assert_eq!(create(&raw, "k", json!({})).await.status, 429);
        let id = blocking["id"].as_str().expect("an id");
        assert_eq!(raw.delete(&format!("/v1/sessions/{id}")).await.status, 200);
        let made = create(&raw, "k", json!({})).await;
        assert_eq!((made.status, made.headers.get("idempotency-replayed")), (201, None));
        // What is given again counts against no limit.
        assert_eq!(create(&raw, "k", json!({})).await.status, 201);
    });
}

#[test]
fn keys_that_are_unfit_are_refused() {
    with_daemon(async |daemon| {
        let raw = daemon.raw();
        for key in ["", "tab\there", &"x".repeat(256), "ü"] {
            let request = raw.request(Method::POST, "/v1/sessions").header("idempotency-key", key);
            let message = Answer::to(request).await.message(400, "INVALID_REQUEST");
            assert!(message.contains("Idempotency-Key"), "{message}");
        }
        let twice = raw.request(Method::POST, "/v1/sessions").header("idempotency-key", "a");
        assert_eq!(Answer::to(twice.header("idempotency-key", "b")).await.status, 400);
        assert_eq!(raw.get("/v1/sessions").await.ok(200), json!([]));
        assert_eq!(create(&raw, &"~".repeat(255), json!({})).await.status, 201);
        // Nobody without the key of the API learns of answers.
        let stranger = create(&raw.with_key(None), &"~".repeat(255), json!({})).await;
        assert!(!stranger.message(401, "UNAUTHORIZED").is_empty());
    });
}

#[test]
fn a_create_whose_client_goes_away_leaves_a_session_or_nothing() {
    with_daemon(async |daemon| {
        let raw = daemon.raw();
        for (round, milliseconds) in [0_u64, 1, 2, 4, 6, 8, 10, 15, 20, 30].into_iter().enumerate() {
            let mut connection = RawConnection::open(daemon).await;
            let headers = RawConnection::headers(daemon);
            let request = format!(
                "POST /v1/sessions HTTP/1.1\r\n{headers}Idempotency-Key: k{round}\r\nContent-Length: 2\r\n\r\n{{}}"
            );
            assert!(connection.send(request).await);
            // The instant is the point here: nothing is waited for.
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            drop(connection);
            // Who asks again gets that one, whether it was made by then or not.
            let made = create(&raw, &format!("k{round}"), json!({})).await.ok(201);
            let listed = raw.get("/v1/sessions").await.ok(200);
            assert_eq!((listed.as_array().map(Vec::len), &listed[0]["id"]), (Some(1), &made["id"]));
            until("nothing else stands", async || daemon.leaks(None).sockets.len() == 1).await;
            let id = made["id"].as_str().expect("an id");
            assert_eq!(raw.delete(&format!("/v1/sessions/{id}")).await.status, 200);
        }
    });
}

async fn create(raw: &RawApi, key: &str, body: Value) -> Answer {
    Answer::to(raw.request(Method::POST, "/v1/sessions").header("idempotency-key", key).json(&body)).await
}

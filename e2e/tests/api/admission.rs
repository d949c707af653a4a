//! Creates that have to wait: for their turn, for a place, for memory.

use std::time::{Duration, Instant};

use sandkasten_e2e::{Answer, RawApi, RawConnection, TestDaemon, patience, until, with_config};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

#[test]
fn creates_beyond_the_bound_wait_their_turn_and_all_succeed() {
    with_config("admission: {concurrent_creates: 1}", async |daemon| {
        let creates: Vec<_> = (0..40).map(|_| begin(&daemon.raw(), "/v1/sessions")).collect();
        for create in creates {
            create.await.expect("an answer").ok(201);
        }
        assert_eq!(live(daemon).await.len(), 40);
    });
}

#[test]
fn a_wait_that_is_over_is_refused_with_the_reason() {
    with_config("max_sessions: 1", async |daemon| {
        daemon.session().await;
        let began = Instant::now();
        let refused = daemon.raw().post("/v1/sessions?wait_ms=300", &json!({})).await;
        assert!(began.elapsed() >= Duration::from_millis(300));
        let message = refused.message(429, "LIMIT_EXCEEDED");
        for word in ["1 are live and 0 being made", "the 1 of max_sessions", "(waited 3"] {
            assert!(message.contains(word), "{message}");
        }
        let retry = refused.headers["retry-after"].to_str().expect("text").parse::<u64>();
        assert!(retry.is_ok_and(|seconds| seconds > 0));
        // Who does not say that it waits for a place does not.
        let began = Instant::now();
        let message = daemon.raw().post("/v1/sessions", &json!({})).await.message(429, "LIMIT_EXCEEDED");
        assert!(
            began.elapsed() < patience(Duration::from_secs(10)) && !message.contains("waited"),
            "{message}"
        );
        for (query, word) in [("wait_ms=600001", "600000"), ("wait_ms=-1", "wait_ms"), ("wait=5", "wait_ms")]
        {
            let path = format!("/v1/sessions?{query}");
            let message = daemon.raw().post(&path, &json!({})).await.message(400, "INVALID_REQUEST");
            assert!(message.contains(word), "{message}");
        }
    });
}

#[test]
fn a_place_that_becomes_free_goes_to_the_first_who_waits() {
    with_config("max_sessions: 1\nadmission: {max_waiting: 2}", async |daemon| {
        let mut session = daemon.session().await.id.to_string();
        let first = wait_as(daemon, "first", 1).await;
        let second = wait_as(daemon, "second", 2).await;
        for (waiting, name) in [(first, "first"), (second, "second")] {
            assert_eq!(daemon.raw().delete(&format!("/v1/sessions/{session}")).await.status, 200);
            let made = waiting.await.expect("an answer").ok(201);
            assert_eq!(made["name"], name);
            made["id"].as_str().expect("an id").clone_into(&mut session);
            assert_eq!(live(daemon).await.len(), 1);
        }
    });
}

#[test]
fn a_client_that_goes_away_leaves_the_queue() {
    with_config("max_sessions: 1\nadmission: {max_waiting: 1}", async |daemon| {
        let session = daemon.session().await;
        let mut connection = RawConnection::open(daemon).await;
        let headers = RawConnection::headers(daemon);
        let request = format!(
            "POST /v1/sessions?wait_ms=600000 HTTP/1.1\r\n{headers}Content-Length: 15\r\n\r\n{{\"name\":\"gone\"}}"
        );
        assert!(connection.send(request).await);
        until("it waits", async || is_queue_full(daemon).await).await;
        drop(connection);
        until("it waits no more", async || !is_queue_full(daemon).await).await;
        let next = wait_as(daemon, "next", 1).await;
        session.destroy().await;
        assert_eq!(next.await.expect("an answer").ok(201)["name"], "next");
        assert_eq!(live(daemon).await.len(), 1);
    });
}

#[test]
fn a_repeated_create_that_waits_makes_one_session() {
    with_config("max_sessions: 2", async |daemon| {
        let sessions = [daemon.session().await, daemon.session().await];
        let repeat = || {
            let request = daemon.raw().request(reqwest::Method::POST, "/v1/sessions?wait_ms=600000");
            let request = request.header("idempotency-key", "k").json(&json!({}));
            tokio::spawn(Answer::to(request))
        };
        let repeats = [repeat(), repeat(), repeat()];
        for session in sessions {
            session.destroy().await;
        }
        let mut texts = Vec::new();
        for answer in repeats {
            let answer = answer.await.expect("an answer");
            answer.ok(201);
            texts.push(answer.text);
        }
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        assert_eq!(live(daemon).await.len(), 1);
    });
}

#[test]
fn little_memory_refuses_creates_and_says_how_much() {
    with_config("admission: {min_free_memory_mb: 1073741824, wait_seconds: 0}", async |daemon| {
        for path in ["/v1/sessions", "/v1/sessions?wait_ms=50"] {
            let refused = daemon.raw().post(path, &json!({})).await;
            let message = refused.message(429, "LIMIT_EXCEEDED");
            assert!(message.contains("keeps 1073741824 MiB free"), "{message}");
            let words: Vec<_> = message.split(' ').collect();
            let place = words.iter().position(|word| *word == "MiB").expect("how much there is");
            assert!(words[place - 1].parse::<u64>().is_ok_and(|mib| mib > 0), "{message}");
            assert!(refused.headers.contains_key("retry-after"));
        }
        assert_eq!(live(daemon).await, [""; 0]);
    });
}

#[test]
fn the_daemons_end_refuses_those_who_wait() {
    with_config("max_sessions: 1", async |daemon| {
        daemon.session().await;
        let waiting = wait_as(daemon, "late", 1).await;
        let began = Instant::now();
        daemon.terminate();
        let message = waiting.await.expect("an answer").message(429, "LIMIT_EXCEEDED");
        assert!(message.contains("the daemon is ending"), "{message}");
        assert!(began.elapsed() < patience(Duration::from_secs(20)));
        daemon.start_again();
        assert_eq!(live(daemon).await.len(), 1);
    });
}

fn begin(raw: &RawApi, path: &'static str) -> JoinHandle<Answer> {
    let raw = raw.clone();
    tokio::spawn(async move { raw.post(path, &json!({})).await })
}

/// Begins a create that waits ten minutes, and returns when it is the `place`th that waits.
async fn wait_as(daemon: &TestDaemon, name: &'static str, place: usize) -> JoinHandle<Answer> {
    let raw = daemon.raw();
    let waiting =
        tokio::spawn(async move { raw.post("/v1/sessions?wait_ms=600000", &json!({"name": name})).await });
    until("it waits", async || waits_behind(daemon, place).await).await;
    waiting
}

/// Whether so many creates wait: one that comes behind them says it, or is refused because they are as many as may wait.
async fn waits_behind(daemon: &TestDaemon, count: usize) -> bool {
    let message =
        daemon.raw().post("/v1/sessions?wait_ms=0", &json!({})).await.message(429, "LIMIT_EXCEEDED");
    message.contains(&format!("creates in front of it: {count})"))
        || message.contains(&format!("admission.max_waiting allows, {count};"))
}

async fn is_queue_full(daemon: &TestDaemon) -> bool {
    let answer = daemon.raw().post("/v1/sessions?wait_ms=0", &json!({})).await;
    answer.message(429, "LIMIT_EXCEEDED").contains("admission.max_waiting")
}

async fn live(daemon: &TestDaemon) -> Vec<String> {
    let listed = daemon.raw().get("/v1/sessions").await.ok(200);
    let ids = listed.as_array().expect("an array").iter().map(|session: &Value| session["id"].to_string());
    ids.collect()
}

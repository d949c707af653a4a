//! `PATCH /v1/sessions/{id}`.

use jiff::Timestamp;
use reqwest::Method;
use sandkasten_api::session::SessionStatus;
use sandkasten_e2e::{Answer, TestDaemon, until, with_daemon};
use serde_json::{Value, json};

#[test]
fn only_what_is_named_changes_and_survives_the_daemon() {
    with_daemon(async |daemon| {
        let created = json!({"name": "a", "labels": {"keep": "1", "drop": "2"}, "ttl_seconds": 600});
        let created = daemon.raw().post("/v1/sessions", &created).await.ok(201);
        let id = created["id"].as_str().expect("an id").to_owned();
        let unchanged = patch(daemon, &id, json!({})).await.ok(200);
        assert_eq!(unchanged, created);
        let labelled =
            patch(daemon, &id, json!({"labels": {"drop": null, "new": "3", "none": null}})).await.ok(200);
        assert_eq!(labelled["labels"], json!({"keep": "1", "new": "3"}));
        assert_eq!((&labelled["name"], &labelled["expires_at"]), (&created["name"], &created["expires_at"]));
        let renamed = patch(daemon, &id, json!({"name": "b"})).await.ok(200);
        assert_eq!((&renamed["name"], &renamed["labels"]), (&json!("b"), &labelled["labels"]));
        let longer = patch(daemon, &id, json!({"ttl_seconds": 7_200})).await.ok(200);
        assert_eq!(longer["ttl_seconds"], 7_200);
        let expires: Timestamp = longer["expires_at"].as_str().expect("a time").parse().expect("a time");
        let left = expires.duration_since(Timestamp::now()).as_secs();
        assert!((7_100..=7_200).contains(&left), "{left}");
        daemon.kill_and_restart();
        assert_eq!(daemon.raw().get("/v1/sessions").await.ok(200), json!([longer]));
        // The time to live of later uses is the new one as well.
        let exec = daemon.raw().post(&format!("/v1/sessions/{id}/exec"), &json!({"cmd": "true"})).await;
        assert_eq!(exec.status, 200);
        let used = daemon.raw().get(&format!("/v1/sessions/{id}")).await.ok(200);
        assert!(time(&used, "expires_at") > expires);
        assert_eq!(time(&used, "expires_at").duration_since(time(&used, "last_activity")).as_secs(), 7_200);
        let cleared =
            patch(daemon, &id, json!({"name": null, "labels": null, "ttl_seconds": null})).await.ok(200);
        assert_eq!(
            (cleared.get("name"), &cleared["labels"], &cleared["ttl_seconds"]),
            (None, &json!({}), &json!(1_800))
        );
    });
}

#[test]
fn a_shorter_time_to_live_ends_the_session_when_it_says() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}", session.id);
        let patched = patch(daemon, session.id.as_str(), json!({"ttl_seconds": 1})).await.ok(200);
        let client = daemon.client();
        until("it expires", async || {
            client.get_session(&session.id).await.is_ok_and(|found| found.status == SessionStatus::Expired)
        })
        .await;
        assert!(Timestamp::now() >= time(&patched, "expires_at"));
        let late =
            Answer::to(daemon.raw().request(Method::PATCH, &path).json(&json!({"ttl_seconds": 60}))).await;
        assert!(!late.message(410, "SESSION_EXPIRED").is_empty());
    });
}

#[test]
fn what_cannot_be_changed_is_refused_and_nothing_of_the_request_is_done() {
    with_daemon(async |daemon| {
        let taken = daemon.raw().post("/v1/sessions", &json!({"name": "taken"})).await.ok(201);
        let session = daemon.raw().post("/v1/sessions", &json!({"labels": {"a": "1"}})).await.ok(201);
        let id = session["id"].as_str().expect("an id");
        for (body, status, code, named) in [
            (json!({"image": "host"}), 400, "INVALID_REQUEST", "image"),
            (json!({"status": "running", "name": "x"}), 400, "INVALID_REQUEST", "status"),
            (json!({"ttl_seconds": 86_401, "name": "x"}), 400, "INVALID_REQUEST", "86401"),
            (json!({"ttl_seconds": -1}), 400, "INVALID_REQUEST", "ttl_seconds"),
            (json!({"name": "a b", "ttl_seconds": 5}), 400, "INVALID_REQUEST", "a b"),
            (json!({"labels": {"a b": "x"}, "name": "x"}), 400, "INVALID_REQUEST", "a b"),
            (json!({"labels": {"b": 1}}), 400, "INVALID_REQUEST", "labels"),
            (json!({"name": "taken", "labels": {"b": "2"}}), 409, "SESSION_EXISTS", "taken"),
        ] {
            let message = patch(daemon, id, body.clone()).await.message(status, code);
            assert!(message.contains(named), "{body}: {message}");
        }
        assert_eq!(daemon.raw().get("/v1/sessions").await.ok(200), json!([taken, session]));
        // One's own name is no other's.
        let own = taken["id"].as_str().expect("an id");
        assert_eq!(patch(daemon, own, json!({"name": "taken"})).await.status, 200);
        assert!(
            !patch(daemon, "0123abcd-ef01", json!({})).await.message(404, "SESSION_NOT_FOUND").is_empty()
        );
        assert!(!patch(daemon, "nonsense", json!({})).await.message(400, "INVALID_REQUEST").is_empty());
        assert_eq!(daemon.raw().delete(&format!("/v1/sessions/{id}")).await.status, 200);
        assert!(
            !patch(daemon, id, json!({"name": "x"})).await.message(409, "SESSION_NOT_RUNNING").is_empty()
        );
    });
}

#[test]
fn no_change_of_many_at_once_is_lost() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut patches = tokio::task::JoinSet::new();
        for number in 0..20 {
            let request = daemon.raw().request(Method::PATCH, &format!("/v1/sessions/{}", session.id));
            let key = format!("k{number}");
            patches
                .spawn(async move { Answer::to(request.json(&json!({"labels": {key: "x"}}))).await.status });
        }
        assert!(patches.join_all().await.iter().all(|status| *status == 200));
        daemon.kill_and_restart();
        let found = daemon.raw().get(&format!("/v1/sessions/{}", session.id)).await.ok(200);
        assert_eq!(found["labels"].as_object().map(serde_json::Map::len), Some(20));
    });
}

async fn patch(daemon: &TestDaemon, id: &str, body: Value) -> Answer {
    Answer::to(daemon.raw().request(Method::PATCH, &format!("/v1/sessions/{id}")).json(&body)).await
}

fn time(session: &Value, field: &str) -> Timestamp {
    session[field].as_str().expect("a time").parse().expect("a time")
}

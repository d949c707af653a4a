//! `/v1/sessions`: making, listing, looking at, measuring and destroying.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use sandkasten_api::session::{CreateSessionRequest, Session};
use sandkasten_e2e::{Answer, RawApi, TestSession, until, with_config, with_daemon};
use serde_json::{Value, json};

const ID: &str = "0123abcd-ef01";

#[test]
fn a_session_is_made_without_a_body_and_with_one() {
    with_daemon(async |daemon| {
        let raw = daemon.raw();
        let bare = Answer::to(raw.request(Method::POST, "/v1/sessions")).await;
        for (answer, ttl) in [
            (bare, 1_800),
            (raw.post("/v1/sessions", &json!({})).await, 1_800),
            (raw.post("/v1/sessions", &json!({"image": "host", "ttl_seconds": 60})).await, 60),
            (raw.post("/v1/sessions", &json!({"ttl_seconds": 0})).await, 1_800),
            (raw.post("/v1/sessions", &json!({"ttl_seconds": 1})).await, 1),
            (raw.post("/v1/sessions", &json!({"ttl_seconds": 86_400})).await, 86_400),
        ] {
            let session = answer.ok(201);
            let id = session["id"].as_str().expect("an id");
            assert!(id.parse::<sandkasten_api::id::SessionId>().is_ok(), "{id}");
            for (field, value) in
                [("image", "host"), ("status", "running"), ("cwd", "/workspace"), ("acquire_source", "cold")]
            {
                assert_eq!(session[field], value);
            }
            assert!(session.get("workspace_id").is_none(), "{session}");
            let [created, expires] = ["created_at", "expires_at"].map(|field| time(&session, field));
            assert_eq!(expires.duration_since(created).as_secs(), ttl);
            assert!(Timestamp::now().duration_since(created).as_secs() < 60);
            // 201 means usable.
            let answer = raw.post(&format!("/v1/sessions/{id}/exec"), &json!({"cmd": "pwd; echo $$"})).await;
            assert!(
                answer.ok(200)["output"].as_str().is_some_and(|output| output.starts_with("/workspace\n"))
            );
        }
    });
}

#[test]
fn what_a_create_names_wrongly_is_refused_with_the_value() {
    with_daemon(async |daemon| {
        let create = async |body: Value| daemon.raw().post("/v1/sessions", &body).await;
        let message = create(json!({"ttl_seconds": 86_401})).await.message(400, "INVALID_REQUEST");
        assert!(message.contains("86401") && message.contains("86400"), "{message}");
        let message = create(json!({"image": "no-such-image"})).await.message(400, "INVALID_IMAGE");
        assert!(message.contains("no-such-image"), "{message}");
        for image in
            ["", "../../etc", "/etc", "A B", "a\u{0}b", "host/..", &"x".repeat(5_000), "..", "host\n"]
        {
            let message = create(json!({ "image": image })).await.message(400, "INVALID_IMAGE");
            assert!(!message.contains(&*daemon.data_dir().to_string_lossy()), "{message}");
        }
        assert_eq!(daemon.raw().get("/v1/sessions").await.ok(200), json!([]));
        assert!(daemon.leaks(None).sockets.is_empty());
    });
}

#[test]
fn images_beside_the_allowed_ones_are_refused_and_too_many_sessions_as_well() {
    with_config("allowed_images: [host]\nmax_sessions: 2", async |daemon| {
        let create = async |body: Value| daemon.raw().post("/v1/sessions", &body).await;
        let message = create(json!({"image": "python"})).await.message(400, "INVALID_IMAGE");
        assert!(message.contains("python"), "{message}");
        let first = create(json!({"image": "host"})).await.ok(201);
        assert_eq!(create(json!({})).await.status, 201);
        let refused = create(json!({})).await;
        assert!(refused.message(429, "LIMIT_EXCEEDED").contains('2'));
        let wait = refused.headers["retry-after"].to_str().expect("text").parse::<u64>();
        assert!(wait.is_ok_and(|seconds| seconds > 0));
        let id = first["id"].as_str().expect("an id");
        assert_eq!(daemon.raw().delete(&format!("/v1/sessions/{id}")).await.status, 200);
        assert_eq!(create(json!({})).await.status, 201);
    });
}

#[test]
fn images_are_allowed_by_patterns_and_digests() {
    let other = format!("sha256:{}", "0f".repeat(32));
    with_config(&format!("allowed_images: ['ho*@{other}', 'py*']"), async |daemon| {
        let create = async |body: Value| daemon.raw().post("/v1/sessions", &body).await;
        let message = create(json!({})).await.message(400, "INVALID_IMAGE");
        assert!(message.contains("digest sha256:") && !message.contains(&other), "{message}");
        let message = create(json!({"image": "python:3"})).await.message(400, "INVALID_IMAGE");
        assert!(message.contains("not present"), "{message}");
        let message = create(json!({"image": "xpython"})).await.message(400, "INVALID_IMAGE");
        assert!(message.contains("allowed_images"), "{message}");
    });
    with_config("allowed_images: ['h*t']", async |daemon| {
        assert_eq!(daemon.raw().post("/v1/sessions", &json!({})).await.status, 201);
    });
}

#[test]
fn ids_that_are_unknown_or_none_are_refused_on_every_route() {
    with_daemon(async |daemon| {
        let raw = daemon.raw();
        for answer in of_every_route(&raw, ID).await {
            assert!(answer.message(404, "SESSION_NOT_FOUND").contains(ID));
        }
        for id in
            ["nonsense", "0123ABCD-EF01", "0123abcd-ef01x", "0123abcd", "..%2F..%2Fetc", "%20", "%C3%A9", "*"]
        {
            for answer in of_every_route(&raw, id).await {
                assert!(!answer.message(400, "INVALID_REQUEST").is_empty());
            }
        }
    });
}

#[test]
fn a_destroyed_session_is_gone_when_the_answer_comes() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("sleep 1000 & setsid sleep 1000 & echo secret > kept.txt").await;
        let traces = daemon.traces(session.id.as_str());
        assert!(traces.namespaces().iter().any(|name| name.starts_with("net:[")), "{traces:?}");
        let path = format!("/v1/sessions/{}", session.id);
        assert_eq!(daemon.raw().delete(&path).await.ok(200), json!({"ok": true}));
        assert_eq!(traces.remaining(), [""; 0]);
        assert!(!daemon.raw().delete(&path).await.message(404, "SESSION_NOT_FOUND").is_empty());
        assert_eq!(daemon.raw().get(&path).await.ok(200)["status"], "destroyed");
        assert_eq!(daemon.raw().get("/v1/sessions").await.ok(200), json!([]));
        for answer in of_every_use(&daemon.raw(), session.id.as_str()).await {
            let message = answer.message(409, "SESSION_NOT_RUNNING");
            assert!(message.contains(session.id.as_str()) && message.contains("destroyed"), "{message}");
        }
    });
}

#[test]
fn a_session_expires_and_says_so() {
    with_daemon(async |daemon| {
        let created = daemon.raw().post("/v1/sessions", &json!({"ttl_seconds": 1})).await.ok(201);
        let id = created["id"].as_str().expect("an id").to_owned();
        let traces = daemon.traces(&id);
        let path = format!("/v1/sessions/{id}");
        until("the session expires", async || daemon.raw().get(&path).await.ok(200)["status"] == "expired")
            .await;
        assert!(Timestamp::now() >= time(&created, "expires_at"), "expired too early");
        until("everything of it is gone", async || traces.remaining().is_empty()).await;
        for answer in of_every_use(&daemon.raw(), &id).await {
            assert!(answer.message(410, "SESSION_EXPIRED").contains(&id));
        }
        assert_eq!(daemon.raw().get("/v1/sessions").await.ok(200), json!([]));
        let destroyed = daemon.raw().delete(&path).await;
        assert!(matches!(destroyed.status, 404 | 410), "{}", destroyed.status);
    });
}

#[test]
fn each_use_moves_the_expiry_and_a_session_in_use_never_expires() {
    with_daemon(async |daemon| {
        let client = daemon.client();
        let session = daemon.session().await;
        let look = async || client.get_session(&session.id).await.expect("a session");
        let mut before = look().await;
        let uses: [&str; 4] = ["exec", "write", "read", "upload"];
        for verb in uses {
            match verb {
                "exec" => drop(session.exec("true").await),
                "write" => client.write_file(&session.id, "a", b"x").await.expect("written"),
                "read" => drop(client.read_file(&session.id, "a", None).await.expect("read")),
                _ => {
                    let form = reqwest::multipart::Form::new()
                        .part("file", reqwest::multipart::Part::text("y").file_name("b"));
                    let path = format!("/v1/sessions/{}/fs/upload", session.id);
                    let upload = daemon.raw().request(Method::POST, &path).multipart(form);
                    assert_eq!(Answer::to(upload).await.status, 200);
                }
            }
            let after = look().await;
            assert!(after.expires_at > before.expires_at, "{verb} did not move the expiry");
            let used = after.last_activity.expect("when it was last used");
            assert_eq!(after.expires_at.duration_since(used).as_secs(), 1_800, "{verb}");
            before = after;
        }
        let request = CreateSessionRequest { ttl_seconds: Some(1), ..CreateSessionRequest::default() };
        let short = client.create_session(&request).await.expect("a session");
        let short = TestSession { id: short.id, client: client.clone() };
        assert_eq!(short.output("sleep 2.5; echo still here").await, "still here");
        assert_eq!(short.output("echo and now").await, "and now");
    });
}

#[test]
fn the_list_is_an_array_of_live_sessions_oldest_first() {
    with_daemon(async |daemon| {
        let raw = daemon.raw();
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(daemon.session().await);
        }
        sessions.remove(1).destroy().await;
        sessions[0].exec("cd /tmp").await;
        let listed = raw.get("/v1/sessions").await.ok(200);
        let ids: Vec<&str> = listed
            .as_array()
            .expect("a bare array")
            .iter()
            .map(|session| session["id"].as_str().expect("an id"))
            .collect();
        let expected: Vec<&str> = sessions.iter().map(|session| session.id.as_str()).collect();
        assert_eq!(ids, expected);
        assert_eq!(listed[0]["cwd"], "/tmp");
        let one = raw.get(&format!("/v1/sessions/{}", ids[0])).await.ok(200);
        for (field, value) in listed[0].as_object().expect("an object") {
            assert_eq!(one[field], *value, "{field}");
        }
        assert!(time(&one, "last_activity") >= time(&one, "created_at"));
        let typed: Session = serde_json::from_value(one).expect("the typed form");
        assert!(typed.isolation.is_some_and(|isolation| isolation.no_new_privs));
    });
}

#[test]
fn stats_come_from_the_sessions_own_cgroup() {
    let limits = "defaults:\n  mem_limit_mb: 300\n  pids_limit: 77\n  cpu_limit: 0.75";
    with_config(limits, async |daemon| {
        let session = daemon.session().await;
        let idle = daemon.session().await;
        let path = format!("/v1/sessions/{}/stats", session.id);
        let before = daemon.raw().get(&path).await.ok(200);
        assert_eq!(before["memory_limit"], 300 << 20);
        assert_eq!(before["pids_limit"], 77);
        assert_eq!(before["cpu_limit_millis"], 750);
        assert!(before["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0 && bytes < 300 << 20));
        session
            .exec("for ((i = 0; i < 200000; i++)); do :; done; head -c 20M /dev/zero > /tmp/a; sleep 1000 & sleep 1000 &")
            .await;
        let after = daemon.raw().get(&path).await.ok(200);
        let grown = |field: &str| {
            after[field].as_u64().unwrap_or_default() - before[field].as_u64().unwrap_or_default()
        };
        assert!(grown("cpu_usage_usec") > 50_000, "{before} {after}");
        assert!(grown("memory_bytes") > 15 << 20, "{before} {after}");
        assert_eq!(grown("pids"), 2, "{before} {after}");
        let other = daemon.client().session_stats(&idle.id).await.expect("stats");
        assert!(other.memory_bytes < 15 << 20 && other.pids <= 3, "{other:?}");
    });
}

#[test]
fn fifty_sessions_are_made_used_and_destroyed_at_once() {
    with_daemon(async |daemon| {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..50 {
            let client = daemon.client();
            tasks.spawn(async move {
                let session =
                    client.create_session(&CreateSessionRequest::default()).await.expect("a session");
                let session = TestSession { id: session.id, client };
                let written = format!("echo {number} > mine; sleep 0.2; cat mine; ls | wc -l");
                assert_eq!(session.output(&written).await, format!("{number}\n1"));
                session
            });
        }
        let sessions = tasks.join_all().await;
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 50);
        let mut ends = tokio::task::JoinSet::new();
        for session in sessions {
            ends.spawn(async move { session.destroy().await });
        }
        tokio::time::timeout(Duration::from_secs(30), ends.join_all()).await.expect("they end in time");
        assert_eq!(daemon.raw().get("/v1/sessions").await.ok(200), json!([]));
        assert_eq!(daemon.leaks(None).sockets, [""; 0].map(std::path::PathBuf::from));
    });
}

fn time(session: &Value, field: &str) -> Timestamp {
    let text = session[field].as_str().unwrap_or_else(|| panic!("{field}: {session}"));
    assert!(text.ends_with('Z'), "{field} is not in UTC: {text}");
    text.parse().unwrap_or_else(|error| panic!("{field}: {text}: {error}"))
}

/// The answers of everything that needs a live session.
async fn of_every_use(raw: &RawApi, id: &str) -> Vec<Answer> {
    let base = format!("/v1/sessions/{id}");
    let form = || {
        let part = reqwest::multipart::Part::text("x").file_name("a");
        reqwest::multipart::Form::new().part("file", part)
    };
    vec![
        raw.get(&format!("{base}/stats")).await,
        raw.post(&format!("{base}/exec"), &json!({"cmd": "true"})).await,
        raw.post(&format!("{base}/exec/stream"), &json!({"cmd": "true"})).await,
        raw.post(&format!("{base}/fs/write"), &json!({"path": "a", "text": "x"})).await,
        raw.get(&format!("{base}/fs/read?path=a")).await,
        Answer::to(raw.request(Method::POST, &format!("{base}/fs/upload")).multipart(form())).await,
    ]
}

async fn of_every_route(raw: &RawApi, id: &str) -> Vec<Answer> {
    let path = format!("/v1/sessions/{id}");
    let mut answers = of_every_use(raw, id).await;
    answers.push(raw.get(&path).await);
    answers.push(raw.delete(&path).await);
    answers
}

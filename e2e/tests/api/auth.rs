//! The key in front of everything but `/healthz`.

use reqwest::{Method, RequestBuilder};
use sandkasten_e2e::{API_KEY, Answer, TestDaemon, with_daemon, with_open_daemon};
use serde_json::json;

/// Every route of the contract, and one that is none.
const ROUTES: [(Method, &str); 16] = [
    (Method::POST, "/v1/sessions"),
    (Method::GET, "/v1/sessions"),
    (Method::GET, "/v1/sessions/0123abcd-ef01"),
    (Method::DELETE, "/v1/sessions/0123abcd-ef01"),
    (Method::GET, "/v1/sessions/0123abcd-ef01/stats"),
    (Method::POST, "/v1/sessions/0123abcd-ef01/exec"),
    (Method::POST, "/v1/sessions/0123abcd-ef01/exec/stream"),
    (Method::POST, "/v1/sessions/0123abcd-ef01/fs/write"),
    (Method::GET, "/v1/sessions/0123abcd-ef01/fs/read?path=a"),
    (Method::POST, "/v1/sessions/0123abcd-ef01/fs/upload"),
    (Method::GET, "/v1/workspaces"),
    (Method::DELETE, "/v1/workspaces/user-1"),
    (Method::GET, "/v1/workspaces/user-1/fs?path=."),
    (Method::POST, "/v1/workspaces/user-1/fs/write"),
    (Method::GET, "/metrics"),
    (Method::GET, "/v1/no-such-thing"),
];

#[test]
fn every_route_is_closed_without_the_key() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let begin = |method: &Method, path: &str| -> RequestBuilder {
            let path = path.replace("0123abcd-ef01", session.id.as_str());
            daemon.raw().with_key(None).request(method.clone(), &path)
        };
        for (method, path) in &ROUTES {
            let answer = Answer::to(begin(method, path)).await;
            assert!(answer.message(401, "UNAUTHORIZED").contains("Authorization"), "{method} {path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer", "{method} {path}");
            assert!(!answer.text.contains(API_KEY));
            let wrong = begin(method, path).bearer_auth(format!("{API_KEY}x")).json(&json!({"cmd": "id"}));
            assert!(!Answer::to(wrong).await.message(401, "UNAUTHORIZED").is_empty());
        }
        assert_eq!(daemon.client().list_sessions().await.expect("a list").len(), 1);
    });
}

#[test]
fn only_the_exact_key_opens() {
    with_daemon(async |daemon| {
        let list = || daemon.raw().with_key(None).request(Method::GET, "/v1/sessions");
        for value in [
            String::new(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            API_KEY.to_owned(),
            format!("Basic {API_KEY}"),
            format!("Bearer {API_KEY} {API_KEY}"),
            format!("Bearer {}", &API_KEY[1..]),
            format!("Bearer {}", &API_KEY[..API_KEY.len() - 1]),
            format!("Bearer {}", API_KEY.to_uppercase()),
            format!("Bearer {}", "x".repeat(10_000)),
        ] {
            let answer = Answer::to(list().header("authorization", &value)).await;
            assert_eq!(answer.status, 401, "{value:.60}");
        }
        let twice = list().bearer_auth("wrong").header("authorization", format!("Bearer {API_KEY}"));
        assert_eq!(Answer::to(twice).await.status, 401);
        assert_eq!(Answer::to(list().query(&[("api_key", API_KEY)])).await.status, 401);
        assert_eq!(Answer::to(list().bearer_auth(API_KEY)).await.status, 200);
    });
}

#[test]
fn a_foreign_host_or_origin_is_refused_even_with_the_key() {
    with_daemon(async |daemon| foreign_names_are_refused(daemon).await);
}

#[test]
fn an_open_daemon_takes_no_body_that_a_web_page_could_send() {
    with_open_daemon(async |daemon| {
        let open = daemon.raw().with_key(None);
        assert_eq!(open.get("/v1/sessions").await.ok(200), json!([]));
        let create = |kind: &str| {
            let request = open.request(Method::POST, "/v1/sessions").header("content-type", kind.to_owned());
            request.body(r#"{"ttl_seconds":60}"#)
        };
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
            let message = Answer::to(create(kind)).await.message(400, "INVALID_REQUEST");
            assert!(message.contains("application/json"), "{kind:?}: {message}");
        }
        let bare = open.request(Method::POST, "/v1/sessions").body(r#"{"ttl_seconds":60}"#);
        assert_eq!(Answer::to(bare).await.status, 400);
        assert_eq!(open.get("/v1/sessions").await.ok(200), json!([]));
        for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
            assert_eq!(Answer::to(create(kind)).await.status, 201, "{kind}");
        }
        foreign_names_are_refused(daemon).await;
    });
}

async fn foreign_names_are_refused(daemon: &TestDaemon) {
    let port = daemon.url().rsplit(':').next().unwrap_or_default().to_owned();
    let list = || daemon.raw().request(Method::GET, "/v1/sessions");
    for (host, status) in [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        ("localhost".to_owned(), 200),
        (format!("rebound.example:{port}"), 400),
        (format!("127.0.0.1.rebound.example:{port}"), 400),
        ("169.254.169.254".to_owned(), 400),
    ] {
        assert_eq!(Answer::to(list().header("host", &host)).await.status, status, "{host}");
    }
    for (origin, refused) in [
        (format!("http://localhost:{port}"), false),
        ("http://page.example".to_owned(), true),
        (format!("http://page.example:{port}"), true),
        ("null".to_owned(), true),
    ] {
        let status = Answer::to(list().header("origin", &origin)).await.status;
        assert_eq!((400..404).contains(&status), refused, "{origin}: {status}");
    }
}

//! `GET /healthz`.

use reqwest::Method;
use sandkasten_e2e::{Answer, with_daemon};
use serde_json::json;

#[test]
fn health_is_told_to_everybody() {
    with_daemon(async |daemon| {
        for key in [None, Some("wrong"), Some(sandkasten_e2e::API_KEY)] {
            let answer = daemon.raw().with_key(key).get("/healthz").await;
            assert_eq!(answer.ok(200), json!({"status": "ok"}));
            assert!(answer.headers.contains_key("x-request-id"));
        }
        let answer = Answer::to(daemon.raw().with_key(None).request(Method::POST, "/healthz")).await;
        assert!(answer.status == 405 || answer.status == 401, "{}", answer.status);
    });
}

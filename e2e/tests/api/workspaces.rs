//! `/v1/workspaces` of a daemon that has none.

use reqwest::Method;
use sandkasten_e2e::{Answer, with_daemon};
use serde_json::json;

#[test]
fn workspaces_that_are_disabled_are_refused_on_every_route() {
    with_daemon(async |daemon| {
        for (method, path) in [
            (Method::GET, "/v1/workspaces"),
            (Method::DELETE, "/v1/workspaces/user-1"),
            (Method::GET, "/v1/workspaces/user-1/fs?path=."),
            (Method::GET, "/v1/workspaces/user-1/fs/read?path=a"),
            (Method::POST, "/v1/workspaces/user-1/fs/write"),
            (Method::POST, "/v1/workspaces/user-1/fs/upload"),
        ] {
            let answer = Answer::to(daemon.raw().request(method, path)).await;
            assert!(answer.message(400, "INVALID_WORKSPACE").contains("workspace"), "{path}");
        }
        for id in ["user-1", "a", "-ab", "Upper", "a/b", ""] {
            let answer = daemon.raw().post("/v1/sessions", &json!({"workspace_id": id})).await;
            assert!(!answer.message(400, "INVALID_WORKSPACE").is_empty(), "{id:?}");
        }
        assert_eq!(daemon.raw().get("/v1/sessions").await.ok(200), json!([]));
    });
}

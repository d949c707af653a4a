//! Workspaces over the ends of sessions and daemons.

use std::fs;
use std::time::Duration;

use sandkasten_api::session::CreateSessionRequest;
use sandkasten_e2e::{TestDaemon, TestSession, with_config};
use serde_json::json;

use crate::ENABLED;

async fn names(daemon: &TestDaemon) -> Vec<String> {
    let listed = daemon.raw().get("/v1/workspaces").await.ok(200);
    let all = listed["workspaces"].as_array().expect("a list");
    all.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_workspace_is_kept_while_any_session_uses_it_and_then_goes_whole() {
    with_config(ENABLED, async |daemon| {
        let (one, two) = (daemon.session_on("user-1").await, daemon.session_on("user-1").await);
        one.output("mkdir -p a/b && echo x > a/b/c && chmod 000 a").await;
        for session in [one, two] {
            let answer = daemon.raw().delete("/v1/workspaces/user-1").await;
            assert!(answer.message(409, "WORKSPACE_IN_USE").contains("user-1"));
            assert_eq!(session.output("echo alive").await, "alive");
            session.destroy().await;
        }
        assert_eq!(daemon.raw().delete("/v1/workspaces/user-1").await.ok(200), json!({"ok": true}));
        let gone = daemon.raw().delete("/v1/workspaces/user-1").await.message(404, "WORKSPACE_NOT_FOUND");
        assert!(gone.contains("user-1"));
        assert!(names(daemon).await.is_empty());
        for directory in ["workspaces/.rubbish", "workspaces/.locks"] {
            assert_eq!(fs::read_dir(daemon.data_dir().join(directory)).expect("there").count(), 0);
        }
        assert_eq!(daemon.session_on("user-1").await.output("ls -A").await, "");
    });
}

#[test]
fn a_session_keeps_its_workspace_over_a_killed_daemon() {
    with_config(ENABLED, async |daemon| {
        let session = daemon.session_on("user-1").await;
        session.output("echo before > file").await;
        daemon.kill_and_restart();
        let session = TestSession { id: session.id, client: daemon.client() };
        assert_eq!(session.output("cat file; echo after > file").await, "before");
        let shown = daemon.client().get_session(&session.id).await.expect("a session");
        assert_eq!(shown.workspace_id.map(|id| id.to_string()).as_deref(), Some("user-1"));
        assert_eq!(daemon.raw().delete("/v1/workspaces/user-1").await.status, 409);
        session.destroy().await;
        let ended = daemon.client().get_session(&shown.id).await.expect("remembered");
        assert_eq!(ended.workspace_id.map(|id| id.to_string()).as_deref(), Some("user-1"));
        assert_eq!(daemon.session_on("user-1").await.output("cat file").await, "after");
    });
}

#[test]
fn a_crashed_session_lets_go_of_its_workspace() {
    with_config(ENABLED, async |daemon| {
        let session = daemon.session_on("user-1").await;
        daemon.kill();
        for process in daemon.leaks(Some(session.id.as_str())).processes {
            if let Some(process) = rustix::process::Pid::from_raw(process) {
                rustix::process::kill_process(process, rustix::process::Signal::KILL).ok();
            }
        }
        daemon.start_again();
        assert_eq!(daemon.raw().delete("/v1/workspaces/user-1").await.ok(200), json!({"ok": true}));
    });
}

#[test]
fn a_kill_in_the_middle_leaves_a_whole_workspace_or_none() {
    with_config(ENABLED, async |daemon| {
        for (round, milliseconds) in [0, 1, 2, 3, 5, 8, 13, 21, 34].into_iter().enumerate() {
            let kept = daemon.session_on("large").await;
            kept.output("for d in $(seq 40); do mkdir d$d; for f in $(seq 20); do : > d$d/$f; done; done")
                .await;
            kept.destroy().await;
            let (client, raw) = (daemon.client(), daemon.raw());
            let request = CreateSessionRequest {
                workspace_id: Some(format!("new-{round}")),
                ..CreateSessionRequest::default()
            };
            let create = tokio::spawn(async move { client.create_session(&request).await });
            let remove = tokio::spawn(async move {
                raw.request(reqwest::Method::DELETE, "/v1/workspaces/large").send().await
            });
            // The instant is the point here: nothing is waited for.
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            daemon.kill();
            drop((create.await, remove.await));
            daemon.start_again();
            for session in daemon.client().list_sessions().await.expect("a list") {
                daemon.client().destroy_session(&session.id).await.expect("destroyed");
            }
            for name in names(daemon).await {
                let session = daemon.session_on(&name).await;
                let count = session
                    .output("echo works > probe && cat probe > /dev/null; find . -type f | wc -l")
                    .await;
                assert!(if name == "large" { count == "801" } else { count == "1" }, "{name}: {count}");
                session.destroy().await;
                assert_eq!(daemon.raw().delete(&format!("/v1/workspaces/{name}")).await.status, 200);
            }
        }
        assert!(names(daemon).await.is_empty());
    });
}

//! Sessions with a workspace.

use sandkasten_e2e::{with_config, with_daemon};
use serde_json::json;

use crate::ENABLED;

#[test]
fn what_a_session_writes_is_there_for_the_next() {
    with_config(ENABLED, async |daemon| {
        let session = daemon.session_on("user-1").await;
        session.output("mkdir d && echo kept > d/file && chmod 640 d/file && ln -s d/file link").await;
        session.client.write_file(&session.id, "by-api", b"also").await.expect("written");
        session.destroy().await;
        let session = daemon.session_on("user-1").await;
        assert_eq!(
            session.output("pwd; cat link by-api; stat -c %a:%U d/file by-api").await.replace('\n', " "),
            "/workspace kept also640:sandbox 644:sandbox"
        );
        let other = daemon.session_on("user-2").await;
        assert_eq!(other.output("ls -A").await, "");
        let none = daemon.session().await;
        assert_eq!(none.output("ls -A; stat -f -c %T .").await, "tmpfs");
    });
}

#[test]
fn two_sessions_share_a_workspace_as_they_go() {
    with_config(ENABLED, async |daemon| {
        let (one, two) = (daemon.session_on("both").await, daemon.session_on("both").await);
        one.output("echo from-one > file; mkdir -m 700 private").await;
        two.output("echo from-two >> file; mv file private/file").await;
        assert_eq!(one.output("cat private/file").await, "from-one\nfrom-two");
        let ids = [&one, &two].map(|session| session.id.to_string());
        let listed = daemon.raw().get("/v1/sessions").await.ok(200);
        for session in listed.as_array().expect("a list") {
            assert_eq!(session["workspace_id"], "both");
            assert!(ids.contains(&session["id"].as_str().unwrap_or_default().to_owned()));
        }
        let shown = daemon.raw().get(&format!("/v1/sessions/{}", one.id)).await.ok(200);
        assert_eq!(shown["workspace_id"], "both");
    });
}

#[test]
fn the_list_says_how_much_is_in_each_since_when() {
    with_config(ENABLED, async |daemon| {
        assert_eq!(daemon.raw().get("/v1/workspaces").await.ok(200), json!({"workspaces": []}));
        let session = daemon.session_on("bb").await;
        session.output("head -c 1M /dev/zero > a; mkdir d; echo x > d/b; ln -s / root; mkfifo f").await;
        daemon.session_on("aa").await.destroy().await;
        let listed = daemon.raw().get("/v1/workspaces").await.ok(200);
        let all = listed["workspaces"].as_array().expect("a list");
        assert_eq!([&all[0]["id"], &all[1]["id"]], ["aa", "bb"]);
        assert_eq!(all[0]["labels"], json!({"sandkasten.workspace_id": "aa"}));
        assert_eq!((&all[0]["files"], &all[1]["files"]), (&json!(0), &json!(4)));
        let bytes = all[1]["size_bytes"].as_u64().expect("a number");
        assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
        let created: jiff::Timestamp =
            all[1]["created_at"].as_str().and_then(|at| at.parse().ok()).expect("a time");
        assert!(created.duration_since(jiff::Timestamp::now()).abs().as_secs() < 60);
    });
}

#[test]
fn names_that_are_none_are_refused_and_make_nothing() {
    with_config(ENABLED, async |daemon| {
        let long = "a".repeat(65);
        for id in [
            "a", "-ab", "ab-", "Upper", "a/b", "..", ".locks", ".rubbish", "a_b", "", "ü1", "a b", "a\n",
            &long,
        ] {
            let answer = daemon.raw().post("/v1/sessions", &json!({"workspace_id": id})).await;
            assert!(answer.message(400, "INVALID_WORKSPACE").contains("workspace id"), "{id:?}");
        }
        for path in ["a", "%2e%2e", "..%2frun", ".locks", ".rubbish", "a%00b", "a%ffb", "%2e"] {
            let answer = daemon.raw().delete(&format!("/v1/workspaces/{path}")).await;
            assert!([400, 404].contains(&answer.status), "{path}: {}", answer.text);
        }
        assert_eq!(daemon.raw().get("/v1/workspaces").await.ok(200), json!({"workspaces": []}));
        assert_eq!(daemon.raw().get("/v1/sessions").await.ok(200), json!([]));
        daemon.session_on(&"a".repeat(64)).await.destroy().await;
        daemon.session_on("0-9").await;
    });
}

#[test]
fn sessions_have_one_by_default_where_that_is_configured() {
    with_config(&format!("{ENABLED}\n  persist_by_default: true"), async |daemon| {
        let session = daemon.session().await;
        session.output("echo kept > file").await;
        let id = session.id.to_string();
        let shown = daemon.raw().get(&format!("/v1/sessions/{id}")).await.ok(200);
        assert_eq!(shown["workspace_id"], *id);
        session.destroy().await;
        assert_eq!(daemon.session_on(&id).await.output("cat file").await, "kept");
        daemon.session_on("named").await;
        let listed = daemon.raw().get("/v1/workspaces").await.ok(200);
        assert_eq!(listed["workspaces"].as_array().expect("a list").len(), 2);
    });
}

#[test]
fn without_workspaces_nothing_is_kept_whatever_the_default_says() {
    with_config("workspace:\n  persist_by_default: true", async |daemon| {
        let answer = daemon.raw().post("/v1/sessions", &json!({"workspace_id": "user-1"})).await;
        assert!(answer.message(400, "INVALID_WORKSPACE").contains("workspace.enabled is false"));
        assert_eq!(daemon.session().await.output("stat -f -c %T /workspace").await, "tmpfs");
        assert!(!daemon.data_dir().join("workspaces").exists());
    });
}

#[test]
fn a_session_that_cannot_be_made_leaves_no_workspace() {
    with_config(&format!("default_image: broken\n{ENABLED}"), async |daemon| {
        let answer = daemon.raw().post("/v1/sessions", &json!({"workspace_id": "user-1"})).await;
        assert!(!answer.message(400, "INVALID_IMAGE").is_empty());
        assert_eq!(daemon.raw().get("/v1/workspaces").await.ok(200), json!({"workspaces": []}));
    });
    with_daemon(async |daemon| {
        assert!(!daemon.data_dir().join("workspaces").exists());
    });
}

#[test]
fn a_disk_that_is_too_full_gives_no_session_a_workspace() {
    with_config("workspace:\n  enabled: true\n  min_free_mb: 1000000000", async |daemon| {
        let answer = daemon.raw().post("/v1/sessions", &json!({"workspace_id": "user-1"})).await;
        assert!(answer.message(429, "LIMIT_EXCEEDED").contains("workspace.min_free_mb"));
        assert_eq!(daemon.raw().get("/v1/workspaces").await.ok(200), json!({"workspaces": []}));
        daemon.session().await;
    });
}

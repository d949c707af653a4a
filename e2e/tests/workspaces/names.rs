//! Making, copying and renaming workspaces, by the API and on the command line.

use sandkasten_e2e::{TestDaemon, with_config};
use serde_json::json;

use crate::ENABLED;

/// Runs a command and returns its exit status, and what it printed to both.
fn run(daemon: &TestDaemon, words: &[&str]) -> (Option<i32>, String, String) {
    let output = daemon.command(words).output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_copy_is_a_workspace_of_its_own_and_a_name_can_be_changed_where_nobody_uses_it() {
    with_config(ENABLED, async |daemon| {
        let raw = daemon.raw();
        let made = raw.post("/v1/workspaces", &json!({"id": "one"})).await.ok(201);
        assert_eq!((&made["id"], &made["files"]), (&json!("one"), &json!(0)));
        assert!(
            !raw.post("/v1/workspaces", &json!({"id": "one"}))
                .await
                .message(409, "WORKSPACE_EXISTS")
                .is_empty()
        );
        let session = daemon.session_on("one").await;
        session.output("mkdir d; echo original > d/file; chmod 750 d/file; ln -s d/file link").await;
        let copied = raw.post("/v1/workspaces/one/copy", &json!({"to": "two"})).await.ok(201);
        assert_eq!((&copied["id"], &copied["files"]), (&json!("two"), &json!(2)));
        session.output("echo changed > d/file").await;
        let other = daemon.session_on("two").await;
        assert_eq!(
            other.output("cat link; stat -c %a:%U:%G d/file; echo mine >> d/file").await,
            "original\n750:sandbox:sandbox"
        );
        for (path, to, status, code) in [
            ("one/rename", "three", 409, "WORKSPACE_IN_USE"),
            ("one/copy", "two", 409, "WORKSPACE_EXISTS"),
            ("none/copy", "three", 404, "WORKSPACE_NOT_FOUND"),
            ("none/rename", "three", 404, "WORKSPACE_NOT_FOUND"),
            ("one/copy", "../x", 400, "INVALID_WORKSPACE"),
            ("one/rename", ".rubbish", 400, "INVALID_WORKSPACE"),
        ] {
            let answer = raw.post(&format!("/v1/workspaces/{path}"), &json!({"to": to})).await;
            assert!(!answer.message(status, code).is_empty(), "{path} {to}");
        }
        for session in [session, other] {
            session.destroy().await;
        }
        assert_eq!(
            raw.post("/v1/workspaces/one/rename", &json!({"to": "three"})).await.ok(200),
            json!({"ok": true})
        );
        assert_eq!(daemon.session_on("three").await.output("cat d/file").await, "changed");
        let listed = raw.get("/v1/workspaces").await.ok(200);
        let names: Vec<_> =
            listed["workspaces"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
        assert_eq!(names, ["three", "two"]);
    });
}

#[test]
fn the_command_line_does_all_of_it() {
    with_config(ENABLED, async |daemon| {
        let session = daemon.session_on("busy").await;
        let run = |words: &[&str]| run(daemon, words);
        assert_eq!(run(&["workspace", "create", "one", "two"]).1, "one\ntwo\n");
        let ran = run(&["run", "--workspace", "one", "--", "sh", "-c", "echo kept > file; pwd"]);
        assert_eq!((ran.0, ran.1.as_str()), (Some(0), "/workspace\n"), "{}", ran.2);
        assert_eq!(run(&["run", "--workspace", "one", "--", "cat", "file"]).1, "kept\n");
        assert_eq!(run(&["workspace", "copy", "one", "copy"]).1, "copy\n");
        assert_eq!(run(&["workspace", "rename", "copy", "moved"]).1, "moved\n");
        assert_eq!(run(&["run", "--workspace", "moved", "--", "cat", "file"]).1, "kept\n");
        assert_eq!(run(&["workspace", "list", "-q"]).1, "busy\nmoved\none\ntwo\n");
        let listed: serde_json::Value =
            serde_json::from_str(&run(&["workspace", "ls", "--json"]).1).expect("JSON");
        assert_eq!((&listed[1]["id"], &listed[1]["files"]), (&json!("moved"), &json!(1)));
        assert!(run(&["workspace", "list"]).1.starts_with("ID "));
        let id = run(&["create", "--workspace", "two"]).1;
        let shown = daemon.raw().get(&format!("/v1/sessions/{}", id.trim())).await.ok(200);
        assert_eq!(shown["workspace_id"], "two");
        let (status, gone, why) = run(&["workspace", "rm", "busy", "one", "missing", "moved"]);
        assert_eq!((status, gone.as_str()), (Some(4), "one\nmoved\n"), "{why}");
        assert!(why.contains("busy is in use") && why.contains("no workspace missing"), "{why}");
        assert_eq!(run(&["workspace", "rm", "Upper"]).0, Some(2));
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

#[test]
fn a_run_without_a_daemon_uses_the_workspaces_of_the_data_directory() {
    with_config(ENABLED, async |daemon| {
        daemon.terminate();
        let alone = |words: &[&str]| {
            let mut command = daemon.command(words);
            command.arg("--config").arg(daemon.config()).env_remove("SANDKASTEN_URL");
            command
        };
        let words = ["run", "--workspace", "user-1"];
        let run = |script: &str| {
            let output = alone(&words).args(["--", "sh", "-c", script]).output().expect("the binary runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        run("echo kept > file");
        assert_eq!(run("cat file"), "kept\n");
        daemon.start_again();
        let session = daemon.session_on("user-1").await;
        assert_eq!(session.output("cat file").await, "kept");
        // A private daemon beside it sees who uses it, too: the lock is the kernel's.
        daemon.kill();
        assert_eq!(run("cat file"), "kept\n");
        daemon.start_again();
        assert_eq!(daemon.raw().delete("/v1/workspaces/user-1").await.status, 409);
    });
}

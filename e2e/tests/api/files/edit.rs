//! `fs/edit`: strings and diffs.

use sandkasten_e2e::{Answer, TestDaemon, TestSession, with_daemon};
use serde_json::{Value, json};

async fn edit(daemon: &TestDaemon, session: &TestSession, path: &str, body: Value) -> Answer {
    let mut body = body;
    body["path"] = json!(path);
    daemon.raw().post(&format!("/v1/sessions/{}/fs/edit", session.id), &body).await
}

#[test]
fn strings_and_diffs_change_a_file_and_keep_its_mode() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("printf 'one\\ntwo\\nthree\\n' > f; chmod 750 f; ln -s f link").await;
        let answer = edit(
            daemon,
            &session,
            "f",
            json!({"edits": [{"old": "two", "new": "2"}, {"old": "e", "new": "E", "replace_all": true}]}),
        );
        let answer = answer.await.ok(200);
        assert_eq!((&answer["changes"], &answer["bytes"]), (&json!(4), &json!(12)));
        assert_eq!(
            session.output("cat f; sha256sum < f | cut -c 1-64; stat -c '%a %u' f").await,
            format!("onE\n2\nthrEE\n{}\n750 1000", answer["sha256"].as_str().expect("a hash"))
        );
        let patch = "--- a/f\n+++ b/f\n@@ -2,2 +2,2 @@\n-2\n+two\n thrEE\n";
        let body = json!({"patch": patch, "expect_sha256": answer["sha256"]});
        let patched = edit(daemon, &session, "link", body.clone()).await.ok(200);
        assert_eq!(patched["hunks"], json!([{"line": 2, "offset": 0}]));
        assert_eq!(session.output("cat f; readlink link; ls -A").await, "onE\ntwo\nthrEE\nf\nf\nlink");
        assert!(edit(daemon, &session, "f", body).await.message(409, "FILE_CHANGED").contains("sha256"));
        session.output("sed -i '1i new' f").await;
        let moved = edit(daemon, &session, "f", json!({"patch": "@@ -2 +2 @@\n-two\n+2\n"})).await.ok(200);
        assert_eq!(moved["hunks"], json!([{"line": 3, "offset": 1}]));
        assert_eq!(session.output("cat f").await, "new\nonE\n2\nthrEE");
    });
}

#[test]
fn an_edit_that_does_not_fit_changes_nothing() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("echo aXbX > f; mkdir dir; mkfifo fifo; head -c 17000000 /dev/zero > large").await;
        let one = |old: &str| json!({"edits": [{"old": old, "new": "y"}]});
        for (path, body, status, code) in [
            ("f", one("X"), 409, "EDIT_MISMATCH"),
            ("f", one("Z"), 409, "EDIT_MISMATCH"),
            (
                "f",
                json!({"edits": [{"old": "a", "new": "y"}, {"old": "a", "new": "z"}]}),
                409,
                "EDIT_MISMATCH",
            ),
            ("f", json!({"patch": "@@ -1 +1 @@\n-other\n+x\n"}), 409, "EDIT_MISMATCH"),
            ("f", json!({"patch": "no diff"}), 400, "INVALID_REQUEST"),
            ("f", json!({}), 400, "INVALID_REQUEST"),
            ("f", json!({"edits": []}), 400, "INVALID_REQUEST"),
            ("f", json!({"edits": [{"old": "", "new": "x"}]}), 400, "INVALID_REQUEST"),
            (
                "f",
                json!({"edits": [{"old": "a", "new": "x"}], "patch": "@@ -1 +1 @@\n-a\n+b\n"}),
                400,
                "INVALID_REQUEST",
            ),
            (
                "f",
                json!({"edits": [{"old": "a", "new": "x"}], "expect_sha256": "abc"}),
                400,
                "INVALID_REQUEST",
            ),
            ("none", one("X"), 404, "FILE_NOT_FOUND"),
            ("dir", one("X"), 409, "IS_DIRECTORY"),
            ("fifo", one("X"), 409, "NOT_REGULAR_FILE"),
            ("large", one("X"), 413, "FILE_TOO_LARGE"),
            ("/etc/passwd", one("X"), 400, "INVALID_REQUEST"),
        ] {
            assert!(!edit(daemon, &session, path, body).await.message(status, code).is_empty());
        }
        assert_eq!(session.output("cat f; ls -A").await, "aXbX\ndir\nf\nfifo\nlarge");
    });
}

#[test]
fn no_change_of_another_writer_is_lost() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("echo 0 > f").await;
        for round in 0..20 {
            // Eight at once: one takes the number further, and seven find another than they mean.
            let body = json!({"edits": [{"old": format!("{round}\n"), "new": format!("{}\n", round + 1)}]});
            let answers = (0..8).map(|_| edit(daemon, &session, "f", body.clone()));
            let mut statuses: Vec<_> =
                futures_util::future::join_all(answers).await.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
        }
        assert_eq!(session.output("cat f").await, "20");
    });
}

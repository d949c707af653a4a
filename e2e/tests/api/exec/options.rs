//! What a command can be given: variables, a directory, an input, a user, and a limit of its output.

use sandkasten_e2e::{TestSession, with_daemon};
use serde_json::{Value, json};

/// Runs what a request says, which must be taken.
pub(crate) async fn exec(daemon: &sandkasten_e2e::TestDaemon, session: &TestSession, body: Value) -> Value {
    daemon.raw().post(&format!("/v1/sessions/{}/exec", session.id), &body).await.ok(200)
}

#[test]
fn variables_are_the_commands_alone_and_are_taken_as_they_are() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("A=before; export A; false").await;
        let value = "it's \"$HOME\" `id`\n\\ üñ";
        for shell in [json!(null), json!("none"), json!("other")] {
            let body = json!({"cmd": "printf %s \"$A\"; sh -c 'printf %s \"$B\"'", "env": {"A": value, "B": ""},
                              "shell": shell, "raw_output": true});
            let result = exec(daemon, &session, body).await;
            assert_eq!((&result["output"], &result["exit_code"]), (&json!(value), &json!(0)), "{result}");
        }
        assert_eq!(session.output("echo $A; echo ${B-unset}").await, "before\nunset");
        // `$?` is what the command before left, as ever.
        session.exec("(exit 7)").await;
        assert_eq!(
            exec(daemon, &session, json!({"cmd": "echo $?", "env": {"X": "1"}})).await["output"],
            "7\n"
        );
    });
}

#[test]
fn a_directory_is_changed_to_as_cd_would_and_a_missing_one_is_a_failed_command() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("mkdir \"it's\"; kept=1").await;
        let result = exec(daemon, &session, json!({"cmd": "pwd", "cwd": "/workspace/it's"})).await;
        assert_eq!(
            (&result["output"], &result["cwd"]),
            (&json!("/workspace/it's\n"), &json!("/workspace/it's"))
        );
        assert_eq!(session.output("pwd; echo $kept").await, "/workspace/it's\n1");
        let result = exec(daemon, &session, json!({"cmd": "echo ran", "cwd": "/nope"})).await;
        assert_eq!(
            (&result["exit_code"], &result["cwd"]),
            (&json!(1), &json!("/workspace/it's")),
            "{result}"
        );
        assert!(!result["output"].as_str().expect("text").contains("ran"));
        assert_eq!(session.output("echo $kept").await, "1", "the shell is the same");
        // A fresh process leaves the shell where it is.
        let result = exec(daemon, &session, json!({"argv": ["pwd"], "cwd": "/tmp"})).await;
        assert_eq!((&result["output"], &result["cwd"]), (&json!("/tmp\n"), &json!("/tmp")));
        let result = exec(daemon, &session, json!({"argv": ["pwd"], "cwd": "/nope"})).await;
        assert_eq!(result["exit_code"], 126, "{result}");
        assert_eq!(session.output("pwd").await, "/workspace/it's");
    });
}

#[test]
fn an_input_reaches_the_command_whole_and_then_ends() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let input = "line\n".repeat(200_000) + "end";
        for shell in ["main", "none"] {
            let body = json!({"cmd": "cat | wc -c; cat", "stdin": input, "shell": shell});
            assert_eq!(exec(daemon, &session, body).await["output"], "1000003\n", "{shell}");
            // Who does not read it is not held up.
            let body = json!({"cmd": "head -c 4", "stdin": input, "shell": shell});
            assert_eq!(exec(daemon, &session, body).await["output"], "line", "{shell}");
            let body = json!({"cmd": "read x; echo $x; exec cat", "stdin": "a\nb\n", "shell": shell});
            assert_eq!(exec(daemon, &session, body).await["output"], "a\nb\n", "{shell}");
        }
        assert_eq!(session.output("cat; echo done").await, "done");
    });
}

#[test]
fn there_is_one_user_and_no_other_is_pretended() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for user in [json!("sandbox"), json!(1000), json!("1000")] {
            assert_eq!(
                exec(daemon, &session, json!({"cmd": "id -u", "user": user})).await["output"],
                "1000\n"
            );
        }
        for user in [json!("root"), json!(0), json!("nobody"), json!("")] {
            let path = format!("/v1/sessions/{}/exec", session.id);
            let body = json!({"cmd": "id -u", "user": user});
            let message = daemon.raw().post(&path, &body).await.message(400, "INVALID_REQUEST");
            assert!(message.contains("1000"), "{message}");
        }
    });
}

#[test]
fn a_longer_output_gives_its_beginning_its_end_or_both() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let cut = |on_limit: &str| json!({"cmd": "seq 1000", "max_output_bytes": 20, "on_limit": on_limit});
        let head = exec(daemon, &session, cut("head")).await;
        assert_eq!(head["output"], "1\n2\n3\n4\n5\n6\n7\n8\n9\n10");
        assert_eq!((&head["truncated"], &head["omitted_bytes"]), (&json!(true), &json!(3_893 - 20)));
        assert_eq!(exec(daemon, &session, cut("tail")).await["output"], "96\n997\n998\n999\n1000\n");
        let both = exec(daemon, &session, cut("head_tail")).await;
        assert_eq!(both["output"], "1\n2\n3\n4\n5\n[… 3873 bytes left out …]\n999\n1000\n");
        let none = exec(daemon, &session, json!({"cmd": "seq 9", "max_output_bytes": 0})).await;
        assert_eq!((&none["output"], &none["omitted_bytes"]), (&json!(""), &json!(18)));
        let flood =
            json!({"cmd": "yes | head -c 300000000; echo end", "max_output_bytes": 9, "on_limit": "tail"});
        assert_eq!(exec(daemon, &session, flood).await["output"], "\ny\ny\nend\n");
    });
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_reason() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}/exec", session.id);
        for (body, reason) in [
            (json!({}), "nothing to run"),
            (json!({"cmd": "a", "argv": ["b"]}), "both"),
            (json!({"argv": []}), "argv has 0 elements"),
            (json!({"argv": [""]}), "argv has 1 elements"),
            (json!({"argv": ["a\u{0}b"]}), "NUL"),
            (json!({"argv": ["a"], "shell": "main"}), "fresh process"),
            (json!({"cmd": "a", "shell": "UPPER"}), "UPPER"),
            (json!({"cmd": "a", "shell": ""}), "shell is"),
            (json!({"cmd": "a", "shell": "x".repeat(33)}), "1 to 32"),
            (json!({"cmd": "a", "env": {"1A": ""}}), "1A"),
            (json!({"cmd": "a", "env": {"": ""}}), "variable"),
            (json!({"cmd": "a", "env": {"A=B": ""}}), "A=B"),
            (json!({"cmd": "a", "env": {"A": "\u{0}"}}), "NUL"),
            (json!({"cmd": "a", "env": {"A": "x".repeat(70_000)}}), "env has 70003 bytes"),
            (json!({"cmd": "a", "cwd": "relative"}), "absolute"),
            (json!({"cmd": "a", "cwd": "/a\u{0}"}), "absolute"),
            (json!({"cmd": "a", "stdin": "x".repeat((1 << 20) + 1)}), "1048576"),
            (json!({"cmd": "a", "max_output_bytes": 1_048_577}), "1048577"),
            (json!({"cmd": "a", "tty": {"rows": 0, "cols": 80}}), "0 rows"),
            (json!({"cmd": "a", "tty": {"rows": 24, "cols": 80}, "separate_output": true}), "one stream"),
        ] {
            let message = daemon.raw().post(&path, &body).await.message(400, "INVALID_REQUEST");
            assert!(message.contains(reason), "{reason:?}: {message}");
        }
        let body = json!({"cmd": "a", "on_limit": "tail"});
        let message =
            daemon.raw().post(&format!("{path}/stream"), &body).await.message(400, "INVALID_REQUEST");
        assert!(message.contains("stream"), "{message}");
    });
}

//! What a command may be.

use sandkasten_e2e::with_daemon;
use serde_json::json;

const MEBIBYTE: usize = 1 << 20;

#[test]
fn a_command_has_one_mebibyte_at_most() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let of_length = |length: usize| {
            let (head, tail) = ("echo start; : '", "'; echo end");
            format!("{head}{}{tail}", "x".repeat(length - head.len() - tail.len()))
        };
        assert_eq!(session.output(&of_length(MEBIBYTE)).await, "start\nend");
        // Six bytes of JSON for each of the command.
        let escaped = format!(r#"{{"cmd":"echo here #{}"}}"#, "\\u0061".repeat(MEBIBYTE - 12));
        let path = format!("/v1/sessions/{}/exec", session.id);
        assert_eq!(daemon.raw().post_as_curl(&path, escaped).await.ok(200)["output"], "here\n");
        for route in ["exec", "exec/stream"] {
            let path = format!("/v1/sessions/{}/{route}", session.id);
            let answer = daemon.raw().post(&path, &json!({"cmd": of_length(MEBIBYTE + 1)})).await;
            let message = answer.message(400, "INVALID_REQUEST");
            assert!(message.contains("/fs/write") && message.contains("1048577"), "{message}");
        }
        let umlauts = format!("echo {}", "ü".repeat(MEBIBYTE / 2));
        let answer = daemon.raw().post(&path, &json!({ "cmd": umlauts })).await;
        assert!(answer.message(400, "INVALID_REQUEST").contains("/fs/write"), "bytes count, not characters");
    });
}

#[test]
fn what_no_shell_takes_is_refused() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        for route in ["exec", "exec/stream"] {
            let path = format!("/v1/sessions/{}/{route}", session.id);
            let message = daemon.raw().post(&path, &json!({"cmd": ""})).await.message(400, "INVALID_REQUEST");
            assert!(message.contains("cmd"), "{message}");
            let nul = daemon.raw().post(&path, &json!({"cmd": "echo a\u{0}b"})).await;
            assert!(nul.message(400, "INVALID_REQUEST").contains("NUL"));
            let late = daemon.raw().post(&path, &json!({"cmd": "true", "timeout_ms": 600_001})).await;
            assert!(late.message(400, "INVALID_REQUEST").contains("600001"));
        }
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

#[test]
fn any_text_is_a_command_and_none_spills_into_the_next() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("marker=kept").await;
        for (command, status, output) in [
            (" ", 0, ""),
            ("\n\n", 0, ""),
            ("# only a comment", 0, ""),
            ("echo one # comment", 0, "one\n"),
            ("echo one\necho two\n\n", 0, "one\ntwo\n"),
            ("echo one &&\necho two", 0, "one\ntwo\n"),
            ("cat <<END\nline $marker\nEND", 0, "line kept\n"),
            ("cat <<'END'\nline $marker\nEND\necho after", 0, "line $marker\nafter\n"),
            ("if true; then\n  echo yes\nfi", 0, "yes\n"),
            ("echo 'multi\nline'", 0, "multi\nline\n"),
            ("echo back\\\nslash", 0, "backslash\n"),
            ("echo ünïcode \u{1f980}", 0, "ünïcode \u{1f980}\n"),
            ("echo \"$0\" >/dev/null; printf '%s\\n' \"$#\"", 0, "0\n"),
            ("echo tab\there", 0, "tab here\n"),
            ("false", 1, ""),
        ] {
            let result = session.exec(command).await;
            assert_eq!((result.exit_code, result.output.as_str()), (status, output), "{command:?}");
        }
        for broken in [
            "echo 'open",
            "if true; then",
            "echo $(",
            "{",
            ")",
            "done",
            "echo \"",
            "cat <<END\nx",
            "<<<",
            "a() {",
        ] {
            let result = session.exec(broken).await;
            assert!(result.exit_code != 0 || broken.starts_with("cat"), "{broken:?}: {result:?}");
            assert_eq!(session.output("echo $marker").await, "kept", "after {broken:?}");
        }
    });
}

#[test]
fn commands_see_an_empty_standard_input() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        assert_eq!(session.output("cat; wc -c; read line; echo $?; head -c 5").await, "0\n1");
        assert_eq!(session.output("cat\necho the next line is no input").await, "the next line is no input");
        assert_eq!(
            session
                .output("[ -t 0 ] && echo terminal; bash -s; sh -i </dev/null >/dev/null 2>&1; echo end")
                .await,
            "end"
        );
    });
}

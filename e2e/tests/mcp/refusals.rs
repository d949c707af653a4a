//! What does not work, and what an agent reads about it.

use sandkasten_e2e::with_daemon;
use serde_json::json;

use crate::stdio_agent::{StdioAgent, text};

#[test]
fn what_does_not_work_is_a_result_that_says_why() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        for (tool, arguments, expected) in [
            ("read_file", json!({"path": "nothing"}), "FILE_NOT_FOUND: /workspace/nothing does not exist"),
            ("read_file", json!({"path": "/etc/passwd"}), "INVALID_REQUEST: "),
            ("write_file", json!({"path": "a"}), "give either text or content_base64"),
            (
                "write_file",
                json!({"path": "a", "content_base64": "*"}),
                "content_base64 is no standard base64",
            ),
            ("edit_file", json!({"path": "a", "edits": [{"old": "x", "new": "y"}]}), "FILE_NOT_FOUND: "),
            ("search_files", json!({"regex": "("}), "INVALID_REQUEST: "),
            ("exec", json!({"cmd": ""}), "INVALID_REQUEST: "),
            ("exec", json!({"command": "ls"}), "unknown field `command`"),
            ("exec", json!({"cmd": 5}), "invalid type: integer"),
            ("exec", json!({"cmd": "true", "session": "0123abcd-ef01"}), "SESSION_NOT_FOUND: "),
            ("exec", json!({"cmd": "true", "session": "../x"}), "is neither an id nor a name"),
            ("read_process_output", json!({"process_id": "x"}), "give the one that start_process returned"),
            ("stop_process", json!({"process_id": "0123456789abcdef"}), "PROCESS_NOT_FOUND: "),
            ("destroy_session", json!({"session": "nobody"}), "SESSION_NOT_FOUND: "),
            ("create_session", json!({"image": "no-such-image"}), "INVALID_IMAGE: "),
        ] {
            let result = agent.call(tool, arguments).await;
            assert_eq!(result["isError"], true, "{tool}: {result}");
            assert!(text(&result).contains(expected), "{tool}: {:?} lacks {expected:?}", text(&result));
        }
        assert!(agent.close().await.success());
    });
}

#[test]
fn a_timeout_is_an_error_with_what_was_written_and_what_to_do() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        let result = agent.call("exec", json!({"cmd": "echo so far; sleep 3210", "timeout_ms": 300})).await;
        assert_eq!(result["isError"], true);
        let value = &result["structuredContent"];
        assert_eq!((&value["reason"], &value["output"]), (&json!("timeout"), &json!("so far\n")));
        let text = text(&result);
        assert!(text.starts_with("so far\n[timeout: ") && text.contains("start_process"), "{text}");
        assert!(agent.close().await.success());
    });
}

#[test]
fn only_what_is_no_tool_is_an_error_of_the_protocol() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        let answer = agent.request("tools/call", json!({"name": "nothing", "arguments": {}})).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        let answer = agent.request("no/method", json!({})).await;
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty());
        assert!(agent.close().await.success());
    });
}

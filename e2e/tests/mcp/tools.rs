//! The tools, each of them.

use sandkasten_e2e::with_daemon;
use serde_json::{Value, json};

use crate::stdio_agent::{StdioAgent, text};

#[test]
fn a_shell_keeps_its_state_and_a_failure_is_a_result() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        let done = agent.tool("exec", json!({"cmd": "cd /tmp && X=5; echo a; echo b >&2"})).await;
        assert_eq!((&done["exit_code"], &done["cwd"]), (&json!(0), &json!("/tmp")));
        assert_eq!((&done["output"], &done["reason"]), (&json!("a\nb\n"), &json!("exit")));
        let failed = agent.call("exec", json!({"cmd": "echo $X; pwd; false"})).await;
        assert_eq!(failed["isError"], false);
        assert_eq!(failed["structuredContent"]["exit_code"], 1);
        assert!(text(&failed).starts_with("5\n/tmp\n[exit code 1 after "), "{failed}");
        let given = json!({"cmd": "cat; echo $Y", "stdin": "in\n", "env": {"Y": "y"}, "cwd": "/workspace", "shell": "none"});
        let given = agent.tool("exec", given).await;
        assert_eq!((&given["output"], &given["cwd"]), (&json!("in\ny\n"), &json!("/workspace")));
        assert!(agent.close().await.success());
    });
}

#[test]
fn output_is_bounded_from_both_ends() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        let done = agent.tool("exec", json!({"cmd": "seq 1 200000", "max_output_bytes": 1000})).await;
        let output = done["output"].as_str().expect("text");
        assert!(output.starts_with("1\n2\n") && output.ends_with("\n200000\n"), "{output}");
        assert!(output.len() < 1_100, "{}", output.len());
        assert_eq!(done["truncated"], true);
        assert_eq!(done["omitted_bytes"].as_u64().expect("a number"), 1_288_895 - 1_000);
        let usual = agent.tool("exec", json!({"cmd": "seq 1 200000"})).await;
        assert!(usual["output"].as_str().expect("text").len() < 66_000);
        assert!(agent.close().await.success());
    });
}

#[test]
fn a_command_tells_of_its_progress_and_is_stopped_where_it_is_cancelled() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        let call = json!({
            "name": "exec", "_meta": {"progressToken": "p1"},
            "arguments": {"cmd": "for i in 1 2 3; do echo $i; sleep 0.3; done"},
        });
        let answer = agent.request("tools/call", call).await;
        assert_eq!(answer["result"]["structuredContent"]["output"], "1\n2\n3\n");
        let told: Vec<&Value> =
            agent.told.iter().filter(|told| told["params"]["progressToken"] == "p1").collect();
        assert!(told.len() >= 2, "{told:?}");
        let progress: Vec<f64> =
            told.iter().map(|told| told["params"]["progress"].as_f64().expect("a number")).collect();
        assert!(progress.is_sorted() && progress[0] > 0.0, "{progress:?}");
        assert_eq!(told[0]["params"]["message"], "1\n");

        let call = json!({
            "name": "exec", "_meta": {"progressToken": "p2"}, "arguments": {"cmd": "echo begun; sleep 3210"},
        });
        let id = agent.send("tools/call", call).await;
        // Its first output says that it runs; pings make sure that it is read.
        while !agent.told.iter().any(|told| told["params"]["progressToken"] == "p2") {
            agent.request("ping", json!({})).await;
        }
        agent.notify("notifications/cancelled", json!({"requestId": id})).await;
        let left = json!({"cmd": "pgrep -f 'sleep 321[0]' || echo none"});
        assert_eq!(agent.tool("exec", left).await["output"], "none\n");
        assert!(!agent.told.iter().any(|told| told["id"] == id), "a cancelled request has no answer");
        assert!(agent.close().await.success());
    });
}

#[test]
fn files_are_written_read_edited_listed_and_searched() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        let lines: String = (1..=3000).map(|line| format!("line {line}\n")).collect();
        agent.tool("write_file", json!({"path": "a/b.txt", "text": lines})).await;
        let whole = agent.tool("read_file", json!({"path": "/workspace/a/b.txt"})).await;
        assert_eq!((&whole["lines"], &whole["truncated"]), (&json!(2000), &json!(true)));
        let part = agent.tool("read_file", json!({"path": "a/b.txt", "offset": 2999, "limit": 5})).await;
        assert_eq!((&part["text"], &part["truncated"]), (&json!("line 2999\nline 3000\n"), &json!(false)));

        let edits = json!([{"old": "line 7\n", "new": "seven\n"}]);
        let edited = agent.tool("edit_file", json!({"path": "a/b.txt", "edits": edits})).await;
        assert_eq!(edited["changes"], 1);
        let found = agent.tool("search_files", json!({"regex": "^sev", "context": 1, "glob": "*.txt"})).await;
        assert_eq!(found["matches"][0]["line"], 7);
        assert_eq!(found["matches"][0]["before"], json!(["line 6"]));
        let listed = agent.tool("list_files", json!({"depth": 2})).await;
        let paths: Vec<_> =
            listed["entries"].as_array().expect("entries").iter().map(|e| &e["path"]).collect();
        assert_eq!(paths, ["/workspace/a", "/workspace/a/b.txt"]);

        let script = json!({"path": "run", "text": "#!/bin/sh\necho ran\n", "executable": true});
        agent.tool("write_file", script).await;
        assert_eq!(agent.tool("exec", json!({"cmd": "/workspace/run"})).await["output"], "ran\n");
        assert!(agent.close().await.success());
    });
}

#[test]
fn bytes_are_base64_and_pictures_are_pictures() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        agent.tool("write_file", json!({"path": "x", "content_base64": "AAEC/w=="})).await;
        assert_eq!(agent.tool("read_file", json!({"path": "x"})).await["content_base64"], "AAEC/w==");
        agent.tool("write_file", json!({"path": "p.png", "content_base64": "iVBORw0KGgpyZXN0"})).await;
        let picture = agent.call("read_file", json!({"path": "p.png"})).await;
        let shown = &picture["content"][0];
        assert_eq!((&shown["type"], &shown["mimeType"]), (&json!("image"), &json!("image/png")));
        assert_eq!(shown["data"], "iVBORw0KGgpyZXN0");
        assert!(agent.close().await.success());
    });
}

#[test]
fn processes_run_beside_the_shell() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        let command = "echo first; read x < /workspace/go; echo second; sleep 3210";
        agent.tool("exec", json!({"cmd": "mkfifo /workspace/go"})).await;
        let started = agent.tool("start_process", json!({"cmd": command, "name": "p"})).await;
        let id = started["process_id"].clone();
        let first = agent.tool("read_process_output", json!({"process_id": id, "wait_ms": 20000})).await;
        assert_eq!((&first["output"], &first["status"]), (&json!("first\n"), &json!("running")));
        // A wait that nothing ends is over when its time is.
        let since = json!({"process_id": id, "offset": first["next_offset"], "wait_ms": 50});
        assert_eq!(agent.tool("read_process_output", since).await["output"], "");
        agent.tool("exec", json!({"cmd": "echo > /workspace/go"})).await;
        let since = json!({"process_id": id, "offset": first["next_offset"], "wait_ms": 20000});
        assert_eq!(agent.tool("read_process_output", since).await["output"], "second\n");
        let stopped = agent.tool("stop_process", json!({"process_id": id})).await;
        assert_eq!((&stopped["status"], &stopped["reason"]), (&json!("ended"), &json!("cancelled")));
        let all = agent.tool("read_process_output", json!({"process_id": id})).await;
        assert_eq!((&all["output"], &all["status"]), (&json!("first\nsecond\n"), &json!("ended")));
        assert!(agent.close().await.success());
    });
}

#[test]
fn files_of_the_own_sandbox_are_resources() {
    with_daemon(async |daemon| {
        let mut agent = StdioAgent::start(daemon, &[]).await;
        let none = agent.request("resources/list", json!({})).await;
        assert_eq!(none["result"]["resources"], json!([]));
        assert!(daemon.client().list_sessions().await.expect("a list").is_empty(), "listing made a sandbox");
        agent.tool("write_file", json!({"path": "a b.txt", "text": "hello"})).await;
        agent.tool("write_file", json!({"path": "x", "content_base64": "AAEC/w=="})).await;
        let listed = agent.request("resources/list", json!({})).await["result"]["resources"].clone();
        let uri = listed[0]["uri"].as_str().expect("a URI").to_owned();
        assert!(uri.starts_with("sandkasten://") && uri.ends_with("/workspace/a%20b.txt"), "{listed}");
        let read = agent.request("resources/read", json!({"uri": uri})).await;
        assert_eq!(read["result"]["contents"][0]["text"], "hello");
        let bytes = agent.request("resources/read", json!({"uri": listed[1]["uri"]})).await;
        assert_eq!(bytes["result"]["contents"][0]["blob"], "AAEC/w==");
        for bad in
            [format!("{uri}x"), "file:///etc/passwd".to_owned(), "sandkasten://x/etc/passwd".to_owned()]
        {
            let refused = agent.request("resources/read", json!({"uri": bad})).await;
            assert_eq!(refused["error"]["code"], -32002, "{refused}");
        }
        let templates = agent.request("resources/templates/list", json!({})).await;
        let template = &templates["result"]["resourceTemplates"][0]["uriTemplate"];
        assert_eq!(template, "sandkasten://{session}/workspace/{+path}");
        assert!(agent.close().await.success());
    });
}

//! The way that every image must go: create, write, exec, keep state, stream, read, measure, destroy.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandkasten_e2e::{API_KEY, TestDaemon};
use serde_json::{Value, json};

/// A script, and what it must print.
pub(crate) struct Script {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    pub(crate) command: &'static str,
    pub(crate) output: &'static str,
}

/// Drives a session of the image with curl, and checks that nothing is left of it.
pub(crate) fn go(daemon: &TestDaemon, image: &str, script: &Script) {
    let created = curl(daemon, "POST", "/v1/sessions", Some(&json!({ "image": image })));
    assert_eq!(created["status"], "running", "{created}");
    let id = created["id"].as_str().expect("an id").to_owned();
    let traces = daemon.traces(&id);
    let path = format!("/v1/sessions/{id}");
    let exec =
        |command: &str| curl(daemon, "POST", &format!("{path}/exec"), Some(&json!({ "cmd": command })));

    let file = json!({"path": script.path, "text": script.text});
    assert_eq!(curl(daemon, "POST", &format!("{path}/fs/write"), Some(&file)), json!({"ok": true}));
    let ran = exec(script.command);
    assert_eq!((&ran["output"], &ran["exit_code"]), (&json!(script.output), &json!(0)), "{ran}");

    assert_eq!(exec("mkdir -p sub; cd sub; export COLOUR=blue")["exit_code"], 0);
    let kept = exec("pwd; echo $COLOUR");
    assert_eq!((&kept["output"], &kept["cwd"]), (&json!("/workspace/sub\nblue\n"), &json!("/workspace/sub")));

    lines_arrive_in_time(daemon, &path);

    exec("echo from the sandbox > /workspace/result.txt");
    let read = curl(daemon, "GET", &format!("{path}/fs/read?path=result.txt"), None);
    assert_eq!(read["content_base64"], "ZnJvbSB0aGUgc2FuZGJveAo=", "{read}");
    let stats = curl(daemon, "GET", &format!("{path}/stats"), None);
    assert!(stats["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{stats}");

    exec("sleep 1000 & setsid sleep 1000 &");
    assert_eq!(curl(daemon, "DELETE", &path, None), json!({"ok": true}));
    assert_eq!(traces.remaining(), [""; 0]);
}

/// A loop that prints once every 200 ms: each line is there within 50 ms.
fn lines_arrive_in_time(daemon: &TestDaemon, path: &str) {
    let body = json!({"cmd": "for i in 1 2 3 4 5 6 7; do echo $EPOCHREALTIME; sleep 0.2; done"});
    let mut child = request(daemon, "POST", &format!("{path}/exec/stream"), Some(&body))
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl runs");
    let mut delays = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.expect("a line");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let Some(data) = line.strip_prefix("data: ").filter(|data| data.contains("\"chunk\"")) else {
            continue;
        };
        let event: Value = serde_json::from_str(data).expect("JSON");
        let printed: f64 =
            event["chunk"].as_str().and_then(|chunk| chunk.trim().parse().ok()).expect("one time");
        delays.push(Duration::from_secs_f64((now - printed).max(0.0)));
    }
    assert!(child.wait().expect("curl ends").success());
    delays.sort();
    assert_eq!(delays.len(), 7);
    assert!(delays[3] < Duration::from_millis(50), "{delays:?}");
}

fn curl(daemon: &TestDaemon, method: &str, path: &str, body: Option<&Value>) -> Value {
    let Output { status, stdout, stderr } = request(daemon, method, path, body).output().expect("curl runs");
    let shown = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{method} {path}: {shown} {}", String::from_utf8_lossy(&stderr));
    serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"))
}

fn request(daemon: &TestDaemon, method: &str, path: &str, body: Option<&Value>) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--no-buffer", "--fail-with-body", "--noproxy", "*"]);
    command.args(["-X", method, "-H", &format!("Authorization: Bearer {API_KEY}")]);
    if let Some(body) = body {
        command.args(["--data-binary", &body.to_string()]);
    }
    command.arg(format!("{}{path}", daemon.url()));
    command
}

/// Whether curl is on this host.
pub(crate) fn curl_is_here() -> bool {
    Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// Imports an archive under a name.
pub(crate) fn import(daemon: &TestDaemon, name: &str, archive: &std::path::Path) {
    let path = archive.to_string_lossy().into_owned();
    let output = daemon
        .command(&["image", "import", "--name", name, "--tar", &path])
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

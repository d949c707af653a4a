//! The session commands as a user sees them, against a daemon that answers with fixed bytes.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::{FakeDaemon, ID, Route, SESSION, run, sandkasten, text};

const CREATE: Route = ("POST /v1/sessions HTTP", 201, SESSION);
const GET: Route = ("GET /v1/sessions/0123abcd-ef01 HTTP", 200, SESSION);
const DELETE: Route = ("DELETE /v1/sessions/0123abcd-ef01 HTTP", 200, r#"{"ok":true}"#);
const EXITS_WITH_7: Route = (
    "POST /v1/sessions/0123abcd-ef01/exec/stream",
    200,
    "event: chunk\ndata: {\"chunk\":\"one\\n\",\"timestamp\":1}\n\nevent: chunk\ndata: {\"chunk\":\"two\",\"timestamp\":2}\n\nevent: done\ndata: {\"exit_code\":7,\"cwd\":\"/\",\"duration_ms\":3}\n\n",
);
const GOES_ON: Route = (
    "POST /v1/sessions/0123abcd-ef01/exec/stream",
    200,
    "event: chunk\ndata: {\"chunk\":\"started\\n\",\"timestamp\":1}\n\n",
);
const TIMES_OUT: Route = (
    "POST /v1/sessions/0123abcd-ef01/exec/stream",
    200,
    "event: chunk\ndata: {\"chunk\":\"so far\",\"timestamp\":1}\n\nevent: error\ndata: {\"error\":\"ran past 5 ms\",\"error_code\":\"COMMAND_TIMEOUT\"}\n\n",
);

#[test]
fn exec_passes_words_intact_and_ends_as_the_command_does() {
    let daemon = FakeDaemon::new(&[EXITS_WITH_7]);
    let output = run(&["exec", ID, "--url", &daemon.url, "--", "python3", "-c", "print(1)"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("one\ntwo".to_owned(), String::new()));
    assert_eq!(output.status.code(), Some(7));
    let asked = daemon.asked();
    let body = r#"{"cmd":"python3 -c 'print(1)'","raw_output":false,"separate_output":true}"#;
    assert!(asked[0].ends_with(body), "{asked:?}");
}

#[test]
fn run_creates_runs_and_destroys() {
    let daemon = FakeDaemon::new(&[EXITS_WITH_7, CREATE, DELETE]);
    let output = run(&["run", "--url", &daemon.url, "--image", "python", "--timeout-ms", "5", "--", "true"]);
    assert_eq!(output.status.code(), Some(7));
    let asked = daemon.asked();
    assert!(asked[0].ends_with(r#"{"image":"python"}"#), "{asked:?}");
    assert!(asked[1].contains(r#""timeout_ms":5"#), "{asked:?}");
    assert!(asked[2].starts_with("DELETE "), "{asked:?}");
}

#[test]
fn run_destroys_the_session_where_the_command_is_refused() {
    let daemon = FakeDaemon::new(&[CREATE, DELETE]);
    let output = run(&["run", "--url", &daemon.url, "--", "true"]);
    assert_eq!(output.status.code(), Some(4));
    daemon.wait_for("DELETE ");
}

#[test]
fn run_reports_what_isolates_the_session_on_standard_error() {
    let daemon = FakeDaemon::new(&[EXITS_WITH_7, CREATE, DELETE, GET]);
    let output = run(&["run", "--report", "--url", &daemon.url, "--", "true"]);
    assert_eq!(text(&output.stdout), "one\ntwo");
    let report = text(&output.stderr);
    for expected in
        ["session 0123abcd-ef01 on image host", "namespaces     mnt pid", "create  ", "exit status 7"]
    {
        assert!(report.contains(expected), "{report}");
    }
    assert!(!report.contains('\x1b'), "no colour without a terminal: {report}");
}

#[test]
fn a_timeout_is_124_with_the_output_so_far() {
    let daemon = FakeDaemon::new(&[TIMES_OUT]);
    let output = run(&["exec", ID, "--url", &daemon.url, "--", "sleep", "9"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(124), "so far".to_owned()));
    assert!(text(&output.stderr).contains("why: ran past 5 ms"));
}

#[test]
fn an_interrupt_stops_the_command_and_destroys_the_session() {
    let daemon = FakeDaemon::new(&[GOES_ON, CREATE, DELETE]);
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let mut child = sandkasten(&["run", "--url", &daemon.url, "--", "sleep", "9"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut started = [0; 8];
        child.stdout.as_mut().expect("piped").read_exact(&mut started).expect("output as it is produced");
        assert_eq!(&started, b"started\n");
        let killed = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        assert!(killed.expect("kill runs").success());
        assert_eq!(child.wait().expect("it ends").code(), Some(status));
    }
    daemon.wait_for("CLOSED true");
    assert_eq!(daemon.asked().iter().filter(|asked| asked.starts_with("DELETE ")).count(), 2);
}

#[test]
fn a_reader_that_goes_away_stops_the_command() {
    let daemon = FakeDaemon::new(&[GOES_ON]);
    let mut child = sandkasten(&["exec", ID, "--url", &daemon.url, "--", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), String::new()));
    daemon.wait_for("CLOSED true");
}

#[test]
fn create_says_how_long_it_may_wait() {
    let daemon = FakeDaemon::new(&[("POST /v1/sessions?wait_ms=90000 HTTP", 201, SESSION)]);
    let output = run(&["create", "--wait", "90", "--url", &daemon.url]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), format!("{ID}\n")));
    let refused = run(&["create", "--wait", "601", "--url", &daemon.url]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn listings_come_as_table_json_and_names() {
    let daemon = FakeDaemon::new(&[(
        "GET /v1/sessions HTTP",
        200,
        r#"[{"id":"0123abcd-ef01","image":"host","status":"running","cwd":"/workspace","created_at":"2026-11-24T12:00:00Z","expires_at":"2026-11-24T12:30:00Z","acquire_source":"cold"}]"#,
    )]);
    let table = run(&["ps", "--url", &daemon.url]);
    assert!(
        text(&table.stdout).starts_with("ID             NAME  IMAGE  STATUS "),
        "{}",
        text(&table.stdout)
    );
    assert_eq!(text(&run(&["ps", "-q", "--url", &daemon.url]).stdout), "0123abcd-ef01\n");
    let json: serde_json::Value =
        serde_json::from_slice(&run(&["ps", "--json", "--url", &daemon.url]).stdout).expect("JSON");
    assert_eq!(json[0]["id"], ID);
}

#[test]
fn the_key_is_sent_to_the_daemon_and_a_wrong_one_is_a_refusal() {
    let daemon = FakeDaemon::new(&[(
        "GET /v1/sessions",
        401,
        r#"{"error_code":"UNAUTHORIZED","message":"the key is wrong"}"#,
    )]);
    let output =
        sandkasten(&["ps", "--url", &daemon.url]).env("SANDKASTEN_API_KEY", "sk-x").output().expect("runs");
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(
        text(&output.stderr),
        "error: cannot list sessions\n  why: the key is wrong\n  try: set SANDKASTEN_API_KEY to the daemon's api_key\n"
    );
    assert!(daemon.asked()[0].contains("authorization: Bearer sk-x\r\n"));
}

#[test]
fn nobody_there_is_three() {
    let output = run(&["ps", "--url", "unix:/nowhere/s.sock"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        text(&output.stderr),
        "error: cannot list sessions\n  why: no daemon at unix:/nowhere/s.sock: No such file or directory (os error 2)\n  \
         try: start a daemon with `sandkasten daemon`, or name one with --url\n"
    );
}

#[test]
fn rm_goes_on_after_a_failure() {
    let daemon = FakeDaemon::new(&[DELETE]);
    let output = run(&["rm", "ffffffff-ffff", ID, "--url", &daemon.url]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(4), "0123abcd-ef01\n".to_owned()));
}

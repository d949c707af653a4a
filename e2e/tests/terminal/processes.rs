//! Clients of processes: with a terminal or without, byte for byte.

use sandkasten_api::exec::{StreamName, TerminalSize};
use sandkasten_api::id::ExecId;
use sandkasten_api::process::ProcessRequest;
use sandkasten_api::terminal::{TerminalCommand, TerminalEvent, TerminalQuery};
use sandkasten_e2e::{TestDaemon, TestSession, TestTerminal, until, until_some, with_daemon};
use serde_json::json;

fn command(cmd: &str) -> ProcessRequest {
    ProcessRequest { cmd: Some(cmd.to_owned()), hold_output: true, ..ProcessRequest::default() }
}

async fn start(daemon: &TestDaemon, session: &TestSession, request: &ProcessRequest) -> ExecId {
    daemon.client().start_process(&session.id, request).await.expect("started").id
}

async fn connect(daemon: &TestDaemon, session: &TestSession, process: ExecId) -> TestTerminal {
    let query = TerminalQuery { process: Some(process), ..TerminalQuery::default() };
    TestTerminal::connect(daemon, &session.id, &query).await.expect("a connection")
}

#[test]
fn what_goes_through_a_process_comes_back_byte_for_byte() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let request = ProcessRequest { stdin: true, ..command("cat") };
        let process = start(daemon, &session, &request).await;
        let mut random = fastrand::Rng::with_seed(5);
        let whole: Vec<u8> = (0..3_000_000).map(|_| random.u8(..)).collect();
        let (reader, mut writer) = {
            let query = TerminalQuery { process: Some(process), ..TerminalQuery::default() };
            daemon.client().attach_terminal(&session.id, &query).await.expect("a connection")
        };
        let mut reader = reader;
        let write = async {
            writer.give(&whole).await.expect("taken");
            writer.command(TerminalCommand::CloseInput).await.expect("taken");
        };
        let read = async {
            let mut heard = Vec::new();
            while let Some(frame) = reader.next().await {
                if let sandkasten_client::TerminalFrame::Output(bytes) = frame.expect("a frame") {
                    heard.extend(bytes);
                }
            }
            heard
        };
        let (heard, ()) = tokio::join!(read, write);
        assert!(heard == whole, "{} of {} bytes", heard.len(), whole.len());
    });
}

#[test]
fn output_that_is_held_waits_for_its_first_reader() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let process = start(daemon, &session, &command("head -c 5000000 /dev/zero; echo end")).await;
        let waits = "ps -eo stat,args | grep -c '^S[^ ]* *head -c 5000000' || true";
        until("it waits", async || session.output(waits).await == "1").await;
        let mut reader = connect(daemon, &session, process).await;
        assert_eq!(reader.ends().await.exit_code, Some(0));
        assert_eq!(reader.heard.len(), 5_000_004);
        // Nobody has to come for one that ends, or is ended.
        let process = start(daemon, &session, &command("yes")).await;
        let path = format!("/v1/sessions/{}/processes/{process}", session.id);
        let ended = daemon.raw().delete(&path).await.ok(200);
        assert_eq!(ended["reason"], "cancelled", "{ended}");
        let process = start(daemon, &session, &command("head -c 1000000 /dev/zero")).await;
        let waited = daemon.raw().get(&format!("/v1/sessions/{}/processes/{process}/wait", session.id)).await;
        assert_eq!(waited.ok(200)["exit_code"], 0);
    });
}

#[test]
fn two_streams_are_told_apart() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let text = "echo out; echo err >&2; sleep 0.2; echo more; exit 4";
        let request = ProcessRequest { separate_output: true, ..command(text) };
        let process = start(daemon, &session, &request).await;
        let mut reader = connect(daemon, &session, process).await;
        assert_eq!(reader.ends().await.exit_code, Some(4));
        let switched = |stream| reader.events.contains(&TerminalEvent::Stream { stream });
        assert!(switched(StreamName::Stderr) && switched(StreamName::Stdout), "{:?}", reader.events);
        let logs = format!("/v1/sessions/{}/processes/{process}/logs", session.id);
        assert_eq!(daemon.raw().get(&logs).await.ok(200)["output"], "out\nmore\n");
        assert_eq!(daemon.raw().get(&format!("{logs}?stream=stderr")).await.ok(200)["output"], "err\n");
        let both = ProcessRequest { tty: Some(TerminalSize { rows: 24, cols: 80 }), ..request };
        let refused = daemon.client().start_process(&session.id, &both).await.expect_err("refused");
        assert!(refused.to_string().contains("a terminal has one stream"), "{refused}");
    });
}

#[test]
fn an_exec_can_be_watched_while_it_runs() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("mkfifo go").await;
        let exec = session.exec("echo begun; read line < go; echo got $line; exit 3");
        let watch = async {
            let list = format!("/v1/sessions/{}/processes", session.id);
            let id = until_some("it runs", async || {
                let listed = daemon.raw().get(&list).await.ok(200);
                let last = listed["processes"].as_array().expect("a list").last().expect("an exec").clone();
                (last["status"] == "running").then(|| last["id"].as_str().expect("an id").to_owned())
            });
            let mut reader = connect(daemon, &session, id.await.parse().expect("an id")).await;
            reader.hears("begun\n").await;
            reader.give("nobody reads this").await;
            while !reader.events.iter().any(|event| matches!(event, TerminalEvent::Error { .. })) {
                assert!(reader.step().await);
            }
            let go = json!({"cmd": "echo on > go", "shell": "none"});
            daemon.raw().post(&format!("/v1/sessions/{}/exec", session.id), &go).await.ok(200);
            reader.hears("got on\n").await;
            reader.ends().await
        };
        let (result, ended) = tokio::join!(exec, watch);
        assert_eq!((result.exit_code, ended.exit_code), (3, Some(3)));
    });
}

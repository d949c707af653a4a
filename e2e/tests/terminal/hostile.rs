//! Clients and processes that mean harm, or have none of the manners.

use std::time::Duration;

use sandkasten_api::error::ErrorCode;
use sandkasten_api::id::SessionId;
use sandkasten_api::process::ProcessRequest;
use sandkasten_api::terminal::{TerminalEvent, TerminalQuery};
use sandkasten_client::TerminalFrame;
use sandkasten_e2e::{RawConnection, TestDaemon, TestTerminal, patience, until, until_some, with_daemon};

#[test]
fn input_that_a_process_does_not_read_holds_up_its_sender_alone() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let request =
            ProcessRequest { cmd: Some("sleep 1000".to_owned()), stdin: true, ..ProcessRequest::default() };
        let process = daemon.client().start_process(&session.id, &request).await.expect("started").id;
        let query = TerminalQuery { process: Some(process), ..TerminalQuery::default() };
        // What each gives waits, until it goes.
        for _ in 0..2 {
            let mut clients = Vec::new();
            for _ in 0..50 {
                // Who went before is missed at the next sign of life that is asked for.
                let (_, mut writer) = until_some("there is a place", async || {
                    daemon.client().attach_terminal(&session.id, &query).await.ok()
                })
                .await;
                let flood = vec![b'x'; 1 << 20];
                tokio::time::timeout(Duration::from_millis(20), writer.give(&flood)).await.ok();
                clients.push(writer);
            }
            assert_eq!(session.output("echo served").await, "served");
        }
        let mut last = until_some("there is a place", async || {
            TestTerminal::connect(daemon, &session.id, &query).await.ok()
        })
        .await;
        daemon.raw().delete(&format!("/v1/sessions/{}/processes/{process}", session.id)).await.ok(200);
        assert_eq!(last.ends().await.exit_code, Some(137));
        assert_eq!(session.output("echo served").await, "served");
    });
}

/// A connection to the session's terminal on which anything can be sent.
async fn upgraded(daemon: &TestDaemon, session: &SessionId) -> RawConnection {
    let mut connection = RawConnection::open(daemon).await;
    let request = format!(
        "GET /v1/sessions/{session}/tty HTTP/1.1\r\n{}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        RawConnection::headers(daemon)
    );
    assert!(connection.send(request).await);
    let answer = connection.until("\r\n\r\n", patience(Duration::from_secs(20))).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    connection
}

#[test]
fn frames_that_are_no_frames_of_ours_end_the_connection_and_nothing_else() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.hears("$ ").await;
        for bytes in [
            // A text frame of 2^63 bytes, one that is not masked, a reserved kind, and no frame at all.
            &[0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0][..],
            &[0x82, 0x01, b'x'],
            &[0x8b, 0x80, 0, 0, 0, 0],
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            let mut connection = upgraded(daemon, &session.id).await;
            assert!(connection.send(bytes).await);
            assert!(
                connection.rest(patience(Duration::from_secs(20))).await.is_some(),
                "{bytes:?}: it stays open"
            );
        }
        terminal.give("echo al''ive\r").await;
        terminal.hears("alive\r\n").await;
    });
}

#[test]
fn a_goodbye_is_answered() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut connection = upgraded(daemon, &session.id).await;
        // The status 1000, masked with zeros.
        assert!(connection.send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await);
        let rest = connection.rest(patience(Duration::from_secs(20))).await.expect("it is closed");
        assert!(rest.ends_with("\u{2}\u{3}\u{fffd}"), "{rest:?}");
    });
}

#[test]
fn a_text_that_is_no_command_is_told_and_does_no_harm() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut connection = upgraded(daemon, &session.id).await;
        // A text frame, masked with zeros, as it is.
        let mut frame = vec![0x81, 0xfe, 0x01, 0x2c, 0, 0, 0, 0];
        frame.extend([b'{'; 300]);
        assert!(connection.send(&frame).await);
        let said =
            connection.until("is no command", patience(Duration::from_secs(20))).await.expect("a complaint");
        let cut = format!("{}\\\"…", "{".repeat(200));
        assert!(said.contains("the text frame") && said.contains(&cut), "{said}");
        assert!(!said.contains(&"{".repeat(201)), "{said}");
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.command(sandkasten_api::terminal::TerminalCommand::Resize { rows: 0, cols: 2000 }).await;
        while terminal.events.len() < 2 {
            assert!(terminal.step().await);
        }
        let event = terminal.events.last();
        assert!(
            matches!(event, Some(TerminalEvent::Error { error_code: ErrorCode::InvalidRequest, .. })),
            "{event:?}"
        );
        terminal.give("stty size\r").await;
        terminal.hears("24 80\r\n").await;
    });
}

#[test]
fn the_end_of_a_session_is_told_to_whoever_sits_at_its_terminal() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut terminal = TestTerminal::open(daemon, &session.id).await;
        terminal.hears("$ ").await;
        session.destroy().await;
        while terminal.step().await {}
        let event = terminal.events.last();
        assert!(
            matches!(event, Some(TerminalEvent::Error { error_code: ErrorCode::SessionNotRunning, .. })),
            "{event:?}"
        );
    });
}

#[test]
fn a_process_that_floods_its_terminal_waits_for_the_client_and_the_daemon_stays_small() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let query = TerminalQuery::default();
        let (mut reader, mut writer) =
            daemon.client().attach_terminal(&session.id, &query).await.expect("a connection");
        writer.give(b"yes flood\r").await.expect("taken");
        let memory = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
            let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line").to_owned();
            line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number")
        };
        let before = memory();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(memory() < before + 32_000, "{before} to {} KiB", memory());
        writer.give(b"\x03").await.expect("taken");
        let interrupted = async {
            let mut heard = Vec::new();
            while !heard.windows(2).any(|window| window == b"^C") {
                if let TerminalFrame::Output(bytes) = reader.next().await.expect("a frame").expect("a frame")
                {
                    // What is looked for may come in two frames.
                    heard.drain(..heard.len().saturating_sub(1));
                    heard.extend(bytes);
                }
            }
        };
        tokio::time::timeout(patience(Duration::from_secs(60)), interrupted)
            .await
            .expect("it is interrupted");
    });
}

#[test]
fn a_client_that_does_not_read_keeps_nothing_from_its_end() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("kept=yes").await;
        let list = format!("/v1/sessions/{}/processes", session.id);
        let request = ProcessRequest { cmd: Some("yes".to_owned()), ..ProcessRequest::default() };
        let process = daemon.client().start_process(&session.id, &request).await.expect("started").id;
        let query = TerminalQuery { process: Some(process), ..TerminalQuery::default() };
        let stalled = daemon.client().attach_terminal(&session.id, &query).await.expect("a connection");
        let waits = "ps -eo stat,args | grep -c '^S[^ ]* *yes' || true";
        until("the process waits for its reader", async || session.output(waits).await == "1").await;
        let ended = daemon.raw().delete(&format!("{list}/{process}")).await.ok(200);
        assert_eq!(ended["reason"], "cancelled", "{ended}");
        drop(stalled);
        // And an exec, whose own client reads, with another that does not.
        let exec = session.timed_out("yes", 3_000);
        let attach = async {
            let id = until_some("it runs", async || {
                let listed = daemon.raw().get(&list).await.ok(200);
                let last = listed["processes"].as_array().expect("a list").last().expect("an exec").clone();
                (last["kind"] == "exec" && last["status"] == "running" && last["command"] == "yes")
                    .then(|| last["id"].as_str().expect("an id").parse().expect("an id"))
            });
            let query = TerminalQuery { process: Some(id.await), ..TerminalQuery::default() };
            daemon.client().attach_terminal(&session.id, &query).await.expect("a connection")
        };
        let (_, stalled) = tokio::join!(exec, attach);
        assert_eq!(session.output("echo $kept").await, "yes");
        drop(stalled);
    });
}

#[test]
fn input_keeps_its_order_whichever_way_it_comes() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let request = ProcessRequest {
            cmd: Some("read -r go < /workspace/go; cat".to_owned()),
            stdin: true,
            ..ProcessRequest::default()
        };
        session.exec("mkfifo /workspace/go").await;
        let process = daemon.client().start_process(&session.id, &request).await.expect("started").id;
        let query = TerminalQuery { process: Some(process), ..TerminalQuery::default() };
        let mut terminal = TestTerminal::connect(daemon, &session.id, &query).await.expect("a connection");
        // More than the runner keeps for a process that does not read, and less than waits on the way to it.
        let first = vec![b'a'; 1_300_000];
        terminal.give(&first).await;
        let stdin = format!("/v1/sessions/{}/processes/{process}/stdin", session.id);
        // There is room for a byte until a frame of the terminal waits for room; from then on it waits its turn, small as it is.
        let byte = serde_json::json!({ "text": "b" });
        let mut overtaken = 0;
        while daemon.raw().post(&stdin, &byte).await.status == 200 {
            overtaken += 1;
            assert!(overtaken < 5_000, "what waits is overtaken");
        }
        daemon.raw().post(&stdin, &byte).await.refused(429, "LIMIT_EXCEEDED");
        let go = serde_json::json!({ "cmd": "echo on > /workspace/go", "shell": "none" });
        daemon.raw().post(&format!("/v1/sessions/{}/exec", session.id), &go).await.ok(200);
        while terminal.heard.len() < first.len() + overtaken {
            assert!(terminal.step().await);
        }
        daemon.raw().post(&stdin, &serde_json::json!({ "text": "z", "close": true })).await.ok(200);
        assert_eq!(terminal.ends().await.exit_code, Some(0));
        let count = |wanted| terminal.heard.iter().filter(|byte| **byte == wanted).count();
        assert_eq!((count(b'a'), count(b'b'), terminal.heard.last()), (first.len(), overtaken, Some(&b'z')));
    });
}

//! Clients and processes that mean harm, or have none of the manners.

use std::time::Duration;

use sandkasten_api::error::ErrorCode;
use sandkasten_api::process::ProcessRequest;
use sandkasten_api::terminal::{TerminalEvent, TerminalQuery};
use sandkasten_e2e::{RawConnection, TestTerminal, patience, until_some, with_daemon};

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
            let mut connection = RawConnection::open(daemon).await;
            let request = format!(
                "GET /v1/sessions/{}/tty HTTP/1.1\r\n{}Connection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                session.id,
                RawConnection::headers(daemon)
            );
            assert!(connection.send(request).await);
            let answer =
                connection.until("\r\n\r\n", patience(Duration::from_secs(20))).await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
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
fn a_text_that_is_no_command_is_told_and_does_no_harm() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let query = TerminalQuery::default();
        let (mut reader, _) =
            daemon.client().attach_terminal(&session.id, &query).await.expect("a connection");
        reader.next().await.expect("a frame").expect("a frame");
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
        let mut heard = Vec::new();
        while !heard.windows(2).any(|window| window == b"^C") {
            match reader.next().await.expect("a frame").expect("a frame") {
                sandkasten_client::TerminalFrame::Output(bytes) => heard = bytes,
                sandkasten_client::TerminalFrame::Event(_) => {}
            }
        }
    });
}

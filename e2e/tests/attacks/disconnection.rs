//! A client that goes away stops its command, and only that.

use std::time::Duration;

use sandkasten_api::exec::ExecRequest;
use sandkasten_client::ExecEvent;
use sandkasten_e2e::{TestSession, patience, until, with_daemon};

async fn is_running(session: &TestSession, mark: &str) -> bool {
    session.output(&format!("ps -eo args | grep -c '{mark}'; true")).await != "0"
}

#[test]
fn dropping_a_stream_stops_the_command_and_what_it_started() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("KEPT=yes; sleep 1234 &").await;
        let request = ExecRequest {
            cmd: Some("setsid sleep 4711 & echo started; sleep 4711".to_owned()),
            ..ExecRequest::default()
        };
        let mut stream = session.client.exec_stream(&session.id, &request).await.expect("a stream");
        let first = stream.next().await.expect("an event").expect("no failure");
        assert!(matches!(first, ExecEvent::Chunk(chunk) if chunk.chunk == "started\n"));
        drop(stream);
        // The next exec waits in the queue until the first has ended.
        assert_eq!(session.output("echo $KEPT").await, "yes");
        until("what it started is gone", async || !is_running(&session, "[s]leep 4711").await).await;
        assert!(is_running(&session, "[s]leep 1234").await, "the job of an earlier exec lives on");
    });
}

#[test]
fn a_stream_nobody_reads_is_stopped_when_it_is_dropped() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let request = ExecRequest { cmd: Some("yes".to_owned()), ..ExecRequest::default() };
        let stream = session.client.exec_stream(&session.id, &request).await.expect("a stream");
        until("the command waits for its reader", async || {
            let before = daemon.client().session_stats(&session.id).await.expect("stats").cpu_usage_usec;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let after = daemon.client().session_stats(&session.id).await.expect("stats").cpu_usage_usec;
            after - before < 20_000
        })
        .await;
        drop(stream);
        assert_eq!(session.output("echo next").await, "next");
        assert!(!is_running(&session, "^[y]es").await);
    });
}

#[test]
fn giving_up_on_an_answer_stops_the_command() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("KEPT=yes").await;
        let exec = session.exec("touch /workspace/started; sleep 4711");
        assert!(tokio::time::timeout(patience(Duration::from_millis(500)), exec).await.is_err());
        assert_eq!(session.output("echo $KEPT; ls").await, "yes\nstarted");
        until("it is gone", async || !is_running(&session, "[s]leep 4711").await).await;
    });
}

#[test]
fn a_command_whose_client_left_before_its_turn_is_never_run() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let first = session.clone();
        let running = tokio::spawn(async move { first.exec("touch a; sleep 1; ls").await });
        until("the first runs", async || daemon.client().read_file(&session.id, "a", None).await.is_ok())
            .await;
        let second = session.exec("touch b");
        assert!(tokio::time::timeout(Duration::from_millis(200), second).await.is_err());
        assert_eq!(running.await.expect("no panic").output, "a\n");
        assert_eq!(session.output("ls").await, "a");
    });
}

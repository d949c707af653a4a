//! Sandboxes that die under their sessions.

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_api::error::ErrorCode;
use sandkasten_api::session::SessionStatus;
use sandkasten_client::ExecEvent;
use sandkasten_e2e::{until, with_daemon};
use serde_json::json;

#[test]
fn a_sandbox_that_is_killed_is_a_crashed_session_of_which_nothing_is_left() {
    with_daemon(async |daemon| {
        let (session, bystander) = (daemon.session().await, daemon.session().await);
        session.exec("sleep 1000 & setsid sleep 1000 &").await;
        let traces = daemon.traces(session.id.as_str());
        kill(traces.first_process());
        let client = daemon.client();
        until("it is reported", async || {
            client.get_session(&session.id).await.is_ok_and(|found| found.status == SessionStatus::Crashed)
        })
        .await;
        until("everything of it is gone", async || traces.remaining().is_empty()).await;
        let base = format!("/v1/sessions/{}", session.id);
        for answer in [
            daemon.raw().post(&format!("{base}/exec"), &json!({"cmd": "true"})).await,
            daemon.raw().post(&format!("{base}/exec/stream"), &json!({"cmd": "true"})).await,
            daemon.raw().get(&format!("{base}/stats")).await,
            daemon.raw().get(&format!("{base}/fs/read?path=a")).await,
        ] {
            assert!(answer.message(409, "SESSION_NOT_RUNNING").contains("crashed"));
        }
        assert_eq!(client.list_sessions().await.expect("a list").len(), 1);
        assert_eq!(daemon.raw().delete(&base).await.status, 404);
        assert_eq!(bystander.output("echo alive").await, "alive");
    });
}

#[test]
fn a_command_whose_sandbox_dies_is_told_so_at_once() {
    with_daemon(async |daemon| {
        // The kernel closes the sandbox's sockets a moment before it reports the end; every order must be told alike.
        for round in 0..10 {
            let session = daemon.session().await;
            let path = format!("/v1/sessions/{}/exec", session.id);
            let mut stream = session.stream("echo started; sleep 1000").await;
            assert!(matches!(stream.next().await, Some(Ok(ExecEvent::Chunk(_)))));
            let raw = daemon.raw();
            let queued = tokio::spawn(async move { raw.post(&path, &json!({"cmd": "echo never"})).await });
            kill(daemon.traces(session.id.as_str()).first_process());
            let last = stream.next().await.expect("an event").expect("a sound one");
            assert!(
                matches!(&last, ExecEvent::Failed(failed) if failed.error_code == ErrorCode::SessionNotRunning),
                "round {round}: {last:?}"
            );
            let answer = queued.await.expect("an answer");
            assert!(!answer.message(409, "SESSION_NOT_RUNNING").is_empty());
        }
    });
}

#[test]
fn a_sandbox_that_died_while_no_daemon_was_there_is_found_out_at_the_start() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let traces = daemon.traces(session.id.as_str());
        daemon.kill();
        kill(traces.first_process());
        daemon.start_again();
        let found = daemon.client().get_session(&session.id).await.expect("it is known");
        assert_eq!(found.status, SessionStatus::Crashed);
        until("everything of it is gone", async || traces.remaining().is_empty()).await;
    });
}

#[test]
fn a_shell_that_is_killed_from_outside_is_replaced() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("cd /tmp; sleep 1000 &").await;
        let shell: i32 = session.output("echo $$").await.parse().expect("a number");
        let inside = session.exec(&format!("kill -KILL {shell}; sleep 1000")).await;
        assert_eq!((inside.exit_code, inside.cwd.as_str()), (137, "/tmp"));
        assert_eq!(session.output("pwd; echo alive").await, "/tmp\nalive");
        // PID 1 is out of reach of everything inside.
        session.exec("kill -KILL 1; kill -TERM 1; kill -STOP 1; kill -KILL -1").await;
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("a process id"), Signal::KILL).expect("it can be killed");
}

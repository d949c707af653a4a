//! The end of the daemon, with and without warning, loses nothing.

use std::fs;

use sandkasten_api::session::SessionStatus;
use sandkasten_client::{ExecEvent, RequestError};
use sandkasten_e2e::{TestDaemon, TestSession, patience_ms, until, with_daemon};

#[test]
fn a_session_survives_the_death_of_its_daemon_with_its_variables() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("export COLOUR=blue; cd /tmp; greet() { echo hello; }").await;
        daemon.kill_and_restart();
        let session = again(daemon, &session);
        assert_eq!(session.output("echo $COLOUR; pwd; greet").await, "blue\n/tmp\nhello");
        let listed = daemon.client().list_sessions().await.expect("a list");
        assert_eq!(listed.len(), 1);
        daemon.client().destroy_session(&session.id).await.expect("destroyed");
        assert!(daemon.leaks(Some(session.id.as_str())).is_empty());
    });
}

#[test]
fn a_session_looks_the_same_before_and_after_a_kill() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("cd /tmp; echo kept > /workspace/file; sleep 1000 &").await;
        let before = daemon.client().get_session(&session.id).await.expect("a session");
        daemon.kill_and_restart();
        let client = daemon.client();
        let after = client.get_session(&session.id).await.expect("a session");
        assert_eq!(
            (after.status, &after.cwd, &after.image),
            (SessionStatus::Running, &before.cwd, &before.image)
        );
        assert_eq!((after.created_at, after.acquire_source), (before.created_at, before.acquire_source));
        assert_eq!(after.isolation, before.isolation);
        assert_eq!(client.read_file(&session.id, "file", None).await.expect("read").0, b"kept\n");
        client.write_file(&session.id, "other", b"x").await.expect("written");
        assert!(client.session_stats(&session.id).await.expect("stats").pids >= 2);
        let session = again(daemon, &session);
        assert_eq!(
            session.exec("kill %1; wait %1").await.exit_code,
            143,
            "its background jobs are still its own"
        );
        let used = client.get_session(&session.id).await.expect("a session");
        assert!(used.expires_at > before.expires_at);
    });
}

#[test]
fn a_kill_in_the_middle_of_a_command_ends_the_command_and_keeps_the_session() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("kept=yes; sleep 31313 &").await;
        let mut stream = session
            .stream("echo started; during=1; setsid sleep 41414 & sleep 51515; echo never > never")
            .await;
        assert!(matches!(stream.next().await, Some(Ok(ExecEvent::Chunk(_)))));
        daemon.kill();
        until("the client is told", async || !matches!(stream.next().await, Some(Ok(_)))).await;
        daemon.start_again();
        let session = again(daemon, &session);
        assert_eq!(session.output("echo $kept; ls never 2>/dev/null; jobs | grep -c 31313").await, "yes\n1");
        until("the orphaned command is gone", async || !runs_on_host("41414") && !runs_on_host("51515"))
            .await;
        assert!(runs_on_host("31313"), "jobs of earlier execs live on");
    });
}

#[test]
fn a_command_that_ignores_every_signal_does_not_hold_up_the_next_daemon() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let command = "trap '' INT TERM HUP; echo started; while :; do :; done";
        let mut stream = session.stream(command).await;
        assert!(matches!(stream.next().await, Some(Ok(ExecEvent::Chunk(_)))));
        daemon.kill_and_restart();
        let session = again(daemon, &session);
        let result = session
            .try_exec("echo alive", Some(patience_ms(10_000)))
            .await
            .expect("the session takes commands");
        assert_eq!(result.output, "alive\n");
    });
}

#[test]
fn a_daemon_that_is_asked_to_end_leaves_its_sessions_to_the_next() {
    with_daemon(async |daemon| {
        let (one, other) = (daemon.session().await, daemon.session().await);
        one.exec("kept=1").await;
        other.exec("kept=2; cd /tmp").await;
        for round in 0..3 {
            daemon.terminate();
            daemon.start_again();
            assert_eq!(again(daemon, &one).output("echo $kept").await, "1", "round {round}");
            assert_eq!(again(daemon, &other).output("echo $kept; pwd").await, "2\n/tmp", "round {round}");
        }
        let listed = daemon.client().list_sessions().await.expect("a list");
        let ids: Vec<_> = listed.iter().map(|session| &session.id).collect();
        assert_eq!(ids, [&one.id, &other.id]);
    });
}

#[test]
fn sessions_that_ended_are_still_known_after_a_restart() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.clone().destroy().await;
        daemon.kill_and_restart();
        let known = daemon.client().get_session(&session.id).await.expect("a session");
        assert_eq!(known.status, SessionStatus::Destroyed);
        assert_eq!(status_of(again(daemon, &session).try_exec("true", None).await), 409);
    });
}

#[test]
fn a_session_whose_socket_is_gone_or_spoilt_is_reported_crashed_and_cleared_away() {
    with_daemon(async |daemon| {
        let (absent, spoilt, sound) =
            (daemon.session().await, daemon.session().await, daemon.session().await);
        sound.exec("kept=yes").await;
        let traces = [&absent, &spoilt].map(|session| daemon.traces(session.id.as_str()));
        daemon.kill();
        let socket = |session: &TestSession| daemon.data_dir().join(format!("run/s/{}.sock", session.id));
        fs::remove_file(socket(&absent)).expect("a socket can be removed");
        fs::remove_file(socket(&spoilt)).expect("a socket can be removed");
        fs::write(socket(&spoilt), b"no socket").expect("a file can be written");
        daemon.start_again();
        for session in [&absent, &spoilt] {
            let found = daemon.client().get_session(&session.id).await.expect("it is known");
            assert_eq!(found.status, SessionStatus::Crashed);
            assert_eq!(status_of(again(daemon, session).try_exec("true", None).await), 409);
        }
        for traces in traces {
            until("everything of it is gone", async || traces.remaining().is_empty()).await;
        }
        assert_eq!(again(daemon, &sound).output("echo $kept").await, "yes");
    });
}

#[test]
fn a_session_whose_time_ran_out_while_no_daemon_was_there_expires_at_the_start() {
    with_daemon(async |daemon| {
        let request = sandkasten_api::session::CreateSessionRequest {
            ttl_seconds: Some(1),
            ..sandkasten_api::session::CreateSessionRequest::default()
        };
        let created = daemon.client().create_session(&request).await.expect("a session");
        let traces = daemon.traces(created.id.as_str());
        daemon.kill();
        until("its time runs out", async || jiff::Timestamp::now() > created.expires_at).await;
        assert!(!traces.remaining().is_empty());
        daemon.start_again();
        let client = daemon.client();
        until("it has expired", async || {
            client
                .get_session(&created.id)
                .await
                .is_ok_and(|session| session.status == SessionStatus::Expired)
        })
        .await;
        until("everything of it is gone", async || traces.remaining().is_empty()).await;
    });
}

/// The same session, at the daemon's present address.
fn again(daemon: &TestDaemon, session: &TestSession) -> TestSession {
    TestSession { id: session.id.clone(), client: daemon.client() }
}

fn status_of<T>(result: Result<T, RequestError>) -> u16 {
    match result {
        Err(RequestError::Refused { status, .. }) => status,
        Err(error) => panic!("{error}"),
        Ok(_) => 200,
    }
}

fn runs_on_host(word: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
}

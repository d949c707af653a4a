//! The end of the daemon, with and without warning, loses nothing.

use std::fs;

use sandkasten_api::exec::ExecRequest;
use sandkasten_api::session::SessionStatus;
use sandkasten_client::{ExecEvent, RequestError};
use sandkasten_e2e::{TestDaemon, TestSession, patience_ms, until, with_daemon};
use serde_json::{Value, json};

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
fn what_runs_when_the_daemon_dies_goes_on_and_its_result_is_not_lost() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("kept=yes; sleep 31313 &").await;
        let command =
            "cd /tmp; echo started; until [ -e /workspace/go ]; do sleep 0.05; done; echo over; (exit 7)";
        let raw = daemon.raw();
        let list = format!("/v1/sessions/{}/processes", session.id);
        let beside = raw.post(&list, &json!({"cmd": "cat; echo read", "stdin": true})).await.ok(201);
        let beside = format!("{list}/{}", beside["id"].as_str().expect("an id"));
        let mut stream = session.stream(command).await;
        assert!(matches!(stream.next().await, Some(Ok(ExecEvent::Chunk(_)))));
        let listed = raw.get(&list).await.ok(200);
        let find = |status: &str| {
            let all = listed["processes"].as_array().expect("a list");
            let is_it = |p: &&Value| p["status"] == status && p["kind"] == "exec";
            all.iter().find(is_it).and_then(|p| p["id"].as_str()).expect("an id").to_owned()
        };
        let (running, earlier) = (find("running"), find("ended"));
        daemon.kill();
        until("the client is told", async || !matches!(stream.next().await, Some(Ok(_)))).await;
        daemon.start_again();
        let (session, raw) = (again(daemon, &session), daemon.raw());
        assert_eq!(raw.get(&format!("{list}/{earlier}")).await.ok(200)["exit_code"], 0);
        let given = raw.post(&format!("{beside}/stdin"), &json!({"text": "a\n", "close": true})).await;
        assert_eq!(given.ok(200), json!({"ok": true}));
        assert_eq!(raw.get(&format!("{beside}/wait")).await.ok(200)["exit_code"], 0);
        assert_eq!(raw.get(&format!("{beside}/logs")).await.ok(200)["output"], "a\nread\n");
        let result = format!("/v1/sessions/{}/exec/{running}", session.id);
        assert_eq!(raw.get(&result).await.ok(202)["status"], "running");
        // The next command waits for its turn behind it.
        let (next, ()) = tokio::join!(session.exec("pwd; echo $kept; jobs | grep -c 31313"), async {
            session.client.write_file(&session.id, "go", b"").await.expect("written");
        });
        assert_eq!(next.output, "/tmp\nyes\n1\n");
        let result = raw.get(&format!("{result}?wait_ms=20000")).await.ok(200);
        assert_eq!(
            (&result["output"], &result["exit_code"]),
            (&json!("started\nover\n"), &json!(7)),
            "{result}"
        );
        assert_eq!((&result["cwd"], &result["reason"]), (&json!("/tmp"), &json!("exit")));
        assert!(runs_on_host("31313"), "jobs of earlier execs live on");
    });
}

#[test]
fn what_ended_while_no_daemon_was_there_is_known_to_the_next() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let raw = daemon.raw();
        let list = format!("/v1/sessions/{}/processes", session.id);
        let command = "echo a; until [ -e go ]; do sleep 0.05; done; echo b; sleep 0.7171; exit 3";
        let process = raw.post(&list, &json!({ "cmd": command })).await.ok(201);
        let process = format!("{list}/{}", process["id"].as_str().expect("an id"));
        let timed_out = session.timed_out("echo before; sleep 1000", 300).await;
        let timed_out = timed_out.exec_id.expect("an id");
        session.exec("(sleep 0.3; touch go) &").await;
        daemon.kill();
        until("it is about to end", async || runs_on_host("0.7171")).await;
        until("it has ended", async || !runs_on_host("0.7171")).await;
        daemon.start_again();
        let raw = daemon.raw();
        let ended = raw.get(&process).await.ok(200);
        assert_eq!((&ended["status"], &ended["exit_code"]), (&json!("ended"), &json!(3)), "{ended}");
        assert_eq!(raw.get(&format!("{process}/logs")).await.ok(200)["output"], "a\nb\n");
        let result = raw.get(&format!("/v1/sessions/{}/exec/{timed_out}", session.id)).await;
        let details = result.refused(504, "COMMAND_TIMEOUT");
        assert_eq!(details["details"]["output"], "before\n", "{details}");
    });
}

#[test]
fn a_command_that_ignores_every_signal_ends_at_its_timeout_also_under_the_next_daemon() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let request = ExecRequest {
            cmd: Some("trap '' INT TERM HUP; echo started; while :; do :; done".to_owned()),
            timeout_ms: Some(patience_ms(3_000)),
            ..ExecRequest::default()
        };
        let mut stream = session.client.exec_stream(&session.id, &request).await.expect("a stream");
        assert!(matches!(stream.next().await, Some(Ok(ExecEvent::Chunk(_)))));
        daemon.kill_and_restart();
        let session = again(daemon, &session);
        let result = session
            .try_exec("echo alive", Some(patience_ms(10_000)))
            .await
            .expect("the session takes commands");
        assert_eq!(result.output, "alive\n");
        let listed = daemon.raw().get(&format!("/v1/sessions/{}/processes", session.id)).await.ok(200);
        assert_eq!(listed["processes"][0]["reason"], "timeout", "{listed}");
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

//! Sandboxes that die under their sessions.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandkasten_api::error::ErrorCode;
use sandkasten_api::session::SessionStatus;
use sandkasten_client::ExecEvent;
use sandkasten_e2e::{EventReader, TestDaemon, TestSession, instance_name, patience, until, with_daemon};
use serde_json::json;

#[test]
fn a_sandbox_that_is_killed_is_a_crashed_session_of_which_nothing_is_left() {
    with_daemon(async |daemon| {
        let (session, bystander) = (daemon.session().await, daemon.session().await);
        session.exec("sleep 1000 & setsid sleep 1000 &").await;
        let traces = daemon.traces(session.id.as_str());
        kill(traces.first_process());
        let killed = Instant::now();
        let client = daemon.client();
        until("it is reported", async || {
            client.get_session(&session.id).await.is_ok_and(|found| found.status == SessionStatus::Crashed)
        })
        .await;
        assert!(killed.elapsed() < patience(Duration::from_secs(1)), "{:?}", killed.elapsed());
        assert_eq!(reason(daemon, &session).await, "PID 1 was killed by signal 9");
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
        assert_eq!(found.reason.as_deref(), Some("PID 1 ended while no daemon ran"));
        until("everything of it is gone", async || traces.remaining().is_empty()).await;
    });
}

#[test]
fn a_crash_under_a_later_daemon_is_told_with_its_reason_as_well() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let traces = daemon.traces(session.id.as_str());
        daemon.kill_and_restart();
        let mut events = events(daemon, &session).await;
        assert_eq!(events.state().await.1, "running");
        let killed = Instant::now();
        kill(traces.first_process());
        let (_, status, reason) = events.state().await;
        assert!(killed.elapsed() < patience(Duration::from_secs(1)), "{:?}", killed.elapsed());
        // The host's reaper may be quicker than we are, and before Linux 6.15 it alone knows then.
        let reason = reason.expect("a reason");
        assert_eq!(status, "crashed");
        assert!(["PID 1 was killed by signal 9", "PID 1 ended"].contains(&reason.as_str()), "{reason}");
        until("everything of it is gone", async || daemon.leaks(Some(session.id.as_str())).is_empty()).await;
    });
}

#[test]
fn a_session_whose_cgroup_is_killed_is_a_crashed_one() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let mut stream = session.stream("echo started; sleep 1000").await;
        assert!(matches!(stream.next().await, Some(Ok(ExecEvent::Chunk(_)))));
        let mut events = events(daemon, &session).await;
        assert_eq!(events.state().await.1, "running");
        let traces = daemon.traces(session.id.as_str());
        let own = daemon.leaks(Some(session.id.as_str()));
        let whole = own
            .cgroups
            .iter()
            .find(|path| path.ends_with(session.id.as_str()) && path.join("cgroup.kill").exists());
        match whole {
            Some(cgroup) => fs::write(cgroup.join("cgroup.kill"), "1").expect("the kernel kills it"),
            // Version 1 has no such file.
            None => traces.processes().for_each(kill),
        }
        let killed = Instant::now();
        let last = stream.next().await.expect("an event").expect("a sound one");
        assert!(
            matches!(&last, ExecEvent::Failed(failed) if failed.error_code == ErrorCode::SessionNotRunning)
        );
        let (_, status, reason) = events.state().await;
        assert_eq!((status.as_str(), reason.as_deref()), ("crashed", Some("PID 1 was killed by signal 9")));
        assert!(killed.elapsed() < patience(Duration::from_secs(1)), "{:?}", killed.elapsed());
        assert_eq!(traces.remaining(), [""; 0], "the event comes when everything is gone");
    });
}

#[test]
fn a_sandbox_whose_pid_1_is_killed_for_lack_of_memory_says_so() {
    with_daemon(async |daemon| {
        let (session, bystander) = (daemon.session().await, daemon.session().await);
        let first = daemon.traces(session.id.as_str()).first_process();
        // Nothing inside can bring this about: PID 1 is outside of the session's limits. So the host runs short, and takes it.
        let limit = memory_limit_of_all(daemon);
        fs::write(format!("/proc/{first}/oom_score_adj"), "1000").expect("root may");
        let before = fs::read_to_string(&limit).expect("a limit");
        fs::write(&limit, (64 << 20).to_string()).expect("root may");
        let mut events = events(daemon, &session).await;
        assert_eq!(events.state().await.1, "running");
        let filled = bystander.try_exec("head -c 100M /dev/zero > /tmp/filling", None).await;
        fs::write(&limit, before.trim()).expect("root may");
        let (_, status, reason) = events.state().await;
        assert_eq!((status.as_str(), reason.as_deref()), ("crashed", Some("out of memory")), "{filled:?}");
        // The next that is killed by somebody is not taken for another one.
        let next = daemon.session().await;
        let mut events = self::events(daemon, &next).await;
        assert_eq!(events.state().await.1, "running");
        kill(daemon.traces(next.id.as_str()).first_process());
        assert_eq!(events.state().await.2.as_deref(), Some("PID 1 was killed by signal 9"));
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

async fn reason(daemon: &TestDaemon, session: &TestSession) -> String {
    let found = daemon.client().get_session(&session.id).await.expect("it is known");
    found.reason.expect("a reason")
}

async fn events(daemon: &TestDaemon, session: &TestSession) -> EventReader {
    let path = format!("/v1/sessions/{}/events", session.id);
    EventReader::open(daemon.raw().request(reqwest::Method::GET, &path)).await
}

/// The file that limits the memory of everything that a daemon starts.
fn memory_limit_of_all(daemon: &TestDaemon) -> PathBuf {
    let instance = instance_name(&daemon.data_dir().join("run"));
    let named = |path: &PathBuf| path.to_string_lossy().contains(&instance);
    let cgroups = daemon.leaks(None).cgroups.into_iter().filter(named);
    let limits = cgroups.flat_map(|path| ["memory.limit_in_bytes", "memory.max"].map(|file| path.join(file)));
    let limits = limits.filter(|path| path.exists());
    limits.min_by_key(|path| path.components().count()).expect("a limit of memory")
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("a process id"), Signal::KILL).expect("it can be killed");
}

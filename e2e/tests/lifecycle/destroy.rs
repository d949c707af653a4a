//! The end of a session while it is busy.

use std::time::{Duration, Instant};

use sandkasten_client::{ExecEvent, RequestError};
use sandkasten_e2e::{patience, with_daemon};

#[test]
fn a_session_is_destroyed_in_the_middle_of_a_command() {
    with_daemon(async |daemon| {
        for command in [
            "echo started; sleep 1000",
            "trap '' INT TERM HUP; echo started; while :; do :; done",
            "echo started; setsid sleep 1000 & yes > /dev/null",
            "echo started; kill -STOP $$",
            "echo started; cat /dev/zero",
        ] {
            let session = daemon.session().await;
            let mut stream = session.stream(command).await;
            assert!(matches!(stream.next().await, Some(Ok(ExecEvent::Chunk(_)))), "{command}");
            let queued = tokio::spawn({
                let session = session.clone();
                async move { session.try_exec("echo never", None).await }
            });
            let traces = daemon.traces(session.id.as_str());
            let began = Instant::now();
            session.destroy().await;
            assert!(began.elapsed() < patience(Duration::from_secs(5)), "{command}: {:?}", began.elapsed());
            assert_eq!(traces.remaining(), [""; 0], "{command}");
            let refused = queued.await.expect("an answer");
            assert!(
                matches!(&refused, Err(RequestError::Refused { status: 404 | 409, .. })),
                "{command}: {refused:?}"
            );
        }
    });
}

#[test]
fn of_many_who_destroy_one_session_exactly_one_did_it() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let path = format!("/v1/sessions/{}", session.id);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (raw, path) = (daemon.raw(), path.clone());
            tasks.spawn(async move { raw.delete(&path).await.status });
        }
        let mut answers = tasks.join_all().await;
        answers.sort_unstable();
        assert_eq!(answers, [200, 404, 404, 404, 404, 404, 404, 404, 404, 404]);
    });
}

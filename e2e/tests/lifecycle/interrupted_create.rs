//! A daemon that is killed while it makes sessions.

use std::time::Duration;

use sandkasten_api::session::{CreateSessionRequest, SessionStatus};
use sandkasten_e2e::{TestSession, until, with_daemon};

#[test]
fn a_kill_at_any_instant_of_a_create_leaves_a_session_or_nothing() {
    with_daemon(async |daemon| {
        for milliseconds in [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 25, 40] {
            let mut creates = tokio::task::JoinSet::new();
            for _ in 0..3 {
                let client = daemon.client();
                creates.spawn(async move { client.create_session(&CreateSessionRequest::default()).await });
            }
            // The instant is the point here: nothing is waited for.
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            daemon.kill();
            let answered: Vec<_> = creates.join_all().await.into_iter().filter_map(Result::ok).collect();
            daemon.start_again();
            let client = daemon.client();
            let listed = client.list_sessions().await.expect("a list");
            for session in &answered {
                assert!(
                    listed.iter().any(|found| found.id == session.id),
                    "after {milliseconds} ms: {session:?}"
                );
            }
            for session in listed {
                assert_eq!(session.status, SessionStatus::Running);
                let session = TestSession { id: session.id, client: client.clone() };
                assert_eq!(session.output("echo usable").await, "usable");
                session.destroy().await;
            }
            until("nothing is left", async || {
                let leaks = daemon.leaks(None);
                let runners = |path: &std::path::PathBuf| path.ends_with("runners");
                let deep = leaks.cgroups.iter().filter(|path| !runners(path)).any(|path| {
                    path.parent()
                        .and_then(|parent| parent.file_name())
                        .is_some_and(|name| name.to_string_lossy().starts_with("sandkasten-"))
                });
                leaks.processes.is_empty() && leaks.sockets.is_empty() && leaks.mounts.is_empty() && !deep
            })
            .await;
        }
    });
}

#[test]
fn a_kill_at_any_instant_of_a_create_with_a_key_never_makes_two_sessions() {
    with_daemon(async |daemon| {
        for (round, milliseconds) in [0, 2, 4, 6, 8, 10, 12, 14, 17, 20, 25, 30, 40].into_iter().enumerate() {
            let key = format!("round {round}");
            let create = {
                let (client, key) = (daemon.client(), key.clone());
                tokio::spawn(async move {
                    client.create_session_once(&CreateSessionRequest::default(), &key).await
                })
            };
            // The instant is the point here: nothing is waited for.
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            daemon.kill();
            let answered = create.await.expect("it is told something").ok();
            daemon.start_again();
            let client = daemon.client();
            let again =
                client.create_session_once(&CreateSessionRequest::default(), &key).await.expect("an answer");
            if let Some(answered) = answered {
                assert_eq!(again, answered, "after {milliseconds} ms");
            }
            let listed = client.list_sessions().await.expect("a list");
            let ids: Vec<_> = listed.iter().map(|session| &session.id).collect();
            assert_eq!(ids, [&again.id], "after {milliseconds} ms");
            let session = TestSession { id: again.id, client };
            assert_eq!(session.output("echo usable").await, "usable");
            session.destroy().await;
        }
    });
}

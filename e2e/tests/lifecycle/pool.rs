//! The pool across deaths of the daemon: taken over where it is what would be made today, and else ended.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use sandkasten_api::session::{AcquireSource, CreateSessionRequest};
use sandkasten_e2e::{TestDaemon, TestSession, until, with_config};
use serde_json::json;

const POOL: &str = "pool: {enabled: true, images: {host: 2}, max: 0}\n";

#[test]
fn a_pool_survives_the_death_of_its_daemon() {
    with_config(POOL, async |daemon| {
        let idle = daemon.idle_until(2).await;
        daemon.kill_and_restart();
        assert_eq!(daemon.idle_until(2).await, idle);
        let session = daemon.session_by(AcquireSource::Pool, &CreateSessionRequest::default()).await;
        assert!(idle.contains(session.id.as_str()), "{} is none of {idle:?}", session.id);
        let inside = TestSession { id: session.id.clone(), client: daemon.client() };
        assert_eq!(
            inside.output("echo $HOSTNAME; pwd; echo $?").await,
            format!("{}\n/workspace\n0", session.id)
        );
        daemon.kill_and_restart();
        let shown = daemon.client().get_session(&session.id).await.expect("a session");
        assert_eq!((shown.acquire_source, shown.created_at), (AcquireSource::Pool, session.created_at));
        let inside = TestSession { id: session.id, client: daemon.client() };
        assert_eq!(inside.output("echo alive").await, "alive");
    });
}

#[test]
fn a_pool_of_another_configuration_is_replaced() {
    with_config(POOL, async |daemon| {
        for change in
            ["defaults: {pids_limit: 77}\n", "defaults: {mem_limit_mb: 333}\n", "security: {seccomp: mvp}\n"]
        {
            let idle = daemon.idle_until(2).await;
            daemon.kill();
            let before = configure(daemon, change);
            daemon.start_again();
            for id in &idle {
                assert!(daemon.leaks(Some(id)).is_empty(), "{change}: {id} is left");
            }
            let next = daemon.idle_until(2).await;
            assert!(next.is_disjoint(&idle), "{change}: {next:?} and {idle:?}");
            daemon.kill();
            fs::write(daemon.config(), before).expect("written");
            daemon.start_again();
        }
        daemon.kill();
        let off =
            fs::read_to_string(daemon.config()).expect("read").replace("enabled: true", "enabled: false");
        fs::write(daemon.config(), off).expect("written");
        daemon.start_again();
        assert_eq!(daemon.idle_sandboxes().await, BTreeSet::new());
        assert!(daemon.leaks(None).processes.is_empty(), "they have ended with the key");
    });
}

/// Adds a line to the configuration, and returns what it was.
fn configure(daemon: &TestDaemon, line: &str) -> String {
    let before = fs::read_to_string(daemon.config()).expect("read");
    fs::write(daemon.config(), format!("{before}{line}")).expect("written");
    before
}

#[test]
fn a_pool_gives_way_when_a_create_finds_too_little_memory() {
    with_config(POOL, async |daemon| {
        let idle = daemon.idle_until(2).await;
        daemon.kill();
        // More than any host has free.
        let before = configure(daemon, "admission: {min_free_memory_mb: 1000000000}\n");
        daemon.start_again();
        assert_eq!(daemon.idle_until(2).await, idle, "nobody has asked for memory yet");
        let refused = daemon.raw().post("/v1/sessions?wait_ms=1500", &json!({})).await;
        assert!(refused.message(429, "LIMIT_EXCEEDED").contains("too little memory"));
        daemon.idle_until(0).await;
        let metrics = daemon.raw().get("/metrics").await.text;
        assert!(metrics.contains("sandkasten_pool_ended_total{reason=\"memory\"} 2"), "{metrics}");
        assert!(metrics.contains("sandkasten_create_failures_total{reason=\"memory\"} 1"), "{metrics}");
        for id in &idle {
            assert!(daemon.leaks(Some(id)).is_empty(), "{id} is left");
        }
        // Nothing is made in its place as long as that is so.
        until("it is looked again", async || {
            let text = daemon.raw().get("/metrics").await.text;
            text.contains("sandkasten_pool_failures_total{image=\"host\"}")
        })
        .await;
        assert_eq!(daemon.idle_sandboxes().await, BTreeSet::new());
        daemon.kill();
        fs::write(daemon.config(), before).expect("written");
        daemon.start_again();
        daemon.idle_until(2).await;
    });
}

#[test]
fn a_pool_ends_with_its_daemon_and_sessions_do_not() {
    with_config(POOL, async |daemon| {
        let session = daemon.session_by(AcquireSource::Pool, &CreateSessionRequest::default()).await;
        let idle = daemon.idle_until(2).await;
        daemon.terminate();
        assert!(idle.iter().all(|id| daemon.leaks(Some(id)).is_empty()));
        assert!(!daemon.leaks(Some(session.id.as_str())).processes.is_empty());
        daemon.start_again();
        let inside = TestSession { id: session.id, client: daemon.client() };
        assert_eq!(inside.output("echo alive").await, "alive");
        assert!(daemon.idle_until(2).await.is_disjoint(&idle));
    });
}

#[test]
fn a_daemon_that_is_killed_at_any_instant_leaks_nothing_of_its_pool() {
    killed_at_any_instant("");
}

#[test]
fn a_daemon_that_is_killed_at_any_instant_leaks_no_workspace_of_its_pool() {
    killed_at_any_instant("workspace: {enabled: true, persist_by_default: true, min_free_mb: 0}\n");
}

fn killed_at_any_instant(lines: &str) {
    with_config(&format!("pool: {{enabled: true, images: {{host: 3}}, max: 6}}\n{lines}"), async |daemon| {
        for round in 0..10_u64 {
            let creates: Vec<_> = (0..6)
                .map(|_| {
                    let client = daemon.client();
                    tokio::spawn(async move { client.create_session(&CreateSessionRequest::default()).await })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(round * 7)).await;
            daemon.kill_and_restart();
            let client = daemon.client();
            let listed = client.list_sessions().await.expect("a list");
            for create in creates {
                // One that was not acknowledged may be there or not.
                let Ok(Ok(session)) = create.await else { continue };
                assert!(listed.iter().any(|found| found.id == session.id), "{} is lost", session.id);
            }
            for session in listed {
                let inside = TestSession { id: session.id, client: client.clone() };
                assert_eq!(inside.output("echo alive").await, "alive");
                inside.destroy().await;
            }
            let known = async || {
                let idle = daemon.idle_sandboxes().await;
                idle.len() >= 3
                    && daemon.leaks(None).sockets.iter().all(|path| {
                        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
                        name.is_some_and(|name| idle.contains(&name))
                    })
            };
            until("all that stands is in the pool", known).await;
            let unnamed = async || {
                let kept = fs::read_dir(daemon.data_dir().join("workspaces/.idle"));
                let idle = daemon.idle_sandboxes().await;
                kept.into_iter()
                    .flatten()
                    .all(|entry| idle.contains(&*entry.expect("an entry").file_name().to_string_lossy()))
            };
            until("all workspaces without a name are the pool's", unnamed).await;
        }
    });
}

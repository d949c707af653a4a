//! The store against a real database file.

use jiff::{SignedDuration, Timestamp};
use sandkasten_api::session::SessionStatus;

use super::{SessionRow, Store};

fn row(id: &str) -> SessionRow {
    let now = Timestamp::from_millisecond(1_700_000_000_000).expect("a time");
    SessionRow {
        id: id.parse().expect("an id"),
        image: "host".into(),
        status: SessionStatus::Running,
        cwd: "/workspace".into(),
        ttl_seconds: 60,
        created_at: now,
        last_activity: now,
        expires_at: now + SignedDuration::from_secs(60),
        uid_range: 7,
        runner_pid: 42,
        runner_started: 4242,
        landlock_abi: 6,
        workspace_id: Some("user-1".parse().expect("an id")),
    }
}

#[tokio::test]
async fn a_session_comes_back_as_it_was_written_also_after_reopening() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("test.db");
    let written = row("00000001-0001");
    let store = Store::open(&path, 2).await.expect("a store");
    store.insert(&written).await.expect("written");
    store.close().await;
    let store = Store::open(&path, 2).await.expect("a store");
    assert_eq!(store.find(&written.id).await.expect("found"), Some(written.clone()));
    assert_eq!(store.running().await.expect("listed"), [written]);
}

#[tokio::test]
async fn an_ended_session_is_found_but_not_listed_and_forgotten_in_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("test.db"), 1).await.expect("a store");
    let written = row("00000001-0001");
    store.insert(&written).await.expect("written");
    store.set_status(&written.id, SessionStatus::Expired).await.expect("noted");
    assert!(store.running().await.expect("listed").is_empty());
    let found = store.find(&written.id).await.expect("found").expect("there");
    assert_eq!(found.status, SessionStatus::Expired);
    store.forget_ended(found.last_activity).await.expect("nothing to forget");
    assert!(store.find(&written.id).await.expect("found").is_some());
    store.forget_ended(found.last_activity + SignedDuration::from_secs(1)).await.expect("forgotten");
    assert!(store.find(&written.id).await.expect("looked").is_none());
}

#[tokio::test]
async fn use_moves_the_expiry() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("test.db"), 1).await.expect("a store");
    let written = row("00000001-0001");
    store.insert(&written).await.expect("written");
    let later = written.created_at + SignedDuration::from_secs(30);
    let expiry = later + SignedDuration::from_secs(60);
    store.touch(&written.id, "/tmp", later, expiry).await.expect("noted");
    let found = store.find(&written.id).await.expect("found").expect("there");
    assert_eq!((found.cwd.as_str(), found.last_activity, found.expires_at), ("/tmp", later, expiry));
}

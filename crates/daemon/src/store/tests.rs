//! The store against a real database file.

use jiff::{SignedDuration, Timestamp};
use sandkasten_api::label::Labels;
use sandkasten_api::session::{AcquireSource, SessionStatus};

use sqlx::migrate::Migrate;
use sqlx::{Connection, SqliteConnection};

use super::{IdleSandboxRow, KeptAnswer, SessionChange, SessionRow, Store, StoreError};

pub(crate) fn row(id: &str) -> SessionRow {
    let now = Timestamp::from_millisecond(1_700_000_000_000).expect("a time");
    SessionRow {
        id: id.parse().expect("an id"),
        image: "host".into(),
        layers: Some(vec!["0f".repeat(32), format!("host-{}", "a0".repeat(32))]),
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
        name: Some("builder".parse().expect("a name")),
        labels: serde_json::from_str(r#"{"team":"core","a/b":"\"quoted\" = ü"}"#).expect("labels"),
        reason: None,
        acquire_source: AcquireSource::Cold,
    }
}

fn idle_row(id: &str) -> IdleSandboxRow {
    IdleSandboxRow {
        id: id.parse().expect("an id"),
        image: "host".into(),
        image_digest: "sha256:0f".into(),
        recipe: "a0".into(),
        layers: vec!["0f".repeat(32)],
        uid_range: 7,
        runner_pid: 42,
        runner_started: u64::MAX,
        landlock_abi: 6,
    }
}

#[tokio::test]
async fn a_sandbox_of_the_pool_becomes_a_session_once_and_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("test.db");
    let store = Store::open(&path, 2).await.expect("a store");
    let (one, other) = (idle_row("00000001-0001"), idle_row("00000001-0002"));
    store.insert_idle(&one).await.expect("written");
    store.insert_idle(&other).await.expect("written");
    assert_eq!(store.running().await.expect("listed"), [], "it is no session yet");
    assert_eq!(store.find(&one.id).await.expect("looked"), None);
    let session = SessionRow { acquire_source: AcquireSource::Pool, ..row("00000001-0001") };
    store.insert(&session, Some(&answer("key"))).await.expect("handed out");
    store.close().await;
    let store = Store::open(&path, 2).await.expect("a store");
    assert_eq!(store.idle().await.expect("listed"), std::slice::from_ref(&other));
    assert_eq!(store.running().await.expect("listed"), [session]);
    store.forget_idle(&other.id).await.expect("forgotten");
    let late = SessionRow { acquire_source: AcquireSource::Pool, ..row("00000001-0002") };
    let refused = store.insert(&late, Some(&answer("late"))).await.expect_err("it has ended");
    assert!(matches!(refused, StoreError::Statement { .. }), "{refused}");
    assert_eq!(store.find(&late.id).await.expect("looked"), None, "nothing of it is written");
    assert_eq!(store.kept_answer("POST /v1/sessions", "late").await.expect("looked"), None);
    store.insert(&late, None).await.expect_err("without an answer as well");
    assert_eq!(store.find(&late.id).await.expect("looked"), None);
}

#[tokio::test]
async fn a_session_comes_back_as_it_was_written_also_after_reopening() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("test.db");
    let written = row("00000001-0001");
    let store = Store::open(&path, 2).await.expect("a store");
    store.insert(&written, None).await.expect("written");
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
    store.insert(&written, None).await.expect("written");
    store.set_ended(&written.id, SessionStatus::Expired, None, Timestamp::now()).await.expect("noted");
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
    store.insert(&written, None).await.expect("written");
    let later = written.created_at + SignedDuration::from_secs(30);
    let expiry = later + SignedDuration::from_secs(60);
    store.touch(&written.id, "/tmp", later).await.expect("noted");
    // Noted late: the expiry does not go back.
    store.touch(&written.id, "/tmp", written.created_at).await.expect("noted");
    let found = store.find(&written.id).await.expect("found").expect("there");
    assert_eq!((found.cwd.as_str(), found.last_activity, found.expires_at), ("/tmp", later, expiry));
}

#[tokio::test]
async fn an_end_is_final_with_its_reason_and_late_uses_and_changes_do_not_touch_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("test.db"), 1).await.expect("a store");
    let written = row("00000001-0001");
    store.insert(&written, None).await.expect("written");
    let at = written.created_at + SignedDuration::from_secs(5);
    let reason = Some("out of memory");
    store.set_ended(&written.id, SessionStatus::Crashed, reason, at).await.expect("noted");
    let later = at + SignedDuration::from_secs(5);
    store.touch(&written.id, "/tmp", later).await.expect("noted");
    assert!(!store.change(&written.id, &change(&written, 5, Some(later))).await.expect("looked"));
    let found = store.find(&written.id).await.expect("found").expect("there");
    assert_eq!((found.status, found.reason.as_deref()), (SessionStatus::Crashed, reason));
    assert_eq!((found.last_activity, found.cwd.as_str(), found.ttl_seconds), (at, "/workspace", 60));
}

#[tokio::test]
async fn a_change_is_written_whole_and_uses_of_before_do_not_undo_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("test.db"), 1).await.expect("a store");
    let written = row("00000001-0001");
    store.insert(&written, None).await.expect("written");
    let at = written.created_at + SignedDuration::from_secs(10);
    let renamed = SessionChange { name: None, ..change(&written, 5, Some(at)) };
    assert!(store.change(&written.id, &renamed).await.expect("changed"));
    store.touch(&written.id, "/tmp", written.created_at).await.expect("noted");
    let found = store.find(&written.id).await.expect("found").expect("there");
    assert_eq!((&found.name, &found.labels, found.ttl_seconds), (&None, &written.labels, 5));
    assert_eq!(found.expires_at, at + SignedDuration::from_secs(5));
    // A change of something else does not move the expiry.
    assert!(store.change(&written.id, &change(&written, 5, None)).await.expect("changed"));
    let found = store.find(&written.id).await.expect("found").expect("there");
    assert_eq!((found.expires_at, found.name), (at + SignedDuration::from_secs(5), written.name));
}

#[tokio::test]
async fn ended_sessions_are_listed_in_pages_without_the_running_ones() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("test.db"), 1).await.expect("a store");
    for number in 0..5_u16 {
        // The same instant, so that ids have to decide.
        let row = row(&format!("00000001-000{number}"));
        store.insert(&row, None).await.expect("written");
        if number != 2 {
            let ended = (SessionStatus::Destroyed, Timestamp::now());
            store.set_ended(&row.id, ended.0, None, ended.1).await.expect("noted");
        }
    }
    let mut ids = Vec::new();
    let mut last: Option<SessionRow> = None;
    loop {
        let page = store.ended(last.as_ref().map(|row| (row.created_at, &row.id)), 3).await.expect("a page");
        ids.extend(page.iter().map(|row| row.id.to_string()));
        let Some(row) = page.into_iter().last() else { break };
        last = Some(row);
    }
    assert_eq!(ids, ["00000001-0000", "00000001-0001", "00000001-0003", "00000001-0004"]);
}

#[tokio::test]
async fn an_answer_is_kept_with_its_session_or_not_at_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("test.db");
    let store = Store::open(&path, 1).await.expect("a store");
    let written = row("00000001-0001");
    let kept = answer("key");
    store.insert(&written, Some(&kept)).await.expect("written");
    // The same session again cannot be written, and so neither is its answer.
    let other = answer("other");
    assert!(store.insert(&written, Some(&other)).await.is_err());
    store.close().await;
    let store = Store::open(&path, 1).await.expect("a store");
    assert_eq!(store.kept_answer(&kept.route, "key").await.expect("looked"), Some(kept.clone()));
    assert_eq!(store.kept_answer(&kept.route, "other").await.expect("looked"), None);
    assert_eq!(store.kept_answer("POST /elsewhere", "key").await.expect("looked"), None);
}

#[tokio::test]
async fn an_answer_is_forgotten_after_a_day_and_its_key_is_free_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("test.db"), 1).await.expect("a store");
    let kept = answer("key");
    store.insert(&row("00000001-0001"), Some(&kept)).await.expect("written");
    store.forget_answers().await.expect("nothing to forget");
    assert!(store.kept_answer(&kept.route, "key").await.expect("looked").is_some());
    let day = "UPDATE idempotency_keys SET created_at = created_at - 86400001";
    sqlx::query(day).execute(&store.pool).await.expect("aged");
    assert!(store.kept_answer(&kept.route, "key").await.expect("looked").is_none());
    store.insert(&row("00000001-0002"), Some(&kept)).await.expect("the old one does not count");
    assert!(store.kept_answer(&kept.route, "key").await.expect("looked").is_some());
    sqlx::query(day).execute(&store.pool).await.expect("aged");
    store.forget_answers().await.expect("forgotten");
    let left: (i64,) = sqlx::query_as("SELECT COUNT(*) FROM idempotency_keys")
        .fetch_one(&store.pool)
        .await
        .expect("a count");
    assert_eq!(left, (0,));
}

#[tokio::test]
async fn kept_answers_are_bounded_in_number_and_the_newest_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("test.db"), 1).await.expect("a store");
    sqlx::query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) \
         INSERT INTO idempotency_keys SELECT 'r', 'k' || i, zeroblob(32), 201, '', ? - 20000 + i FROM n",
    )
    .bind(Timestamp::now().as_millisecond())
    .execute(&store.pool)
    .await
    .expect("filled");
    store.insert(&row("00000001-0001"), Some(&answer("new"))).await.expect("written");
    let left: (i64, i64) = sqlx::query_as("SELECT COUNT(*), SUM(key IN ('k1', 'new')) FROM idempotency_keys")
        .fetch_one(&store.pool)
        .await
        .expect("a count");
    assert_eq!(left, (10_000, 1));
}

#[tokio::test]
async fn a_database_of_an_older_daemon_is_brought_up_to_date_with_its_sessions() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("test.db");
    let address = format!("sqlite://{}?mode=rwc", path.display());
    let mut old = SqliteConnection::connect(&address).await.expect("a database");
    let migrator = sqlx::migrate!();
    let table = migrator.table_name.to_string();
    old.ensure_migrations_table(&table).await.expect("a table");
    for migration in migrator.iter().filter(|migration| migration.version <= 2) {
        old.apply(&table, migration).await.expect("an older schema");
    }
    sqlx::query(
        "INSERT INTO sessions (id, image, status, cwd, ttl_seconds, created_at, last_activity, expires_at, uid_range, \
         runner_pid, runner_started, landlock_abi, workspace_id) \
         VALUES ('00000001-0001', 'host', 'running', '/workspace', 60, 1700000000000, 1700000000000, 1700000060000, 7, 42, \
         4242, 6, 'user-1')",
    )
    .execute(&mut old)
    .await
    .expect("an older row");
    old.close().await.expect("closed");
    let store = Store::open(&path, 1).await.expect("it is brought up to date");
    let expected = SessionRow { layers: None, name: None, labels: Labels::default(), ..row("00000001-0001") };
    assert_eq!(store.running().await.expect("listed"), [expected]);
    store.insert(&row("00000001-0002"), Some(&answer("key"))).await.expect("written");
}

fn change(row: &SessionRow, ttl_seconds: u64, restarted_at: Option<Timestamp>) -> SessionChange {
    SessionChange { name: row.name.clone(), labels: row.labels.clone(), ttl_seconds, restarted_at }
}

fn answer(key: &str) -> KeptAnswer {
    KeptAnswer {
        route: "POST /v1/sessions".to_owned(),
        key: key.to_owned(),
        fingerprint: [7; 32],
        status: 201,
        body: "{}".to_owned(),
    }
}

//! `fs/watch`.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use sandkasten_api::file_watch::{FileChangeKind, WatchEndReason, WatchFilesQuery};
use sandkasten_api::session::CreateSessionRequest;
use sandkasten_client::{WatchEvent, WatchStream};
use sandkasten_e2e::{TestDaemon, TestSession, patience, until, with_daemon};

async fn watch(session: &TestSession, path: &str, recursive: bool) -> WatchStream {
    let query = WatchFilesQuery { path: Some(path.to_owned()), recursive };
    let mut stream = session.client.watch_files(&session.id, &query).await.expect("watched");
    let first = next(&mut stream).await;
    assert!(matches!(first, WatchEvent::Ready(_)), "{first:?}");
    stream
}

async fn next(stream: &mut WatchStream) -> WatchEvent {
    let event = tokio::time::timeout(patience(Duration::from_secs(10)), stream.next()).await;
    event.expect("in time").expect("not ended").expect("an event")
}

/// Reads changes until one is about the path.
async fn changes_until(stream: &mut WatchStream, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let WatchEvent::Change(change) = next(stream).await else { panic!("no change after {told:?}") };
        let is_last = change.path == last;
        let kind = serde_json::to_value(change.kind).expect("a word");
        let from = change.from.map(|from| format!(" from {from}")).unwrap_or_default();
        let slash = if change.is_dir { "/" } else { "" };
        told.push(format!("{}{slash} {}{from}", change.path, kind.as_str().expect("a word")));
        if is_last {
            return told;
        }
    }
}

/// How many inotify descriptors the daemon has, and how many directories they watch.
fn inotify_of(daemon: &TestDaemon) -> (usize, usize) {
    let process = Path::new("/proc").join(daemon.pid().to_string());
    let count = |entry: io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(process.join("fdinfo").join(entry.ok()?.file_name())).ok()?;
        Some(text.lines().filter(|line| line.starts_with("inotify wd:")).count())
    };
    let descriptors = fs::read_dir(process.join("fd")).expect("listed").filter(|entry| {
        let target = entry.as_ref().ok().and_then(|entry| fs::read_link(entry.path()).ok());
        target.is_some_and(|target| target == Path::new("anon_inode:inotify"))
    });
    let watches: Vec<_> = descriptors.filter_map(count).collect();
    (watches.len(), watches.iter().sum())
}

#[test]
fn each_kind_of_change_is_told_as_it_happens() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("mkdir -p src/a; echo > src/old").await;
        let mut flat = watch(&session, "src", false).await;
        let mut deep = watch(&session, "/workspace/src", true).await;
        session
            .output("cd src; echo x > a/new; chmod 600 a/new; mv a/new b; rm old; mkdir -p p/q/r; touch p/q/r/deep end")
            .await;
        let told = changes_until(&mut deep, "/workspace/src/end").await;
        for expected in [
            "a/new created",
            "a/new modified",
            "a/new attributes",
            "b renamed from /workspace/src/a/new",
            "old removed",
            "p/ created",
            "p/q/ created",
            "p/q/r/ created",
        ] {
            let expected = format!("/workspace/src/{expected}");
            assert_eq!(told.iter().filter(|told| **told == expected).count(), 1, "{expected}: {told:?}");
        }
        // It is told when its directory is looked at, which may be after what came later.
        let deep_file = "/workspace/src/p/q/r/deep created".to_owned();
        if !told.contains(&deep_file) {
            assert!(changes_until(&mut deep, "/workspace/src/p/q/r/deep").await.contains(&deep_file));
        }
        let told = changes_until(&mut flat, "/workspace/src/end").await;
        let expected = ["b created", "old removed", "p/ created", "end created"]
            .map(|told| format!("/workspace/src/{told}"));
        assert_eq!(told, expected);
        // Through the API as well, and the end of what is watched.
        session.client.write_file(&session.id, "src/by-api", b"x").await.expect("written");
        assert_eq!(
            changes_until(&mut flat, "/workspace/src/by-api").await.last().map(String::as_str),
            Some("/workspace/src/by-api created")
        );
        // The kernel tells when nobody is in it any more.
        session.output("cd /workspace; rm -r src").await;
        loop {
            match next(&mut flat).await {
                WatchEvent::Change(change) => assert_ne!(change.kind, FileChangeKind::Created),
                WatchEvent::End(end) => break assert_eq!(end.reason, WatchEndReason::Removed),
                other => panic!("{other:?}"),
            }
        }
        assert!(flat.next().await.is_none());
    });
}

#[test]
fn a_watch_that_nobody_reads_or_whose_session_ends_leaves_nothing() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("mkdir -p $(seq 50)").await;
        assert_eq!(inotify_of(daemon), (0, 0));
        let gone = watch(&session, ".", true).await;
        let mut stays = watch(&session, ".", true).await;
        assert_eq!(inotify_of(daemon), (2, 102));
        drop(gone);
        until("the watch of the client that left is gone", async || inotify_of(daemon) == (1, 51)).await;
        let began = Instant::now();
        session.clone().destroy().await;
        let last = next(&mut stays).await;
        assert!(matches!(last, WatchEvent::End(end) if end.reason == WatchEndReason::Session), "{last:?}");
        assert!(stays.next().await.is_none() && began.elapsed() < patience(Duration::from_secs(5)));
        until("nothing is watched any more", async || inotify_of(daemon) == (0, 0)).await;
        let refused = session.client.watch_files(&session.id, &WatchFilesQuery::default()).await;
        assert!(refused.is_err());
    });
}

#[test]
fn a_watch_does_not_keep_a_session_from_expiring() {
    with_daemon(async |daemon| {
        let client = daemon.client();
        let request = CreateSessionRequest { ttl_seconds: Some(2), ..CreateSessionRequest::default() };
        let session = client.create_session(&request).await.expect("a session");
        let session = TestSession { id: session.id, client };
        let mut stream = watch(&session, ".", true).await;
        let last = next(&mut stream).await;
        assert!(matches!(last, WatchEvent::End(end) if end.reason == WatchEndReason::Session), "{last:?}");
    });
}

#[test]
fn what_cannot_be_watched_is_refused_with_its_code() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("touch file; mkdir closed; chmod 0 closed; ln -s /proc proc").await;
        for (query, status, code) in [
            ("path=none", 404, "FILE_NOT_FOUND"),
            ("path=file", 409, "NOT_DIRECTORY"),
            ("path=closed", 403, "PERMISSION_DENIED"),
            ("path=proc", 409, "NOT_REGULAR_FILE"),
            ("path=..", 400, "INVALID_REQUEST"),
            ("recursive=maybe", 400, "INVALID_REQUEST"),
            ("depth=3", 400, "INVALID_REQUEST"),
        ] {
            let answer = daemon.raw().get(&format!("/v1/sessions/{}/fs/watch?{query}", session.id)).await;
            assert!(!answer.message(status, code).is_empty(), "{query}");
        }
        let open = [watch(&session, ".", false).await, watch(&session, ".", false).await];
        let more = [watch(&session, ".", false).await, watch(&session, ".", false).await];
        let route = format!("/v1/sessions/{}/fs/watch", session.id);
        assert!(!daemon.raw().get(&route).await.message(429, "LIMIT_EXCEEDED").is_empty());
        drop((open, more));
        until("the places are free again", async || inotify_of(daemon).0 == 0).await;
        watch(&session, ".", false).await;
    });
}

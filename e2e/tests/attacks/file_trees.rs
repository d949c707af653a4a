//! Code in a session against calls that go through whole trees: it swaps links under them, fills what they look at, and
//! puts what is no file in their way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use reqwest::Method;
use sandkasten_api::file_watch::WatchFilesQuery;
use sandkasten_client::WatchEvent;
use sandkasten_e2e::{Answer, TestDaemon, TestSession, patience, until, with_daemon};
use serde_json::json;

const RACE: Duration = Duration::from_secs(6);
/// And at most, on a machine that has something else to do or is emulated.
const SLOW_RACE: Duration = Duration::from_secs(60);

/// Keeps a tree `t` with a directory `d` in it that is in turn a directory and a link to a place outside, and counts.
const SWAP: &str = "\
import ctypes, os, sys
libc = ctypes.CDLL(None)
target = sys.argv[1]
flips = 0
open('/workspace/ready', 'w').close()
while True:
    try:
        os.makedirs('/workspace/t/d/e', exist_ok=True)
        open('/workspace/t/d/e/inside', 'w').write('inside')
        if not os.path.islink('/workspace/l') and not os.path.islink('/workspace/t/d'):
            os.rename('/workspace/l', '/workspace/old-%d' % flips) if os.path.lexists('/workspace/l') else None
            os.symlink(target, '/workspace/l')
    except OSError:
        pass
    for _ in range(50):
        flips += libc.renameat2(-100, b'/workspace/t/d', -100, b'/workspace/l', 2) == 0
    open('/workspace/count', 'w').write(str(flips))";

async fn ask(daemon: &TestDaemon, session: &TestSession, method: Method, call: &str) -> Answer {
    let route = format!("/v1/sessions/{}/fs/{call}", session.id);
    Answer::to(daemon.raw().request(method, &route)).await
}

async fn post(daemon: &TestDaemon, session: &TestSession, call: &str, body: serde_json::Value) -> Answer {
    daemon.raw().post(&format!("/v1/sessions/{}/fs/{call}", session.id), &body).await
}

#[test]
fn a_tree_whose_directories_become_links_under_the_walk_leads_nowhere() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let outside =
            tempfile::Builder::new().prefix("e2e-trees-").tempdir().expect("a directory can be made");
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o777)).expect("a mode can be set");
        fs::write(outside.path().join("stolen"), "host-secret").expect("a file can be written");
        fs::set_permissions(outside.path().join("stolen"), fs::Permissions::from_mode(0o666))
            .expect("a mode");
        let target = outside.path().to_string_lossy().into_owned();
        session.client.write_file(&session.id, "swap.py", SWAP.as_bytes()).await.expect("written");
        session.output(&format!("(python3 swap.py {target} >/dev/null 2>&1 &)")).await;
        until("the race is on", async || session.client.read_file(&session.id, "ready", None).await.is_ok())
            .await;
        let (began, mut rounds, mut done, mut flips) = (Instant::now(), 0, 0, 0_u64);
        // On a slow machine until there has been enough of it.
        let is_enough = |flips, done| flips > 100 && done > 50;
        while began.elapsed() < RACE || (began.elapsed() < patience(SLOW_RACE) && !is_enough(flips, done)) {
            let to = format!("copy-{rounds}");
            for answer in [
                ask(daemon, &session, Method::GET, "archive?path=t").await,
                post(daemon, &session, "search", json!({"path": "t", "literal": "host-secret"})).await,
                ask(daemon, &session, Method::GET, "list?path=t&depth=9").await,
                post(daemon, &session, "copy", json!({"from": "t", "to": to})).await,
                ask(daemon, &session, Method::DELETE, "remove?path=t&recursive=true").await,
            ] {
                assert!(answer.status < 500, "{} {:.300}", answer.status, answer.text);
                assert!(
                    !answer.text.contains("host-secret\n") && !answer.text.contains("stolen"),
                    "{:.500}",
                    answer.text
                );
                done += u32::from(answer.status == 200);
            }
            ask(daemon, &session, Method::DELETE, &format!("remove?path={to}&recursive=true")).await;
            rounds += 1;
            // Empty, where it is just being written.
            let count = session.client.read_file(&session.id, "count", None).await;
            let count = count.ok().and_then(|(count, _)| String::from_utf8_lossy(&count).parse().ok());
            flips = count.unwrap_or(flips);
        }
        println!("{flips} flips, {rounds} rounds, {done} answers");
        assert!(is_enough(flips, done), "{flips} flips, {rounds} rounds, {done} answers");
        assert_eq!(fs::read_to_string(outside.path().join("stolen")).expect("still there"), "host-secret");
        assert_eq!(fs::read_dir(outside.path()).expect("a directory").count(), 1);
    });
}

#[test]
fn a_hundred_thousand_directories_end_a_watch_and_not_the_hosts() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let query = WatchFilesQuery { path: None, recursive: true };
        let mut stream = session.client.watch_files(&session.id, &query).await.expect("watched");
        session
            .python(
                "import os\ntry:\n  for n in range(100_000): os.mkdir('/workspace/%d' % n)\nexcept OSError: pass\n\
                 print(len(os.listdir('/workspace')) > 5_000)",
            )
            .await;
        let began = Instant::now();
        let last = loop {
            match stream.next().await.expect("an end").expect("an event") {
                WatchEvent::Ready(_) | WatchEvent::Change(_) => {}
                last => break last,
            }
        };
        assert!(matches!(last, WatchEvent::Overflow(_)), "{last:?}");
        assert!(began.elapsed() < patience(Duration::from_secs(20)));
        let answer = ask(daemon, &session, Method::GET, "watch?recursive=true").await;
        // On a slow machine the time is up before the allowance is.
        let code = if answer.status == 413 { "FILE_TOO_LARGE" } else { "LIMIT_EXCEEDED" };
        assert!(!answer.message(if answer.status == 413 { 413 } else { 429 }, code).is_empty());
        // Nothing of it is kept, neither from this session nor from others.
        session
            .client
            .watch_files(&session.id, &WatchFilesQuery::default())
            .await
            .expect("a directory alone");
        let other = daemon.session().await;
        other.client.watch_files(&other.id, &query).await.expect("another session's");
    });
}

#[test]
fn names_pipes_and_depths_stop_no_walk_and_break_no_answer() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session
            .python(
                "import os, socket\nos.makedirs('/workspace/t')\nos.chdir('/workspace/t')\nos.mkfifo('pipe')\n\
                 open(b'line\\nbreak\\x1b[31m', 'w').write('x')\nopen(b'bytes\\xff\\xfe', 'w').write('x')\n\
                 open('..  ', 'w').write('x')\nsocket.socket(socket.AF_UNIX).bind('socket')\n\
                 os.symlink('/dev/zero', 'device')\nos.symlink('pipe', 'to-pipe')\nos.chdir('/workspace')\n\
                 [(os.mkdir('deep'), os.chdir('deep')) for _ in range(300)]",
            )
            .await;
        let began = Instant::now();
        let listed = ask(daemon, &session, Method::GET, "list?path=t").await.ok(200);
        assert_eq!(listed["entries"].as_array().map(Vec::len), Some(7), "{listed}");
        for (method, call) in [
            (Method::GET, "raw?path=t/pipe"),
            (Method::GET, "raw?path=t/to-pipe"),
            (Method::GET, "raw?path=t/device"),
            (Method::GET, "raw?path=t/socket"),
            (Method::PUT, "raw?path=t/pipe"),
        ] {
            let answer = ask(daemon, &session, method, call).await;
            assert!(!answer.message(409, "NOT_REGULAR_FILE").is_empty(), "{call}");
        }
        for path in ["a%00b", "..", "a/../../b", "%2e%2e/x"] {
            let answer = ask(daemon, &session, Method::GET, &format!("stat?path={path}")).await;
            assert!(!answer.message(400, "INVALID_REQUEST").is_empty(), "{path}");
        }
        let copied = post(daemon, &session, "copy", json!({"from": "t", "to": "c"})).await.ok(200);
        assert_eq!(copied["skipped"], 2, "{copied}");
        assert_eq!(post(daemon, &session, "search", json!({"literal": "x", "path": "t"})).await.status, 200);
        assert_eq!(ask(daemon, &session, Method::GET, "archive?path=t").await.status, 200);
        for (method, call) in [
            (Method::GET, "watch?path=deep&recursive=true"),
            (Method::DELETE, "remove?path=deep&recursive=true"),
        ] {
            let answer = ask(daemon, &session, method, call).await;
            assert!(!answer.message(413, "FILE_TOO_LARGE").is_empty(), "{call}");
        }
        assert_eq!(ask(daemon, &session, Method::DELETE, "remove?path=t&recursive=true").await.status, 200);
        assert!(began.elapsed() < patience(Duration::from_secs(15)), "{:?}", began.elapsed());
    });
}

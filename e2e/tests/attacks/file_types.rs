//! What looks like a file and is none, or is too large to be read whole, is answered at once and within bounds.

use std::time::{Duration, Instant};

use sandkasten_client::{Client, RequestError};
use sandkasten_e2e::{patience, with_daemon};

/// A bound on hangs.
const AT_ONCE: Duration = Duration::from_secs(3);

async fn assert_refused_at_once(client: &Client, session: &sandkasten_e2e::TestSession, path: &str) {
    let started = Instant::now();
    let read = tokio::time::timeout(patience(AT_ONCE), client.read_file(&session.id, path, None)).await;
    match read {
        Ok(Err(RequestError::Refused { status: 400..500, .. })) => {}
        Ok(other) => panic!("reading {path}: {:?}", other.map(|(content, _)| content.len())),
        Err(_) => panic!("reading {path} takes more than {:?}", started.elapsed()),
    }
}

#[test]
fn reading_what_is_no_file_is_refused_at_once() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let make = "\
import os, socket
os.mkfifo('fifo')
socket.socket(socket.AF_UNIX).bind('socket')
os.mkdir('directory')
for name, target in (('zero', '/dev/zero'), ('full', '/dev/full'), ('tty', '/dev/tty'), ('ptmx', '/dev/ptmx'),
                     ('random', '/dev/random'), ('fifo-link', 'fifo'), ('pipe', '/run/sandkasten/o2'), ('stdin', '/dev/stdin')):
    os.symlink(target, name)";
        session.python(&format!("import os; os.chdir('/workspace')\n{make}")).await;
        let client = daemon.client();
        for path in [
            "fifo",
            "fifo-link",
            "socket",
            "directory",
            "zero",
            "full",
            "tty",
            "ptmx",
            "random",
            "pipe",
            "stdin",
            "",
        ] {
            assert_refused_at_once(&client, &session, path).await;
        }
        // With somebody at the other end as well.
        session
            .output("(while :; do echo forged > fifo; done 2>/dev/null &) ; (cat fifo > /dev/null &)")
            .await;
        assert_refused_at_once(&client, &session, "fifo").await;
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

#[test]
fn writing_over_what_is_no_file_does_not_hang_and_does_not_write_into_it() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("mkfifo fifo; mkdir directory; ln -s /dev/null null; ln -s /dev/full full; (cat fifo > heard &)").await;
        for path in ["fifo", "directory", "null", "full"] {
            let write = session.client.write_file(&session.id, path, b"text");
            let result = tokio::time::timeout(patience(AT_ONCE), write)
                .await
                .unwrap_or_else(|_| panic!("{path} hangs"));
            if let Err(error) = result {
                assert!(matches!(error, RequestError::Refused { status: 400..500, .. }), "{path}: {error}");
            }
        }
        assert_eq!(
            session.output("cat heard; stat -c %F directory /dev/null").await,
            "directory\ncharacter special file"
        );
    });
}

#[test]
fn a_file_under_a_lease_holds_nobody_up() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        // An open by somebody else would wait for the holder to give it back, 45 seconds by default: fcntl(2).
        let lease = "\
import fcntl, os, signal, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open('/workspace/leased', os.O_RDWR | os.O_CREAT)
os.write(file, b'old')
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
open('/workspace/ready', 'w').close()
time.sleep(600)";
        session.client.write_file(&session.id, "lease.py", lease.as_bytes()).await.expect("written");
        session.output("(python3 lease.py >/dev/null 2>&1 &)").await;
        sandkasten_e2e::until("the lease is taken", async || {
            session.client.read_file(&session.id, "ready", None).await.is_ok()
        })
        .await;
        assert_refused_at_once(&session.client, &session, "leased").await;
        let write = session.client.write_file(&session.id, "leased", b"new");
        tokio::time::timeout(AT_ONCE, write).await.expect("no hang").expect("a new file takes the name");
        assert_eq!(session.output("cat leased").await, "new");
    });
}

#[test]
fn a_sparse_file_of_a_tebibyte_is_read_within_bounds() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("truncate -s 1T sparse").await;
        let (content, truncated) =
            session.client.read_file(&session.id, "sparse", Some(1000)).await.expect("a part");
        assert_eq!((content.len(), truncated), (1000, true));
        let started = Instant::now();
        let (content, truncated) =
            session.client.read_file(&session.id, "sparse", None).await.expect("a part");
        assert_eq!((content.len(), truncated), (10 << 20, true));
        assert!(started.elapsed() < patience(Duration::from_secs(12)), "{:?}", started.elapsed());
    });
}

#[test]
fn a_file_that_grows_while_it_is_read_is_bounded() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.output("(while :; do head -c 1M /dev/zero >> grows; [ $(stat -c %s grows) -gt 50000000 ] && : > grows; done 2>/dev/null &)").await;
        for _ in 0..50 {
            if let Ok((content, _)) = session.client.read_file(&session.id, "grows", Some(1 << 16)).await {
                assert!(content.len() <= 1 << 16);
            }
        }
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

//! Directories that turn into links while a file is read or written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use sandkasten_client::{RequestError, UploadFile};
use sandkasten_e2e::{TestSession, patience, with_daemon};

/// Files behind the names that are being swapped.
const PATHS: [&str; 5] = ["d/x", "file", "l/x", "d/../d/x", "up/d/x"];

/// How long a round of the race is, how many answers of each kind it has to give, and how many swaps there have to be.
const ROUND: Duration = Duration::from_secs(6);
const ENOUGH: u32 = 50;
const FLIPS: u64 = 20_000;
/// Where that takes more rounds, a bound on hangs.
const BOUND: Duration = Duration::from_secs(20);

/// Swaps a directory and a link to a place outside, and a file and such a link, as fast as it can, and counts.
const SWAP: &str = "\
import ctypes, os, sys
libc = ctypes.CDLL(None)
target = sys.argv[1]
os.makedirs('/workspace/d', exist_ok=True)
open('/workspace/d/x', 'w').write('inside')
os.symlink(target, '/workspace/l')
os.symlink(target + '/x', '/workspace/file-link')
os.symlink('../../../workspace', '/workspace/up')
open('/workspace/file', 'w').write('inside')
count = os.open('/workspace/count', os.O_RDWR | os.O_CREAT)
open('/workspace/ready', 'w').close()
flips = 0
while True:
    for _ in range(500):
        flips += libc.renameat2(-100, b'/workspace/d', -100, b'/workspace/l', 2) == 0
        flips += libc.renameat2(-100, b'/workspace/file', -100, b'/workspace/file-link', 2) == 0
    os.pwrite(count, b'%012d' % flips, 0)";

/// A race may cost an answer, but is no fault of the daemon's.
fn assert_no_fault(error: &RequestError, path: &str) {
    assert!(matches!(error, RequestError::Refused { status: 400..500, .. }), "{path}: {error}");
}

/// How often the names have been swapped.
async fn flips(session: &TestSession) -> u64 {
    let (count, _) = session.client.read_file(&session.id, "count", None).await.expect("a count");
    String::from_utf8_lossy(&count).parse().unwrap_or(0)
}

/// Reads through everything that is being swapped; whatever comes is the sandbox's.
async fn read(session: &TestSession, until: Instant) -> u32 {
    let mut done = 0;
    while Instant::now() < until {
        for path in PATHS {
            match session.client.read_file(&session.id, path, None).await {
                Ok((content, _)) => {
                    let text = String::from_utf8_lossy(&content).into_owned();
                    assert!(["inside", "sandbox", "written"].contains(&text.as_str()), "{path}: {text}");
                    done += 1;
                }
                Err(error) => assert_no_fault(&error, path),
            }
        }
    }
    done
}

async fn write(session: &TestSession, until: Instant) -> u32 {
    let mut done = 0;
    while Instant::now() < until {
        for path in PATHS.into_iter().chain(["d/new/y", "l/new/z"]) {
            match session.client.write_file(&session.id, path, b"written").await {
                Ok(()) => done += 1,
                Err(error) => assert_no_fault(&error, path),
            }
        }
    }
    done
}

async fn upload(session: &TestSession, until: Instant) -> u32 {
    let mut done = 0;
    while Instant::now() < until {
        for directory in ["d", "l", "up/d", "d/made"] {
            let files = ["x", "uploaded"]
                .map(|name| UploadFile { name: name.to_owned(), content: b"written".to_vec() });
            match session.client.upload(&session.id, directory, files.to_vec()).await {
                Ok(_) => done += 1,
                Err(error) => assert_no_fault(&error, directory),
            }
        }
    }
    done
}

#[test]
fn a_parent_that_is_swapped_for_a_link_leads_nowhere() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let outside =
            tempfile::Builder::new().prefix("e2e-race-").tempdir().expect("a directory can be made");
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o777)).expect("a mode can be set");
        fs::write(outside.path().join("x"), "host").expect("a file can be written");
        let target = outside.path().to_string_lossy().into_owned();
        session.client.write_file(&session.id, "swap.py", SWAP.as_bytes()).await.expect("written");
        // The same path exists inside, so that the link leads somewhere there; the host's is never meant.
        session.output(&format!("mkdir -p {target}; echo -n sandbox > {target}/x")).await;
        session.output(&format!("(python3 swap.py {target} >/dev/null 2>&1 &)")).await;
        sandkasten_e2e::until("the race is on", async || {
            session.client.read_file(&session.id, "ready", None).await.is_ok()
        })
        .await;
        let before = flips(&session).await;
        let began = Instant::now();
        let (mut reads, mut writes, mut uploads) = (0, 0, 0);
        loop {
            let until = Instant::now() + ROUND;
            let more = tokio::join!(read(&session, until), write(&session, until), upload(&session, until));
            (reads, writes, uploads) = (reads + more.0, writes + more.1, uploads + more.2);
            let flips = flips(&session).await - before;
            println!("{flips} flips, {reads} reads, {writes} writes, {uploads} uploads");
            if flips > FLIPS && reads.min(writes).min(uploads) > ENOUGH {
                break;
            }
            let late = began.elapsed() > patience(BOUND);
            assert!(!late, "{flips} flips, {reads} reads, {writes} writes, {uploads} uploads");
        }
        assert_eq!(fs::read_to_string(outside.path().join("x")).expect("still there"), "host");
        assert_eq!(
            fs::read_dir(outside.path()).expect("a directory").count(),
            1,
            "nothing was added on the host"
        );
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

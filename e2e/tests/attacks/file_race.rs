//! Directories that turn into links while a file is read or written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use sandkasten_client::RequestError;
use sandkasten_e2e::with_daemon;

/// How long each race is run.
const RACE: Duration = Duration::from_secs(3);

/// Swaps a directory and a link to a place outside as fast as it can.
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
open('/workspace/ready', 'w').close()
while True:
    libc.renameat2(-100, b'/workspace/d', -100, b'/workspace/l', 2)
    libc.renameat2(-100, b'/workspace/file', -100, b'/workspace/file-link', 2)";

/// A race may cost an answer, but is no fault of the daemon's.
fn assert_no_fault(error: &RequestError, path: &str) {
    assert!(matches!(error, RequestError::Refused { status: 400..500, .. }), "{path}: {error}");
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
        let until = Instant::now() + RACE;
        let (mut reads, mut writes) = (0, 0);
        while Instant::now() < until {
            for path in ["d/x", "file", "l/x", "d/../d/x", "up/d/x"] {
                match session.client.read_file(&session.id, path, None).await {
                    Ok((content, _)) => {
                        let text = String::from_utf8_lossy(&content).into_owned();
                        assert!(["inside", "sandbox", "written"].contains(&text.as_str()), "{path}: {text}");
                        reads += 1;
                    }
                    Err(error) => assert_no_fault(&error, path),
                }
                match session.client.write_file(&session.id, path, b"written").await {
                    Ok(()) => writes += 1,
                    Err(error) => assert_no_fault(&error, path),
                }
            }
            session.client.write_file(&session.id, "d/new/y", b"written").await.ok();
        }
        assert!(reads > 50 && writes > 50, "the race was run: {reads} reads, {writes} writes");
        assert_eq!(fs::read_to_string(outside.path().join("x")).expect("still there"), "host");
        assert_eq!(
            fs::read_dir(outside.path()).expect("a directory").count(),
            1,
            "nothing was added on the host"
        );
        assert_eq!(session.output("echo alive").await, "alive");
    });
}

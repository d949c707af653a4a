//! A daemon that has done much is as small as one that has done nothing.

use std::fs;

use rustix::fs::{FlockOperation, flock};
use sandkasten_e2e::{TestDaemon, until, with_daemon};

#[test]
fn thirty_sessions_leave_no_descriptor_cgroup_or_lease_behind() {
    with_daemon(async |daemon| {
        for _ in 0..3 {
            one_life(daemon).await;
        }
        let before = (descriptors(daemon.pid()), threads(daemon.pid()), leases());
        let cgroups = daemon.leaks(None).cgroups;
        for _ in 0..30 {
            one_life(daemon).await;
        }
        until("descriptors are back", async || descriptors(daemon.pid()) <= before.0 + 2).await;
        assert_eq!(daemon.leaks(None).cgroups, cgroups);
        assert!(
            threads(daemon.pid()) <= before.1 + 8,
            "threads: {} before, {} after",
            before.1,
            threads(daemon.pid())
        );
        // Other daemons of this host hold leases as well, so that only as many as there were sessions are a leak.
        until("leases are back", async || leases() < before.2 + 30).await;
        let rows = fs::metadata(daemon.data_dir().join("sandkasten.db")).expect("a database").len();
        assert!(rows < 1 << 20, "{rows} bytes of database");
    });
}

async fn one_life(daemon: &TestDaemon) {
    let session = daemon.session().await;
    session.exec("sleep 1000 & echo x > file").await;
    daemon.client().write_file(&session.id, "other", b"x").await.expect("written");
    // Cut short, as a client does that has seen enough.
    let mut stream = session.stream("echo started; sleep 1000").await;
    assert!(stream.next().await.is_some_and(|event| event.is_ok()));
    drop(stream);
    assert!(session.try_exec("sleep 1000", Some(20)).await.is_err());
    session.destroy().await;
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("a daemon").count()
}

fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).expect("a daemon").count()
}

/// How many uid ranges of this host are held by somebody.
fn leases() -> usize {
    let files = fs::read_dir("/run/sandkasten/uid-ranges").into_iter().flatten().flatten();
    files
        .filter_map(|entry| fs::File::open(entry.path()).ok())
        .filter(|file| flock(file, FlockOperation::NonBlockingLockShared).is_err())
        .count()
}

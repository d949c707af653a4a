//! Every place that can be written to is bounded, in bytes and in files, and full is not the end.

use sandkasten_e2e::{with_config, with_daemon};

const SMALL: &str = "defaults:\n  mem_limit_mb: 128\n  workspace_mb: 8\n  tmp_mb: 4";

#[test]
fn every_writable_mount_has_a_bound_and_all_together_stay_below_the_memory_limit() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let sizes = session
            .python(
                "import os\n\
                 for place in ('/tmp', '/dev/shm', '/run', '/home/sandbox', '/workspace', '/run/sandkasten', '/'):\n\
                 \x20   found = os.statvfs(place)\n\
                 \x20   print(place, found.f_blocks * found.f_frsize, found.f_files)",
            )
            .await;
        let limit = daemon.client().session_stats(&session.id).await.expect("stats").memory_limit;
        let mut total = 0;
        for line in sizes.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let number = |index: usize| fields[index].parse::<u64>().expect("a number");
            assert!(number(1) > 0 && number(1) <= 256 << 20, "{line}");
            assert!(number(2) > 0 && number(2) <= 1 << 17 || fields[0] == "/", "{line}");
            total += number(1);
        }
        assert!(total < limit, "{total} of {limit}");
    });
}

#[test]
fn a_full_workspace_is_enospc_and_the_session_lives_on() {
    with_config(SMALL, async |daemon| {
        let session = daemon.session().await;
        let full = session.exec("KEPT=yes; head -c 20M /dev/zero > /workspace/full").await;
        assert_eq!(full.exit_code, 1);
        assert!(full.output.contains("No space left on device"), "{}", full.output);
        assert_eq!(
            session.output("stat -c %s /workspace/full; echo $KEPT").await,
            format!("{}\nyes", 8 << 20)
        );
        assert_eq!(
            session.output("rm /workspace/full; echo new > /workspace/x; cat /workspace/x").await,
            "new"
        );
    });
}

#[test]
fn all_mounts_full_at_once_do_not_end_the_session() {
    with_config("defaults:\n  mem_limit_mb: 128", async |daemon| {
        let session = daemon.session().await;
        session.exec("KEPT=yes").await;
        for place in ["/workspace", "/tmp", "/home/sandbox", "/dev/shm", "/run"] {
            let full = session.exec(&format!("head -c 200M /dev/zero > {place}/full")).await;
            assert!(full.output.contains("No space left on device"), "{place}: {full:?}");
        }
        assert_eq!(
            session.output("echo $KEPT; rm -f {/workspace,/tmp,/home/sandbox,/dev/shm,/run}/full").await,
            "yes"
        );
        assert_eq!(daemon.client().session_stats(&session.id).await.expect("stats").oom_kills, 0);
    });
}

#[test]
fn files_are_bounded_in_number() {
    with_config(SMALL, async |daemon| {
        let session = daemon.session().await;
        let fill = "\
import errno, os
for place in ('/workspace', '/tmp', '/dev/shm', '/home/sandbox', '/run'):
    count = 0
    try:
        while count < 1000000:
            os.close(os.open(f'{place}/f{count}', os.O_CREAT | os.O_WRONLY))
            count += 1
    except OSError as error: assert error.errno == errno.ENOSPC, error
    print(place, 0 < count <= 4096, count)
    for number in range(count): os.unlink(f'{place}/f{number}')";
        let printed = session.python(fill).await;
        assert_eq!(printed.matches(" True ").count(), 5, "{printed}");
        assert_eq!(session.output("echo x > /workspace/x; cat /workspace/x").await, "x");
    });
}

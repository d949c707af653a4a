//! Who a command is: one unprivileged user of a range of host ids that nothing else has.

use std::fs;
use std::ops::Range;

use sandkasten_e2e::{TestSession, with_daemon};

use crate::processes;

/// The host ids of a session, as its own map tells them.
async fn mapped(session: &TestSession, map: &str) -> Range<u64> {
    let text = session.output(&format!("cat /proc/self/{map}")).await;
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    let numbers: Vec<u64> = text.split_whitespace().map(|field| field.parse().expect("a number")).collect();
    let [inside, host, count] = numbers[..] else { panic!("three numbers: {text}") };
    assert_eq!((inside, count), (0, 65_536), "ids 0 to 65535 inside");
    host..host + count
}

/// The uids or gids that a file like `/etc/passwd` of the host names.
fn named_on_host(path: &str) -> Vec<u64> {
    let text = fs::read_to_string(path).expect("a readable file");
    text.lines().filter_map(|line| line.split(':').nth(2)?.parse().ok()).collect()
}

#[test]
fn each_session_has_65536_host_ids_of_its_own_and_no_account_is_among_them() {
    with_daemon(async |daemon| {
        let (first, second) = (daemon.session().await, daemon.session().await);
        for (map, accounts) in [("uid_map", "/etc/passwd"), ("gid_map", "/etc/group")] {
            let (of_first, of_second) = (mapped(&first, map).await, mapped(&second, map).await);
            assert!(of_first.start >= 100_000 && of_second.start >= 100_000, "{of_first:?} {of_second:?}");
            assert!(
                of_first.end <= of_second.start || of_second.end <= of_first.start,
                "two ranges: {of_first:?} {of_second:?}"
            );
            for id in named_on_host(accounts) {
                assert!(!of_first.contains(&id) && !of_second.contains(&id), "{id} of {accounts} is mapped");
            }
        }
    });
}

#[test]
fn commands_are_user_1000_without_other_groups_inside_and_unprivileged_on_the_host() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        assert_eq!(session.output("id -u; id -g; id -G; id -un").await, "1000\n1000\n1000\nsandbox");
        assert_eq!(
            session.python("import os; print(os.getresuid(), os.getgroups())").await,
            "(1000, 1000, 1000) []"
        );
        session.exec("sleep 100 &").await;
        let user = mapped(&session, "uid_map").await.start + 1000;
        for process in processes(daemon, &session) {
            let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a status");
            let line = |name: &str| {
                let line = status.lines().find(|line| line.starts_with(name)).expect("a line of the status");
                line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(line("Uid:"), vec![user.to_string(); 4], "of {process}");
            assert_eq!(line("Gid:"), vec![user.to_string(); 4], "of {process}");
            assert!(line("Groups:").is_empty(), "of {process}: {:?}", line("Groups:"));
        }
    });
}

#[test]
fn no_other_user_can_be_become_or_given_files() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let attempts = "\
import os
def attempt(name, call, *arguments):
    try:
        call(*arguments)
        print(name, 'worked')
    except OSError:
        pass
open('/workspace/mine', 'w').close()
for id in (0, 1, 999, 65534, 65535, 65536, 1 << 31):
    attempt(f'setuid {id}', os.setuid, id)
    attempt(f'setgid {id}', os.setgid, id)
    attempt(f'setgroups {id}', os.setgroups, [id])
    attempt(f'setresuid {id}', os.setresuid, id, id, id)
    attempt(f'chown {id}', os.chown, '/workspace/mine', id, -1)
    attempt(f'chgrp {id}', os.chown, '/workspace/mine', -1, id)
for name in ('uid_map', 'gid_map', 'setgroups'):
    attempt(name, lambda: open('/proc/self/' + name, 'w').write('0 0 1'))
print(os.getresuid(), os.stat('/workspace/mine').st_uid)";
        assert_eq!(session.python(attempts).await, "(1000, 1000, 1000) 1000");
    });
}

#[test]
fn setuid_programs_give_nothing() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        // su of the image is owned by the image's root and has its setuid bit; a copy of a shell has the user's.
        let tried = session
            .output(
                "cp /bin/bash /workspace/shell; chmod 6755 /workspace/shell; /workspace/shell -p -c 'id -u; id -g'; \
                 su -c 'id -u' </dev/null 2>/dev/null; sudo -n id -u 2>/dev/null; true",
            )
            .await;
        assert_eq!(tried, "1000\n1000");
    });
}

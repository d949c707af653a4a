//! Memory, processes and processor time are bounded, and reaching a bound hurts nobody else.

use std::fs;
use std::time::{Duration, Instant};

use sandkasten_e2e::{instance_name, patience, with_config, with_daemon};

use crate::processes;

#[test]
fn a_command_that_takes_too_much_memory_dies_with_137_and_the_session_lives_on() {
    with_config("defaults:\n  mem_limit_mb: 64", async |daemon| {
        let (session, other) = (daemon.session().await, daemon.session().await);
        session.exec("KEPT=yes").await;
        let hog = session.exec("python3 -c 'x = bytearray(400 << 20); print(len(x))'").await;
        assert_eq!(hog.exit_code, 137, "{hog:?}");
        assert_eq!(session.output("echo $KEPT").await, "yes");
        assert_eq!(other.output("echo unharmed").await, "unharmed");
        let stats = daemon.client().session_stats(&session.id).await.expect("stats");
        assert_eq!(stats.memory_limit, 64 << 20);
        assert!(stats.oom_kills >= 1, "{stats:?}");
        assert!(stats.memory_peak_bytes <= stats.memory_limit, "{stats:?}");
        let stats = daemon.client().session_stats(&other.id).await.expect("stats");
        assert_eq!(stats.oom_kills, 0, "{stats:?}");
    });
}

#[test]
fn files_in_memory_and_swap_count_against_the_memory_limit() {
    with_config("defaults:\n  mem_limit_mb: 64", async |daemon| {
        let session = daemon.session().await;
        let before = daemon.client().session_stats(&session.id).await.expect("stats").memory_bytes;
        session.output("head -c 20M /dev/zero > /workspace/x").await;
        let after = daemon.client().session_stats(&session.id).await.expect("stats").memory_bytes;
        assert!(after >= before + (19 << 20), "{before} {after}");
        let cgroup = format!("{}/{}", instance_name(&daemon.data_dir().join("run")), session.id);
        let read = |path: String| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        // Where the kernel counts no swap there is neither file.
        if let Some(limit) = read(format!("/sys/fs/cgroup/memory/{cgroup}/memory.memsw.limit_in_bytes")) {
            assert_eq!(limit, (64 << 20).to_string(), "memory and swap together");
        }
        // In v2 the limits are on an inner cgroup, with everything but the runner.
        if let Some(limit) = read(format!("/sys/fs/cgroup/{cgroup}/work/memory.swap.max")) {
            assert_eq!(limit, "0");
        }
    });
}

#[test]
fn processes_are_bounded_and_others_do_not_notice() {
    with_config("defaults:\n  pids_limit: 64", async |daemon| {
        let (session, other) = (daemon.session().await, daemon.session().await);
        let bomb = "\
import errno, os, signal, time
children = []
try:
    while True:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError as error:
    assert error.errno == errno.EAGAIN, error
print(len(children), flush=True)
open('/workspace/full', 'w').close()
while not os.path.exists('/workspace/go'): time.sleep(0.01)
for child in children: os.kill(child, signal.SIGKILL)";
        let bomber = session.clone();
        let running = tokio::spawn(async move { bomber.python(bomb).await });
        let until = Instant::now() + patience(Duration::from_secs(20));
        while daemon.client().read_file(&session.id, "full", None).await.is_err() {
            assert!(Instant::now() < until, "the limit was not reached");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let stats = daemon.client().session_stats(&session.id).await.expect("stats");
        assert_eq!((stats.pids, stats.pids_limit), (64, 64));
        let asked = Instant::now();
        daemon.client().healthz().await.expect("healthy");
        assert_eq!(other.output("(echo unharmed)").await, "unharmed");
        assert!(asked.elapsed() < patience(Duration::from_secs(2)), "{:?}", asked.elapsed());
        daemon.client().write_file(&session.id, "go", b"").await.expect("written at the limit");
        let count: u64 = running.await.expect("no panic").parse().expect("a number");
        assert!((55..64).contains(&count), "{count}");
        assert_eq!(session.output("(echo alive)").await, "alive");
    });
}

#[test]
fn processor_time_is_the_configured_share() {
    with_config("defaults:\n  cpu_limit: 0.5", async |daemon| {
        let session = daemon.session().await;
        let client = daemon.client();
        let before = client.session_stats(&session.id).await.expect("stats");
        assert_eq!(before.cpu_limit_millis, 500);
        let loops = "timeout 2 sh -c 'while :; do :; done' & timeout 2 sh -c 'while :; do :; done' & wait";
        let result = session.exec(loops).await;
        let after = client.session_stats(&session.id).await.expect("stats");
        let used = Duration::from_micros(after.cpu_usage_usec - before.cpu_usage_usec);
        let share = used.as_secs_f64() / Duration::from_millis(result.duration_ms).as_secs_f64();
        assert!((0.3..0.75).contains(&share), "{share} of a core");
    });
}

#[test]
fn resource_limits_are_finite_and_cannot_be_raised() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let probe = "\
import os, resource
def limit(name): return resource.getrlimit(getattr(resource, 'RLIMIT_' + name))
print(limit('CORE'), limit('RTPRIO'), limit('NICE'), limit('MEMLOCK'))
for name in ('NOFILE', 'MSGQUEUE', 'SIGPENDING', 'STACK'):
    hard = limit(name)[1]
    if hard == resource.RLIM_INFINITY: print(name, 'is infinite')
print(limit('NOFILE')[1] <= 65536)
def attempt(name, call, *arguments):
    try:
        call(*arguments)
        print(name, 'worked')
    except (OSError, ValueError): pass
for name in ('CORE', 'RTPRIO', 'NICE', 'MEMLOCK', 'NOFILE', 'STACK'):
    which = getattr(resource, 'RLIMIT_' + name)
    hard = limit(name)[1]
    attempt(name, resource.setrlimit, which, (hard, hard + 1))
    attempt(name, resource.setrlimit, which, (hard, resource.RLIM_INFINITY))
attempt('nice', os.nice, -1)
attempt('fifo', os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))
attempt('rr', os.sched_setscheduler, 0, os.SCHED_RR, os.sched_param(1))";
        assert_eq!(session.python(probe).await, "(1, 1) (0, 0) (0, 0) (65536, 65536)\nTrue");
        // And so a crash leaves no core file behind.
        let crash = session.exec("cd /workspace; sh -c 'kill -SEGV $$'; echo $?; ls").await;
        assert!(crash.output.ends_with("139\n"), "{crash:?}");
    });
}

#[test]
fn the_shell_was_in_its_limits_before_it_ran_anything() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let ours = format!("/{}/{}", instance_name(&daemon.data_dir().join("run")), session.id);
        let processes = processes(daemon, &session);
        assert!(!processes.is_empty());
        for process in processes {
            let cgroups = fs::read_to_string(format!("/proc/{process}/cgroup")).expect("cgroups");
            for controller in ["memory", "pids", "cpu"] {
                let line = cgroups
                    .lines()
                    .find(|line| {
                        line.split(':').nth(1).is_some_and(|names| names.split(',').any(|n| n == controller))
                    })
                    .or_else(|| cgroups.lines().find(|line| line.starts_with("0::")))
                    .expect("a hierarchy");
                assert!(line.contains(&ours), "{controller}: {line}");
            }
        }
        // Inside, neither the path nor the files of the limits can be seen.
        let inside = session.output("cat /proc/self/cgroup").await;
        assert!(!inside.contains("sandkasten"), "{inside}");
        assert_eq!(session.output("ls -A /sys/").await, "");
    });
}

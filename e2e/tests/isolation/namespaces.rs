//! Each of the eight namespaces is the session's own.

use std::collections::BTreeMap;
use std::fs;

use sandkasten_e2e::{TestSession, with_daemon};

use crate::{processes, supervisor};

const KINDS: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

type Namespaces = BTreeMap<&'static str, String>;

/// What the links of a directory like `/proc/self/ns` say on the host.
fn on_host(process: &str) -> Namespaces {
    KINDS
        .iter()
        .map(|kind| {
            let link = fs::read_link(format!("/proc/{process}/ns/{kind}")).expect("a namespace link");
            (*kind, link.to_string_lossy().into_owned())
        })
        .collect()
}

async fn inside(session: &TestSession, process: &str) -> Namespaces {
    let mut found = Namespaces::new();
    for kind in KINDS {
        found.insert(kind, session.output(&format!("readlink /proc/{process}/ns/{kind}")).await);
    }
    found
}

#[test]
fn every_namespace_differs_from_the_hosts_and_from_another_sessions() {
    with_daemon(async |daemon| {
        let (first, second) = (daemon.session().await, daemon.session().await);
        let host = on_host("self");
        let (of_first, of_second) = (inside(&first, "self").await, inside(&second, "self").await);
        for kind in KINDS {
            assert_ne!(of_first[kind], host[kind], "{kind} is the host's");
            assert_ne!(of_second[kind], host[kind], "{kind} is the host's");
            assert_ne!(of_first[kind], of_second[kind], "two sessions share {kind}");
            assert!(of_first[kind].starts_with(kind), "{kind}: {}", of_first[kind]);
        }
    });
}

#[test]
fn every_process_of_a_session_is_in_its_namespaces() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("sleep 100 & (setsid sleep 100 &)").await;
        let expected = inside(&session, "self").await;
        assert_eq!(inside(&session, "$$").await, expected, "the shell's");
        let processes = processes(daemon, &session);
        assert!(processes.len() >= 3, "a shell and two background jobs: {processes:?}");
        for process in processes {
            assert_eq!(on_host(&process.to_string()), expected, "of host process {process}");
        }
        // PID 1 has made the time namespace for its children: time_namespaces(7).
        let mut of_supervisor = on_host(&supervisor(daemon, &session).to_string());
        of_supervisor.insert("time", expected["time"].clone());
        assert_eq!(of_supervisor, expected, "of PID 1");
    });
}

#[test]
fn the_host_name_is_the_sessions_and_cannot_be_changed() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        assert_ne!(session.output("uname -n").await, host);
        assert_eq!(session.output("uname -n; cat /etc/hostname").await, format!("{0}\n{0}", session.id));
        let refused = session
            .python(
                "import socket\n\
                 try: socket.sethostname('other'); print('changed')\n\
                 except PermissionError: print('refused')",
            )
            .await;
        assert_eq!(refused, "refused");
    });
}

#[test]
fn processes_and_uptime_of_the_host_are_not_visible() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let listed = session.output("ls -d /proc/[0-9]*").await;
        assert!(listed.lines().count() <= 4, "more than PID 1, the shell and ls: {listed}");
        let clock = "import time\nprint(time.clock_gettime(time.CLOCK_MONOTONIC))";
        let monotonic: f64 = session.python(clock).await.parse().expect("seconds");
        let host = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec;
        assert!(monotonic < 60.0, "the clock starts with the session: {monotonic} (the host's is {host})");
    });
}

//! No process of a session has a capability, a way to get one, or is without the filter.

use std::fs;

use sandkasten_e2e::with_daemon;

use crate::{processes, supervisor};

const CAPABILITIES: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

/// Checks a `/proc/<pid>/status`.
fn assert_powerless(status: &str, whose: &str) {
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{whose} has no {name}")).trim().to_owned()
    };
    for set in CAPABILITIES {
        assert_eq!(value(set), "0000000000000000", "{set} of {whose}");
    }
    assert_eq!(value("NoNewPrivs"), "1", "{whose}");
    assert_eq!(value("Seccomp"), "2", "{whose}");
}

#[test]
fn commands_the_shell_and_pid_1_have_no_capability_and_a_filter() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        session.exec("sleep 100 & (setsid sleep 100 &)").await;
        for whose in ["self", "$$", "1"] {
            assert_powerless(&session.output(&format!("cat /proc/{whose}/status")).await, whose);
        }
        let processes = processes(daemon, &session);
        assert!(processes.len() >= 3, "a shell and two background jobs: {processes:?}");
        for process in processes.into_iter().chain([supervisor(daemon, &session)]) {
            let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a status");
            assert_powerless(&status, &format!("host process {process}"));
        }
    });
}

#[test]
fn the_keys_of_the_daemon_are_in_no_memory_of_the_session() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let pid = supervisor(daemon, &session);
        for file in ["environ", "cmdline"] {
            let text = fs::read(format!("/proc/{pid}/{file}")).expect("the host's root reads it");
            assert!(!contains(&text, sandkasten_e2e::API_KEY.as_bytes()), "{file}");
            assert!(!contains(&text, b"SANDKASTEN_"), "{file}");
        }
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the host's root reads it");
        let memory = fs::File::open(format!("/proc/{pid}/mem")).expect("the host's root opens it");
        let mut seen = 0;
        for line in maps.lines().filter(|line| line.contains(" r") && !line.contains("[v")) {
            let (start, end) =
                line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
            let number = |text| u64::from_str_radix(text, 16).expect("an address");
            let mut bytes = vec![0; usize::try_from(number(end) - number(start)).expect("a small mapping")];
            let count = std::os::unix::fs::FileExt::read_at(&memory, &mut bytes, number(start)).unwrap_or(0);
            bytes.truncate(count);
            seen += count;
            assert!(!contains(&bytes, sandkasten_e2e::API_KEY.as_bytes()), "{line}");
        }
        assert!(seen > 100_000, "the memory was looked at: {seen} bytes");
    });
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

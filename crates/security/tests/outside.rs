//! Every attack succeeds where there is no sandbox: what is refused inside is refused by the sandbox, and not by an attack
//! that cannot work.
//!
//! Runs the program of the attacks as root on this host, in a mount namespace of its own. The attacks are made to do no
//! harm where they succeed; what they are told to end, fill and write to belongs to this test.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sandkasten_attacks::{Attempted, Bait, Outcome, Place, Target};
use sandkasten_isolation::seccomp::SeccompProfile;

const PROGRAM: &str = env!("SANDKASTEN_ATTACKS_PATH");

/// Something to be supervised by, and to be ended.
struct StandIn(Child);

impl StandIn {
    fn start() -> Self {
        let child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep starts");
        Self(child)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a process id")
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn target(directory: &Path, supervisor: &StandIn, process: &StandIn, port: u16) -> Target {
    Target {
        seccomp: SeccompProfile::Strict,
        readonly_rootfs: true,
        supervisor: supervisor.pid(),
        processes: Some(32),
        memory_bytes: Some(64 << 20),
        open_files: 512,
        writable: vec![Place { path: directory.to_owned(), bytes: Some(1 << 20), files: Some(64) }],
        unwritable: vec![directory.to_owned()],
        host: Bait {
            port,
            socket: directory.join("socket"),
            abstract_socket: directory.display().to_string(),
            file: directory.join("bait"),
            process: process.pid(),
            process_name: "sleep".to_owned(),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        },
    }
}

/// Why an attack may be refused on this host all the same: the thing is not there, or root itself may not.
fn excused(attempted: &Attempted) -> bool {
    let named = attempted.name.split(' ').find(|word| word.starts_with("/proc/") || word.starts_with("/sys"));
    if let Some(path) = named {
        return fs::symlink_metadata(path).is_err() || matches!(path, "/proc/kcore" | "/proc/kmsg");
    }
    // CAP_SYS_RESOURCE, number 24, which machines within machines often lack.
    let raises = attempted.name.starts_with("raise the limit");
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let may = effective
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .is_some_and(|set| set & 1 << 24 != 0);
    // Without a network there is nothing to be found of one.
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default().lines().count() > 1;
    let six = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let unrouted = attempted.name.starts_with("find a route") && !routes
        || attempted.name.ends_with("by IPv6")
            && !six.lines().any(|line| line.starts_with(&"0".repeat(32)) && !line.ends_with(" lo"));
    (raises && !may) || unrouted || (attempted.name == "find an interface" && !routes)
}

#[test]
fn every_attack_gets_through_where_there_is_no_sandbox() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: what only a sandbox refuses to root, needs root");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path();
    let (supervisor, process) = (StandIn::start(), StandIn::start());
    let tcp = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let target = target(place, &supervisor, &process, tcp.local_addr().expect("bound").port());
    let _unix = UnixListener::bind(&target.host.socket).expect("a socket");
    let name = SocketAddr::from_abstract_name(&target.host.abstract_socket).expect("a name");
    let _abstract = UnixListener::bind_addr(&name).expect("an abstract socket");
    fs::write(&target.host.file, "bait").expect("a file");
    let described = place.join("target.json");
    fs::write(&described, serde_json::to_vec(&target).expect("JSON")).expect("a file");

    let output = Command::new("unshare")
        // With a descriptor that is left open, to be found.
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            "exec 9< /dev/null; exec \"$0\" \"$1\"",
            PROGRAM,
        ])
        .arg(&described)
        .env("SANDKASTEN_API_KEY", "to be found")
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    let attempted: Vec<Attempted> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("an attempt"))
        .collect();
    assert!(attempted.len() > 150, "{} attempts", attempted.len());
    let names: BTreeMap<&str, &Outcome> =
        attempted.iter().map(|attempted| (attempted.name.as_str(), &attempted.outcome)).collect();
    assert_eq!(names.len(), attempted.len(), "a name is used twice");
    let refused: Vec<_> = attempted
        .iter()
        .filter(|attempted| !matches!(attempted.outcome, Outcome::Breach(_)) && !excused(attempted))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let untried: Vec<_> = attempted
        .iter()
        .filter(|attempted| matches!(&attempted.outcome, Outcome::Breach(what) if what.contains("could not be tried")))
        .collect();
    assert!(untried.is_empty(), "{untried:#?}");
}

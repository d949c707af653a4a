//! A sandbox with everything in force passes; without any single control, the check that is named for it fails.
//!
//! Needs root, and about a minute.

mod support;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sandkasten_isolation::controls::{Control, Controls};
use sandkasten_security::{Finding, Part, Verdict, check_canary};

use crate::support::{Host, config};

/// Runs the checks of a canary without a control.
fn check_without(host: &Host, control: Option<Control>) -> Vec<Finding> {
    let mut config = config(host);
    config.controls = control.map_or_else(Controls::default, Controls::without);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(check_canary(&config, std::future::pending()))
        .unwrap_or_else(|error| panic!("{control:?}: {error:?}"))
}

fn failed(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.verdict == Verdict::Fail).collect()
}

#[test]
fn a_sandbox_with_everything_in_force_passes_every_check() {
    let Some(host) = Host::require_root() else { return };
    let findings = check_without(&host, None);
    assert!(failed(&findings).is_empty(), "{:#?}", failed(&findings));
    let attacks = findings.iter().filter(|finding| finding.part == Part::Attack).count();
    assert!(attacks >= 80, "{attacks} attacks");
    host.assert_nothing_left();
}

#[test]
fn a_workspace_that_outlives_its_session_is_attacked_as_well_and_removed() {
    let Some(host) = Host::require_root() else { return };
    let mut config = config(&host);
    config.workspace.enabled = true;
    config.workspace.persist_by_default = true;
    config.workspace.min_free_mb = 16;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let findings = runtime.block_on(check_canary(&config, std::future::pending())).expect("looked at");
    assert!(failed(&findings).is_empty(), "{:#?}", failed(&findings));
    let in_group = |group: &str| findings.iter().filter(|finding| finding.group == group).count();
    assert_eq!(in_group("files of a workspace by the API"), in_group("files by the API"));
    assert!(in_group("mounts with a workspace") >= 8, "{findings:#?}");
    let left: Vec<_> = std::fs::read_dir(host.path().join("data/workspaces"))
        .expect("the directory of workspaces")
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    host.assert_nothing_left();
}

/// Each control, and what must fail without it: from outside, from inside, or both.
const WITHOUT: [(Control, &[&str]); 33] = [
    (Control::IpcNamespace, &["ipc namespace", "namespaces of another session"]),
    (Control::UtsNamespace, &["uts namespace", "learn the host's name"]),
    // Abstract sockets of the host stay out of reach even so: landlock keeps them there.
    (Control::NetworkNamespace, &["net namespace", "interfaces", "connect to the host's loopback"]),
    (Control::CgroupNamespace, &["cgroup namespace"]),
    (Control::TimeNamespace, &["time namespace"]),
    (Control::UidRange, &["id maps", "ids of another session"]),
    (Control::SupplementaryGroups, &["supplementary groups"]),
    (Control::BoundingSet, &["capability set CapBnd", "find a capability in the bounding set"]),
    (Control::Capabilities, &["capability set CapEff", "capability set CapPrm"]),
    (Control::SecureBits, &["unlock the secure bits"]),
    (Control::NoNewPrivileges, &["no new privileges", "gain privileges by a program's setuid bit"]),
    (Control::SupervisorIds, &["ids of the supervisor"]),
    (Control::Landlock, &["find no landlock rules"]),
    (Control::Filter, &["system call filter", "call ptrace", "call io_uring_setup", "call unshare"]),
    (Control::FilterArchitecture, &["call ptrace", "call keyctl", "call personality"]),
    (Control::RootReadOnly, &["read-only root", "find the root filesystem writable"]),
    (Control::RootNosuid, &["nosuid", "use setuid programs of /"]),
    (Control::RootNodev, &["nodev", "use device nodes of /"]),
    (Control::TmpfsNosuid, &["nosuid", "use setuid programs of /workspace"]),
    (Control::TmpfsNodev, &["nodev", "use device nodes of /tmp"]),
    (Control::TmpfsSize, &["fill /workspace with data"]),
    (Control::TmpfsInodes, &["fill /workspace with files"]),
    // Landlock lets nothing there be written all the same.
    (Control::ProcReadOnly, &["read-only /proc"]),
    (Control::ProcMasks, &["covered files of /proc", "read /proc/cmdline", "read /proc/key-users"]),
    (Control::UserNamespaceLimit, &["find room for a user namespace"]),
    (Control::HostRootDetached, &["find mounts of the host", "no kernel filesystems"]),
    (Control::DeviceList, &["find a device of the host"]),
    (Control::DevicesReadOnly, &["read-only /dev", "put something into /dev"]),
    (Control::ResourceLimits, &["max core file size", "max locked memory", "raise the limit of core files"]),
    (Control::Descriptors, &["descriptors of commands", "find an open descriptor"]),
    (Control::MemoryLimit, &["memory limit", "take memory without end"]),
    (Control::PidsLimit, &["process limit", "start processes without end"]),
    (Control::CpuLimit, &["cpu limit"]),
];

#[test]
fn without_any_single_control_the_check_named_for_it_fails() {
    let Some(host) = Host::require_root() else { return };
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    // As many at once as there are processors: each takes some seconds, most of them waiting for the kernel.
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some((control, names)) = WITHOUT.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let findings = check_without(&host, Some(*control));
                    let failed: BTreeSet<&str> =
                        failed(&findings).into_iter().map(|finding| finding.name.as_str()).collect();
                    let passed: Vec<_> = names.iter().filter(|name| !failed.contains(**name)).collect();
                    if !passed.is_empty() {
                        let missed = &mut missed.lock().expect("no other test panics with it");
                        missed.push(format!("{control:?}: {passed:?} passed, {failed:?} failed"));
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().expect("all are done");
    assert!(missed.is_empty(), "{missed:#?}");
    host.assert_nothing_left();
}

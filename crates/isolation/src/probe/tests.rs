//! The whole probe on the running kernel.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;

use super::{Feature, FeatureStatus, HostReport, probe};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn mount_points() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("a mount table");
    table.lines().map(str::to_owned).collect()
}

/// Returns the states of this process's children, zombies too, that were forked from the named thread: a child has the
/// name of the thread that it was forked from, and other tests have children of their own meanwhile.
fn children_of(thread: &str) -> Vec<String> {
    let parent = format!("PPid:\t{}", std::process::id());
    let name = format!("Name:\t{thread}\n");
    fs::read_dir("/proc")
        .expect("a list of processes")
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok())
        .filter(|status| status.starts_with(&name) && status.lines().any(|line| line == parent))
        .collect()
}

/// Probes from a thread of this name, with a data directory that is yet to be made.
fn run_in(thread: &str) -> HostReport {
    let root = tempfile::tempdir().expect("a directory");
    let wanted = root.path().join("data");
    let report = thread::Builder::new().name(thread.into()).spawn({
        let wanted = wanted.clone();
        move || probe(&wanted)
    });
    let report = report.expect("a thread").join().expect("probe never panics");
    assert!(!wanted.exists(), "the data directory was made");
    report
}

#[test]
fn this_host_is_usable_and_nothing_is_left_behind() {
    if !is_root() {
        println!("SKIP: needs root of the host");
        return;
    }
    let thread = "probe-leaves";
    let before = mount_points();
    let report = run_in(thread);
    let missing: Vec<&Feature> =
        report.features.iter().filter(|feature| feature.required && !feature.status.is_available()).collect();
    assert!(report.is_usable(), "{missing:#?}");
    assert_eq!(mount_points(), before);
    assert_eq!(children_of(thread), [""; 0]);
}

#[test]
fn every_feature_has_a_name_of_its_own_and_says_why_and_what_to_do() {
    let report = run_in("probe-texts");
    let names: BTreeSet<&str> = report.features.iter().map(|feature| feature.name).collect();
    assert_eq!(names.len(), report.features.len());
    for feature in &report.features {
        for text in [feature.why, feature.advice] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{}: {text:?}", feature.name);
        }
    }
}

#[test]
fn a_place_that_cannot_hold_data_makes_a_host_unusable() {
    let report = probe(Path::new("/proc/version/data"));
    let of = |name: &str| report.features.iter().find(|feature| feature.name == name).expect("the feature");
    assert!(matches!(of("data directory").status, FeatureStatus::Missing { .. }));
    assert!(!report.is_usable());
}

#[test]
fn what_is_optional_does_not_count() {
    let feature = |required| Feature {
        name: "x",
        status: FeatureStatus::Missing { reason: "y".into() },
        required,
        why: "z",
        advice: "a",
    };
    let report = |features| HostReport { kernel: String::new(), architecture: String::new(), features };
    assert!(report(vec![feature(false)]).is_usable());
    assert!(!report(vec![feature(false), feature(true)]).is_usable());
}

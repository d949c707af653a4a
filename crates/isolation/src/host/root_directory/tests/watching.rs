//! What a watch tells, what it does not miss, and what bounds it.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, linkat, openat};

use super::Place;
use super::trees::BOUNDS;
use crate::host::root_directory::{
    ChangeKind, Existing, FileChange, FileError, TreeBounds, TreeWatch, WatchAllowance, WatchBounds,
    WatchDepth, WatchEvent,
};

const SOON: Duration = Duration::from_secs(10);

fn bounds(directories: usize) -> WatchBounds {
    WatchBounds { allowance: WatchAllowance::new(directories), tree: BOUNDS }
}

/// Reads until an event is the last one wanted, and returns all in words.
fn read_until(place: &Place, watch: &mut TreeWatch, last: &str) -> Vec<String> {
    let began = Instant::now();
    let mut told = Vec::new();
    loop {
        told.extend(place.root.read_changes(watch).expect("read").into_iter().map(|event| words(&event)));
        if told.iter().any(|event| event.starts_with(last)) {
            return told;
        }
        assert!(began.elapsed() < SOON, "{last:?} does not come: {told:?}");
        let timeout = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
        poll(&mut [PollFd::new(&watch.events(), PollFlags::IN)], Some(&timeout)).expect("polled");
    }
}

fn words(event: &WatchEvent) -> String {
    match event {
        WatchEvent::Change(FileChange { path, kind, is_directory }) => {
            let kind = match kind {
                ChangeKind::Created => "created".to_owned(),
                ChangeKind::Modified => "modified".to_owned(),
                ChangeKind::Removed => "removed".to_owned(),
                ChangeKind::Attributes => "attributes".to_owned(),
                ChangeKind::Renamed { from } => format!("renamed from {}", String::from_utf8_lossy(from)),
            };
            let slash = if *is_directory { "/" } else { "" };
            format!("{}{slash} {kind}", String::from_utf8_lossy(path))
        }
        WatchEvent::Overflow { reason } => format!("overflow: {reason}"),
        WatchEvent::Gone => "gone".to_owned(),
    }
}

#[test]
fn each_kind_of_change_is_told_by_its_name() {
    let Some(place) = Place::new() else { return };
    fs::create_dir_all(place.workspace().join("a/b")).expect("made");
    let mut watch = place.root.watch("/workspace", WatchDepth::Tree, bounds(100)).expect("watched");
    assert_eq!(watch.directories(), 3);
    let file = place.workspace().join("a/b/file");
    fs::write(&file, "one").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    fs::rename(&file, place.workspace().join("moved")).expect("renamed");
    fs::rename(place.workspace().join("a"), place.workspace().join("z")).expect("renamed");
    fs::write(place.workspace().join("z/b/late"), "").expect("written");
    fs::rename(place.workspace().join("moved"), place.directory.path().join("root/tmp/out"))
        .expect("renamed");
    fs::remove_file(place.workspace().join("z/b/late")).expect("removed");
    fs::remove_dir(place.workspace().join("z/b")).expect("removed");
    let told = read_until(&place, &mut watch, "z/b/ removed");
    let expected = [
        "a/b/file created",
        "a/b/file modified",
        "a/b/file attributes",
        "moved renamed from a/b/file",
        "z/ renamed from a",
        "z/b/late created",
        "moved removed",
        "z/b/late removed",
        "z/b/ removed",
    ];
    assert_eq!(told, expected);
    assert_eq!(watch.directories(), 2);
    let mut inner = place.root.watch("/workspace/z", WatchDepth::Tree, bounds(100)).expect("watched");
    fs::remove_dir(place.workspace().join("z")).expect("removed");
    assert_eq!(read_until(&place, &mut inner, "gone"), ["gone"]);
    fs::rename(place.workspace(), place.directory.path().join("root/other")).expect("renamed");
    read_until(&place, &mut watch, "gone");
}

#[test]
fn a_file_without_a_name_is_told_when_it_takes_one() {
    let Some(place) = Place::new() else { return };
    fs::create_dir(place.workspace().join("a")).expect("made");
    let mut watch = place.root.watch("/workspace", WatchDepth::Tree, bounds(100)).expect("watched");
    for directory in ["", "a"] {
        let directory = fs::File::open(place.workspace().join(directory)).expect("open");
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = openat(&directory, ".", flags, Mode::from_raw_mode(0o600)).expect("a file");
        rustix::io::write(&file, b"content").expect("written");
        fchmod(&file, Mode::from_raw_mode(0o640)).expect("a mode");
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(CWD, unnamed, &directory, "named", AtFlags::SYMLINK_FOLLOW).expect("a name");
    }
    // Which others may have as well.
    fs::write(place.workspace().join("a/#12"), "").expect("written");
    fs::write(place.workspace().join("a/#12"), "more").expect("written");
    let told = read_until(&place, &mut watch, "a/#12 modified");
    assert_eq!(told, ["named created", "a/named created", "a/#12 created", "a/#12 modified"]);
}

#[test]
fn what_is_in_a_directory_before_it_is_watched_is_told_once() {
    let Some(place) = Place::new() else { return };
    let mut watch = place.root.watch("/workspace", WatchDepth::Tree, bounds(1_000)).expect("watched");
    // Whole trees at once, and not a reading in between: nothing of them has a watch when it is made.
    for round in 0..20 {
        fs::create_dir_all(place.workspace().join(format!("{round}/b/c"))).expect("made");
        fs::write(place.workspace().join(format!("{round}/b/c/file")), "").expect("written");
    }
    // Another while it reads.
    let workspace = place.workspace();
    let told = std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 20..200 {
                fs::create_dir_all(workspace.join(format!("{round}/b/c"))).expect("made");
                fs::write(workspace.join(format!("{round}/b/c/file")), "").expect("written");
            }
            fs::write(workspace.join("last"), "").expect("written");
        });
        read_until(&place, &mut watch, "last created")
    });
    // The directories' own are in the queue still.
    let told =
        [told, place.root.read_changes(&mut watch).expect("read").iter().map(words).collect()].concat();
    for round in 0..200 {
        for path in
            [format!("{round}/"), format!("{round}/b/"), format!("{round}/b/c/"), format!("{round}/b/c/file")]
        {
            let times = told.iter().filter(|event| **event == format!("{path} created")).count();
            assert_eq!(times, 1, "{path}");
        }
    }
    assert_eq!(watch.directories(), 601);
}

#[test]
fn a_directory_that_is_renamed_before_it_is_watched_is_watched_by_its_new_name() {
    let Some(place) = Place::new() else { return };
    let mut watch = place.root.watch("/workspace", WatchDepth::Tree, bounds(100)).expect("watched");
    let at = |name: &str| place.workspace().join(name);
    fs::create_dir_all(at("a/first")).expect("made");
    fs::rename(at("a"), at("b")).expect("renamed");
    fs::create_dir_all(at("a/second")).expect("made");
    fs::write(at("end"), "").expect("written");
    read_until(&place, &mut watch, "end created");
    for path in ["b/first/x", "a/second/y", "b/z"] {
        fs::write(at(path), "").expect("written");
        let told = read_until(&place, &mut watch, path);
        assert_eq!(told.last().map(String::as_str), Some(&*format!("{path} created")), "{told:?}");
    }
    fs::rename(at("b"), place.directory.path().join("root/tmp/b")).expect("renamed");
    fs::write(at("end2"), "").expect("written");
    assert!(read_until(&place, &mut watch, "end2 created").contains(&"b/ removed".to_owned()));
    fs::write(place.directory.path().join("root/tmp/b/unseen"), "").expect("written");
    fs::write(at("end3"), "").expect("written");
    assert_eq!(read_until(&place, &mut watch, "end3 created"), ["end3 created"]);
}

#[test]
fn more_directories_than_are_allowed_are_refused_or_end_the_watch_and_all_are_given_back() {
    let Some(place) = Place::new() else { return };
    for name in 0..50 {
        fs::create_dir(place.workspace().join(format!("{name}"))).expect("made");
    }
    let all = WatchAllowance::new(60);
    let few = WatchBounds { allowance: all.part(40), tree: BOUNDS };
    let error = place.root.watch("/workspace", WatchDepth::Tree, few).expect_err("too many");
    assert!(matches!(error, FileError::Unwatchable { .. }), "{error}");
    assert_eq!(all.used(), 0);
    let entries = TreeBounds { entries: 40, ..BOUNDS };
    let few = WatchBounds { allowance: Arc::clone(&all), tree: entries };
    let error = place.root.watch("/workspace", WatchDepth::Tree, few).expect_err("too many");
    assert!(matches!(error, FileError::TooMuch { .. }), "{error}");
    let enough = WatchBounds { allowance: Arc::clone(&all), tree: BOUNDS };
    let mut watch = place.root.watch("/workspace", WatchDepth::Tree, enough.clone()).expect("watched");
    assert_eq!(all.used(), 51);
    assert!(place.root.watch("/workspace", WatchDepth::Tree, enough).is_err());
    for name in 50..500 {
        fs::create_dir(place.workspace().join(format!("{name}"))).expect("made");
    }
    read_until(&place, &mut watch, "overflow");
    assert_eq!((all.used(), watch.directories()), (60, 60));
    drop(watch);
    assert_eq!(all.used(), 0);
}

#[test]
fn what_the_daemon_writes_is_told_by_the_name_it_gets() {
    let Some(place) = Place::new() else { return };
    let mut watch = place.root.watch("/workspace", WatchDepth::Tree, bounds(100)).expect("watched");
    place.root.write("/workspace/d/file", b"one", None).expect("written");
    place.root.copy("/workspace/d", "/workspace/e", Existing::Kept, BOUNDS).expect("copied");
    place.root.write("/workspace/end", b"", None).expect("written");
    let told = read_until(&place, &mut watch, "end created");
    let created: Vec<_> = told.iter().filter(|event| event.ends_with(" created")).collect();
    assert!(told.iter().all(|event| !event.contains(".tmp")), "{told:?}");
    for expected in ["d/ created", "d/file created", "e/ created", "e/file created", "end created"] {
        assert_eq!(created.iter().filter(|event| **event == expected).count(), 1, "{expected}: {told:?}");
    }
}

#[test]
fn links_are_not_gone_through_and_lead_to_no_watch_outside() {
    let Some(place) = Place::new() else { return };
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).expect("a mode");
    symlink(&outside, place.workspace().join("absolute")).expect("a link");
    symlink("../../outside", place.workspace().join("relative")).expect("a link");
    for name in ["absolute", "relative"] {
        let path = format!("/workspace/{name}");
        assert!(place.root.watch(&path, WatchDepth::Tree, bounds(100)).is_err(), "{name}");
    }
    let mut watch = place.root.watch("/workspace", WatchDepth::Tree, bounds(100)).expect("watched");
    assert_eq!(watch.directories(), 1);
    // A directory that is told of, and is a link when it is looked at.
    fs::create_dir(place.workspace().join("d")).expect("made");
    fs::remove_dir(place.workspace().join("d")).expect("removed");
    symlink(&outside, place.workspace().join("d")).expect("a link");
    fs::write(outside.join("secret"), "").expect("written");
    fs::write(place.workspace().join("end"), "").expect("written");
    let told = read_until(&place, &mut watch, "end created");
    assert!(told.iter().all(|event| !event.contains("secret")), "{told:?}");
    assert_eq!(watch.directories(), 1);
    // The same in the middle of a path.
    fs::remove_file(place.workspace().join("d")).expect("removed");
    fs::create_dir(place.workspace().join("d")).expect("made");
    fs::write(place.workspace().join("end2"), "").expect("written");
    read_until(&place, &mut watch, "end2 created");
    fs::create_dir(outside.join("sub")).expect("made");
    fs::write(outside.join("sub/secret"), "").expect("written");
    fs::create_dir(place.workspace().join("d/sub")).expect("made");
    fs::rename(place.workspace().join("d"), place.workspace().join("e")).expect("renamed");
    symlink(&outside, place.workspace().join("d")).expect("a link");
    fs::write(place.workspace().join("end3"), "").expect("written");
    let told = read_until(&place, &mut watch, "end3 created");
    assert!(told.iter().all(|event| !event.contains("secret")), "{told:?}");
}

#[test]
fn what_the_sandbox_user_may_not_read_is_not_watched_until_it_may() {
    let Some(place) = Place::new() else { return };
    let closed = place.workspace().join("closed");
    fs::create_dir(&closed).expect("made");
    fs::write(closed.join("file"), "").expect("written");
    // The daemon could: it is root's, and root may read everything.
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("a mode");
    let mut watch = place.root.watch("/workspace", WatchDepth::Tree, bounds(100)).expect("watched");
    assert_eq!(watch.directories(), 1);
    let error = place.root.watch("/workspace/closed", WatchDepth::Tree, bounds(100)).expect_err("closed");
    assert!(matches!(error, FileError::Permission { .. }), "{error}");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).expect("a mode");
    let told = read_until(&place, &mut watch, "closed/file");
    assert_eq!(told, ["closed/ attributes", "closed/file created"]);
}

//! Directories that are swapped for links to what is outside while a tree is walked through.

use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::Place;
use super::trees::{BOUNDS, list};
use crate::host::root_directory::{Existing, FileError, Parents, RemovalDepth, Unreadable};

const RACE: Duration = Duration::from_secs(2);

/// Runs `operation` while `swapped/d` is, in turn, a directory of the sandbox and a link to one outside; the link works on
/// the host as well, so whoever resolves it there finds the file `outside/stolen`.
fn race(place: &Place, operation: impl Fn(u64)) {
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).expect("a mode");
    fs::write(outside.join("stolen"), "outside").expect("written");
    let swapped = place.workspace().join("swapped");
    symlink(&outside, swapped.with_file_name("link")).expect("a link");
    let (over, flips) = (AtomicBool::new(false), AtomicU64::new(0));
    let rounds = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                flips.fetch_add(
                    u64::from(swap(&swapped.join("d"), &swapped.with_file_name("link"))),
                    Ordering::Relaxed,
                );
            }
        });
        let _over = Over(&over);
        let until = Instant::now() + RACE;
        let mut rounds = 0;
        while Instant::now() < until {
            make(place);
            keep_link(&swapped, &outside);
            operation(rounds);
            rounds += 1;
        }
        rounds
    });
    println!("{} flips, {rounds} rounds", flips.load(Ordering::Relaxed));
    assert!(flips.load(Ordering::Relaxed) > 500 && rounds > 50);
    assert_eq!(fs::read_to_string(outside.join("stolen")).expect("still there"), "outside");
    assert_eq!(fs::read_dir(outside).expect("still there").count(), 1, "something was made outside");
}

/// Ends the swapping, also where an assertion fails: its thread is waited for.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Puts the tree back together, inside whatever happens; where the link stands just now, that is another round's matter.
fn make(place: &Place) {
    place.root.make_directory("/workspace/swapped/d/e", 0o755, Parents::Made).ok();
    place.root.write("/workspace/swapped/file", b"inside", None).ok();
}

/// Makes the link anew where an operation has removed it: otherwise two directories are swapped from then on.
fn keep_link(swapped: &Path, outside: &Path) {
    let (one, other) = (swapped.join("d"), swapped.with_file_name("link"));
    let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    // Twice, as the two may change places in between.
    if ![&one, &other, &one].into_iter().any(|path| is_link(path)) {
        fs::remove_dir_all(&other).ok();
        symlink(outside, &other).ok();
    }
}

fn swap(a: &Path, b: &Path) -> bool {
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok()
}

fn assert_no_fault(error: &FileError) {
    assert!(!matches!(error, FileError::Other { .. }), "{error:?}");
}

#[test]
fn a_removal_removes_nothing_outside() {
    let Some(place) = Place::new() else { return };
    race(&place, |_| {
        if let Err(error) = place.root.remove("/workspace/swapped", RemovalDepth::Tree(BOUNDS)) {
            assert_no_fault(&error);
        }
    });
}

#[test]
fn a_copy_takes_nothing_from_outside() {
    let Some(place) = Place::new() else { return };
    race(&place, |round| {
        let to = format!("/workspace/copy-{round}");
        match place.root.copy("/workspace/swapped", &to, Existing::Kept, BOUNDS) {
            Ok(_) => {
                let copy = place.workspace().join(&to["/workspace/".len()..]);
                let inner = fs::symlink_metadata(copy.join("d"));
                if inner.is_ok_and(|inner| inner.is_dir()) {
                    assert!(!copy.join("d/stolen").exists(), "what is outside was copied");
                }
                fs::remove_dir_all(copy).expect("removed");
            }
            Err(error) => assert_no_fault(&error),
        }
    });
    let left = fs::read_dir(place.workspace()).expect("there").count();
    assert!(left <= 2, "{left} entries: something temporary is left");
}

#[test]
fn a_list_shows_nothing_of_what_is_outside() {
    let Some(place) = Place::new() else { return };
    race(&place, |_| match list(&place, "/workspace/swapped", 9, BOUNDS) {
        Ok(listing) => assert!(listing.entries.iter().all(|entry| !entry.path.ends_with(b"stolen"))),
        Err(error) => assert_no_fault(&error),
    });
}

/// Archives and searches go through trees by this.
#[test]
fn a_visit_reads_nothing_outside() {
    let Some(place) = Place::new() else { return };
    race(&place, |_| {
        let visited = place.root.visit("/workspace/swapped", BOUNDS, Unreadable::Refused, &mut |visited| {
            let path = String::from_utf8_lossy(&visited.entry.path).into_owned();
            assert!(!path.ends_with("stolen"), "{path}");
            if let Ok(mut file) = visited.open() {
                let mut content = String::new();
                file.read_to_string(&mut content).expect("read");
                assert_eq!(content, "inside", "{path}");
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = visited {
            assert_no_fault(&error);
        }
    });
}

/// A file that is swapped for a link to one outside, under the very name that is opened.
#[test]
fn a_visit_follows_no_link_that_takes_a_files_place() {
    let Some(place) = Place::new() else { return };
    let outside = place.directory.path().join("secret");
    place.root.write("/workspace/tree/file", b"inside", None).expect("written");
    symlink(outside, place.workspace().join("link")).expect("a link");
    let (over, flips) = (AtomicBool::new(false), AtomicU64::new(0));
    let opened = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let swapped = swap(&place.workspace().join("tree/file"), &place.workspace().join("link"));
                flips.fetch_add(u64::from(swapped), Ordering::Relaxed);
            }
        });
        let _over = Over(&over);
        let until = Instant::now() + RACE;
        let mut opened = 0;
        while Instant::now() < until {
            let visited = place.root.visit("/workspace/tree", BOUNDS, Unreadable::Refused, &mut |visited| {
                if let Ok(mut file) = visited.open() {
                    let mut content = String::new();
                    file.read_to_string(&mut content).expect("read");
                    assert_eq!(content, "inside");
                    opened += 1;
                }
                ControlFlow::Continue(())
            });
            visited.expect("visited");
        }
        opened
    });
    assert!(opened > 100 && flips.load(Ordering::Relaxed) > 500, "{opened} opened");
}

#[test]
fn an_archive_that_is_taken_in_writes_nothing_outside() {
    let Some(place) = Place::new() else { return };
    race(&place, |round| {
        let written = place.root.tree_writer("/workspace/swapped").and_then(|writer| {
            writer.directory(b"d/e")?;
            let mut pending = writer.begin_file(b"d/stolen", 0o644)?;
            pending.append(b"inside")?;
            writer.finish_file(pending)?;
            writer.symlink(format!("d/link-{round}").as_bytes(), b"x")?;
            writer.set_directory_mode(b"d", 0o755)
        });
        if let Err(error) = written {
            assert_no_fault(&error);
        }
        place.root.remove("/workspace/swapped/d/stolen", RemovalDepth::Single).ok();
    });
}

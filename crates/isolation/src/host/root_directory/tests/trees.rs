//! Trees: what is listed, copied and removed, and what bounds it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use rustix::fs::Mode;

use super::Place;
use crate::host::root_directory::pending_file::open_named;
use crate::host::root_directory::{
    EntryKind, Existing, FileError, ListOptions, Listing, Parents, RemovalDepth, Reserve, TreeBounds,
};

pub(super) const BOUNDS: TreeBounds =
    TreeBounds { entries: 10_000, depth: 100, time: Duration::from_secs(20) };

pub(super) fn list(
    place: &Place,
    path: &str,
    levels: usize,
    bounds: TreeBounds,
) -> Result<Listing, FileError> {
    place.root.list(path, &ListOptions { levels, most: 1_000, keep: &|_| true, bounds })
}

fn names(listing: &Listing) -> Vec<String> {
    listing.entries.iter().map(|entry| String::from_utf8_lossy(&entry.path).into_owned()).collect()
}

#[test]
fn a_list_shows_links_as_links_and_goes_through_none() {
    let Some(place) = Place::new() else { return };
    place.root.write("/workspace/d/e/f", b"12345", Some(0o640)).expect("written");
    symlink("../..", place.workspace().join("d/up")).expect("a link");
    let listing = list(&place, "/workspace", 9, BOUNDS).expect("listed");
    assert_eq!(names(&listing), ["d", "d/e", "d/e/f", "d/up"]);
    assert_eq!(listing.entries[3].target.as_deref(), Some(&b"../.."[..]));
    let file = &listing.entries[2];
    assert_eq!((file.kind, file.size, file.mode), (EntryKind::File, 5, 0o640));
    assert_eq!(names(&list(&place, "/workspace", 2, BOUNDS).expect("listed")), ["d", "d/e", "d/up"]);
    let few = TreeBounds { entries: 2, ..BOUNDS };
    let listing = list(&place, "/workspace", 9, few).expect("listed");
    assert_eq!((names(&listing).len(), listing.truncated), (2, true));
    let error = list(&place, "/workspace/d/e/f", 1, BOUNDS).expect_err("no directory");
    assert!(matches!(error, FileError::NotDirectory { .. }), "{error}");
}

#[test]
fn a_link_is_removed_and_what_it_leads_to_stays() {
    let Some(place) = Place::new() else { return };
    place.root.write("/tmp/kept/file", b"kept", None).expect("written");
    place.root.make_directory("/workspace/d", 0o755, Parents::Required).expect("made");
    symlink("/tmp/kept", place.workspace().join("d/inner")).expect("a link");
    symlink("/tmp/kept", place.workspace().join("outer")).expect("a link");
    let error = place.root.remove("/workspace/d", RemovalDepth::Single).expect_err("not empty");
    assert!(matches!(error, FileError::NotEmpty { .. }), "{error}");
    place.root.remove("/workspace/d", RemovalDepth::Tree(BOUNDS)).expect("removed");
    place.root.remove("/workspace/outer", RemovalDepth::Tree(BOUNDS)).expect("removed");
    assert_eq!(fs::read_dir(place.workspace()).expect("there").count(), 0);
    assert_eq!(place.root.read("/tmp/kept/file", 9).expect("kept").0, b"kept");
}

#[test]
fn what_is_deeper_or_more_than_the_bounds_is_refused() {
    let Some(place) = Place::new() else { return };
    let deep = format!("/workspace/{}", "d/".repeat(150));
    place.root.make_directory(&deep, 0o755, Parents::Made).expect("made");
    let error = place.root.remove("/workspace/d", RemovalDepth::Tree(BOUNDS)).expect_err("too deep");
    assert!(matches!(error, FileError::TooMuch { .. }), "{error}");
    let error =
        place.root.copy("/workspace/d", "/workspace/e", Existing::Kept, BOUNDS).expect_err("too deep");
    assert!(matches!(error, FileError::TooMuch { .. }), "{error}");
    for number in 0..20 {
        place.root.write(&format!("/workspace/many/{number}"), b"", None).expect("written");
    }
    let few = TreeBounds { entries: 10, ..BOUNDS };
    let error =
        place.root.copy("/workspace/many", "/workspace/e", Existing::Kept, few).expect_err("too many");
    assert!(matches!(error, FileError::TooMuch { .. }), "{error}");
    place.root.look_at("/workspace/e").expect_err("no half of a copy is left under its name");
    let slow = TreeBounds { time: Duration::ZERO, ..BOUNDS };
    let error = place.root.remove("/workspace/many", RemovalDepth::Tree(slow)).expect_err("too slow");
    assert!(matches!(error, FileError::TooMuch { .. }), "{error}");
}

#[test]
fn a_copy_has_the_modes_and_links_and_holes_of_its_original() {
    let Some(place) = Place::new() else { return };
    place.root.write("/workspace/a/b/run", b"text", Some(0o750)).expect("written");
    place.root.set_mode("/workspace/a/b", 0o500).expect("a mode");
    symlink("b/run", place.workspace().join("a/link")).expect("a link");
    let sparse = fs::File::create(place.workspace().join("a/sparse")).expect("made");
    sparse.set_len(1 << 40).expect("a hole");
    std::os::unix::fs::chown(place.workspace().join("a/sparse"), Some(place.range.sandbox_user()), None)
        .expect("given away");
    rustix::fs::mkfifoat(rustix::fs::CWD, place.workspace().join("a/fifo"), 0o600.into()).expect("a fifo");
    let copied = place.root.copy("/workspace/a", "/workspace/c", Existing::Kept, BOUNDS).expect("copied");
    assert_eq!((copied.entries, copied.bytes, copied.skipped), (5, 4, 1));
    let copy = place.workspace().join("c");
    assert_eq!(fs::metadata(copy.join("b")).expect("there").mode() & 0o777, 0o500);
    let run = fs::metadata(copy.join("b/run")).expect("there");
    assert_eq!((run.mode() & 0o777, run.uid()), (0o750, place.range.sandbox_user()));
    assert_eq!(fs::read_link(copy.join("link")).expect("a link").to_string_lossy(), "b/run");
    let sparse = fs::metadata(copy.join("sparse")).expect("there");
    assert_eq!((sparse.len(), sparse.blocks()), (1 << 40, 0));
    assert_eq!(fs::read_dir(place.workspace()).expect("there").count(), 2, "nothing temporary is left");
    fs::set_permissions(copy.join("b"), fs::Permissions::from_mode(0o700)).expect("a mode");
}

#[test]
fn a_directory_goes_neither_below_itself_nor_over_what_is_not_empty() {
    let Some(place) = Place::new() else { return };
    place.root.write("/workspace/a/x", b"a", None).expect("written");
    place.root.write("/workspace/b/x", b"b", None).expect("written");
    symlink("a", place.workspace().join("same")).expect("a link");
    for to in ["/workspace/a/below", "/workspace/same/below"] {
        let moved = place.root.rename("/workspace/a", to, Existing::Kept).expect_err("below itself");
        let copied = place.root.copy("/workspace/a", to, Existing::Kept, BOUNDS).expect_err("below itself");
        for error in [moved, copied] {
            assert!(matches!(error, FileError::IntoItself { .. }), "{to}: {error}");
        }
    }
    for existing in [Existing::Kept, Existing::Replaced] {
        let moved = place.root.rename("/workspace/a", "/workspace/b", existing).expect_err("in the way");
        let copied =
            place.root.copy("/workspace/a", "/workspace/b", existing, BOUNDS).expect_err("in the way");
        for error in [moved, copied] {
            let expected = match existing {
                Existing::Kept => matches!(error, FileError::Exists { .. }),
                Existing::Replaced => matches!(error, FileError::NotEmpty { .. }),
            };
            assert!(expected, "{error}");
        }
    }
    assert_eq!(place.root.read("/workspace/b/x", 9).expect("still there").0, b"b");
    place.root.copy("/workspace/a/x", "/workspace/b/x", Existing::Replaced, BOUNDS).expect("copied");
    place.root.rename("/workspace/b/x", "/workspace/moved", Existing::Kept).expect("moved");
    assert_eq!(place.root.read("/workspace/moved", 9).expect("there").0, b"a");
    assert_eq!(
        names(&list(&place, "/workspace", 9, BOUNDS).expect("listed")),
        ["a", "a/x", "b", "moved", "same"]
    );
}

#[test]
fn an_upload_that_is_dropped_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    let mut pending = place.root.begin_write("/workspace/new", None).expect("begun");
    pending.append(b"half").expect("written");
    assert_eq!(fs::read_dir(place.workspace()).expect("there").count(), 0);
    drop(pending);
    assert_eq!(fs::read_dir(place.workspace()).expect("there").count(), 0);
    let mut pending = place.root.begin_write("/workspace/new", Some(0o600)).expect("begun");
    pending.append(b"whole").expect("written");
    place.root.finish_write(pending).expect("finished");
    assert_eq!(fs::read(place.workspace().join("new")).expect("there"), b"whole");
    assert_eq!(fs::metadata(place.workspace().join("new")).expect("there").mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(place.workspace()).expect("there").count(), 1);
}

#[test]
fn a_file_that_is_no_longer_the_one_that_was_read_is_not_replaced() {
    let Some(place) = Place::new() else { return };
    let file = place.workspace().join("file");
    let user = Some(place.range.sandbox_user());
    let changes: [&dyn Fn(); 4] = [
        &|| fs::write(&file, "other").expect("written"),
        &|| {
            let modified = fs::metadata(&file).expect("there").modified().expect("a time");
            fs::write(&file, "befora").expect("written");
            fs::File::options()
                .write(true)
                .open(&file)
                .expect("opened")
                .set_modified(modified)
                .expect("set back");
        },
        &|| {
            fs::write(file.with_extension("new"), "before").expect("written");
            std::os::unix::fs::chown(file.with_extension("new"), user, user).expect("given away");
            fs::rename(file.with_extension("new"), &file).expect("renamed");
        },
        &|| {
            fs::remove_file(&file).expect("removed");
            symlink("/tmp/x", &file).expect("a link");
        },
    ];
    place.root.write("/tmp/x", b"before", None).expect("written");
    for (change, number) in changes.into_iter().zip(1..) {
        fs::remove_file(&file).ok();
        place.root.write("/workspace/file", b"before", Some(0o600)).expect("written");
        let (old, version) = place.root.read_whole("/workspace/file", 100).expect("read");
        place.root.replace("/workspace/file", (&old, &version), b"after").expect("not changed meanwhile");
        assert_eq!(fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
        place.root.write("/workspace/file", b"before", None).expect("written");
        let (old, version) = place.root.read_whole("/workspace/file", 100).expect("read");
        change();
        let error = place.root.replace("/workspace/file", (&old, &version), b"after").expect_err("changed");
        assert!(matches!(error, FileError::Changed { .. }), "{number}: {error}");
        let (old, version) = place.root.read_whole("/tmp/x", 100).expect("read");
        place.root.replace("/tmp/x", (&old, &version), b"before").expect("not changed meanwhile");
    }
    let error = place.root.read_whole("/tmp/x", 5).expect_err("too large");
    assert!(matches!(error, FileError::TooMuch { .. }), "{error}");
    assert!(fs::read_dir(place.workspace()).expect("there").count() == 1, "something temporary is left");
}

/// As on filesystems without `O_TMPFILE`, of which this host may have none.
#[test]
fn a_write_by_a_temporary_name_is_whole_or_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    let begin = || {
        place.root.as_sandbox_user("/workspace", || {
            let (directory, name) = place.root.locate("/workspace/file")?;
            open_named(directory, name, Mode::from_raw_mode(0o640), Reserve::default(), "/workspace/file")
        })
    };
    let names = || {
        let mut names: Vec<_> = fs::read_dir(place.workspace())
            .expect("listed")
            .map(|entry| entry.expect("one").file_name())
            .collect();
        names.sort();
        names
    };
    let mut pending = begin().expect("begun");
    pending.append(b"half").expect("written");
    assert_eq!(names().len(), 1);
    assert!(names()[0].to_string_lossy().ends_with(".tmp"));
    drop(pending);
    assert!(names().is_empty(), "{:?}", names());
    fs::create_dir(place.workspace().join("file")).expect("in the way");
    let mut pending = begin().expect("begun");
    pending.append(b"whole").expect("written");
    assert!(matches!(place.root.finish_write(pending), Err(FileError::IsDirectory { .. })));
    assert_eq!(names(), ["file"]);
    fs::remove_dir(place.workspace().join("file")).expect("removed");
    let mut pending = begin().expect("begun");
    pending.append(b"whole").expect("written");
    place.root.finish_write(pending).expect("finished");
    assert_eq!(names(), ["file"]);
    let file = fs::metadata(place.workspace().join("file")).expect("there");
    assert_eq!((file.mode() & 0o777, file.len(), file.uid()), (0o640, 5, place.range.sandbox_user()));
}

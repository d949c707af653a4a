//! A directory of this host in the place of a sandbox's root: what would leave a sandbox leaves it here as well.

mod races;
mod trees;
mod watching;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use super::{FileError, RootDirectory};
use crate::plan::UidRange;

/// A root with `/workspace`, and beside it a file that is outside.
struct Place {
    directory: tempfile::TempDir,
    root: RootDirectory,
    range: UidRange,
}

impl Place {
    /// None where the test has no right to become another user.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: taking a sandbox user's ids needs root");
            return None;
        }
        let range = UidRange::from_index(0).expect("the first range");
        let directory = tempfile::tempdir().expect("a directory");
        // Nothing but the resolution keeps the user from what is outside.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
        fs::write(directory.path().join("secret"), "secret").expect("written");
        fs::set_permissions(directory.path().join("secret"), fs::Permissions::from_mode(0o666))
            .expect("a mode");
        for name in ["root", "root/workspace", "root/tmp"] {
            let path = directory.path().join(name);
            fs::create_dir(&path).expect("made");
            chown(&path, Some(range.sandbox_user()), Some(range.sandbox_user())).expect("given away");
        }
        let root = fs::File::open(directory.path().join("root")).expect("opened");
        let root = RootDirectory::new(root.into(), range.sandbox_user());
        Some(Self { directory, root, range })
    }

    fn workspace(&self) -> PathBuf {
        self.directory.path().join("root/workspace")
    }

    fn assert_nothing_left(&self) {
        assert_eq!(fs::read_to_string(self.directory.path().join("secret")).expect("there"), "secret");
        let entries = fs::read_dir(self.directory.path()).expect("a directory").count();
        assert_eq!(entries, 2, "something was made outside");
    }
}

#[test]
fn ways_up_and_absolute_links_end_at_the_root() {
    let Some(place) = Place::new() else { return };
    let outside = place.directory.path().join("secret").to_string_lossy().into_owned();
    for target in
        ["../../secret", "../../../../../../secret", "/../secret", &outside, "../missing/../../../secret"]
    {
        let link = place.workspace().join("link");
        fs::remove_file(&link).ok();
        symlink(target, &link).expect("a link");
        let content = place.root.read("/workspace/link", 100).map(|(content, _)| content);
        assert!(content.as_ref().is_ok_and(|content| content == b"inside") || content.is_err(), "{target}");
        // Where it can be written at all, it is written inside.
        place.root.write("/workspace/link", b"inside", None).ok();
        place.assert_nothing_left();
    }
}

#[test]
fn missing_parents_are_made_but_not_on_the_way_up() {
    let Some(place) = Place::new() else { return };
    place.root.write("/workspace/a/b/c", b"text", None).expect("written");
    let made = fs::metadata(place.workspace().join("a/b")).expect("made");
    assert_eq!(made.uid(), place.range.sandbox_user());
    for target in ["one/../../../x", "two/../x/y", "three/../../../../x/y"] {
        let link = place.workspace().join("up");
        fs::remove_file(&link).ok();
        symlink(target, &link).expect("a link");
        let error = place.root.write("/workspace/up", b"text", None).expect_err(target);
        assert!(matches!(error, FileError::Unresolvable { .. }), "{target}: {error}");
        place.assert_nothing_left();
    }
}

#[test]
fn a_link_to_a_name_that_is_no_text_is_written_through_byte_by_byte() {
    let Some(place) = Place::new() else { return };
    let name = OsStr::from_bytes(b"odd-\xff\n");
    symlink(name, place.workspace().join("link")).expect("a link");
    place.root.write("/workspace/link", b"text", None).expect("written");
    assert_eq!(fs::read(place.workspace().join(name)).expect("the very name"), b"text");
    assert_eq!(place.root.read("/workspace/link", 9).expect("read").0, b"text");
    assert_eq!(fs::read_dir(place.workspace()).expect("a directory").count(), 2);
}

#[test]
fn a_write_replaces_the_name_and_not_the_file_that_others_have_linked() {
    let Some(place) = Place::new() else { return };
    let other = place.directory.path().join("root/tmp/other");
    fs::write(&other, "other").expect("written");
    fs::hard_link(&other, place.workspace().join("name")).expect("a second name");
    place.root.write("/workspace/name", b"new", None).expect("written");
    assert_eq!(fs::read_to_string(other).expect("there"), "other");
    assert_eq!(fs::read_to_string(place.workspace().join("name")).expect("there"), "new");
}

#[test]
fn the_ids_of_the_thread_come_back_also_after_a_panic() {
    let Some(place) = Place::new() else { return };
    let filesystem_ids = || {
        let status = fs::read_to_string("/proc/thread-self/status").expect("read");
        let last = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
            line.rsplit('\t').next().expect("a field").to_owned()
        };
        (last("Uid:"), last("Gid:"))
    };
    let before = filesystem_ids();
    let work = std::panic::AssertUnwindSafe(|| {
        place.root.as_sandbox_user("/", || -> Result<(), FileError> {
            let user = place.range.sandbox_user().to_string();
            assert_eq!(filesystem_ids(), (user.clone(), user));
            panic!("in the middle")
        })
    });
    assert!(std::panic::catch_unwind(work).is_err());
    assert_eq!(filesystem_ids(), before);
}

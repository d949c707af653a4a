//! Removing a tree that hostile code has made: however deep and wide, it takes a few descriptors and no recursion.
//!
//! What is to go is first moved into a directory for rubbish, in one step. There every directory that is not empty gives
//! its own directories to the one for rubbish, so that nothing has to be followed down.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, renameat, renameat_with, unlinkat};
use rustix::io::Errno;
use sandkasten_isolation::host::PathError;

use super::measure::open_directory;

/// Names that are read before they are dealt with: a directory that changes under a reader may show one twice, or not.
const AT_ONCE: usize = 1_000;

/// Moves a tree into the directory for rubbish: it is gone from its place at once, or not at all.
///
/// # Errors
/// The kernel's, with `NotFound` where there is none.
pub(super) fn discard(tree: &Path, rubbish: &Path) -> Result<(), PathError> {
    loop {
        let place = rubbish.join(new_name());
        match renameat_with(CWD, tree, CWD, &place, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            result => return result.map_err(PathError::of("discard", tree)),
        }
    }
}

/// Removes everything in the directory for rubbish. Several may do so at once. Blocking.
///
/// # Errors
/// The first thing that stays.
pub(super) fn empty(rubbish: &Path) -> Result<(), PathError> {
    let failed = |error: Errno| PathError::of("empty", rubbish)(error);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(rubbish, flags, Mode::empty()).map_err(failed)?;
    loop {
        let names = some_names(&directory).map_err(failed)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            remove(&directory, &name, &directory).map_err(failed)?;
        }
    }
}

/// Removes one entry of `parent`. A directory is emptied before: what it holds of directories goes to `rubbish`.
fn remove(parent: &OwnedFd, name: &CString, rubbish: &OwnedFd) -> Result<(), Errno> {
    match remove_simple(parent, name) {
        Err(Errno::NOTEMPTY) => {}
        result => return result,
    }
    let directory = match open_directory(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    loop {
        let names = some_names(&directory)?;
        if names.is_empty() {
            return remove_simple(parent, name);
        }
        for name in names {
            match remove_simple(&directory, &name) {
                Err(Errno::NOTEMPTY) => match renameat(&directory, &name, rubbish, new_name()) {
                    Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
                    Err(error) => return Err(error),
                },
                result => result?,
            }
        }
    }
}

/// Removes a file or an empty directory.
fn remove_simple(parent: &OwnedFd, name: &CString) -> Result<(), Errno> {
    let removed = match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTDIR) => unlinkat(parent, name, AtFlags::empty()),
        result => result,
    };
    match removed {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::EXIST) => Err(Errno::NOTEMPTY),
        result => result,
    }
}

fn some_names(directory: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
        if names.len() == AT_ONCE {
            break;
        }
    }
    Ok(names)
}

/// A name that nobody else is likely to use; where one is taken, another is tried.
fn new_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let process = std::process::id();
    format!("{process:x}-{:x}-{:x}-{:x}", time.tv_sec, time.tv_nsec, NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::{discard, empty};

    #[test]
    fn a_tree_of_any_depth_goes_and_nothing_that_it_links_to() {
        let place = tempfile::tempdir().expect("a directory");
        let (tree, rubbish) = (place.path().join("tree"), place.path().join("rubbish"));
        let outside = place.path().join("outside");
        for directory in [&tree, &rubbish, &outside] {
            fs::create_dir(directory).expect("made");
        }
        fs::write(outside.join("file"), "kept").expect("written");
        symlink(&outside, tree.join("link")).expect("linked");
        fs::write(tree.join("file"), "").expect("written");
        fs::create_dir_all(tree.join("wide/empty")).expect("made");
        for number in 0..2_500 {
            fs::create_dir(tree.join(format!("wide/{number}"))).expect("made");
            fs::write(tree.join(format!("wide/{number}/file")), "").expect("written");
        }
        fs::set_permissions(tree.join("wide/7"), fs::Permissions::from_mode(0o000)).expect("a mode");
        // Deeper than any path can name, than threads have stack for, and than there are descriptors.
        let program =
            "import os\nfor _ in range(20000):\n os.mkdir('d')\n os.chdir('d')\n open('f', 'w').close()";
        let made = Command::new("python3").args(["-c", program]).current_dir(&tree).status().expect("python");
        assert!(made.success());
        discard(&tree, &rubbish).expect("discarded");
        assert!(!tree.exists());
        assert_eq!(discard(&tree, &rubbish).expect_err("gone").source.kind(), std::io::ErrorKind::NotFound);
        std::thread::scope(|scope| {
            let both = [scope.spawn(|| empty(&rubbish)), scope.spawn(|| empty(&rubbish))];
            for one in both {
                one.join().expect("no panic").expect("emptied");
            }
        });
        assert_eq!(fs::read_dir(&rubbish).expect("listed").count(), 0);
        assert_eq!(fs::read_to_string(outside.join("file")).expect("there"), "kept");
    }
}

//! What a workspace takes of the disk, counted file by file within bounds: its tree is hostile, and may change meanwhile.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

/// Directories deeper in one another are not looked into: each level holds a descriptor.
pub(super) const MAX_DEPTH: usize = 100;

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Measure {
    /// Bytes of the disk.
    pub(super) bytes: u64,
    /// Everything but directories.
    pub(super) files: u64,
    /// Whether there is more.
    pub(super) truncated: bool,
}

/// Counts what is below a directory. Each entry takes one of `budget`; without any left, counting ends. What goes away
/// meanwhile is not counted. Blocking.
pub(super) fn measure(directory: &OwnedFd, budget: &mut u64) -> Measure {
    let mut counted = Measure::default();
    let mut seen = BTreeSet::new();
    count(directory, budget, &mut counted, &mut seen, 0);
    counted
}

fn count(
    directory: &OwnedFd,
    budget: &mut u64,
    counted: &mut Measure,
    seen: &mut BTreeSet<u64>,
    depth: usize,
) {
    let Ok(entries) = Dir::read_from(directory) else {
        counted.truncated = true;
        return;
    };
    for entry in entries {
        let Ok(entry) = entry else { return };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if *budget == 0 {
            counted.truncated = true;
            return;
        }
        *budget -= 1;
        let Ok(status) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        // A file with several names is on the disk once.
        if status.st_nlink < 2 || seen.insert(status.st_ino) {
            counted.bytes = counted.bytes.saturating_add(u64::try_from(status.st_blocks).unwrap_or(0) * 512);
        }
        if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
            counted.files += 1;
            continue;
        }
        if depth == MAX_DEPTH {
            counted.truncated = true;
            continue;
        }
        match open_directory(directory, name) {
            Ok(below) => count(&below, budget, counted, seen, depth + 1),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(_) => counted.truncated = true,
        }
    }
}

/// Opens a directory that is an entry of another, and no link to one.
pub(super) fn open_directory(parent: impl AsFd, name: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{MAX_DEPTH, Measure, measure};

    fn of(path: &Path, mut budget: u64) -> Measure {
        measure(&fs::File::open(path).expect("opened").into(), &mut budget)
    }

    #[test]
    fn links_are_counted_and_not_followed_and_names_of_one_file_are_one_size() {
        let outside = tempfile::tempdir().expect("a directory");
        fs::write(outside.path().join("large"), vec![1; 1 << 20]).expect("written");
        let tree = tempfile::tempdir().expect("a directory");
        fs::write(tree.path().join("file"), vec![1; 65_536]).expect("written");
        let one = of(tree.path(), 100);
        assert!(one.files == 1 && (65_536..200_000).contains(&one.bytes) && !one.truncated, "{one:?}");
        fs::hard_link(tree.path().join("file"), tree.path().join("again")).expect("linked");
        symlink(outside.path(), tree.path().join("link")).expect("linked");
        symlink(tree.path(), tree.path().join("loop")).expect("linked");
        let all = of(tree.path(), 100);
        assert!(all.files == 4 && all.bytes < 2 * one.bytes, "{all:?}");
    }

    #[test]
    fn a_tree_without_end_is_counted_within_bounds() {
        let tree = tempfile::tempdir().expect("a directory");
        let mut deep = tree.path().to_owned();
        for _ in 0..MAX_DEPTH + 20 {
            deep.push("d");
        }
        fs::create_dir_all(&deep).expect("made");
        assert!(of(tree.path(), 10_000).truncated);
        for number in 0..20 {
            fs::write(tree.path().join(number.to_string()), "").expect("written");
        }
        let some = of(tree.path(), 10);
        assert!(some.truncated && some.files <= 10, "{some:?}");
    }
}

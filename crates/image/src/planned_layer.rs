//! Small layers that this crate makes itself: planned in memory, named by the hash of the plan, then written.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use sha2::{Digest, Sha256};

use crate::beneath;
use crate::digest::hexadecimal;

/// A thing in a planned layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlannedNode {
    Directory { mode: u32, owner: u32 },
    File { contents: Vec<u8> },
    Symlink { target: String },
}

/// A layer that is not written yet. Paths are relative, without `.` and `..`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlannedLayer {
    nodes: BTreeMap<String, PlannedNode>,
}

/// What could not be written.
#[derive(Debug)]
pub(crate) struct WritePlanError {
    pub(crate) path: String,
    pub(crate) source: io::Error,
}

impl PlannedLayer {
    /// Plans a directory of root.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) {
        self.owned_directory(path, mode, 0);
    }

    /// Plans a directory of a user and the group of the same id.
    pub(crate) fn owned_directory(&mut self, path: &str, mode: u32, owner: u32) {
        self.insert(path, PlannedNode::Directory { mode, owner });
    }

    /// Plans a file of root that all may read.
    pub(crate) fn file(&mut self, path: &str, contents: Vec<u8>) {
        self.insert(path, PlannedNode::File { contents });
    }

    /// Plans a symbolic link.
    pub(crate) fn symlink(&mut self, path: &str, target: &str) {
        self.insert(path, PlannedNode::Symlink { target: target.to_owned() });
    }

    /// Plans a node, and the directories above it where they are not planned yet. What is planned already stays.
    fn insert(&mut self, path: &str, node: PlannedNode) {
        for (slash, _) in path.match_indices('/') {
            let parent = PlannedNode::Directory { mode: 0o755, owner: 0 };
            self.nodes.entry(path[..slash].to_owned()).or_insert(parent);
        }
        self.nodes.entry(path.to_owned()).or_insert(node);
    }

    #[cfg(test)]
    pub(crate) fn get(&self, path: &str) -> Option<&PlannedNode> {
        self.nodes.get(path)
    }

    /// Returns the bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        let size = |node: &PlannedNode| match node {
            PlannedNode::File { contents } => contents.len() as u64,
            _ => 0,
        };
        self.nodes.values().map(size).sum()
    }

    /// Returns the SHA-256 of everything that is planned, in lowercase hexadecimal.
    pub(crate) fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        let mut field = |bytes: &[u8]| {
            // Lengths keep two plans apart whose fields only meet elsewhere.
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for (path, node) in &self.nodes {
            field(path.as_bytes());
            match node {
                PlannedNode::Directory { mode, owner } => {
                    field(format!("directory {mode:o} {owner}").as_bytes())
                }
                PlannedNode::File { contents } => {
                    field(b"file");
                    field(contents);
                }
                PlannedNode::Symlink { target } => {
                    field(b"symlink");
                    field(target.as_bytes());
                }
            }
        }
        hexadecimal(&hasher.finalize())
    }

    /// Writes everything into an empty directory. All times are 1970, so that equal plans make equal layers.
    pub(crate) fn write(&self, root: BorrowedFd<'_>) -> Result<(), WritePlanError> {
        for (path, node) in &self.nodes {
            write_node(root, path, node).map_err(|source| WritePlanError { path: path.clone(), source })?;
        }
        // Children change the times of their directory, so these come last.
        for (path, _) in
            self.nodes.iter().filter(|(_, node)| matches!(node, PlannedNode::Directory { .. })).rev()
        {
            set_directory_times(root, path)
                .map_err(|source| WritePlanError { path: path.clone(), source })?;
        }
        set_directory_times(root, ".").map_err(|source| WritePlanError { path: ".".to_owned(), source })
    }
}

fn write_node(root: BorrowedFd<'_>, path: &str, node: &PlannedNode) -> io::Result<()> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = beneath::open_directory(root, parent.as_bytes())?;
    match node {
        PlannedNode::Directory { mode, owner } => {
            rustix::fs::mkdirat(&parent, name, Mode::RWXU)?;
            let ids = (Some(Uid::from_raw(*owner)), Some(Gid::from_raw(*owner)));
            rustix::fs::chownat(&parent, name, ids.0, ids.1, AtFlags::SYMLINK_NOFOLLOW)?;
            rustix::fs::fchmod(open_for_attributes(parent.as_fd(), name)?, Mode::from_raw_mode(*mode))?;
        }
        PlannedNode::File { contents } => {
            let mut file = beneath::create_file(parent.as_fd(), name.as_bytes())?;
            file.write_all(contents)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
            rustix::fs::futimens(&file, &epoch())?;
        }
        PlannedNode::Symlink { target } => {
            rustix::fs::symlinkat(target, &parent, name)?;
            rustix::fs::utimensat(&parent, name, &epoch(), AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

fn set_directory_times(root: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    Ok(rustix::fs::futimens(open_for_attributes(root, path)?, &epoch())?)
}

/// An O_PATH descriptor takes no change of mode or times.
fn open_for_attributes(base: BorrowedFd<'_>, path: &str) -> rustix::io::Result<rustix::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(base, path, flags, Mode::empty(), resolve)
}

fn epoch() -> Timestamps {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    Timestamps { last_access: zero, last_modification: zero }
}

#[cfg(test)]
mod tests {
    use super::{PlannedLayer, PlannedNode};

    #[test]
    fn the_hash_is_of_everything_and_of_nothing_else() {
        let plan = |contents: &str, target: &str| {
            let mut plan = PlannedLayer::default();
            plan.file("etc/passwd", contents.as_bytes().to_vec());
            plan.symlink("bin", target);
            plan
        };
        assert_eq!(plan("a", "usr/bin").hash(), plan("a", "usr/bin").hash());
        assert_ne!(plan("a", "usr/bin").hash(), plan("b", "usr/bin").hash());
        assert_ne!(plan("a", "usr/bin").hash(), plan("a", "usr/sbin").hash());
    }

    #[test]
    fn parents_are_planned_too_and_the_first_plan_for_a_path_stays() {
        let mut plan = PlannedLayer::default();
        plan.directory("var/tmp", 0o1777);
        plan.directory("var/tmp", 0o700);
        assert_eq!(plan.get("var"), Some(&PlannedNode::Directory { mode: 0o755, owner: 0 }));
        assert_eq!(plan.get("var/tmp"), Some(&PlannedNode::Directory { mode: 0o1777, owner: 0 }));
    }
}

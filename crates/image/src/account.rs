//! The account layer: a passwd and a group file in which the user of sessions, id 1000, has a name.
//!
//! It lies on top of an imported image that has no such user. The image's own files are read as a process inside would
//! see them, never by a path of the host.

use std::io;

use rustix::fs::FileType;

use crate::planned_layer::PlannedLayer;
use crate::root_view::RootView;

/// The id of the user and of the group.
const SESSION_ID: &[u8] = b"1000";
const LARGEST_FILE: u64 = 4 << 20;
const MINIMAL_PASSWD: &[u8] =
    b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const MINIMAL_GROUP: &[u8] = b"root:x:0:\nnogroup:x:65534:\n";

/// The account layer of an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AccountLayerError {
    /// A file of the layer could not be written.
    #[error("write {path:?} of the account layer")]
    Write {
        /// The path in the layer.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Plans the layer for an image; none where the user and the group are there already.
pub(crate) fn plan(image: &RootView) -> Option<PlannedLayer> {
    let readable = etc_is_directory(image);
    let passwd = if readable { image.read("etc/passwd", LARGEST_FILE).ok() } else { None };
    let group = if readable { image.read("etc/group", LARGEST_FILE).ok() } else { None };
    let shell =
        if image.find("bin/bash").is_ok_and(|found| found.is_program()) { "/bin/bash" } else { "/bin/sh" };
    let user_line = format!("sandbox:x:1000:1000:Sandbox user:/home/sandbox:{shell}\n");
    let mut layer = PlannedLayer::default();
    let changed = [
        complete("etc/passwd", passwd, MINIMAL_PASSWD, &user_line),
        complete("etc/group", group, MINIMAL_GROUP, "sandbox:x:1000:\n"),
    ];
    for (path, contents) in changed.into_iter().flatten() {
        layer.file(path, contents);
    }
    (layer != PlannedLayer::default()).then_some(layer)
}

/// Says whether an account file has a line for the id of sessions.
pub(crate) fn has_session_id(contents: &[u8]) -> bool {
    contents
        .split(|byte| *byte == b'\n')
        .any(|line| line.split(|byte| *byte == b':').nth(2) == Some(SESSION_ID))
}

/// Returns the account files of a root file system that has none, for the user's shell at `shell`.
pub(crate) fn minimal_files(shell: &str) -> (Vec<u8>, Vec<u8>) {
    let user_line = format!("sandbox:x:1000:1000:Sandbox user:/home/sandbox:{shell}\n");
    ([MINIMAL_PASSWD, user_line.as_bytes()].concat(), [MINIMAL_GROUP, b"sandbox:x:1000:\n"].concat())
}

fn complete(
    path: &'static str,
    contents: Option<Vec<u8>>,
    minimal: &[u8],
    line: &str,
) -> Option<(&'static str, Vec<u8>)> {
    let mut contents = contents.unwrap_or_else(|| minimal.to_vec());
    if has_session_id(&contents) {
        return None;
    }
    if !contents.is_empty() && !contents.ends_with(b"\n") {
        contents.push(b'\n');
    }
    contents.extend_from_slice(line.as_bytes());
    Some((path, contents))
}

/// A directory of its own, not a link to one: the layer's directory would hide the link and all it leads to.
fn etc_is_directory(image: &RootView) -> bool {
    image.find_unresolved("etc").is_ok_and(|kind| kind == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::plan;
    use crate::planned_layer::PlannedNode;
    use crate::root_view::RootView;

    fn planned(build: impl Fn(&std::path::Path), path: &str) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        build(root.path());
        let layer = plan(&RootView::open(&[root.path()], &[]).unwrap())?;
        match layer.get(path)? {
            PlannedNode::File { contents } => Some(String::from_utf8(contents.clone()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_appended_where_the_id_is_not_there() {
        let passwd = planned(
            |root| {
                fs::create_dir_all(root.join("etc")).unwrap();
                fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\na:x:10:1000::/:/x").unwrap();
            },
            "etc/passwd",
        );
        assert_eq!(
            passwd.unwrap(),
            "root:x:0:0::/root:/bin/sh\na:x:10:1000::/:/x\nsandbox:x:1000:1000:Sandbox user:/home/sandbox:/bin/sh\n"
        );
    }

    #[test]
    fn no_layer_is_planned_where_user_and_group_are_there() {
        let layer = planned(
            |root| {
                fs::create_dir_all(root.join("etc")).unwrap();
                fs::write(root.join("etc/passwd"), "ubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n").unwrap();
                fs::write(root.join("etc/group"), "ubuntu:x:1000:\n").unwrap();
            },
            "etc/passwd",
        );
        assert_eq!(layer, None);
    }

    #[test]
    fn a_passwd_that_is_a_pipe_does_not_block() {
        let passwd = planned(
            |root| {
                fs::create_dir_all(root.join("etc")).unwrap();
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    root.join("etc/passwd"),
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::RWXU,
                    0,
                )
                .unwrap();
            },
            "etc/passwd",
        );
        assert!(passwd.unwrap().starts_with("root:x:0:0:root:/root:/bin/sh\nnobody:"));
    }

    #[test]
    fn links_to_the_host_are_not_followed() {
        for target in ["/etc", "../../../../../../../etc", "/proc/self/root/etc"] {
            let passwd = planned(|root| symlink(target, root.join("etc")).unwrap(), "etc/passwd").unwrap();
            assert!(!passwd.contains("daemon"), "{target}: {passwd}");
        }
        let passwd = planned(
            |root| {
                fs::create_dir_all(root.join("etc")).unwrap();
                symlink("../../../../../../../../etc/hostname", root.join("etc/passwd")).unwrap();
            },
            "etc/passwd",
        );
        assert!(passwd.unwrap().starts_with("root:x:0:0:"));
    }

    #[test]
    fn bash_is_the_shell_where_it_is_there() {
        let passwd = planned(
            |root| {
                fs::create_dir_all(root.join("usr/bin")).unwrap();
                symlink("usr/bin", root.join("bin")).unwrap();
                fs::copy("/bin/true", root.join("usr/bin/bash")).unwrap();
            },
            "etc/passwd",
        );
        assert!(passwd.unwrap().contains("/home/sandbox:/bin/bash\n"));
    }
}

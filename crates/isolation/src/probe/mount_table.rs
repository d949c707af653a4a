//! The mount table of this process: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error_chain;
use crate::host::PathError;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) id: u64,
    pub(super) point: PathBuf,
    /// Options of this mount, such as `noexec`.
    pub(super) options: Vec<String>,
    /// The filesystem's type.
    pub(super) filesystem: String,
}

/// Reads the table, or says why it cannot be read.
pub(super) fn read() -> Result<Vec<Mount>, String> {
    let path = Path::new("/proc/self/mountinfo");
    fs::read_to_string(path)
        .map(|text| parse(&text))
        .map_err(|source| error_chain(&PathError::of("read", path)(source)))
}

/// Reads the lines of a table; one that is not as documented is left out.
pub(super) fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    Some(Mount {
        id: fields.next()?.parse().ok()?,
        point: unescape(fields.nth(3)?),
        options: fields.next()?.split(',').map(str::to_owned).collect(),
        filesystem: filesystem.split(' ').next()?.to_owned(),
    })
}

/// Undoes the kernel's `\040` for space, tab, newline and backslash.
fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    loop {
        match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            [byte, tail @ ..] => {
                bytes.push(*byte);
                rest = tail;
            }
            [] => return PathBuf::from(OsString::from_vec(bytes)),
        }
    }
}

/// Returns the places below `/proc` that something is mounted over. What lies on a directory that is always empty,
/// as `binfmt_misc` does, hides nothing.
pub(super) fn covers_of_proc(mounts: &[Mount]) -> Vec<&Path> {
    let points = mounts.iter().map(|mount| mount.point.as_path());
    points
        .filter(|point| point.starts_with("/proc") && *point != Path::new("/proc"))
        .filter(|point| *point != Path::new("/proc/sys/fs/binfmt_misc"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{covers_of_proc, parse};

    const TABLE: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,nosuid,noexec shared:1 - ext4 /dev/vda rw,discard
41 22 0:38 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw
42 27 0:39 / /srv/a\\040b\\134 ro - tmpfs tmpfs rw
a line that is none";

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let mounts = parse(TABLE);
        assert_eq!(mounts.len(), 4);
        assert_eq!((mounts[1].id, mounts[1].filesystem.as_str()), (27, "ext4"));
        assert_eq!(mounts[1].options, ["rw", "nosuid", "noexec"]);
        assert_eq!(mounts[3].point, Path::new("/srv/a b\\"));
    }

    #[test]
    fn only_what_hides_something_of_proc_counts() {
        let mounts = parse(TABLE);
        assert!(covers_of_proc(&mounts).is_empty());
        let masked =
            parse("50 22 0:40 / /proc/kcore ro - tmpfs tmpfs rw\n51 22 0:40 / /process rw - tmpfs t rw");
        assert_eq!(covers_of_proc(&masked), [Path::new("/proc/kcore")]);
    }
}

//! Calls that change the tree of mounts, or reach files around it.

use super::super::numbers::OPEN_TREE_ATTR;
use super::super::profile::SeccompProfile::{Mvp, Strict};
use super::super::rule::{Clause, Comparison, Entry, deny, deny_if};

/// The bits of a file mode that hold the type of the file.
const FILE_TYPE: u32 = libc::S_IFMT;

/// The file types that are a way to a driver.
const DEVICES: &[u32] = &[libc::S_IFCHR, libc::S_IFBLK];

pub(super) const ENTRIES: &[Entry] = &[
    deny("mount", libc::SYS_mount, Mvp)
        .because("rebuilds the file tree, and reaches the parsers of every file system in the kernel")
        .missed_by("mount, container tools, FUSE without a helper"),
    deny("umount2", libc::SYS_umount2, Mvp)
        .because("uncovers what a mount hides, such as the masked files of /proc")
        .missed_by("umount, container tools"),
    deny("pivot_root", libc::SYS_pivot_root, Mvp)
        .because("changes the root of the sandbox")
        .missed_by("container tools"),
    deny("chroot", libc::SYS_chroot, Mvp)
        .because("with an open directory it is a way out of a root directory")
        .missed_by("chroot, debootstrap, some test suites"),
    deny("fsopen", libc::SYS_fsopen, Mvp)
        .because("part of the new mount interface, by which a filter of mount(2) is passed by")
        .missed_by("recent mount, container tools"),
    deny("fsconfig", libc::SYS_fsconfig, Mvp)
        .because("part of the new mount interface; its parser had an overflow that gave root (CVE-2022-0185)")
        .missed_by("recent mount, container tools"),
    deny("fsmount", libc::SYS_fsmount, Mvp)
        .because("part of the new mount interface, by which a filter of mount(2) is passed by")
        .missed_by("recent mount, container tools"),
    deny("fspick", libc::SYS_fspick, Mvp)
        .because("part of the new mount interface; changes the options of a mounted file system")
        .missed_by("recent mount, container tools"),
    deny("move_mount", libc::SYS_move_mount, Mvp)
        .because("part of the new mount interface; attaches a mount, which may come from outside")
        .missed_by("recent mount, container tools"),
    deny("open_tree", libc::SYS_open_tree, Mvp)
        .because("part of the new mount interface; clones a mount, without what was mounted over it")
        .missed_by("recent mount, container tools"),
    deny("open_tree_attr", OPEN_TREE_ATTR, Mvp)
        .because("open_tree and mount_setattr in one call, since Linux 6.15")
        .missed_by("recent mount, container tools"),
    deny("mount_setattr", libc::SYS_mount_setattr, Mvp)
        .because("takes nosuid, nodev or read-only off a mount")
        .missed_by("recent mount, container tools"),
    deny("name_to_handle_at", libc::SYS_name_to_handle_at, Mvp)
        .because("tells the inode numbers of the host that open_by_handle_at takes")
        .missed_by("user-space file servers, systemd's test for mount points, which has a fallback"),
    deny("open_by_handle_at", libc::SYS_open_by_handle_at, Mvp)
        .because("opens any file of a file system by its inode, outside of the root too (the shocker escape)")
        .missed_by("user-space file servers"),
    #[cfg(target_arch = "x86_64")]
    deny_if(
        "mknod",
        libc::SYS_mknod,
        Strict,
        &[Clause {
            meaning: "character and block devices",
            comparisons: &[Comparison::one_of(1, DEVICES).masked(FILE_TYPE)],
        }],
    )
    .because("a device node is a way to a driver; FIFOs, sockets and regular files stay possible")
    .missed_by("image builders, overlay file systems in user space that write whiteouts"),
    deny_if(
        "mknodat",
        libc::SYS_mknodat,
        Strict,
        &[Clause {
            meaning: "character and block devices",
            comparisons: &[Comparison::one_of(2, DEVICES).masked(FILE_TYPE)],
        }],
    )
    .because("a device node is a way to a driver; FIFOs, sockets and regular files stay possible")
    .missed_by("image builders, overlay file systems in user space that write whiteouts"),
];

//! The filesystems of a sandbox, and mounts with mapped ids.

use super::Feature;
use super::check::{Check, Finding, Need};
use super::mount_table::{Mount, covers_of_proc};
use super::trial::{Outcome, Trial};
use crate::controls::Controls;
use crate::error_chain;
use crate::host::{DeviceTree, DeviceTreeError};
use crate::sys::probe_calls::Step;

const MOUNT_CALLS: Check = Check {
    name: "mount calls",
    need: Need::Required,
    why: "making mounts by descriptor, so that no path can be swapped underneath",
    advice: "use Linux 5.12 or newer, which has fsopen, open_tree, move_mount and mount_setattr",
};

const DEVICE_NODES: Check = Check {
    name: "device nodes",
    need: Need::Required,
    why: "the /dev of every sandbox",
    advice: "start the daemon with CAP_MKNOD, and where a device controller is in force allow it mknod",
};

const TMPFS: Check = Check {
    name: "tmpfs",
    need: Need::Required,
    why: "every bounded writable place of a sandbox",
    advice: "use a kernel with CONFIG_TMPFS",
};

const DEVPTS: Check = Check {
    name: "devpts",
    need: Need::Required,
    why: "terminals in a sandbox",
    advice: "use a kernel with CONFIG_UNIX98_PTYS",
};

const PROC: Check = Check {
    name: "procfs",
    need: Need::Required,
    why: "a /proc that shows a sandbox its own processes only",
    advice: "unmount what hides parts of the host's /proc; in a container, run it with an unmasked /proc",
};

const DATA_MOUNT: Check = Check {
    name: "id-mapped data directory",
    need: Need::Required,
    why: "showing every session the same image layers as its own files, without copying them",
    advice: "put data_dir on a local filesystem with id-mapped mounts: ext4 or xfs (Linux 5.12), btrfs (5.15), \
             tmpfs (6.3)",
};

const USR_MOUNT: Check = Check {
    name: "id-mapped /usr",
    need: Need::Optional,
    why: "the image that is made of the host's own programs",
    advice: "keep /usr on a local filesystem such as ext4, xfs or btrfs, or use other images only",
};

const OVERLAY: Check = Check {
    name: "overlayfs",
    need: Need::Required,
    why: "stacking image layers into the root of a sandbox",
    advice: "use Linux 5.19 or newer with CONFIG_OVERLAY_FS, and load the module overlay before the daemon starts",
};

const WRITABLE_OVERLAY: Check = Check {
    name: "writable overlayfs",
    need: Need::Optional,
    why: "sessions that may change their root filesystem",
    advice: "use Linux 5.19 or newer, or keep root filesystems read-only",
};

const PIVOT: Check = Check {
    name: "pivot_root",
    need: Need::Required,
    why: "leaving the host's file tree behind for good",
    advice: "boot the host with its root on a filesystem of its own, not in the initial ramfs, and do not run the \
             daemon in a chroot",
};

pub(super) fn features(trial: &Trial, mounts: &Result<Vec<Mount>, String>) -> Vec<Feature> {
    let (calls, nodes) = judge_device_tree(try_device_tree(), &trial.step(Step::Attach));
    let mounted = |step: Step| trial.step(step).map(|()| "mounted one in a user namespace".to_owned());
    let data_mount = trial.data_mount().map(|()| "mapped the ids of a mount".to_owned());
    let usr_mount = trial.usr_mount().map(|()| "mapped the ids of a mount".to_owned());
    let overlay = judge_overlay(&trial.data_mount(), &trial.step(Step::Overlay));
    let writable = judge_overlay(&trial.data_mount(), &trial.step(Step::WritableOverlay));
    vec![
        MOUNT_CALLS.found(calls),
        DEVICE_NODES.found(nodes),
        TMPFS.found(mounted(Step::Tmpfs)),
        DEVPTS.found(mounted(Step::Devpts)),
        PROC.found(judge_proc(&trial.step(Step::Proc), mounts.as_deref().unwrap_or_default())),
        DATA_MOUNT.found(data_mount),
        USR_MOUNT.found(usr_mount),
        OVERLAY.found(overlay.map(|()| "stacked an id-mapped layer in a user namespace".into())),
        WRITABLE_OVERLAY.found(writable.map(|()| "wrote to one in a user namespace".into())),
        PIVOT.found(trial.step(Step::Pivot).map(|()| "changed the root in a user namespace".into())),
    ]
}

/// Makes the daemon's `/dev`, attached nowhere and gone when this returns, and clones its mount.
fn try_device_tree() -> Result<(), DeviceTreeError> {
    DeviceTree::new(Controls::default()).map(drop)
}

/// Tells the calls that make mounts from the making of device nodes.
fn judge_device_tree(made: Result<(), DeviceTreeError>, attached: &Outcome) -> (Finding, Finding) {
    let attached = match attached {
        Ok(()) => Ok("fsopen, open_tree, move_mount and mount_setattr".into()),
        Err(reason) => Err(format!("move_mount: {reason}")),
    };
    match made {
        Ok(()) => (attached, Ok("made /dev/null and five others, attached nowhere".into())),
        Err(error @ DeviceTreeError::Entry { .. }) => (attached, Err(error_chain(&error))),
        Err(error) => (Err(error_chain(&error)), Err("not tried: there is no filesystem for them".into())),
    }
}

fn judge_proc(outcome: &Outcome, mounts: &[Mount]) -> Finding {
    let covers: Vec<String> =
        covers_of_proc(mounts).iter().map(|point| point.display().to_string()).collect();
    match (outcome, covers.is_empty()) {
        (Ok(()), true) => Ok("mounted a new one in a user namespace".into()),
        (Ok(()), false) => Ok(format!("mounted a new one, in spite of the mounts on {}", covers.join(", "))),
        (Err(reason), true) => Err(reason.clone()),
        (Err(reason), false) => {
            Err(format!("{reason}; the host's /proc is partly hidden by mounts on {}", covers.join(", ")))
        }
    }
}

fn judge_overlay(layer: &Outcome, overlay: &Outcome) -> Outcome {
    match layer {
        Ok(()) => overlay.clone(),
        Err(_) => Err("not tried: there is no id-mapped layer".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{judge_device_tree, judge_overlay, judge_proc};
    use crate::host::DeviceTreeError;
    use crate::probe::mount_table::parse;

    #[test]
    fn a_refused_device_node_is_no_fault_of_the_mount_calls() {
        let source = io::Error::from_raw_os_error(libc::EPERM);
        let (calls, nodes) = judge_device_tree(Err(DeviceTreeError::Entry { name: "null", source }), &Ok(()));
        assert!(calls.is_ok());
        assert!(nodes.is_err_and(|reason| reason.contains("/dev/null") && reason.contains("os error 1")));
    }

    #[test]
    fn without_mount_calls_no_device_node_is_tried() {
        let source = io::Error::from_raw_os_error(libc::ENOSYS);
        let (calls, nodes) = judge_device_tree(Err(DeviceTreeError::Filesystem { source }), &Ok(()));
        assert!(calls.is_err());
        assert!(nodes.is_err_and(|reason| reason.starts_with("not tried")));
    }

    #[test]
    fn a_masked_proc_is_blamed_for_a_refused_one() {
        let masked = parse("50 22 0:40 / /proc/kcore ro - tmpfs tmpfs rw");
        let refused = Err("Operation not permitted (os error 1)".to_owned());
        assert!(judge_proc(&refused, &masked).is_err_and(|reason| reason.contains("/proc/kcore")));
        assert_eq!(judge_proc(&refused, &[]), refused.clone().map(|()| String::new()));
        assert!(judge_proc(&Ok(()), &masked).is_ok());
    }

    #[test]
    fn an_overlay_needs_a_layer() {
        let untried = Err("not tried: there is no id-mapped layer".to_owned());
        assert_eq!(judge_overlay(&Err("EINVAL".into()), &Ok(())), untried);
        assert_eq!(judge_overlay(&Ok(()), &Ok(())), Ok(()));
    }
}

//! The filesystem that the data directory is on: its type, its mount options, and its free space.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statvfs, statx};

use super::Feature;
use super::check::{Check, Finding, Need};
use super::data_directory::Place;
use super::mount_table::Mount;

const TYPE: Check = Check {
    name: "data filesystem",
    need: Need::Required,
    why: "image layers with all owners, modes and links, and id-mapped mounts of them",
    advice: "put data_dir on ext4, xfs, btrfs or tmpfs",
};

const PROGRAMS: Check = Check {
    name: "data filesystem programs",
    need: Need::Optional,
    why: "running programs from what is mounted straight out of data_dir; image layers are not touched by it",
    advice: "mount the filesystem of data_dir without noexec",
};

const SPACE: Check = Check {
    name: "data filesystem space",
    need: Need::Optional,
    why: "room for image layers",
    advice: "free some space, or move data_dir",
};

/// Those that sandboxes are known to run on.
const PROVEN: [&str; 4] = ["ext4", "xfs", "btrfs", "tmpfs"];
/// Those that keep neither unix owners nor all names, or take no id mapping.
const REFUSED: [&str; 14] = [
    "9p", "drvfs", "virtiofs", "ntfs", "ntfs3", "fuseblk", "vfat", "msdos", "exfat", "nfs", "nfs4", "cifs",
    "smb3", "hfsplus",
];
const ENOUGH_BYTES: u64 = 1 << 30;

pub(super) fn features(place: &Result<Place, String>, mounts: &Result<Vec<Mount>, String>) -> Vec<Feature> {
    let place = place.as_ref().map(|place| place.existing.as_path());
    let place = place.map_err(|_| "not tried: there is no such directory".to_owned());
    let mount = place.clone().and_then(|place| find_mount(place, mounts));
    vec![
        TYPE.found(mount.clone().and_then(|mount| judge_type(&mount.filesystem))),
        PROGRAMS.found(mount.and_then(judge_options)),
        SPACE.found(place.and_then(measure_space)),
    ]
}

/// Finds the mount that a directory is on, by the kernel's own number (statx(2), `STATX_MNT_ID`, since Linux 5.8).
fn find_mount<'a>(place: &Path, mounts: &'a Result<Vec<Mount>, String>) -> Result<&'a Mount, String> {
    let mounts = mounts.as_ref().map_err(Clone::clone)?;
    let status = statx(CWD, place, AtFlags::empty(), StatxFlags::MNT_ID)
        .map_err(|error| format!("statx of {}: {error}", place.display()))?;
    mounts
        .iter()
        .find(|mount| mount.id == status.stx_mnt_id && status.stx_mask & StatxFlags::MNT_ID.bits() != 0)
        .ok_or_else(|| format!("the mount of {} is not in the mount table", place.display()))
}

fn judge_type(filesystem: &str) -> Finding {
    if PROVEN.contains(&filesystem) {
        Ok(filesystem.to_owned())
    } else if REFUSED.contains(&filesystem) || filesystem.starts_with("fuse.") {
        Err(format!("{filesystem} does not keep what image layers need"))
    } else {
        Ok(format!("{filesystem}, which is not tested"))
    }
}

fn judge_options(mount: &Mount) -> Finding {
    if mount.options.iter().any(|option| option == "noexec") {
        Err(format!("{} is mounted noexec", mount.point.display()))
    } else {
        Ok("not mounted noexec".into())
    }
}

fn measure_space(place: &Path) -> Finding {
    let status = statvfs(place).map_err(|error| format!("statvfs of {}: {error}", place.display()))?;
    judge_space(status.f_bavail.saturating_mul(status.f_frsize))
}

fn judge_space(free_bytes: u64) -> Finding {
    let mebibytes = free_bytes >> 20;
    if free_bytes >= ENOUGH_BYTES {
        Ok(format!("{mebibytes} MiB free"))
    } else {
        Err(format!("only {mebibytes} MiB free"))
    }
}

#[cfg(test)]
mod tests {
    use super::{ENOUGH_BYTES, judge_options, judge_space, judge_type};
    use crate::probe::mount_table::parse;

    #[test]
    fn filesystems_of_other_systems_and_hosts_are_refused() {
        for filesystem in ["9p", "vfat", "nfs4", "fuse.sshfs"] {
            assert!(judge_type(filesystem).is_err(), "{filesystem}");
        }
        assert_eq!(judge_type("ext4"), Ok("ext4".into()));
        assert!(judge_type("zfs").is_ok_and(|detail| detail.contains("not tested")));
    }

    #[test]
    fn noexec_is_told() {
        let mounts = parse("1 0 0:1 / /a rw,noexec - ext4 x rw\n2 0 0:1 / /b rw - ext4 x rw,noexecute");
        assert!(judge_options(&mounts[0]).is_err());
        assert!(judge_options(&mounts[1]).is_ok());
    }

    #[test]
    fn a_gibibyte_is_enough() {
        assert!(judge_space(ENOUGH_BYTES).is_ok());
        assert_eq!(judge_space(ENOUGH_BYTES - 1), Err("only 1023 MiB free".into()));
    }
}

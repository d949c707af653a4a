//! Devices: those that are there, and making others.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, major, makedev, minor, mknodat};
use sandkasten_attacks::{Outcome, Target};

use crate::attack::Attack;
use crate::files::OWN;

const GROUP: &str = "devices";

/// null, zero, full, random, urandom, tty, ptmx.
const HARMLESS: [(u32, u32); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
/// Terminals of `devpts`: Linux Documentation/admin-guide/devices.txt.
const TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;

pub(crate) fn attacks() -> Vec<Attack> {
    vec![
        Attack::once(GROUP, "find a device of the host", |_| find()),
        Attack::once(GROUP, "open memory, ports, log or disks", |_| open()),
        Attack::once(GROUP, "make a device node", make),
        Attack::once(GROUP, "put something into /dev", |_| put()),
    ]
}

fn find() -> Outcome {
    let mut places = vec![PathBuf::from("/dev")];
    let mut found = 0_u32;
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let Ok(node) = entry.metadata() else { continue };
            let kind = node.file_type();
            if kind.is_dir() {
                places.push(entry.path());
            } else if kind.is_char_device() || kind.is_block_device() {
                let number = (major(node.rdev()), minor(node.rdev()));
                let harmless =
                    kind.is_char_device() && (HARMLESS.contains(&number) || TERMINALS.contains(&number.0));
                if !harmless {
                    return Outcome::Breach(format!(
                        "{} is there ({}:{})",
                        entry.path().display(),
                        number.0,
                        number.1
                    ));
                }
                found += 1;
            }
        }
    }
    Outcome::Denied(format!("only {found} harmless ones are there"))
}

fn open() -> Outcome {
    let dangerous =
        ["mem", "kmem", "port", "kmsg", "kvm", "vda", "sda", "nvme0n1", "loop-control", "fuse", "vsock"];
    for name in dangerous {
        let path = Path::new("/dev").join(name);
        if fs::File::open(&path).is_ok() {
            return Outcome::Breach(format!("opened {}", path.display()));
        }
    }
    Outcome::Denied(format!("none of {} opens", dangerous.len()))
}

fn make(target: &Target) -> Outcome {
    let Some(place) = target.writable.first() else {
        return Outcome::Skipped("nothing can be written to".to_owned());
    };
    let path = place.path.join(OWN);
    match mknodat(CWD, &path, FileType::CharacterDevice, Mode::RUSR, makedev(1, 5)) {
        Ok(()) => match fs::remove_file(&path) {
            Ok(()) => Outcome::Breach("made one".to_owned()),
            Err(error) => Outcome::Breach(format!("made one, which stays: {error}")),
        },
        Err(error) => Outcome::Denied(error.to_string()),
    }
}

/// In the mount's own terms: a directory that belongs to root would refuse users, but a read-only one refuses everybody.
fn put() -> Outcome {
    match rustix::fs::statvfs("/dev") {
        Ok(found) if found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) => {
            Outcome::Denied("it is mounted read-only".to_owned())
        }
        Ok(_) => Outcome::Breach("it is not mounted read-only".to_owned()),
        Err(error) => Outcome::Breach(format!("the mount cannot be looked at: {error}")),
    }
}

//! Writing where nothing may be written, and reaching files of the host.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};
use sandkasten_attacks::{Outcome, Target};

use crate::attack::Attack;

const GROUP: &str = "files";
/// The name of everything that an attack makes.
pub(crate) const OWN: &str = ".sandkasten-attack";

/// Places where the host's mounts begin to show: nothing else may be mounted.
const MOUNTS: [&str; 8] = ["/", "/dev", "/home/sandbox", "/proc", "/run", "/tmp", "/usr", "/workspace"];

pub(crate) fn attacks(target: &Target) -> Vec<Attack> {
    let mut attacks: Vec<Attack> = target
        .unwritable
        .iter()
        .cloned()
        .map(|directory| {
            Attack::once(GROUP, format!("write to {}", directory.display()), move |_| write_to(&directory))
        })
        .collect();
    if target.readonly_rootfs {
        attacks.push(Attack::once(GROUP, "find the root filesystem writable", |target| {
            let root = target.unwritable.first().map_or(Path::new("/"), |path| path.as_path());
            flag(root, StatVfsMountFlags::RDONLY, "read-only")
        }));
    }
    let places = target.writable.iter().map(|place| place.path.clone());
    for path in [Path::new("/").to_owned()].into_iter().chain(places) {
        let again = path.clone();
        attacks.push(Attack::once(GROUP, format!("use setuid programs of {}", path.display()), move |_| {
            flag(&path, StatVfsMountFlags::NOSUID, "nosuid")
        }));
        attacks.push(Attack::once(GROUP, format!("use device nodes of {}", again.display()), move |_| {
            flag(&again, StatVfsMountFlags::NODEV, "nodev")
        }));
    }
    attacks.extend([
        Attack::once(GROUP, "read a file of the host", |target| read_bait(target, Path::new("/"))),
        Attack::once(GROUP, "read a file of the host through the supervisor", |target| {
            read_bait(target, Path::new(&format!("/proc/{}/root", target.supervisor)))
        }),
        Attack::once(GROUP, "read a file of the host by climbing", |target| {
            read_bait(target, Path::new("/../../../../../.."))
        }),
        Attack::once(GROUP, "find mounts of the host", |_| find_mounts()),
        Attack::once(GROUP, "give a file to root", give_to_root),
    ]);
    attacks
}

fn write_to(directory: &Path) -> Outcome {
    let path = directory.join(OWN);
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(_) => match fs::remove_file(&path) {
            Ok(()) => Outcome::Breach("made a file".to_owned()),
            Err(error) => Outcome::Breach(format!("made a file, which stays: {error}")),
        },
        Err(error) => Outcome::Denied(error.to_string()),
    }
}

fn flag(path: &Path, flag: StatVfsMountFlags, word: &str) -> Outcome {
    match statvfs(path) {
        Ok(found) if found.f_flag.contains(flag) => Outcome::Denied(format!("it is mounted {word}")),
        Ok(_) => Outcome::Breach(format!("it is not mounted {word}")),
        Err(error) => Outcome::Breach(format!("the mount cannot be looked at: {error}")),
    }
}

fn read_bait(target: &Target, root: &Path) -> Outcome {
    let file = target.host.file.strip_prefix("/").unwrap_or(&target.host.file);
    match fs::read(root.join(file)) {
        Ok(_) => Outcome::Breach("read it".to_owned()),
        Err(error) => Outcome::Denied(error.to_string()),
    }
}

fn find_mounts() -> Outcome {
    let mounts = match fs::read_to_string("/proc/self/mountinfo") {
        Ok(mounts) => mounts,
        Err(error) => return Outcome::Breach(format!("the mounts cannot be read: {error}")),
    };
    let points: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    let roots = points.iter().filter(|point| **point == "/").count();
    let known = |point: &str| {
        // Below these there is what the sandbox itself is made of; `/usr` is the host's where the image says so.
        let below = ["/dev/", "/proc/", "/run/", "/usr/"].iter().any(|place| point.starts_with(place));
        MOUNTS.contains(&point) || below
    };
    match points.iter().find(|point| !known(point)) {
        Some(foreign) => Outcome::Breach(format!("{foreign} is mounted")),
        None if roots > 1 => Outcome::Breach("something lies over the root".to_owned()),
        None => Outcome::Denied(format!("only the sandbox's own {} are there", points.len())),
    }
}

fn give_to_root(target: &Target) -> Outcome {
    let Some(place) = target.writable.first() else {
        return Outcome::Skipped("nothing can be written to".to_owned());
    };
    let path = place.path.join(OWN);
    let given = fs::write(&path, "").and_then(|()| std::os::unix::fs::chown(&path, Some(0), Some(0)));
    let removed = fs::remove_file(&path);
    match (given, removed) {
        (Ok(()), _) => Outcome::Breach("gave it away".to_owned()),
        (Err(error), Ok(())) if error.kind() == io::ErrorKind::PermissionDenied => {
            Outcome::Denied(error.to_string())
        }
        (Err(error), _) => Outcome::Breach(format!("could not be tried: {error}")),
    }
}

//! What the kernel shows and lets be changed in `/proc` and `/sys`.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sandkasten_attacks::Outcome;

use crate::attack::Attack;

const GROUP: &str = "proc and sys";

/// Files by which the host is changed: programs that the kernel starts as root, keys of the console, formats of programs.
const WRITABLE: [&str; 8] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/kernel/poweroff_cmd",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sysrq-trigger",
    "/proc/self/oom_score_adj",
];

/// Files that tell of the host: its memory, addresses, keys, log, devices and how it was started.
const TELLING: [&str; 16] = [
    "/proc/kcore",
    "/proc/kmsg",
    "/proc/kallsyms",
    "/proc/keys",
    "/proc/key-users",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/interrupts",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/modules",
    "/proc/slabinfo",
    "/proc/timer_list",
    "/proc/sched_debug",
];

pub(crate) fn attacks() -> Vec<Attack> {
    let writable = WRITABLE.map(|path| {
        Attack::once(GROUP, format!("open {path} for writing"), move |_| {
            match OpenOptions::new().write(true).open(path) {
                Ok(file) if is_null(&file) => Outcome::Denied("it is covered".to_owned()),
                Ok(_) => Outcome::Breach("opened it".to_owned()),
                Err(error) => Outcome::Denied(error.to_string()),
            }
        })
    });
    let telling =
        TELLING.map(|path| Attack::once(GROUP, format!("read {path}"), move |_| read(Path::new(path))));
    let mut attacks: Vec<Attack> = writable.into_iter().chain(telling).collect();
    attacks.extend([
        Attack::once(GROUP, "open any file of /proc for writing", |_| open_any()),
        Attack::once(GROUP, "find room for a user namespace", |_| find_room()),
        Attack::once(GROUP, "find /sys", |_| find("/sys/kernel")),
        Attack::once(GROUP, "find the cgroups", |_| find("/sys/fs/cgroup")),
        Attack::once(GROUP, "find the host's firmware", |_| find("/sys/firmware")),
    ]);
    attacks
}

fn is_null(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let null = rustix::fs::makedev(1, 3);
    file.metadata().is_ok_and(|found| found.file_type().is_char_device() && found.rdev() == null)
}

fn read(path: &Path) -> Outcome {
    let opened = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    // Some of them are read in whole words alone.
    let mut word = [0_u8; 8];
    match opened.and_then(|mut file| file.read(&mut word)) {
        Ok(0) => Outcome::Denied("it is empty".to_owned()),
        Ok(_) => Outcome::Breach("read it".to_owned()),
        Err(error) => Outcome::Denied(error.to_string()),
    }
}

fn find(path: &str) -> Outcome {
    match fs::read_dir(path) {
        Ok(_) => Outcome::Breach("listed it".to_owned()),
        Err(error) => Outcome::Denied(error.to_string()),
    }
}

/// The filter refuses the calls for it; where it does not, this number does.
fn find_room() -> Outcome {
    match fs::read_to_string("/proc/sys/user/max_user_namespaces") {
        Ok(number) if number.trim() == "0" => Outcome::Denied("none may be made".to_owned()),
        Ok(number) => Outcome::Breach(format!("{} may be made", number.trim())),
        Err(error) => Outcome::Breach(format!("the number cannot be read: {error}")),
    }
}

/// Goes through what `/proc` has of the kernel and of this process.
fn open_any() -> Outcome {
    let mut places: Vec<PathBuf> = vec!["/proc".into(), "/proc/self".into()];
    let mut tried = 0_u32;
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                let of_a_process = name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
                // What a process has open may well be writable; threads show the same again.
                let elsewhere = matches!(name.to_str(), Some("fd" | "task" | "map_files"));
                if !of_a_process && !elsewhere {
                    places.push(path);
                }
            } else if kind.is_file() {
                tried += 1;
                let flags = OFlags::NONBLOCK.bits().cast_signed();
                let opened = OpenOptions::new().write(true).custom_flags(flags).open(&path);
                if opened.is_ok_and(|file| !is_null(&file)) {
                    return Outcome::Breach(format!("opened {}", path.display()));
                }
            }
        }
    }
    Outcome::Denied(format!("none of {tried} opens"))
}

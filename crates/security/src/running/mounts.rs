//! The mounts of a sandbox and their flags.

use std::io;

use sandkasten_daemon::config::Config;

use super::judge;
use super::sandbox::Sandbox;
use crate::Finding;

const GROUP: &str = "mounts";

/// One line of `/proc/<pid>/mountinfo`: proc_pid_mountinfo(5).
struct Mount {
    point: String,
    options: Vec<String>,
    propagation: Vec<String>,
    kind: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let fields: Vec<&str> = before.split(' ').collect();
        Some(Self {
            point: (*fields.get(4)?).to_owned(),
            options: fields.get(5)?.split(',').map(str::to_owned).collect(),
            propagation: fields.get(6..)?.iter().map(|field| (*field).to_owned()).collect(),
            kind: after.split(' ').next()?.to_owned(),
        })
    }

    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }
}

pub(super) fn check(config: &Config, sandbox: &Sandbox) -> io::Result<Vec<Finding>> {
    // Of a command: the supervisor sees the same, but a command is what it is for.
    let process = sandbox.commands().first().map_or_else(|| sandbox.supervisor(), Ok)?;
    let text = process.text("mountinfo")?;
    let mounts: Option<Vec<Mount>> = text.lines().map(Mount::parse).collect();
    let mounts = mounts.ok_or_else(|| io::Error::other("a mountinfo that cannot be read"))?;
    let mut findings = Vec::new();
    if config.defaults.readonly_rootfs {
        findings.push(all(&mounts, "read-only root", |mount| mount.point != "/" || mount.has("ro")));
    }
    findings.extend([
        all(&mounts, "nosuid", |mount| mount.has("nosuid")),
        // Where the devices are, they are meant to work; everywhere else none does.
        all(&mounts, "nodev", |mount| {
            mount.has("nodev") || mount.point.starts_with("/dev") || is_mask(mount)
        }),
        all(&mounts, "read-only /proc", |mount| mount.point != "/proc" || mount.has("ro")),
        all(&mounts, "read-only /dev", |mount| mount.point != "/dev" || mount.has("ro")),
        all(&mounts, "private mounts", |mount| {
            mount.propagation.iter().all(|field| !field.starts_with("shared") && !field.starts_with("master"))
        }),
        all(&mounts, "no kernel filesystems", |mount| {
            !matches!(
                mount.kind.as_str(),
                "sysfs"
                    | "cgroup"
                    | "cgroup2"
                    | "debugfs"
                    | "tracefs"
                    | "securityfs"
                    | "bpf"
                    | "devtmpfs"
                    | "fuse"
                    | "binfmt_misc"
                    | "configfs"
                    | "efivarfs"
                    | "pstore"
            )
        }),
        masked(&mounts),
    ]);
    Ok(findings)
}

/// A file of `/proc` that is covered with the null device.
fn is_mask(mount: &Mount) -> bool {
    mount.point.starts_with("/proc/")
}

fn all(mounts: &[Mount], name: &str, holds: impl Fn(&Mount) -> bool) -> Finding {
    let wrong: Vec<&str> =
        mounts.iter().filter(|mount| !holds(mount)).map(|mount| mount.point.as_str()).collect();
    let wrong = if wrong.is_empty() { String::new() } else { format!("not so: {}", wrong.join(", ")) };
    judge(GROUP, name, wrong, format!("{} mounts looked at", mounts.len()))
}

/// The most telling files; the attacks try to read each.
fn masked(mounts: &[Mount]) -> Finding {
    let wanted = ["/proc/keys", "/proc/kallsyms", "/proc/interrupts", "/proc/cmdline"];
    let bare: Vec<&str> =
        wanted.into_iter().filter(|path| !mounts.iter().any(|mount| mount.point == *path)).collect();
    let wrong = if bare.is_empty() { String::new() } else { format!("bare: {}", bare.join(", ")) };
    let count = mounts.iter().filter(|mount| is_mask(mount)).count();
    judge(GROUP, "covered files of /proc", wrong, format!("{count} of them"))
}

#[cfg(test)]
mod tests {
    use super::Mount;

    #[test]
    fn a_line_is_read_with_its_optional_fields() {
        let line = "78 70 0:53 / /proc ro,nosuid,nodev shared:3 master:1 - proc none rw";
        let mount = Mount::parse(line).expect("a mount");
        assert_eq!((mount.point.as_str(), mount.kind.as_str()), ("/proc", "proc"));
        assert!(mount.has("ro") && mount.has("nodev") && !mount.has("rw"));
        assert_eq!(mount.propagation, ["shared:3", "master:1"]);
        assert!(Mount::parse("78 70 0:53 /").is_none());
    }
}

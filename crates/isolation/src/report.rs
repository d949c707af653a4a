//! What is really enforced on a running sandbox, read back from the kernel from outside: never assumed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::host::{PathError, SandboxProcess};

/// The namespaces every sandbox must have of its own.
pub const NAMESPACES: [&str; 8] = ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup", "time"];

/// What the kernel says of one process of a sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enforced {
    /// Namespaces that differ from the daemon's own.
    pub namespaces: Vec<String>,
    /// The first host uid of its map, and how many are mapped.
    pub uid_map: (u32, u32),
    /// Inheritable, permitted, effective, bounding and ambient capabilities.
    pub capabilities: [u64; 5],
    /// Whether `no_new_privs` is set.
    pub no_new_privs: bool,
    /// The seccomp mode: 0 none, 2 filters.
    pub seccomp_mode: u32,
    /// How many filters there are.
    pub seccomp_filters: u32,
    /// Whether the root filesystem is mounted read-only.
    pub readonly_rootfs: bool,
}

impl Enforced {
    /// Reads the state of a process. Blocking; needs root of the host.
    ///
    /// # Errors
    /// The [`PathError`] of the file of `/proc` that cannot be read.
    pub fn read(process: &SandboxProcess) -> Result<Self, PathError> {
        let directory = PathBuf::from(format!("/proc/{}", process.pid()));
        let status = read(&directory.join("status"))?;
        let mut enforced = Self::parse_status(&status);
        for name in NAMESPACES {
            // A process enters a time namespace with its children: time_namespaces(7).
            let link = if name == "time" { "time_for_children" } else { name };
            let own = Path::new("/proc/self/ns").join(name);
            let own = fs::read_link(&own).map_err(PathError::of("read", &own))?;
            if process.namespace(link)? != own {
                enforced.namespaces.push(name.to_owned());
            }
        }
        enforced.uid_map = parse_map(&read(&directory.join("uid_map"))?);
        enforced.readonly_rootfs = root_is_read_only(&read(&directory.join("mountinfo"))?);
        Ok(enforced)
    }

    fn parse_status(status: &str) -> Self {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map_or("", str::trim)
        };
        // A field that is missing counts as the worst it could say.
        let capabilities = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
            .map(|name| u64::from_str_radix(field(name), 16).unwrap_or(u64::MAX));
        Self {
            capabilities,
            no_new_privs: field("NoNewPrivs") == "1",
            seccomp_mode: field("Seccomp").parse().unwrap_or(0),
            seccomp_filters: field("Seccomp_filters").parse().unwrap_or(0),
            ..Self::default()
        }
    }
}

fn read(path: &Path) -> Result<String, PathError> {
    fs::read_to_string(path).map_err(PathError::of("read", path))
}

fn parse_map(map: &str) -> (u32, u32) {
    let mut numbers = map.split_whitespace().skip(1).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn root_is_read_only(mountinfo: &str) -> bool {
    mountinfo.lines().any(|line| {
        let mut fields = line.split(' ').skip(4);
        fields.next() == Some("/")
            && fields.next().is_some_and(|options| options.split(',').any(|o| o == "ro"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Enforced, parse_map, root_is_read_only};

    #[test]
    fn a_missing_field_counts_as_the_worst() {
        let enforced = Enforced::parse_status("Name:\tx\n");
        assert_eq!(enforced.capabilities, [u64::MAX; 5]);
        assert!(!enforced.no_new_privs);
        assert_eq!(enforced.seccomp_mode, 0);
    }

    #[test]
    fn status_is_read_as_the_kernel_writes_it() {
        let status = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                      CapBnd:\t0000000000000001\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
                      Seccomp_filters:\t1\n";
        let enforced = Enforced::parse_status(status);
        assert_eq!(enforced.capabilities, [0, 0, 0, 1, 0]);
        assert!(enforced.no_new_privs);
        assert_eq!((enforced.seccomp_mode, enforced.seccomp_filters), (2, 1));
    }

    #[test]
    fn the_root_mount_decides_about_read_only() {
        assert!(root_is_read_only("7 6 0:9 / / ro,nosuid - overlay overlay rw"));
        assert!(!root_is_read_only("7 6 0:9 / / rw,nosuid - overlay overlay ro"));
        assert!(!root_is_read_only("7 6 0:9 / /tmp ro - tmpfs tmpfs ro"));
    }

    #[test]
    fn maps_give_the_host_side() {
        assert_eq!(parse_map("         0 1879048192      65536\n"), (1_879_048_192, 65_536));
    }
}

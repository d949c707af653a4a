//! What to build, as plain data: made and checked by the daemon, carried out by the runner.
//!
//! Serialised once per session over the set-up socket. Nothing here touches the kernel.

use serde::{Deserialize, Serialize};

use crate::controls::Controls;
use crate::seccomp::Instruction;

/// Ids in a session's range; inside they are 0 to 65535.
pub const RANGE_IDS: u32 = 65_536;
/// The first host id that sandboxes use: above every range that distributions, `systemd-nspawn` (up to 1,879,048,191)
/// and `/etc/subuid` hand out.
pub const FIRST_HOST_ID: u32 = 0x7000_0000;
/// How many ranges there are, and so how many sessions can live at once on one host.
pub const RANGES: u32 = 4_095;
/// The uid and gid that commands run as, inside.
pub const SANDBOX_ID: u32 = 1_000;
/// The uid and gid that own everything in a workspace on disk, whatever session wrote it: of the range behind the last
/// one, so that neither a session nor an account of the host has it.
pub const WORKSPACE_OWNER: u32 = FIRST_HOST_ID + RANGES * RANGE_IDS + SANDBOX_ID;
/// Where the runner keeps its own files inside the sandbox; owned by root there and not writable for commands.
pub const CONTROL_DIRECTORY: &str = "/run/sandkasten";
/// The home directory of the sandbox user.
pub const HOME_DIRECTORY: &str = "/home/sandbox";
/// The directory that clients' files live in.
pub const WORKSPACE_DIRECTORY: &str = "/workspace";

/// The 65,536 host ids that belong to one session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UidRange(u32);

/// A range number beyond the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("range {index} does not exist: there are {RANGES}")]
pub struct NoSuchRange {
    /// The number asked for.
    pub index: u32,
}

impl UidRange {
    /// Returns the range with this number, 0 to [`RANGES`] - 1.
    ///
    /// # Errors
    /// [`NoSuchRange`] for a larger number.
    pub const fn from_index(index: u32) -> Result<Self, NoSuchRange> {
        if index < RANGES { Ok(Self(index)) } else { Err(NoSuchRange { index }) }
    }

    /// Returns the number of the range.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Returns the host id that is root inside.
    #[must_use]
    pub const fn base(self) -> u32 {
        FIRST_HOST_ID + self.0 * RANGE_IDS
    }

    /// Returns the host id of the user that commands run as.
    #[must_use]
    pub const fn sandbox_user(self) -> u32 {
        self.base() + SANDBOX_ID
    }
}

/// Whether the root filesystem can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootMode {
    /// Every write outside the writable mounts fails with `EROFS`.
    ReadOnly,
    /// Writes go to a tmpfs of this size and vanish with the session.
    Writable {
        /// The most bytes that can be written.
        size_bytes: u64,
    },
    /// Writes go to a directory of the host, which comes as a descriptor, and stay there when the sandbox has ended.
    Kept,
}

/// Who the commands of a sandbox run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// User and group [`SANDBOX_ID`], without any capability: every session.
    Sandbox,
    /// Whoever a step of the building of an image is to run as. Root has the capabilities over the sandbox's own namespace
    /// that installing software needs, and there is no shell.
    Builder(Account),
}

/// A user and its groups, as ids inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user.
    pub user: u32,
    /// Its first group.
    pub group: u32,
    /// Its other groups.
    pub groups: Vec<u32>,
}

/// Who owns the root directory of a tmpfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// Root inside: commands cannot write unless the mode lets everybody.
    Root,
    /// The user that commands run as.
    Sandbox,
}

/// A bounded tmpfs; always `nosuid,nodev`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Absolute path inside.
    pub target: String,
    /// The most bytes it holds.
    pub size_bytes: u64,
    /// The most files and directories it holds.
    pub inodes: u64,
    /// Permission bits of its root directory.
    pub mode: u32,
    /// Who owns its root directory.
    pub owner: Owner,
}

/// Which shell a session prefers; the other is taken where the image lacks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShellPreference {
    /// `bash`, else `sh`.
    Bash,
    /// `sh`.
    Sh,
}

/// How many descriptors of the session's cgroups come with a plan. Found out by the launch, not planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CgroupDescriptors {
    /// v1 `tasks` files of the session.
    pub(crate) session_tasks: usize,
    /// v1 `tasks` files that the runner itself moves to.
    pub(crate) runner_tasks: usize,
    /// The directory and the `cgroup.procs` file of the first v2 process group: two, or none.
    pub(crate) process_group: usize,
}

/// Everything the runner needs to build the sandbox from inside. What it builds from travels beside it as descriptors, in
/// the order: device tree, layers (topmost first), binds, the workspace and the lock on it, the directory for what is kept of
/// the root, cgroups, the lock on the uid range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPlan {
    /// The UTS name; must be a valid host name.
    pub hostname: String,
    /// An empty directory of the host on which the runner assembles its root, in its own mount namespace.
    pub staging: String,
    /// How many image layers come as descriptors.
    pub layers: usize,
    /// Where each read-only bind goes, absolute inside; one descriptor each.
    pub binds: Vec<String>,
    /// Whether the root filesystem can be written to.
    pub root: RootMode,
    /// Who commands run as.
    pub identity: Identity,
    /// The writable mounts.
    pub tmpfs: Vec<Tmpfs>,
    /// Where the workspace that outlives the session goes, absolute inside; two descriptors: its mount and a lock.
    pub workspace: Option<String>,
    /// Files that the sandbox sees with this content, over whatever the image has: absolute path, content.
    pub files: Vec<(String, String)>,
    /// The environment of the shell, `NAME=value`.
    pub environment: Vec<String>,
    /// Which shell is preferred.
    pub shell: ShellPreference,
    /// The directory in which the shell starts.
    pub working_directory: String,
    /// The compiled seccomp filter; none where the profile is `off`.
    pub seccomp: Option<Vec<Instruction>>,
    /// The most open files of a process.
    pub open_files: u64,
    /// What is in force: everything, but in tests.
    pub controls: Controls,
}

/// What makes a plan impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// The host name is not one.
    #[error("{hostname:?} is no host name: expected 1 to 64 of a-z, 0-9 and hyphen")]
    Hostname {
        /// What was given.
        hostname: String,
    },
    /// A path inside the sandbox is relative, has a `..`, or an empty component.
    #[error("{path:?} is no absolute, normalised path")]
    Path {
        /// What was given.
        path: String,
    },
    /// There is nothing to make a root filesystem of.
    #[error("the image has no layers")]
    NoLayers,
    /// More layers than one overlay takes in one option string.
    #[error("the image has {layers} layers, at most {MAX_LAYERS} can be stacked")]
    TooManyLayers {
        /// How many there are.
        layers: usize,
    },
    /// A text holds a NUL byte, which no kernel interface can carry.
    #[error("{what} holds a NUL byte")]
    Nul {
        /// Which text.
        what: &'static str,
    },
}

/// The most layers of one image: their names have to fit the 256 bytes of one fsconfig(2) value.
pub const MAX_LAYERS: usize = 64;

impl SandboxPlan {
    /// Checks everything that can be checked without a kernel.
    ///
    /// # Errors
    /// The first [`InvalidPlan`] found.
    pub fn validate(&self) -> Result<(), InvalidPlan> {
        let name = &self.hostname;
        let allowed = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !allowed || name.is_empty() || name.len() > 64 {
            return Err(InvalidPlan::Hostname { hostname: name.clone() });
        }
        if self.layers == 0 {
            return Err(InvalidPlan::NoLayers);
        }
        if self.layers > MAX_LAYERS {
            return Err(InvalidPlan::TooManyLayers { layers: self.layers });
        }
        let tmpfs = self.tmpfs.iter().map(|mount| &mount.target);
        let files = self.files.iter().map(|(path, _)| path);
        let paths = self.binds.iter().chain(tmpfs).chain(files).chain(&self.workspace);
        for path in paths.chain([&self.working_directory]) {
            let normal = path.strip_prefix('/').is_some_and(|rest| {
                rest.is_empty() || rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
            });
            if !normal || path.contains('\0') {
                return Err(InvalidPlan::Path { path: path.clone() });
            }
        }
        if self.environment.iter().any(|variable| variable.contains('\0')) {
            return Err(InvalidPlan::Nul { what: "the environment" });
        }
        Ok(())
    }
}

/// What the runner answers when it has tried to build the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetupReply {
    /// The sandbox stands. Its root directory comes along, and the process descriptor of a shell that has been started, where
    /// the image has one. Another answer follows then.
    Ready {
        /// The ABI of the landlock rules in force; 0 where the kernel has none.
        landlock_abi: u32,
    },
    /// The shell takes commands.
    ShellReady,
    /// The image cannot be used: its shell takes no commands. As a first answer it is the last, and the runner has exited.
    UnusableImage {
        /// What it lacks.
        reason: String,
    },
    /// A step failed; the runner has exited.
    Failed {
        /// What failed, from the outermost step to the kernel's reason.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::{
        FIRST_HOST_ID, Identity, InvalidPlan, RANGE_IDS, RANGES, RootMode, SandboxPlan, ShellPreference,
        UidRange, WORKSPACE_OWNER,
    };

    fn plan() -> SandboxPlan {
        SandboxPlan {
            hostname: "0123abcd-ef01".into(),
            staging: "/staging".into(),
            layers: 1,
            binds: vec!["/usr".into()],
            root: RootMode::ReadOnly,
            identity: Identity::Sandbox,
            tmpfs: Vec::new(),
            workspace: None,
            files: Vec::new(),
            environment: vec!["A=b".into()],
            shell: ShellPreference::Bash,
            working_directory: "/workspace".into(),
            seccomp: None,
            open_files: 1024,
            controls: crate::controls::Controls::default(),
        }
    }

    #[test]
    fn ranges_do_not_overlap_and_fit_in_31_bits() {
        let last = UidRange::from_index(RANGES - 1).expect("the last range");
        assert_eq!(UidRange::from_index(0).expect("the first range").base(), FIRST_HOST_ID);
        assert_eq!(last.base() - UidRange::from_index(RANGES - 2).expect("a range").base(), RANGE_IDS);
        assert!(last.base().checked_add(RANGE_IDS).is_some_and(|end| end <= 1 << 31));
        assert!(UidRange::from_index(RANGES).is_err());
        assert!(WORKSPACE_OWNER >= last.base() + RANGE_IDS && WORKSPACE_OWNER < 1 << 31);
    }

    #[test]
    fn a_sound_plan_passes() {
        assert_eq!(plan().validate(), Ok(()));
    }

    #[test]
    fn paths_that_climb_are_refused() {
        for path in ["usr", "/usr/..", "/./usr", "//usr", "/usr/", "/a\0b"] {
            let bind = SandboxPlan { binds: vec![path.into()], ..plan() };
            let workspace = SandboxPlan { workspace: Some(path.into()), ..plan() };
            for plan in [bind, workspace] {
                assert_eq!(plan.validate(), Err(InvalidPlan::Path { path: path.into() }));
            }
        }
    }

    #[test]
    fn host_names_with_other_characters_are_refused() {
        for hostname in ["", "a b", "A", "a.b", &"x".repeat(65)] {
            let plan = SandboxPlan { hostname: hostname.into(), ..plan() };
            assert!(matches!(plan.validate(), Err(InvalidPlan::Hostname { .. })), "{hostname:?}");
        }
    }

    #[test]
    fn an_image_without_layers_is_refused() {
        assert_eq!(SandboxPlan { layers: 0, ..plan() }.validate(), Err(InvalidPlan::NoLayers));
    }
}

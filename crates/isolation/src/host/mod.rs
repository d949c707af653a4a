//! Steps taken from outside by the daemon, every one of which can be undone.

pub mod cgroup;
mod device_tree;
mod fittings;
mod floor;
mod id_mapping;
mod launch;
mod path_error;
mod root_directory;
mod runner_image;
mod sandbox_process;
mod uid_lease;

pub use device_tree::{DeviceTree, DeviceTreeError};
pub use fittings::Fittings;
pub use floor::{Floor, FloorError, FloorWork};
pub use id_mapping::MapOwnerError;
pub use launch::{LaunchError, LaunchRequest, Launched, ShellStart, WorkspaceSource, launch};
pub use path_error::PathError;
pub use root_directory::{
    ChangeKind, Copied, Entry, EntryKind, Existing, FileChange, FileError, FileVersion, ListOptions, Listing,
    Parents, PendingFile, RemovalDepth, Reserve, RootDirectory, TreeBounds, TreeWatch, TreeWriter,
    Unreadable, VisitEnd, Visited, WatchAllowance, WatchBounds, WatchDepth, WatchEvent, WatchPermit,
};
pub use runner_image::{RunnerImage, RunnerImageError};
pub use sandbox_process::{ProcessEnd, ProcessError, SandboxProcess};
pub use uid_lease::{LEASE_DIRECTORY, LeaseError, UidLease, UidLeases};

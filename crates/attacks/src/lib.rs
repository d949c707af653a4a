//! What is tried against a sandbox from inside, and what came of it: the words that the program of this crate and
//! `sandkasten security` speak with each other.
//!
//! The program gets a file with a [`Target`] as its one argument, tries everything, each attempt in a process of its own, and prints
//! an [`Attempted`] a line. It must do no harm where it succeeds, because it is also run outside of any sandbox to see
//! that it can.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use sandkasten_isolation::seccomp::SeccompProfile;
use serde::{Deserialize, Serialize};

/// What to attack, and what would be a breach of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The profile that is configured; only what it refuses is tried.
    pub seccomp: SeccompProfile,
    /// Whether the root filesystem is configured to be read-only.
    pub readonly_rootfs: bool,
    /// The process that supervises: 1 in a sandbox.
    pub supervisor: i32,
    /// The most processes; none where trying so many would take too long.
    pub processes: Option<u64>,
    /// The most memory, in bytes; none where trying so much would take too long.
    pub memory_bytes: Option<u64>,
    /// The most open files of a process.
    pub open_files: u64,
    /// The places that can be written to, with their bounds.
    pub writable: Vec<Place>,
    /// Directories that must not be written to.
    pub unwritable: Vec<PathBuf>,
    /// What the host offers to those who get out.
    pub host: Bait,
}

/// A place that can be written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its path inside.
    pub path: PathBuf,
    /// The most bytes it holds; none where filling it would take too long.
    pub bytes: Option<u64>,
    /// The most files it holds; none where filling it would take too long.
    pub files: Option<u64>,
}

/// Things of the host that are there to be found by an attack that gets out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bait {
    /// A port on which the host listens on 127.0.0.1.
    pub port: u16,
    /// A unix socket on which the host listens, by path.
    pub socket: PathBuf,
    /// A unix socket on which the host listens, by abstract name.
    pub abstract_socket: String,
    /// A file of the host that everybody may read.
    pub file: PathBuf,
    /// A process of the host.
    pub process: i32,
    /// The name of that process, `/proc/<pid>/comm`.
    pub process_name: String,
    /// The name of the host.
    pub hostname: String,
}

/// One attempt and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    /// What it is about.
    pub group: String,
    /// What was tried; no two have the same name.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "lowercase")]
pub enum Outcome {
    /// It was refused; how.
    Denied(String),
    /// It got through; what could be done.
    Breach(String),
    /// It could not be tried; why.
    Skipped(String),
}

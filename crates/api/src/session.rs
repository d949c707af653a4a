//! Sessions: what a client asks for and what it is told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{SessionId, WorkspaceId};

/// The body of `POST /v1/sessions`; every field is optional, and so is the body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateSessionRequest {
    /// The image to start from; absent means the configured default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Seconds of idleness until the session ends; 0 or absent means the configured value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// The workspace to mount at `/workspace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
}

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionStatus {
    /// Takes commands.
    Running,
    /// Frozen; takes none.
    Paused,
    /// Its time to live ran out.
    Expired,
    /// Ended by a client.
    Destroyed,
    /// Its sandbox died under it.
    Crashed,
}

impl SessionStatus {
    /// Returns the word used on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Expired => "expired",
            Self::Destroyed => "destroyed",
            Self::Crashed => "crashed",
        }
    }
}

/// How the sandbox of a session came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AcquireSource {
    /// Built for this request.
    Cold,
    /// Taken from the pool.
    Pool,
}

/// A session as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// The image it started from.
    pub image: String,
    /// Where it is in its life.
    pub status: SessionStatus,
    /// The shell's working directory after the last exec.
    pub cwd: String,
    /// The workspace mounted at `/workspace`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ends, unless it is used before.
    pub expires_at: Timestamp,
    /// How its sandbox came to be.
    pub acquire_source: AcquireSource,
    /// When it was last used; only in the answer about one session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Timestamp>,
    /// What the kernel enforces on it, read back; only in the answer about one session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<SessionIsolation>,
}

/// What the kernel was seen to enforce on a session's processes when it was created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionIsolation {
    /// Namespaces that differ from the host's.
    pub namespaces: Vec<String>,
    /// The first host uid of the session's range of 65,536.
    pub uid_base: u32,
    /// The five capability sets of PID 1, which all processes inherit: inheritable, permitted, effective,
    /// bounding, ambient.
    pub capabilities: [u64; 5],
    /// Whether `no_new_privs` is set.
    pub no_new_privs: bool,
    /// The seccomp mode (2 is a filter) and the number of filters.
    pub seccomp: String,
    /// The landlock ABI in force, or 0 where the kernel has none.
    pub landlock_abi: u32,
    /// Whether the root filesystem is mounted read-only.
    pub readonly_rootfs: bool,
    /// The cgroup hierarchies that limit the session: `v2` or `v1`.
    pub cgroup: String,
}

/// The answer of `GET …/stats`, read from the session's cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStats {
    /// Memory in use, in bytes, page cache and tmpfs included.
    pub memory_bytes: u64,
    /// The memory limit in bytes.
    pub memory_limit: u64,
    /// The most memory that was in use at once, in bytes.
    pub memory_peak_bytes: u64,
    /// CPU time used, in microseconds.
    pub cpu_usage_usec: u64,
    /// The CPU limit in thousandths of a core.
    pub cpu_limit_millis: u64,
    /// Processes and threads alive.
    pub pids: u64,
    /// The limit of processes and threads.
    pub pids_limit: u64,
    /// Processes killed because the memory limit was reached.
    pub oom_kills: u64,
}

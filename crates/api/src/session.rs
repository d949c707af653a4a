//! Sessions: what a client asks for and what it is told.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::id::{SessionId, WorkspaceId};
use crate::label::{LabelChanges, Labels};
use crate::name::SessionName;
use crate::schema::{ImageName, TtlSeconds};

/// The body of `POST /v1/sessions`; every field is optional, and so is the body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSessionRequest {
    /// The image to start from; absent means the configured default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ImageName>)]
    pub image: Option<String>,
    /// Seconds of idleness until the session ends; 0 or absent means the configured value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TtlSeconds>)]
    pub ttl_seconds: Option<u64>,
    /// The workspace to mount at `/workspace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WorkspaceId>)]
    pub workspace_id: Option<String>,
    /// A name that no other live session has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<SessionName>,
    /// What to find the session by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

/// The body of `PATCH /v1/sessions/{id}`: what is not given stays as it is, and `null` is the value of a session that was
/// created without the field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSessionRequest {
    /// Seconds of idleness until the session ends, from now on; 0 or `null` means the configured value.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<TtlSeconds>)]
    pub ttl_seconds: Option<Option<u64>>,
    /// Changes of single labels, each set or removed by `null`; `null` removes all.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<LabelChanges>)]
    pub labels: Option<Option<LabelChanges>>,
    /// A name that no other live session has; `null` removes it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<SessionName>)]
    pub name: Option<Option<SessionName>>,
}

/// Tells a field that is `null` from one that is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Paused, Self::Expired, Self::Destroyed, Self::Crashed];

    /// Whether the session is over.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Expired | Self::Destroyed | Self::Crashed)
    }

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcquireSource {
    /// Built for this request.
    Cold,
    /// Taken from the pool.
    Pool,
}

impl AcquireSource {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Cold, Self::Pool];

    /// Returns the word used on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Pool => "pool",
        }
    }
}

/// A session as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// The image it started from.
    pub image: String,
    /// What its client calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<SessionName>,
    /// What its client wrote on it.
    #[serde(default)]
    pub labels: Labels,
    /// Where it is in its life.
    pub status: SessionStatus,
    /// Why it is there, where there is more to say than the status does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The shell's working directory after the last exec.
    pub cwd: String,
    /// The workspace mounted at `/workspace`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// After how many seconds without use it ends.
    #[serde(default)]
    pub ttl_seconds: u64,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

#[cfg(test)]
mod tests {
    use super::UpdateSessionRequest;

    #[test]
    fn a_field_that_is_null_is_told_from_one_that_is_not_there() {
        let parse = |text| serde_json::from_str::<UpdateSessionRequest>(text).expect("a request");
        assert_eq!(parse("{}"), UpdateSessionRequest::default());
        let nulls = parse(r#"{"ttl_seconds":null,"labels":null,"name":null}"#);
        assert_eq!((nulls.ttl_seconds, &nulls.labels, &nulls.name), (Some(None), &Some(None), &Some(None)));
        assert_eq!(parse(&serde_json::to_string(&nulls).expect("JSON")), nulls);
    }
}

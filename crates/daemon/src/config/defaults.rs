//! The `defaults` section: limits and behaviour of every session.

use garde::Validate;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rules::{self, keyword_enum};

/// The `defaults` section.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct DefaultsConfig {
    /// CPU time per wall-clock time, in cores.
    // A range rule would let NaN through.
    #[garde(custom(rules::cores))]
    pub cpu_limit: f64,
    /// Memory, page cache and tmpfs included, in MiB. Below 16 the shell is killed before it runs anything.
    #[garde(range(min = 16, max = 1_048_576))]
    pub mem_limit_mb: u64,
    /// Processes and threads. The runner, the shell and a pipeline of `make` and a compiler need 8; the upper bound
    /// is the kernel's own (`PID_MAX_LIMIT` of 64-bit Linux).
    #[garde(range(min = 8, max = 4_194_304))]
    pub pids_limit: u32,
    /// The longest an exec may run, in milliseconds, and the timeout of one that names none.
    #[garde(range(min = 1, max = 600_000))]
    pub max_exec_timeout_ms: u64,
    /// What network a session has.
    #[garde(custom(rules::built_network_mode))]
    pub network_mode: NetworkMode,
    /// Whether the root filesystem is mounted read-only.
    #[garde(skip)]
    pub readonly_rootfs: bool,
    /// Whether a session keeps a shell between execs.
    #[garde(custom(rules::built_exec_mode))]
    pub exec_mode: ExecMode,
    /// The shell that is taken where an image has more than one.
    #[garde(skip)]
    pub shell_prefer: ShellPreference,
    /// Size of `/workspace` of a session without a named workspace, in MiB. What is used of it counts as memory.
    #[garde(range(min = 1, max = 1_048_576))]
    pub workspace_mb: u64,
    /// Size of `/tmp`, in MiB. What is used of it counts as memory.
    #[garde(range(min = 1, max = 1_048_576))]
    pub tmp_mb: u64,
}

impl Default for DefaultsConfig {
    fn default() -> Self {
        Self {
            cpu_limit: 1.0,
            mem_limit_mb: 512,
            pids_limit: 256,
            max_exec_timeout_ms: 120_000,
            network_mode: NetworkMode::None,
            readonly_rootfs: true,
            exec_mode: ExecMode::Stateful,
            shell_prefer: ShellPreference::Bash,
            workspace_mb: 1024,
            tmp_mb: 256,
        }
    }
}

keyword_enum! {
    /// What network a session has.
    pub enum NetworkMode {
        /// A loopback interface and nothing else.
        None = "none",
        /// A private network with a way out.
        Bridge = "bridge",
        /// The host's network.
        Host = "host",
    }
}

keyword_enum! {
    /// Whether a session keeps a shell between execs.
    pub enum ExecMode {
        /// One shell runs all execs, so that directory, variables and jobs carry over.
        Stateful = "stateful",
        /// Every exec has a shell of its own.
        Stateless = "stateless",
    }
}

keyword_enum! {
    /// The shell that is taken where an image has more than one.
    pub enum ShellPreference {
        /// `bash`, where there is one.
        Bash = "bash",
        /// `sh`.
        Sh = "sh",
    }
}

//! What a session uses, how often it met its limits, and the limits as the kernel has them.

use std::fs;

use super::hierarchy::{read_keyed, read_number, write};
use super::layout::{Controller, Version};
use super::session::{CPU_PERIOD_USEC, Limits, SessionCgroup};
use crate::host::PathError;

/// What a session uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory in use, in bytes, page cache and tmpfs included.
    pub memory_bytes: u64,
    /// The most memory that was in use at once, in bytes; 0 where the kernel does not keep it (v2 before 5.19).
    pub memory_peak_bytes: u64,
    /// CPU time used, in microseconds.
    pub cpu_usec: u64,
    /// Processes and threads alive.
    pub pids: u64,
    /// Processes killed because the memory limit was reached.
    pub oom_kills: u64,
}

/// How often a session met its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Processes killed because the memory limit was reached.
    pub oom_kills: u64,
    /// Processes and threads that were not started because there were as many as there may be.
    pub forks: u64,
}

/// How many processes the kernel has killed for lack of memory where the runner lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunnerOomKills {
    /// Nobody else lives there: it was this session's runner.
    Own(u64),
    /// The runners of all sessions live there.
    Shared(u64),
}

impl SessionCgroup {
    /// Reads what the session uses. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be read.
    pub fn usage(&self) -> Result<Usage, PathError> {
        let (version, memory) = self.controller(Controller::Memory);
        let (memory_bytes, oom_kills) = match version {
            Version::V2 => {
                (read_number(&memory, "memory.current")?, read_keyed(&memory, "memory.events", "oom_kill")?)
            }
            Version::V1 => (
                read_number(&memory, "memory.usage_in_bytes")?,
                read_keyed(&memory, "memory.oom_control", "oom_kill")?,
            ),
        };
        let memory_peak_bytes = self.memory_peak_bytes()?;
        let cpu_usec = match &self.layout.unified {
            // Every v2 cgroup accounts CPU time, also without the controller.
            Some((root, _)) => read_keyed(&self.directory_in(root), "cpu.stat", "usage_usec")?,
            None => read_number(&self.controller(Controller::CpuAccounting).1, "cpuacct.usage")? / 1_000,
        };
        let pids = read_number(&self.controller(Controller::Pids).1, "pids.current")?;
        Ok(Usage { memory_bytes, memory_peak_bytes, cpu_usec, pids, oom_kills })
    }

    /// Starts the measurement of the most memory in use anew, where the kernel can: v1, and v2 only for whoever asks
    /// (Linux 6.12), which is not worth an open file here. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of the file.
    pub fn reset_memory_peak(&self) -> Result<(), PathError> {
        match self.controller(Controller::Memory) {
            (Version::V1, directory) => write(&directory, "memory.max_usage_in_bytes", "0"),
            (Version::V2, _) => Ok(()),
        }
    }

    /// Reads the most memory that was in use at once since the measurement began; 0 where the kernel does not keep it (v2
    /// before 5.19). Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of the file.
    pub fn memory_peak_bytes(&self) -> Result<u64, PathError> {
        match self.controller(Controller::Memory) {
            (Version::V1, directory) => read_number(&directory, "memory.max_usage_in_bytes"),
            (Version::V2, directory) => match read_number(&directory, "memory.peak") {
                Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(0),
                peak => peak,
            },
        }
    }

    /// Reads how often a process was killed because memory was used up, and how often none could be started because
    /// there were as many as there may be. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be read.
    pub fn refusals(&self) -> Result<Refusals, PathError> {
        let (version, memory) = self.controller(Controller::Memory);
        let file = if version == Version::V2 { "memory.events" } else { "memory.oom_control" };
        let oom_kills = read_keyed(&memory, file, "oom_kill")?;
        let forks = read_keyed(&self.controller(Controller::Pids).1, "pids.events", "max")?;
        Ok(Refusals { oom_kills, forks })
    }

    /// Reads how often the kernel has killed a runner for lack of memory. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be read.
    pub fn runner_oom_kills(&self) -> Result<RunnerOomKills, PathError> {
        match self.layout.locate(Controller::Memory) {
            // In v1 a cgroup counts its own processes only, and all runners are in the daemon's.
            Some((Version::V1, _)) => {
                self.layout.runner_oom_kills(&self.instance).map(RunnerOomKills::Shared)
            }
            _ => read_keyed(&self.runner_directory(), "memory.events", "oom_kill").map(RunnerOomKills::Own),
        }
    }

    /// Reads the limits back from the kernel. Blocking.
    ///
    /// # Errors
    /// The [`PathError`] of a file that cannot be read.
    pub fn limits(&self) -> Result<Limits, PathError> {
        let (version, memory) = self.controller(Controller::Memory);
        let file = if version == Version::V2 { "memory.max" } else { "memory.limit_in_bytes" };
        let memory_bytes = read_number(&memory, file)?;
        let (version, cpu) = self.controller(Controller::Cpu);
        let quota = match version {
            Version::V1 => read_number(&cpu, "cpu.cfs_quota_us")?,
            Version::V2 => {
                let path = cpu.join("cpu.max");
                let text = fs::read_to_string(&path).map_err(PathError::of("read", &path))?;
                text.split(' ').next().and_then(|quota| quota.parse().ok()).unwrap_or(u64::MAX)
            }
        };
        let pids = read_number(&self.controller(Controller::Pids).1, "pids.max")?;
        Ok(Limits { cpu_millis: quota.saturating_mul(1_000) / CPU_PERIOD_USEC, memory_bytes, pids })
    }
}

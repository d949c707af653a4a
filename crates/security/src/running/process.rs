//! One process of a sandbox, as `/proc` of the host has it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A process, by its id on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Its id inside of the sandbox.
    pub(crate) inner_pid: i32,
    /// When it started, field 22 of `/proc/<pid>/stat`, so that a recycled id is not mistaken for it.
    pub(crate) started: String,
}

impl Process {
    /// Reads a process, or returns none where it has ended.
    pub(crate) fn read(pid: i32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let inner_pid = field(&status, "NSpid").split_whitespace().last()?.parse().ok()?;
        Some(Self { pid, inner_pid, started: start_time(pid)? })
    }

    pub(crate) fn is_alive(&self) -> bool {
        start_time(self.pid).as_ref() == Some(&self.started)
    }

    pub(crate) fn text(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.path(file))
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join(file)
    }

    /// What it is, for people.
    pub(crate) fn role(&self) -> String {
        let name = self.text("comm").unwrap_or_default();
        match self.inner_pid {
            1 => "the supervisor".to_owned(),
            _ => format!("process {} ({})", self.inner_pid, name.trim_end()),
        }
    }
}

/// Returns a field of `/proc/<pid>/status`, or nothing.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map_or("", str::trim)
}

fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let rest = stat.rsplit_once(')')?.1;
    let state = rest.split_whitespace().next()?;
    // One that has ended and was not waited for is no process of the sandbox any more.
    (state != "Z").then(|| rest.split_whitespace().nth(19).map(str::to_owned))?
}

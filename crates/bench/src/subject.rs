//! The rows of a report: everything that is measured, once, with the name that programs know it by.

use crate::group::Group;
use crate::unit::Unit;

/// Something that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// clone3 and exit.
    FloorProcess,
    /// The same in new namespaces.
    FloorNamespaces,
    /// The same in a network namespace as well.
    FloorNetwork,
    /// The same with a root filesystem and a program: the floor of a cold create.
    Floor,
    /// A create where nothing is prepared.
    ColdCreate,
    /// A create that is handed a sandbox that was made before.
    PooledCreate,
    /// The first command of a session.
    FirstExec,
    /// A destroy.
    Destroy,
    /// Create, run a program, destroy.
    Cycle,
    /// A command that starts no program.
    ExecBuiltin,
    /// A command that is a program.
    ExecProgram,
    /// The beginning of a stream.
    StreamFirstByte,
    /// Writing a small file.
    FileWrite,
    /// Reading it.
    FileRead,
    /// Writing a large file.
    StreamIn,
    /// Reading it.
    StreamOut,
    /// Cycles of several clients.
    ParallelCycles,
    /// Creates at once.
    Burst,
    /// Memory of an idle session.
    SessionMemory,
    /// Memory of the daemon.
    DaemonMemory,
    /// A program that computes.
    CpuBound,
    /// A program that makes system calls.
    SystemCalls,
    /// Destroys of all sessions of the density at once.
    Teardown,
}

impl Subject {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 23] = [
        Self::FloorProcess,
        Self::FloorNamespaces,
        Self::FloorNetwork,
        Self::Floor,
        Self::ColdCreate,
        Self::PooledCreate,
        Self::FirstExec,
        Self::Destroy,
        Self::Cycle,
        Self::ExecBuiltin,
        Self::ExecProgram,
        Self::StreamFirstByte,
        Self::FileWrite,
        Self::FileRead,
        Self::StreamIn,
        Self::StreamOut,
        Self::ParallelCycles,
        Self::Burst,
        Self::SessionMemory,
        Self::DaemonMemory,
        Self::CpuBound,
        Self::SystemCalls,
        Self::Teardown,
    ];

    /// Its name in JSON, its title for people, its group and its unit.
    const fn describe(self) -> (&'static str, &'static str, Group, Unit) {
        use Unit::{Bytes, MegabytesPerSecond, Milliseconds, PerSecond, Ratio};
        match self {
            Self::FloorProcess => ("floor_process", "clone3 and exit", Group::Floor, Milliseconds),
            Self::FloorNamespaces => {
                ("floor_namespaces", "in six new namespaces", Group::Floor, Milliseconds)
            }
            Self::FloorNetwork => ("floor_network", "and a network namespace", Group::Floor, Milliseconds),
            Self::Floor => ("floor", "and a root, exec: the floor", Group::Floor, Milliseconds),
            Self::ColdCreate => ("cold_create", "cold create", Group::Sessions, Milliseconds),
            Self::PooledCreate => ("pooled_create", "pooled create", Group::Sessions, Milliseconds),
            Self::FirstExec => ("first_exec", "first exec of a session", Group::Sessions, Milliseconds),
            Self::Destroy => ("destroy", "destroy", Group::Sessions, Milliseconds),
            Self::Cycle => ("cycle", "create, exec /bin/true, destroy", Group::Sessions, Milliseconds),
            Self::ExecBuiltin => ("exec_builtin", "exec of a builtin", Group::Exec, Milliseconds),
            Self::ExecProgram => ("exec_true", "exec of /bin/true", Group::Exec, Milliseconds),
            Self::StreamFirstByte => {
                ("stream_first_byte", "first byte of a stream", Group::Exec, Milliseconds)
            }
            Self::FileWrite => ("file_write_64k", "write a file of 64 KiB", Group::Files, Milliseconds),
            Self::FileRead => ("file_read_64k", "read a file of 64 KiB", Group::Files, Milliseconds),
            Self::StreamIn => ("stream_in", "whole file in", Group::Files, MegabytesPerSecond),
            Self::StreamOut => ("stream_out", "whole file out", Group::Files, MegabytesPerSecond),
            Self::ParallelCycles => ("parallel_cycles", "cycles with 8 clients", Group::Parallel, PerSecond),
            Self::Burst => ("burst_of_100", "each of 100 creates at once", Group::Parallel, Milliseconds),
            Self::SessionMemory => ("session_memory", "memory of an idle session", Group::Memory, Bytes),
            Self::DaemonMemory => ("daemon_memory", "memory of the daemon", Group::Memory, Bytes),
            Self::CpuBound => ("cpu_bound", "computing, inside to outside", Group::Cpu, Ratio),
            Self::SystemCalls => ("getpid_loop", "system calls, inside to outside", Group::Cpu, Ratio),
            Self::Teardown => ("teardown", "each of all destroyed at once", Group::Density, Milliseconds),
        }
    }

    /// The name that programs know it by; never changed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.describe().0
    }

    /// What people read.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.describe().1
    }

    /// What it is measured with.
    #[must_use]
    pub const fn group(self) -> Group {
        self.describe().2
    }

    /// What its figures count.
    #[must_use]
    pub const fn unit(self) -> Unit {
        self.describe().3
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Subject;

    #[test]
    fn names_and_titles_are_unique_and_groups_stay_together() {
        let names: BTreeSet<_> = Subject::ALL.iter().map(|subject| subject.name()).collect();
        let titles: BTreeSet<_> = Subject::ALL.iter().map(|subject| subject.title()).collect();
        assert_eq!((names.len(), titles.len()), (Subject::ALL.len(), Subject::ALL.len()));
        assert!(Subject::ALL.is_sorted_by_key(|subject| subject.group()));
    }
}

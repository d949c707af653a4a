//! How much memory the host has to spare.

use std::fs;
use std::io;

use crate::admission::meminfo_bytes;

const MEMINFO: &str = "/proc/meminfo";
/// Nothing is made in advance where less than this part of the host's memory is available.
const LEAST_PART: u64 = 10;

/// The host's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    total: u64,
    available: u64,
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadMemoryError {
    /// The file could not be read.
    #[error("failed to read {MEMINFO}")]
    Read {
        /// The kernel's reason.
        source: io::Error,
    },
    /// A line is missing, or is no number.
    #[error("{MEMINFO} has no {line}")]
    Missing {
        /// Which line.
        line: &'static str,
    },
}

impl Memory {
    /// Reads what the kernel says: one small file.
    ///
    /// # Errors
    /// [`ReadMemoryError`].
    pub(crate) fn read() -> Result<Self, ReadMemoryError> {
        Self::parse(&fs::read_to_string(MEMINFO).map_err(|source| ReadMemoryError::Read { source })?)
    }

    fn parse(text: &str) -> Result<Self, ReadMemoryError> {
        let find = |line: &'static str| meminfo_bytes(text, line).ok_or(ReadMemoryError::Missing { line });
        Ok(Self { total: find("MemTotal")?, available: find("MemAvailable")? })
    }

    /// Whether so little is left that nothing is to be kept for later.
    pub(crate) fn is_short(self) -> bool {
        self.available < self.total / LEAST_PART
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, ReadMemoryError};

    #[test]
    fn memory_is_short_below_a_tenth() {
        let memory = |available| {
            Memory::parse(&format!(
                "MemTotal:       1000 kB\nMemFree:          1 kB\nMemAvailable:    {available} kB\n"
            ))
        };
        assert!(memory(99).expect("sound").is_short());
        assert!(!memory(100).expect("sound").is_short());
        assert!(matches!(
            Memory::parse("MemTotal: 5 kB\n"),
            Err(ReadMemoryError::Missing { line: "MemAvailable" })
        ));
        assert!(Memory::read().is_ok(), "this host says it");
    }
}

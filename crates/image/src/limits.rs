//! Bounds on what an archive may make this host do, and the errors for going past one.

use std::time::{Duration, Instant};

const MEBIBYTE: u64 = 1 << 20;
const GIBIBYTE: u64 = 1 << 30;

/// Bounds on unpacking all archives of an image together. The defaults fit the largest images in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Most bytes of file contents, holes included, and most bytes of the uncompressed archive.
    pub max_bytes: u64,
    /// Most entries.
    pub max_entries: u64,
    /// Most components in one path.
    pub max_depth: usize,
    /// Most uncompressed bytes for each compressed one.
    pub max_ratio: u64,
    /// Uncompressed bytes from which `max_ratio` counts; small archives compress well without being hostile.
    pub ratio_grace_bytes: u64,
    /// Longest time that the import may take, from its beginning to the last archive's end.
    pub max_duration: Duration,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 * GIBIBYTE,
            max_entries: 4_000_000,
            max_depth: 128,
            max_ratio: 1000,
            ratio_grace_bytes: 64 * MEBIBYTE,
            max_duration: Duration::from_secs(2 * 60 * 60),
        }
    }
}

/// When an import has to be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    started: Instant,
    allowed: Duration,
}

impl Deadline {
    /// Lets the time begin that an import may take.
    pub(crate) fn begin(limits: &UnpackLimits) -> Self {
        Self { started: Instant::now(), allowed: limits.max_duration }
    }

    /// Fails where the time is over; for loops that may go on for long.
    pub(crate) fn check(&self) -> Result<(), LimitError> {
        let allowed = self.allowed;
        if self.started.elapsed() > allowed { Err(LimitError::Duration { allowed }) } else { Ok(()) }
    }
}

/// An archive went past one of its limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// The contents or the archive itself are too large.
    #[error("more than {allowed} bytes in the archive")]
    Bytes {
        /// The limit.
        allowed: u64,
    },
    /// Too many entries.
    #[error("more than {allowed} entries in the archive")]
    Entries {
        /// The limit.
        allowed: u64,
    },
    /// A path has too many components.
    #[error("more than {allowed} components in the path {name:?}")]
    Depth {
        /// The limit.
        allowed: usize,
        /// The path, cut to a printable length.
        name: String,
    },
    /// The archive grows too much when it is decompressed.
    #[error("more than {allowed} bytes from each compressed byte")]
    Ratio {
        /// The limit.
        allowed: u64,
    },
    /// The extended headers of one entry are too large to be kept in memory.
    #[error("more than {allowed} bytes of extended headers for one entry")]
    Header {
        /// The limit.
        allowed: u64,
    },
    /// The names of all directories are too large to be kept in memory.
    #[error("more than {allowed} bytes of directory names in the archive")]
    DirectoryNames {
        /// The limit.
        allowed: u64,
    },
    /// The import took too long.
    #[error("the import took longer than {allowed:?}")]
    Duration {
        /// The limit.
        allowed: Duration,
    },
}

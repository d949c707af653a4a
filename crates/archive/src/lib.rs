//! Directories as tar archives, out and in: those of sessions and workspaces in the daemon, those of a user in the command
//! line. What is packed may be rewritten meanwhile, and what is unpacked may be made to do harm.
//!
//! Everything here blocks. The crate knows neither HTTP nor sessions.

#![forbid(unsafe_code)]

mod pack;
mod pieces;
mod unpack;

use std::time::Duration;

use sandkasten_api::limits::{MAX_TREE_DEPTH, MAX_TREE_ENTRIES};
use sandkasten_isolation::host::TreeBounds;

pub use pack::{Packed, pack};
pub use pieces::{PieceReader, PieceWriter};
pub use unpack::{UnpackArchiveError, Unpacked, unpack};

/// What one archive may go through.
pub const BOUNDS: TreeBounds =
    TreeBounds { entries: MAX_TREE_ENTRIES, depth: MAX_TREE_DEPTH, time: Duration::from_secs(3_600) };

/// How an archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// POSIX tar with GNU's long names.
    Tar,
    /// The same in one zstd stream.
    TarZstd,
}

#[cfg(test)]
mod tests;

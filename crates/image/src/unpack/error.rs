//! What can go wrong while an archive is unpacked. Names in it come from the archive and are escaped when printed.

use std::io;

use crate::limits::LimitError;

/// An archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive is compressed in a way that is not supported.
    #[error("the archive is compressed with {found}: only gzip, zstd, xz and plain archives can be read")]
    UnsupportedCompression {
        /// Name of the format.
        found: &'static str,
    },
    /// The archive could not be read or is malformed.
    #[error("read the archive at byte {position} of its uncompressed form")]
    ReadArchive {
        /// Where, counted in the uncompressed archive.
        position: u64,
        /// Why.
        source: io::Error,
    },
    /// The archive ends before its end marker.
    #[error("the archive is cut off after {position} bytes of its uncompressed form")]
    Truncated {
        /// Where, counted in the uncompressed archive.
        position: u64,
    },
    /// The archive has no entries.
    #[error("the archive is empty")]
    Empty,
    /// A limit was reached.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// An entry has a name that is not allowed.
    #[error("entry name {name:?} is not allowed")]
    RefusedName {
        /// The name as in the archive.
        name: String,
        /// Why.
        source: NameProblem,
    },
    /// An entry would be created through a symbolic link.
    #[error("entry {name:?} lies below a symbolic link")]
    ParentIsSymlink {
        /// The name as in the archive.
        name: String,
    },
    /// An entry lies below something that is no directory.
    #[error("entry {name:?} lies below something that is no directory")]
    ParentIsNotDirectory {
        /// The name as in the archive.
        name: String,
    },
    /// The archive has something else than a directory for the root itself.
    #[error("the archive has a {kind} as its root directory")]
    RootIsNotDirectory {
        /// What it has.
        kind: &'static str,
    },
    /// A hard link leads somewhere it must not.
    #[error("hard link {name:?} to {target:?} is not allowed")]
    RefusedHardlink {
        /// The name as in the archive.
        name: String,
        /// Its target as in the archive.
        target: String,
        /// Why.
        source: HardlinkProblem,
    },
    /// A symbolic link has no target, or one that no link can have.
    #[error("symbolic link {name:?} has no usable target")]
    RefusedSymlink {
        /// The name as in the archive.
        name: String,
    },
    /// An entry is of a kind that is not supported.
    #[error("entry {name:?} is of the unsupported kind {kind}")]
    UnsupportedEntry {
        /// The name as in the archive.
        name: String,
        /// The kind, or the character that stands for it in the header.
        kind: String,
    },
    /// A file, directory or link could not be created.
    #[error("create {kind} {name:?}")]
    Create {
        /// What was to be created.
        kind: &'static str,
        /// The name as in the archive.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// An earlier entry of the same name could not be replaced.
    #[error("replace what an earlier entry left at {name:?}")]
    Replace {
        /// The name as in the archive.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The contents of a file could not be written.
    #[error("write the contents of {name:?}")]
    Write {
        /// The name as in the archive.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Owner, mode or times could not be set.
    #[error("set the {attribute} of {name:?}")]
    SetAttribute {
        /// Which of them.
        attribute: &'static str,
        /// The name as in the archive.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// What the archive has beside the contents of its files could not be written down.
    #[error("write the record of the archive")]
    Record {
        /// Why.
        source: io::Error,
    },
    /// The caller stopped the unpacking.
    #[error("unpacking was cancelled")]
    Cancelled,
}

/// Why a name is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// It climbs.
    #[error("it has a `..` component")]
    ParentComponent,
    /// It has a byte no file name can have.
    #[error("it has a NUL byte")]
    Nul,
    /// A component is longer than 255 bytes.
    #[error("it has a component of more than 255 bytes")]
    LongComponent,
    /// It is longer than the 4095 bytes a path may have.
    #[error("it has more than 4095 bytes")]
    LongPath,
    /// It stands for a deletion in a layer of an image, but not in the way that layers have it; or it is in a plain root file
    /// system, which has no use for it.
    #[error(
        "it has a component that begins with `.wh.`, as only deletions in the layers of an image do; import the whole image, or export the whole file system"
    )]
    Whiteout,
}

/// Why a hard link is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum HardlinkProblem {
    /// It names no target.
    #[error("it has no target")]
    NoTarget,
    /// The target has a name that is not allowed.
    #[error("its target has a name that is not allowed")]
    Name {
        /// Why.
        source: NameProblem,
    },
    /// Neither an earlier entry nor a lower layer has the target.
    #[error("its target is neither in the archive before it nor in a lower layer")]
    Missing,
    /// The target lies below a symbolic link.
    #[error("its target lies below a symbolic link")]
    ThroughSymlink,
    /// The target is a directory or something else that cannot be linked.
    #[error("its target is neither a file nor a symbolic link")]
    Kind,
}

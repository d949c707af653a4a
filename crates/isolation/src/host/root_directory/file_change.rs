//! What a watch tells.

/// Something that has changed. Paths are from the watched directory on, and empty for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Where.
    pub path: Vec<u8>,
    /// What.
    pub kind: ChangeKind,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// How something has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// Its content is another.
    Modified,
    /// It has gone, or has been moved to where nobody watches.
    Removed,
    /// It had another name.
    Renamed {
        /// Which.
        from: Vec<u8>,
    },
    /// Its mode, owner or times are others.
    Attributes,
}

/// What one reading has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// A change.
    Change(FileChange),
    /// Changes were lost, or there is more than can be watched; the last event.
    Overflow {
        /// Why, in words.
        reason: String,
    },
    /// The watched directory itself has been removed or moved; the last event.
    Gone,
}

pub(super) fn change(path: Vec<u8>, kind: ChangeKind, is_directory: bool) -> WatchEvent {
    WatchEvent::Change(FileChange { path, kind, is_directory })
}

//! What a layer deletes of those below it, gathered while it is unpacked and carried out at its end: an archive may name a
//! deletion before or after what it has in the place of what was deleted.
//!
//! On disk it is what an overlay mount understands that is made without privileges over the host: a character device of
//! number 0 in the place of what is gone, and `user.overlay.opaque` on a directory of which nothing is left. See
//! docs/adr/0011-layers-as-overlayfs-has-them.md.

use std::collections::BTreeSet;

use rustix::fs::{FileType, Mode};

use super::entry_path::EntryPath;
use super::error::UnpackError;
use super::writer::{LayerWriter, failed};
use crate::limits::{Deadline, LimitError};

const MOST_NAME_BYTES: u64 = 256 << 20;
/// What one name costs beside its bytes.
const FIXED_COST: u64 = 80;

/// The deletions of a layer.
#[derive(Default)]
pub(super) struct Whiteouts {
    deleted: BTreeSet<EntryPath>,
    opaque: BTreeSet<EntryPath>,
    cost: u64,
}

impl Whiteouts {
    pub(super) fn delete(&mut self, path: EntryPath) -> Result<(), LimitError> {
        self.count(&path)?;
        self.deleted.insert(path);
        Ok(())
    }

    pub(super) fn make_opaque(&mut self, path: EntryPath) -> Result<(), LimitError> {
        self.count(&path)?;
        self.opaque.insert(path);
        Ok(())
    }

    /// Says whether a path of lower layers is hidden.
    pub(super) fn hide(&self, path: &EntryPath) -> bool {
        self.deleted.contains(path) || self.hide_from_above(path)
    }

    /// Says whether a path of lower layers is hidden with a directory that it is in.
    fn hide_from_above(&self, path: &EntryPath) -> bool {
        if (self.deleted.is_empty() && self.opaque.is_empty()) || path.is_root() {
            return false;
        }
        let mut above = path.parent();
        loop {
            if self.opaque.contains(&above) || self.deleted.contains(&above) {
                return true;
            }
            if above.is_root() {
                return false;
            }
            above = above.parent();
        }
    }

    fn count(&mut self, path: &EntryPath) -> Result<(), LimitError> {
        self.cost += FIXED_COST + path.as_bytes().len() as u64;
        if self.cost > MOST_NAME_BYTES {
            return Err(LimitError::DirectoryNames { allowed: MOST_NAME_BYTES });
        }
        Ok(())
    }
}

impl LayerWriter<'_> {
    /// Makes the marks. What no lower layer has needs none: a mark that hides nothing would show in listings.
    /// Nothing is read from the archive meanwhile, so that the time is looked at here.
    pub(super) fn carry_out_whiteouts(&mut self, deadline: Deadline) -> Result<(), UnpackError> {
        let all = std::mem::take(&mut self.whiteouts);
        for path in &all.opaque {
            deadline.check()?;
            self.hide_contents(path, &all, deadline)?;
        }
        for path in &all.deleted {
            deadline.check()?;
            if !all.hide_from_above(path) {
                self.hide(path)?;
            }
        }
        Ok(())
    }

    fn hide_contents(
        &mut self,
        path: &EntryPath,
        all: &Whiteouts,
        deadline: Deadline,
    ) -> Result<(), UnpackError> {
        if path.is_root() {
            // An overlay mount does not look for marks on the roots of its layers.
            let names = self.below.names_in_root().map_err(|error| failed("deletion", path, error))?;
            for name in &names {
                deadline.check()?;
                self.hide(&path.join(name))?;
            }
            return Ok(());
        }
        let own = self.own_kind(path).map_err(|error| failed("deletion", path, error))?;
        if own.is_none() && !all.hide(path) && self.kind_below(path)? == Some(FileType::Directory) {
            // The directory itself stays, with the attributes it has below.
            self.make_parents(&path.join(b"x"))?;
        }
        self.directories.make_opaque(path.as_bytes());
        Ok(())
    }

    /// Hides what lower layers have at a path.
    fn hide(&mut self, path: &EntryPath) -> Result<(), UnpackError> {
        match self.own_kind(path).map_err(|error| failed("deletion", path, error))? {
            Some(FileType::Directory) => {
                self.directories.make_opaque(path.as_bytes());
            }
            // It is in the way of what lower layers have.
            Some(_) => {}
            None if self.kind_below(path)?.is_some() => {
                let placed = self.place(path)?;
                let (parent, file_name) = (self.current_parent(), placed.split().1);
                let device = FileType::CharacterDevice;
                rustix::fs::mknodat(parent, file_name, device, Mode::empty(), 0)
                    .map_err(|error| failed("mark of a deletion", path, error))?;
            }
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::{EntryPath, LayerWriter, UnpackError};
    use crate::limits::{Deadline, LimitError, UnpackLimits};
    use crate::root_view::RootView;

    #[test]
    fn deletions_end_with_the_time_of_the_import() {
        let directory = tempfile::tempdir().unwrap();
        let root = File::open(directory.path()).unwrap();
        let below = RootView::empty();
        let limits = UnpackLimits { max_duration: Duration::ZERO, ..UnpackLimits::default() };
        for is_opaque in [false, true] {
            let mut writer = LayerWriter::new(root.as_fd(), &below);
            let path = EntryPath::parse(b"a/b").unwrap();
            if is_opaque { writer.make_opaque(&path) } else { writer.delete(&path) }.unwrap();
            let result = writer.finish(Deadline::begin(&limits));
            assert!(matches!(result, Err(UnpackError::Limit(LimitError::Duration { .. }))), "{result:?}");
        }
    }
}

//! Archives, stores and what is asserted of them; the claims are in the files beside.

mod choosing;
mod content;
mod crash;
mod downloading;
mod drawn;
mod exporting;
mod hostile;
mod layers;
mod removing;
mod saved;
mod saved_image;
mod validating;

use std::fs;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use crate::{
    ImageName, ImageStore, ImportError, ImportReport, NothingInUse, OpenSourceError, UnpackError,
    UnpackLimits, ValidationReport,
};

/// Returns from a test that needs root where it is not run by root.
macro_rules! require_root {
    () => {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP: needs root to set owners");
            return;
        }
    };
}
pub(crate) use require_root;

/// An archive being built, with no check of anything.
struct Tarball {
    builder: Builder<Vec<u8>>,
}

impl Tarball {
    fn new() -> Self {
        Self { builder: Builder::new(Vec::new()) }
    }

    fn raw(
        mut self,
        kind: EntryType,
        name: &str,
        link: &str,
        change: impl Fn(&mut Header),
        data: &[u8],
    ) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.builder.append(&header, data).expect("memory can be written");
        self
    }

    fn file(self, name: &str, contents: &str) -> Self {
        self.raw(EntryType::Regular, name, "", |_| {}, contents.as_bytes())
    }

    fn directory(self, name: &str) -> Self {
        self.raw(EntryType::Directory, name, "", |_| {}, b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(EntryType::Symlink, name, target, |_| {}, b"")
    }

    fn hardlink(self, name: &str, target: &str) -> Self {
        self.raw(EntryType::Link, name, target, |_| {}, b"")
    }

    fn node(self, kind: EntryType, name: &str) -> Self {
        let change = |header: &mut Header| {
            header.set_device_major(1).expect("a GNU header has it");
            header.set_device_minor(3).expect("a GNU header has it");
        };
        self.raw(kind, name, "", change, b"")
    }

    fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.builder.append_pax_extensions(records.iter().copied()).expect("memory can be written");
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.builder.into_inner().expect("memory can be written")
    }
}

/// A store in a directory of its own, beside a file that no archive may reach.
struct Fixture {
    store: ImageStore,
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::within(TempDir::new().expect("a temporary directory"))
    }

    /// For many of them: on a file system in memory, if there is one that has all that layers need.
    fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let directory = TempDir::new_in(memory).ok().filter(|directory| {
            rustix::fs::setxattr(directory.path(), "user.x", b"", rustix::fs::XattrFlags::empty()).is_ok()
        });
        directory.map_or_else(Self::new, Self::within)
    }

    fn within(directory: TempDir) -> Self {
        fs::write(directory.path().join("canary"), "alive").expect("a new file");
        let store = ImageStore::open(&directory.path().join("data")).expect("a new store");
        Self { store, directory }
    }

    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn canary(&self) -> PathBuf {
        self.directory.path().join("canary")
    }

    fn import(&self, archive: &[u8]) -> Result<ImportReport, ImportError> {
        self.import_as("image", archive)
    }

    fn import_as(&self, image: &str, archive: &[u8]) -> Result<ImportReport, ImportError> {
        self.store.import_tar(&name(image), archive, &UnpackLimits::default())
    }

    /// Imports what must be imported, and returns the directory of the unpacked layer.
    fn layer(&self, tarball: Tarball) -> PathBuf {
        self.import(&tarball.bytes()).expect("a good archive");
        self.lowest_layer("image")
    }

    fn lowest_layer(&self, image: &str) -> PathBuf {
        self.store.resolve(&name(image)).expect("an image").layers.pop().expect("a layer")
    }

    /// Imports what must be refused, and checks that nothing has changed.
    fn refusal(&self, tarball: Tarball) -> UnpackError {
        self.refusal_of(&tarball.bytes(), &UnpackLimits::default())
    }

    fn refusal_of(&self, archive: &[u8], limits: &UnpackLimits) -> UnpackError {
        let error = self.store.import_tar(&name("image"), archive, limits).expect_err("a bad archive");
        self.assert_untouched();
        match error {
            ImportError::Unpack { source } | ImportError::Open(OpenSourceError::Archive { source }) => source,
            other => panic!("expected a refusal while unpacking: {other:?}"),
        }
    }

    fn assert_untouched(&self) {
        assert_eq!(names_in(&self.data_dir().join("layers")), Vec::<String>::new());
        assert_eq!(names_in(&self.data_dir().join("images")), [".lock"]);
        assert_eq!(fs::read_to_string(self.canary()).expect("the canary"), "alive");
        assert_eq!(names_in(self.directory.path()), ["canary", "data"]);
    }

    fn remove(&self, image: &str) {
        self.store.remove(&name(image), &NothingInUse).expect("an image that can be removed");
    }

    fn validate(&self, image: &str) -> ValidationReport {
        self.store.validate(&name(image)).expect("an image")
    }
}

#[test]
fn stores_reports_and_errors_can_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<ImageStore>();
    crosses::<ImportReport>();
    crosses::<ImportError>();
}

fn name(text: &str) -> ImageName {
    text.parse().expect("a good name")
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

//! What an import reads: an archive of a root file system, or images that were saved, told apart by their content.

mod archive_index;
mod blobs;
pub mod documents;
mod saved_images;

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use archive_index::ArchiveIndex;
use blobs::Blobs;

use crate::limits::{Deadline, UnpackLimits};
use crate::staging::temporary_name;
use crate::unpack::{self, Compression, TarStream, UnpackError};

pub use saved_images::ReadImageError;
pub(crate) use saved_images::{SavedImages, blob_name};

/// How much of an archive is looked at to tell what it is: the first few headers, with long names.
const PEEKED_BYTES: u64 = 64 * 1024;
/// What archives of images begin with, but for directories: `docker save` of all times, and `skopeo`.
const IMAGE_FILES: [&str; 5] = ["oci-layout", "index.json", "manifest.json", "repositories", "blobs"];

/// Where an image comes from.
pub enum ImportSource<'a> {
    /// A directory with the layout of OCI, or with what `docker save` puts into its archive.
    Directory(&'a Path),
    /// An open archive, at its beginning. What can be read at any place is not copied first.
    File(File),
    /// An archive that can be read only once.
    Stream(Box<dyn Read + 'a>),
}

/// What was found in it.
pub(crate) enum Found<'a> {
    RootFileSystem(TarStream<'a>),
    Images(SavedImages),
}

/// It could not be told what there is to import.
#[derive(Debug, thiserror::Error)]
pub enum OpenSourceError {
    /// The directory could not be opened.
    #[error("open the directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory has no image.
    #[error(
        "the directory {path} has neither the file oci-layout nor manifest.json, so there is no image in it"
    )]
    NoImage {
        /// The directory.
        path: PathBuf,
    },
    /// The archive could not be decompressed, or goes past a limit.
    #[error("read the archive")]
    Archive {
        /// Why.
        source: UnpackError,
    },
    /// The archive of images could not be copied to a place where it can be read more than once.
    #[error("copy the archive into {path}")]
    Spool {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The headers of an archive of images could not be read.
    #[error("read the entries of the archive")]
    Index {
        /// Why.
        source: io::Error,
    },
}

/// Opens a source. An archive of images that can be read only once, or is compressed, is copied into a file without a name
/// in `spool`: its layers come before what says which layer is whose.
pub(crate) fn open<'a>(
    source: ImportSource<'a>,
    spool: &Path,
    limits: &UnpackLimits,
    deadline: Deadline,
) -> Result<Found<'a>, OpenSourceError> {
    let unreadable = |source| OpenSourceError::Archive { source };
    match source {
        ImportSource::Directory(path) => {
            let blobs = Blobs::open_directory(path)
                .map_err(|source| OpenSourceError::Directory { path: path.to_owned(), source })?;
            let images = SavedImages::find(blobs).map_err(|_| ());
            images.map(Found::Images).map_err(|()| OpenSourceError::NoImage { path: path.to_owned() })
        }
        ImportSource::File(file) => {
            let again = file.try_clone().map_err(|source| OpenSourceError::Index { source })?;
            let mut stream = unpack::open(file, limits, deadline).map_err(unreadable)?;
            if !looks_like_images(stream.peek(PEEKED_BYTES).map_err(unreadable)?) {
                return Ok(Found::RootFileSystem(stream));
            }
            let regular = rustix::fs::fstat(&again)
                .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile);
            if stream.compression() == Compression::None && regular {
                return images_or_root(again, limits, deadline);
            }
            images_or_root(copy(stream, spool)?, limits, deadline)
        }
        ImportSource::Stream(input) => {
            let mut stream = unpack::open(input, limits, deadline).map_err(unreadable)?;
            if !looks_like_images(stream.peek(PEEKED_BYTES).map_err(unreadable)?) {
                return Ok(Found::RootFileSystem(stream));
            }
            images_or_root(copy(stream, spool)?, limits, deadline)
        }
    }
}

/// Tells by the first entry that is not the root: an archive of images has nothing else beside what it names.
fn looks_like_images(beginning: &[u8]) -> bool {
    let mut archive = tar::Archive::new(Cursor::new(beginning));
    let Ok(entries) = archive.entries() else { return false };
    for entry in entries {
        let Ok(entry) = entry else { return false };
        let name = entry.path_bytes();
        let Some(first) = name.split(|byte| *byte == b'/').find(|part| !matches!(*part, b"" | b".")) else {
            continue;
        };
        let first = String::from_utf8_lossy(first);
        let hash = first.get(..64).filter(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        return hash.is_some() || IMAGE_FILES.contains(&first.as_ref());
    }
    false
}

/// Looks for images. Where there are none, it was a root file system with an odd beginning.
fn images_or_root<'a>(
    file: File,
    limits: &UnpackLimits,
    deadline: Deadline,
) -> Result<Found<'a>, OpenSourceError> {
    let index = ArchiveIndex::read(file).map_err(|source| OpenSourceError::Index { source })?;
    match SavedImages::find(Blobs::Archive(index)) {
        Ok(images) => Ok(Found::Images(images)),
        Err(Blobs::Archive(index)) => {
            let whole = index.into_whole().map_err(|source| OpenSourceError::Index { source })?;
            let stream = unpack::open(whole, limits, deadline)
                .map_err(|source| OpenSourceError::Archive { source })?;
            Ok(Found::RootFileSystem(stream))
        }
        Err(Blobs::Directory(_)) => unreachable!("an archive was given"),
    }
}

/// Copies an uncompressed stream, which has its own bounds, into a file without a name.
fn copy(mut stream: TarStream<'_>, spool: &Path) -> Result<File, OpenSourceError> {
    let failed = |source| OpenSourceError::Spool { path: spool.to_owned(), source };
    let mut file = nameless_file(spool).map_err(failed)?;
    let state = stream.state();
    io::copy(&mut Checked(&mut stream), &mut file).map_err(|error| {
        if error.get_ref().is_some_and(|inner| inner.is::<ReadFailure>()) {
            let source = error.into_inner().and_then(|inner| inner.downcast::<ReadFailure>().ok());
            let source = source.map_or_else(|| io::ErrorKind::Other.into(), |failure| failure.0);
            OpenSourceError::Archive { source: state.error(source) }
        } else {
            failed(error)
        }
    })?;
    Ok(file)
}

/// Marks errors of reading, so that they can be told from those of writing.
struct Checked<'a, 'b>(&'a mut TarStream<'b>);

#[derive(Debug, thiserror::Error)]
#[error("read the archive")]
struct ReadFailure(#[source] io::Error);

impl Read for Checked<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => io::Error::other(ReadFailure(error)),
        })
    }
}

/// Makes a file that goes with its descriptor, however this process ends.
pub(crate) fn nameless_file(directory: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::openat(CWD, directory, flags | OFlags::TMPFILE, mode) {
        Ok(file) => return Ok(file.into()),
        // Not every file system has it.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    let beneath = crate::beneath::open_directory(
        rustix::fs::open(directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?.as_fd(),
        b"",
    )?;
    let name = temporary_name();
    let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(&beneath, &name, flags, mode)?;
    match rustix::fs::unlinkat(&beneath, &name, AtFlags::empty()) {
        // Whoever clears leftovers away may have been faster.
        Err(Errno::NOENT) => {}
        other => other?,
    }
    Ok(file.into())
}

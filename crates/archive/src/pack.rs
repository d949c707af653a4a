//! A directory into an archive: files, directories and links; pipes, sockets and devices are left out.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sandkasten_isolation::host::{EntryKind, FileError, RootDirectory, Unreadable, Visited};
use tar::{Builder, EntryType, Header};

use crate::{ArchiveFormat, BOUNDS};

/// The sandbox user, as it is called inside.
const OWNER: u64 = 1_000;

/// What was packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packed {
    /// Pipes, sockets and devices, which were left out.
    pub skipped: u64,
}

/// Packs what is below a directory. Blocking.
///
/// # Errors
/// The writer's, or that a file cannot be read; what was written then is no whole archive.
pub fn pack(
    root: &RootDirectory,
    path: &str,
    format: ArchiveFormat,
    mut out: impl Write,
) -> io::Result<Packed> {
    let packed = match format {
        ArchiveFormat::Tar => write_tree(root, path, &mut out)?,
        ArchiveFormat::TarZstd => {
            let mut encoder = zstd::Encoder::new(&mut out, 3)?;
            let packed = write_tree(root, path, &mut encoder)?;
            encoder.finish()?;
            packed
        }
    };
    out.flush()?;
    Ok(packed)
}

fn write_tree(root: &RootDirectory, path: &str, out: impl Write) -> io::Result<Packed> {
    let mut builder = Builder::new(out);
    let mut packed = Packed::default();
    let mut failure = None;
    let visited = root.visit(path, BOUNDS, Unreadable::Refused, &mut |visited| match append(
        &mut builder,
        visited,
        &mut packed,
    ) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    });
    visited.map_err(io::Error::other)?;
    failure.map_or(Ok(()), Err)?;
    builder.finish()?;
    Ok(packed)
}

fn append(builder: &mut Builder<impl Write>, visited: &Visited<'_>, packed: &mut Packed) -> io::Result<()> {
    let entry = &visited.entry;
    let path = Path::new(OsStr::from_bytes(&entry.path));
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode & 0o777);
    header.set_mtime(u64::try_from(entry.modified.0).unwrap_or(0));
    header.set_uid(OWNER);
    header.set_gid(OWNER);
    header.set_size(0);
    match entry.kind {
        EntryKind::Directory => {
            header.set_entry_type(EntryType::Directory);
            builder.append_data(&mut header, path, io::empty())
        }
        EntryKind::Symlink => {
            header.set_entry_type(EntryType::Symlink);
            let Some(target) = &entry.target else { return Ok(()) };
            builder.append_link(&mut header, path, OsStr::from_bytes(target))
        }
        EntryKind::File => {
            let file = match visited.open() {
                Ok(file) => file,
                // It has gone, or is something else by now.
                Err(FileError::NotFound { .. } | FileError::Changed { .. }) => return Ok(()),
                Err(error) => return Err(io::Error::other(error)),
            };
            let size = file.metadata()?.len();
            header.set_size(size);
            // What shrinks meanwhile is filled up, as tar(1) does it: the header has been sent.
            builder.append_data(&mut header, path, file.take(size).chain(io::repeat(0)).take(size))
        }
        EntryKind::Fifo | EntryKind::Socket | EntryKind::Device => {
            packed.skipped += 1;
            Ok(())
        }
    }
}

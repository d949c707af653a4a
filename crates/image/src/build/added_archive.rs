//! Archives that an `ADD` unpacks: their entries go into the archive of the layer, each below the destination, and through the
//! same checks as any other there.

use std::fs::File;
use std::io::{self, Write};

use tar::EntryType;

use super::BuildError;
use super::archive::{DELETION, LayerArchive, Metadata, below};
use crate::limits::{Deadline, UnpackLimits};
use crate::root_view::Found;
use crate::unpack::{self, UnpackError, printable};

/// Says whether a file is an archive, perhaps compressed, by its content.
pub(super) fn is_archive(found: &Found<'_>, limits: &UnpackLimits, path: &[u8]) -> Result<bool, BuildError> {
    let failed = |source| BuildError::ReadSource { path: printable(path), source };
    let file = found.open().map_err(|error| failed(error.into()))?;
    let stream = match unpack::open(file, limits, Deadline::begin(limits)) {
        Ok(stream) => stream,
        Err(UnpackError::UnsupportedCompression { found: "bzip2" }) => {
            let source = io::Error::new(io::ErrorKind::Unsupported, "it is compressed by bzip2");
            return Err(BuildError::AddedArchive { path: printable(path), source });
        }
        Err(_) => return Ok(false),
    };
    let mut archive = tar::Archive::new(stream);
    let Ok(mut entries) = archive.entries() else { return Ok(false) };
    Ok(matches!(entries.next(), Some(Ok(_))))
}

/// Copies all entries of an archive, below `target`.
pub(super) fn copy<W: Write>(
    file: File,
    path: &[u8],
    target: &[u8],
    owner: Option<(u32, u32)>,
    limits: &UnpackLimits,
    output: &mut LayerArchive<W>,
) -> Result<(), BuildError> {
    let failed = |source| BuildError::AddedArchive { path: printable(path), source };
    let stream = unpack::open(file, limits, Deadline::begin(limits))
        .map_err(|error| failed(io::Error::other(error)))?;
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions()
            || matches!(kind, EntryType::Char | EntryType::Block | EntryType::Fifo)
        {
            continue;
        }
        let sparse = |key: &[u8]| key.starts_with(b"GNU.sparse.");
        let mut extensions = entry.pax_extensions().map_err(failed)?.into_iter().flatten();
        if extensions.any(|extension| extension.is_ok_and(|extension| sparse(extension.key_bytes()))) {
            let reason = "it has sparse files in the form of PAX; make it without them";
            return Err(failed(io::Error::new(io::ErrorKind::Unsupported, reason)));
        }
        let name = entry.path_bytes().into_owned();
        let Some(place) = placed(target, &name).map_err(failed)? else { continue };
        if place.split(|byte| *byte == b'/').any(|name| name.starts_with(DELETION)) {
            return Err(BuildError::NameOfDeletion { path: printable(&place) });
        }
        let link = entry.link_name_bytes().unwrap_or_default().into_owned();
        let header = entry.header();
        let number = |number: io::Result<u64>| number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        let metadata = Metadata {
            mode: header.mode().map_err(failed)? & 0o7777,
            owner: owner.map_or_else(|| number(header.uid()), |(user, _)| Ok(user)).map_err(failed)?,
            group: owner.map_or_else(|| number(header.gid()), |(_, group)| Ok(group)).map_err(failed)?,
            modified: header.mtime().unwrap_or(0),
            attributes: Vec::new(),
        };
        let unwritten = |source| BuildError::WriteArchive { source };
        match kind {
            EntryType::Directory => output.directory(&place, &metadata).map_err(unwritten)?,
            EntryType::Symlink => output.symlink(&place, &link, &metadata).map_err(unwritten)?,
            EntryType::Link => {
                let first = placed(target, &link).map_err(failed)?.unwrap_or_default();
                output.hardlink(&place, &first, &metadata).map_err(unwritten)?;
            }
            EntryType::Regular if name.ends_with(b"/") => {
                output.directory(&place, &metadata).map_err(unwritten)?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let size = entry.size();
                output.file(&place, &metadata, size, &mut entry).map_err(failed)?;
            }
            _ => {
                let kind = char::from(kind.as_byte()).escape_default();
                let reason = format!("{} is of the kind '{kind}', which layers have not", printable(&name));
                return Err(failed(io::Error::new(io::ErrorKind::Unsupported, reason)));
            }
        }
    }
    Ok(())
}

/// Where an entry goes; none for the archive's own root. A name that climbs is refused: below the target, it would lead to
/// another place of the image.
fn placed(target: &[u8], name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut place = target.to_vec();
    let mut some = false;
    for part in name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
        if part == b".." {
            let reason = format!("{} leads out of the archive", printable(name));
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        place = below(&place, part);
        some = true;
    }
    Ok(some.then_some(place))
}

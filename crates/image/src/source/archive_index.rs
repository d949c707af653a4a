//! What is where in a tar archive that can be read at any place. The archive is read once, past the contents of its files.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use tar::EntryType;

use crate::text_path::clean;

/// Far more than any program that saves images writes: a few for each layer.
const MOST_ENTRIES: usize = 100_000;
const LONGEST_NAME: usize = 4096;
/// What a tar reader may keep in memory of one entry.
const MOST_HEADER_BYTES: u64 = 1 << 20;
/// `docker save` has links between layers that are the same.
const MOST_LINKS: usize = 10;

/// The files of an archive.
#[derive(Debug)]
pub(crate) struct ArchiveIndex {
    file: Rc<File>,
    members: HashMap<String, Member>,
}

#[derive(Debug, Clone)]
enum Member {
    File { offset: u64, size: u64 },
    Link(String),
}

/// A part of an open file.
pub(crate) struct Section {
    file: Rc<File>,
    offset: u64,
    left: u64,
}

impl ArchiveIndex {
    /// Reads the headers of a whole archive.
    pub(crate) fn read(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let file = Rc::new(file);
        let mut members = HashMap::new();
        let allowed = Rc::new(Cell::new(MOST_HEADER_BYTES));
        let reader = HeaderReader { file: Rc::clone(&file), offset: 0, allowed: Rc::clone(&allowed) };
        let mut archive = tar::Archive::new(reader);
        for (count, entry) in archive.entries_with_seek()?.enumerate() {
            let entry = entry?;
            allowed.set(MOST_HEADER_BYTES);
            if count == MOST_ENTRIES {
                return Err(invalid("it has too many entries for the archive of an image"));
            }
            let Ok(name) = std::str::from_utf8(&entry.path_bytes()).map(clean) else { continue };
            let member = match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let (offset, size) = (entry.raw_file_position(), entry.size());
                    if offset.checked_add(size).is_none_or(|end| end > length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    Member::File { offset, size }
                }
                kind @ (EntryType::Symlink | EntryType::Link) => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let Ok(target) = std::str::from_utf8(&target) else { continue };
                    let beside = name.rsplit_once('/').map_or("", |(directory, _)| directory);
                    // Only a symbolic link is told from where it is.
                    let from = if kind == EntryType::Symlink { beside } else { "" };
                    Member::Link(clean(&format!("{from}/{target}")))
                }
                _ => continue,
            };
            // No longer name is known, so that a longer target leads nowhere.
            let target = if let Member::Link(target) = &member { target.len() } else { 0 };
            if name.len().max(target) <= LONGEST_NAME {
                members.insert(name, member);
            }
        }
        Ok(Self { file, members })
    }

    /// Says whether there is a file of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Opens a file; `NotFound` where there is none. Returns its size, too.
    pub(crate) fn open(&self, name: &str) -> io::Result<(Section, u64)> {
        let (offset, size) = self.find(name).ok_or(io::ErrorKind::NotFound)?;
        Ok((Section { file: Rc::clone(&self.file), offset, left: size }, size))
    }

    /// Returns the whole archive, from its first byte.
    pub(crate) fn into_whole(self) -> io::Result<Section> {
        let left = self.file.metadata()?.len();
        Ok(Section { file: self.file, offset: 0, left })
    }

    fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = clean(name);
        for _ in 0..MOST_LINKS {
            match self.members.get(&name)? {
                Member::File { offset, size } => return Some((*offset, *size)),
                Member::Link(target) => name.clone_from(target),
            }
        }
        None
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Reads a file from a place of its own, and only so much for one entry: a tar reader keeps it in memory.
struct HeaderReader {
    file: Rc<File>,
    offset: u64,
    /// What is left until the next entry.
    allowed: Rc<Cell<u64>>,
}

impl Read for HeaderReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        let left = self.allowed.get().checked_sub(count as u64);
        self.allowed.set(left.ok_or_else(|| invalid("a header is too large"))?);
        Ok(count)
    }
}

impl Seek for HeaderReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let offset = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.offset.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.offset = offset.ok_or_else(|| invalid("a size is too large"))?;
        Ok(self.offset)
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{ArchiveIndex, LONGEST_NAME};

    #[test]
    fn links_as_long_as_no_name_are_left_out() {
        let mut builder = tar::Builder::new(tempfile::tempfile().unwrap());
        for (name, target) in [("long", "x".repeat(LONGEST_NAME + 1)), ("short", "./x".to_owned())] {
            builder.append_pax_extensions([("linkpath", target.as_bytes())]).unwrap();
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_path(name).unwrap();
            header.set_size(0);
            header.set_cksum();
            builder.append(&header, std::io::empty()).unwrap();
        }
        let mut file = builder.into_inner().unwrap();
        file.flush().unwrap();
        let index = ArchiveIndex::read(file).unwrap();
        assert_eq!(index.members.keys().collect::<Vec<_>>(), ["short"]);
    }
}

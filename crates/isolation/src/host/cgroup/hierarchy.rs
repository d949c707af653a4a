//! Reading and writing the small files of a cgroup directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::host::PathError;

/// Writes a value to an existing control file.
pub(super) fn write(directory: &Path, file: &str, value: &str) -> Result<(), PathError> {
    let path = directory.join(file);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut opened| opened.write_all(value.as_bytes()))
        .map_err(|source| PathError { action: "write to", path, source })
}

/// Opens an existing control file, for somebody who may not open it himself.
pub(super) fn open_for_writing(path: &Path) -> Result<OwnedFd, PathError> {
    let file = OpenOptions::new().write(true).open(path).map_err(PathError::of("open", path))?;
    Ok(file.into())
}

/// Reads a file of few numbers. What one read gives is all of it: such a file is written whole into the reader's buffer, where it
/// has a page. Asking for a size first and for the end after would double the calls, on a path that every exec takes.
fn read_small(path: &Path) -> Result<String, PathError> {
    let mut buffer = [0; 4096];
    let count = File::open(path).and_then(|mut file| file.read(&mut buffer));
    let count = count.map_err(PathError::of("read", path))?;
    Ok(String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned())
}

/// Reads a number; `max` is the largest one.
pub(super) fn read_number(directory: &Path, file: &str) -> Result<u64, PathError> {
    let path = directory.join(file);
    let text = read_small(&path)?;
    match text.trim() {
        "max" => Ok(u64::MAX),
        number => number.parse().map_err(|_| PathError {
            action: "find a number in",
            path,
            source: io::Error::new(io::ErrorKind::InvalidData, format!("it says {text:?}")),
        }),
    }
}

/// Reads the number behind a key of a `key value` file; 0 where the key is absent.
pub(super) fn read_keyed(directory: &Path, file: &str, key: &str) -> Result<u64, PathError> {
    let path = directory.join(file);
    let text = read_small(&path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok());
    Ok(value.unwrap_or(0))
}

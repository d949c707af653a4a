//! Reading and writing the small files of a cgroup directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
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

/// Reads a number; `max` is the largest one.
pub(super) fn read_number(directory: &Path, file: &str) -> Result<u64, PathError> {
    let path = directory.join(file);
    let text = fs::read_to_string(&path).map_err(PathError::of("read", &path))?;
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
    let text = fs::read_to_string(&path).map_err(PathError::of("read", &path))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok());
    Ok(value.unwrap_or(0))
}

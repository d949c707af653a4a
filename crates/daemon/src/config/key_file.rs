//! Reads the API key from the file that `api_key_file` names.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::api_key::ApiKey;

/// The most bytes of a key file that are read.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadKeyFileError {
    /// It cannot be read.
    #[error("read the key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Other users can read it.
    #[error(
        "use the key file {}: its mode is {mode:04o}, so others than its owner can read it; run chmod 600 {}",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds no key.
    #[error(
        "use the key file {}: it must hold one line of printable ASCII without spaces, at most {MAX_KEY_FILE_BYTES} bytes",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a key. Surrounding white space does not belong to it.
///
/// # Errors
/// `Read`; `Exposed` where group or others have any permission on the file; `NoKey` where it holds none.
pub(super) fn read_key_file(path: &Path) -> Result<ApiKey, ReadKeyFileError> {
    let failed = |source| ReadKeyFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Of the open file, not of the path, so that both are the same file.
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(ReadKeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(MAX_KEY_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    let key = text.trim();
    let fits = u64::try_from(text.len()).is_ok_and(|length| length <= MAX_KEY_FILE_BYTES);
    if !fits || key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ReadKeyFileError::NoKey { path: path.to_owned() });
    }
    Ok(ApiKey::new(key.to_owned()))
}

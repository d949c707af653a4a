//! Owner, mode, time and extended attributes of an entry: read from its headers, and set on what was created.

use std::io::Read;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use super::UnpackSummary;
use super::error::UnpackError;

/// The last id of a session's range of 65,536.
const HIGHEST_ID: u64 = 65_535;
/// The owner of what nobody in the session can own: `nobody` and `nogroup`.
const NOBODY: u32 = 65_534;
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";
const MODIFICATION_TIME: &[u8] = b"mtime";
const SPARSE_PREFIX: &[u8] = b"GNU.sparse.";

/// What an entry wants set.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    owner: u32,
    group: u32,
    mode: u32,
    modified: Timespec,
    extended: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Attributes {
    /// Of a directory that has no entry of its own.
    pub(super) fn implied_directory() -> Self {
        Self { owner: 0, group: 0, mode: 0o755, modified: timestamp(0, 0), extended: Vec::new() }
    }

    /// Of the root of a layer, whatever the archive says: sessions must be able to enter it.
    pub(super) fn into_root(self) -> Self {
        Self { owner: 0, group: 0, mode: 0o755, ..self }
    }

    /// Reads the headers of an entry, and counts what is not kept.
    ///
    /// Of the extended attributes only `user.*` stays, without `user.overlay*` that would be orders to an overlay mount.
    /// `security.capability` goes too: no program in a session gains a capability from its file.
    pub(super) fn read<R: Read>(
        entry: &mut tar::Entry<'_, R>,
        summary: &mut UnpackSummary,
    ) -> Result<Self, ReadAttributesError> {
        let header = entry.header();
        let modified = number_or_blank(header.mtime(), &header.as_old().mtime)?;
        let mut modified = timestamp(i64::try_from(modified).unwrap_or(0), 0);
        let mut extended = Vec::new();
        if let Some(records) = entry.pax_extensions()? {
            for record in records {
                let Ok(record) = record else {
                    // The tar crate takes a value with a line break in it for a malformed record.
                    summary.dropped_attributes += 1;
                    continue;
                };
                let (key, value) = (record.key_bytes(), record.value_bytes());
                if key == MODIFICATION_TIME {
                    modified = parse_time(value).unwrap_or(modified);
                } else if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                    if name.starts_with(b"user.") && !name.starts_with(b"user.overlay") {
                        extended.push((name.to_vec(), value.to_vec()));
                    } else {
                        summary.dropped_attributes += 1;
                    }
                } else if key.starts_with(SPARSE_PREFIX) {
                    return Err(ReadAttributesError::PaxSparse);
                }
            }
        }
        let header = entry.header();
        let fields = header.as_old();
        let owner = number_or_blank(header.uid(), &fields.uid)?;
        let group = number_or_blank(header.gid(), &fields.gid)?;
        let mode = header.mode()?;
        if owner > HIGHEST_ID || group > HIGHEST_ID {
            summary.clamped_owners += 1;
        }
        Ok(Self { owner: clamp(owner), group: clamp(group), mode: mode & 0o7777, modified, extended })
    }

    /// Returns how much memory the extended attributes take.
    pub(super) fn extended_bytes(&self) -> u64 {
        self.extended.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    /// Sets everything on an open file or directory. Extended attributes that the file system refuses are left out;
    /// returns how many.
    pub(super) fn apply(&self, file: BorrowedFd<'_>, name: &str) -> Result<u64, UnpackError> {
        // The order matters: a change of owner clears set-user-id bits, and everything changes the times.
        rustix::fs::fchown(file, Some(Uid::from_raw(self.owner)), Some(Gid::from_raw(self.group)))
            .map_err(|source| failed("owner", name, source))?;
        let mut refused = 0;
        for (key, value) in &self.extended {
            if rustix::fs::fsetxattr(file, key.as_slice(), value, XattrFlags::empty()).is_err() {
                refused += 1;
            }
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode))
            .map_err(|source| failed("mode", name, source))?;
        rustix::fs::futimens(file, &self.times()).map_err(|source| failed("times", name, source))?;
        Ok(refused)
    }

    /// Sets owner and times of a symbolic link, which has nothing else.
    pub(super) fn apply_to_link(
        &self,
        parent: BorrowedFd<'_>,
        file_name: &[u8],
        name: &str,
    ) -> Result<(), UnpackError> {
        let (owner, group) = (Uid::from_raw(self.owner), Gid::from_raw(self.group));
        rustix::fs::chownat(parent, file_name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|source| failed("owner", name, source))?;
        rustix::fs::utimensat(parent, file_name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|source| failed("times", name, source))
    }

    fn times(&self) -> Timestamps {
        Timestamps { last_access: self.modified, last_modification: self.modified }
    }
}

/// The headers of an entry could not be read.
pub(super) enum ReadAttributesError {
    /// A field is malformed.
    Header(std::io::Error),
    /// The entry is sparse in the PAX way, which the tar crate would take for a plain file of other contents.
    PaxSparse,
}

impl From<std::io::Error> for ReadAttributesError {
    fn from(source: std::io::Error) -> Self {
        Self::Header(source)
    }
}

/// Some archivers leave fields blank where they mean zero.
fn number_or_blank(parsed: std::io::Result<u64>, field: &[u8]) -> std::io::Result<u64> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(0) } else { parsed }
}

fn clamp(id: u64) -> u32 {
    if id > HIGHEST_ID { NOBODY } else { u32::try_from(id).unwrap_or(NOBODY) }
}

/// Parses `seconds` or `seconds.fraction`, as PAX headers have it.
fn parse_time(text: &[u8]) -> Option<Timespec> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanoseconds =
        fraction.bytes().chain(std::iter::repeat(b'0')).take(9).try_fold(0_u32, |value, digit| {
            digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0'))
        })?;
    let whole: i64 = seconds.parse().ok()?;
    // The fraction of a time before 1970 counts away from zero, that of a timespec never does.
    if seconds.starts_with('-') && nanoseconds > 0 {
        Some(timestamp(whole.checked_sub(1)?, 1_000_000_000 - nanoseconds))
    } else {
        Some(timestamp(whole, nanoseconds))
    }
}

fn timestamp(seconds: i64, nanoseconds: u32) -> Timespec {
    Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() }
}

fn failed(attribute: &'static str, name: &str, source: rustix::io::Errno) -> UnpackError {
    UnpackError::SetAttribute { attribute, name: name.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::parse_time;

    #[test]
    fn times_have_fractions_and_may_lie_before_1970() {
        let parse = |text: &str| parse_time(text.as_bytes()).map(|time| (time.tv_sec, time.tv_nsec));
        assert_eq!(parse("12"), Some((12, 0)));
        assert_eq!(parse("12.5"), Some((12, 500_000_000)));
        assert_eq!(parse("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(parse("12.x"), None);
        assert_eq!(parse(""), None);
    }
}

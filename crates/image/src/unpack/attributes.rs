//! Owner, mode, time and extended attributes of an entry: read from its headers, and set on what was created.

use std::io::Read;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::UnpackSummary;
use super::error::UnpackError;
use super::extended_header::ExtendedHeader;

/// The last id of a session's range of 65,536.
const HIGHEST_ID: u64 = 65_535;
/// The owner of what nobody in the session can own: `nobody` and `nogroup`.
const NOBODY: u32 = 65_534;
const MODIFICATION_TIME: &[u8] = b"mtime";
/// Kept on disk, and without effect where sessions see it: the mount is `nosuid`.
const CAPABILITIES: &[u8] = b"security.capability";
/// What the overlay mounts of sessions obey; `userxattr` in overlayfs(5).
const OPAQUE: &str = "user.overlay.opaque";
/// No file system keeps more attributes of one file.
const MOST_XATTR_BYTES: usize = 64 * 1024;

/// What an entry wants set.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    owner: u32,
    group: u32,
    mode: u32,
    modified: Timespec,
    extended: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a directory: nothing of lower layers shows through.
    opaque: bool,
}

impl Attributes {
    /// Of a directory that has no entry of its own.
    pub(super) fn implied_directory() -> Self {
        Self {
            owner: 0,
            group: 0,
            mode: 0o755,
            modified: timestamp(0, 0),
            extended: Vec::new(),
            opaque: false,
        }
    }

    /// Of the root of a layer, whatever the archive says: sessions must be able to enter it.
    pub(super) fn into_root(self) -> Self {
        Self { owner: 0, group: 0, mode: 0o755, ..self }
    }

    /// Hides what lower layers have in the directory.
    pub(super) fn make_opaque(&mut self) {
        self.opaque = true;
    }

    pub(super) const fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// Reads the headers of an entry, and counts what is not kept.
    ///
    /// Of the extended attributes only `user.*` and the capabilities of files stay, without `user.overlay*`, which would be
    /// orders to an overlay mount.
    pub(super) fn read<R: Read>(
        entry: &tar::Entry<'_, R>,
        extended_header: &ExtendedHeader,
        summary: &mut UnpackSummary,
    ) -> std::io::Result<Self> {
        let header = entry.header();
        let fields = header.as_old();
        let modified = number_or_blank(header.mtime(), &fields.mtime)?;
        let modified = extended_header
            .value(MODIFICATION_TIME)
            .and_then(parse_time)
            .unwrap_or_else(|| timestamp(i64::try_from(modified).unwrap_or(0), 0));
        let mut extended = Vec::new();
        for (name, value) in extended_header.attributes() {
            if is_kept(name) {
                extended.push((name.to_vec(), value.to_vec()));
            } else {
                summary.dropped_attributes += 1;
            }
        }
        let owner = number_or_blank(header.uid(), &fields.uid)?;
        let group = number_or_blank(header.gid(), &fields.gid)?;
        let mode = header.mode()? & 0o7777;
        if owner > HIGHEST_ID || group > HIGHEST_ID {
            summary.clamped_owners += 1;
        }
        Ok(Self { owner: clamp(owner), group: clamp(group), mode, modified, extended, opaque: false })
    }

    /// Takes over those of an open file or directory of another layer.
    pub(super) fn of_open_file(file: BorrowedFd<'_>) -> Result<Self, Errno> {
        let found = rustix::fs::fstat(file)?;
        let mut names = vec![0; MOST_XATTR_BYTES];
        let length = rustix::fs::flistxattr(file, &mut names)?;
        let mut extended = Vec::new();
        for name in names[..length].split(|byte| *byte == 0).filter(|name| is_kept(name)) {
            let mut value = vec![0; MOST_XATTR_BYTES];
            let length = rustix::fs::fgetxattr(file, name, &mut value)?;
            value.truncate(length);
            extended.push((name.to_vec(), value));
        }
        Ok(Self { extended, ..Self::of_stat(&found) })
    }

    /// Takes over those of a symbolic link of another layer.
    pub(super) fn of_stat(found: &rustix::fs::Stat) -> Self {
        Self {
            owner: found.st_uid,
            group: found.st_gid,
            mode: found.st_mode & 0o7777,
            modified: Timespec {
                tv_sec: found.st_mtime,
                tv_nsec: found.st_mtime_nsec.try_into().unwrap_or_default(),
            },
            extended: Vec::new(),
            opaque: false,
        }
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
        if self.opaque {
            rustix::fs::fsetxattr(file, OPAQUE, b"y", XattrFlags::empty())
                .map_err(|source| failed("mark that hides lower layers", name, source))?;
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

/// Says whether an attribute is taken from an archive.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    (name.starts_with(b"user.") && !name.starts_with(b"user.overlay")) || name == CAPABILITIES
}

/// Says whether a directory is marked as one that hides what lower layers have in it.
pub(crate) fn is_opaque(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut value = [0; 2];
    match rustix::fs::fgetxattr(directory, OPAQUE, &mut value) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error),
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

fn failed(attribute: &'static str, name: &str, source: Errno) -> UnpackError {
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

//! Sparse files in PAX archives: which parts of a file an entry has. GNU's own form is read by the tar crate.
//!
//! There are three versions of it, all of which GNU tar writes and Go's archive/tar reads: tar(5), "GNU.sparse".

use std::io::{self, Read};

use super::extended_header::ExtendedHeader;

/// The map of version 1.0 is made of blocks at the beginning of the contents.
const BLOCK: usize = 512;
/// A file with more holes than that is none that anybody has made.
const MOST_SEGMENTS: u64 = 1 << 16;

/// The parts of a file that are in the archive; all else is zeros.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SparseMap {
    /// The size of the file.
    pub(super) size: u64,
    /// Offsets and lengths, in order.
    pub(super) segments: Vec<(u64, u64)>,
}

/// A map that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("the map of a sparse file is malformed")]
struct MalformedMap;

impl SparseMap {
    /// Reads the map of an entry whose contents have `stored` bytes; none where the entry is not sparse.
    pub(super) fn read(
        header: &ExtendedHeader,
        stored: u64,
        contents: &mut impl Read,
    ) -> io::Result<Option<Self>> {
        let number = |key: &[u8]| header.value(key).map(parse).transpose();
        let version = (number(b"GNU.sparse.major")?, number(b"GNU.sparse.minor")?);
        if version == (Some(1), Some(0)) {
            let size = number(b"GNU.sparse.realsize")?.ok_or_else(malformed)?;
            let (segments, map_bytes) = read_map(contents)?;
            let stored = stored.checked_sub(map_bytes).ok_or_else(malformed)?;
            return Self::checked(size, segments, stored).map(Some);
        }
        let numbers: Vec<u64> = if let Some(map) = header.value(b"GNU.sparse.map") {
            map.split(|byte| *byte == b',').map(parse).collect::<io::Result<_>>()?
        } else {
            header
                .values_of([b"GNU.sparse.offset", b"GNU.sparse.numbytes"])
                .map(parse)
                .collect::<io::Result<_>>()?
        };
        let size = number(b"GNU.sparse.size")?;
        match (size, numbers.is_empty(), version) {
            (None, true, (None, None)) => Ok(None),
            (Some(size), ..) if numbers.len().is_multiple_of(2) => {
                let segments = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                Self::checked(size, segments, stored).map(Some)
            }
            _ => Err(malformed()),
        }
    }

    fn checked(size: u64, segments: Vec<(u64, u64)>, stored: u64) -> io::Result<Self> {
        let (mut end, mut bytes) = (0_u64, 0_u64);
        for (offset, length) in &segments {
            if *offset < end {
                return Err(malformed());
            }
            end = offset.checked_add(*length).ok_or_else(malformed)?;
            bytes = bytes.checked_add(*length).ok_or_else(malformed)?;
        }
        if end > size || bytes != stored { Err(malformed()) } else { Ok(Self { size, segments }) }
    }
}

/// Reads the map before the contents: numbers, a line each, up to a whole number of blocks. The first says how many pairs
/// there are. Returns how many bytes it took.
fn read_map(contents: &mut impl Read) -> io::Result<(Vec<(u64, u64)>, u64)> {
    let mut bytes = 0;
    let mut line = Vec::new();
    let mut block = [0; BLOCK];
    let mut next = |bytes: &mut u64| -> io::Result<u64> {
        line.clear();
        loop {
            let at = usize::try_from(*bytes).map_err(io::Error::other)? % BLOCK;
            if at == 0 {
                contents.read_exact(&mut block)?;
            }
            *bytes += 1;
            match block[at] {
                b'\n' => return parse(&line),
                _ if line.len() > 20 => return Err(malformed()),
                byte => line.push(byte),
            }
        }
    };
    let count = next(&mut bytes)?;
    if count > MOST_SEGMENTS {
        return Err(malformed());
    }
    let mut segments = Vec::new();
    for _ in 0..count {
        segments.push((next(&mut bytes)?, next(&mut bytes)?));
    }
    Ok((segments, bytes.next_multiple_of(BLOCK as u64)))
}

fn parse(text: &[u8]) -> io::Result<u64> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, MalformedMap)
}

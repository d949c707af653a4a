//! The extended headers of an entry: PAX records and GNU's long names, read by their lengths.
//!
//! The tar crate splits records at line breaks, which values of attributes may have: it would take a part of such a value
//! for a record. So the bytes that it has read are read once more here.

const BLOCK: usize = 512;
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// What the extended headers say of one entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ExtendedHeader {
    records: Vec<(Vec<u8>, Vec<u8>)>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl ExtendedHeader {
    /// Reads the blocks from the first header of an entry to its last; none where they are malformed.
    pub(super) fn parse(mut blocks: &[u8]) -> Option<Self> {
        let mut parsed = Self::default();
        while let Some((block, rest)) = blocks.split_at_checked(BLOCK) {
            let header = tar::Header::from_byte_slice(block);
            let kind = header.entry_type();
            // A global header is none of them: the tar crate has it as an entry of its own, whose data is read later.
            if !(kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink()) {
                break;
            }
            let size = usize::try_from(header.entry_size().ok()?).ok()?;
            let data = rest.get(..size)?;
            if kind.is_pax_local_extensions() {
                parse_records(data, &mut parsed.records)?;
            } else if kind.is_gnu_longname() {
                parsed.long_name = Some(until_nul(data));
            } else if kind.is_gnu_longlink() {
                parsed.long_link = Some(until_nul(data));
            }
            blocks = rest.get(size.next_multiple_of(BLOCK)..).unwrap_or_default();
        }
        Some(parsed)
    }

    /// The name of the entry, where it is not in the header itself.
    pub(super) fn name(&self) -> Option<&[u8]> {
        self.long_name.as_deref().or_else(|| self.value(b"GNU.sparse.name")).or_else(|| self.value(b"path"))
    }

    /// The target of a link, where it is not in the header itself.
    pub(super) fn link(&self) -> Option<&[u8]> {
        self.long_link.as_deref().or_else(|| self.value(b"linkpath"))
    }

    /// The last value of a key; an empty one stands for none.
    pub(super) fn value(&self, key: &[u8]) -> Option<&[u8]> {
        let found = self.records.iter().rev().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_slice()).filter(|value| !value.is_empty())
    }

    /// All values of two keys, in their order.
    pub(super) fn values_of<'a>(&'a self, keys: [&'a [u8]; 2]) -> impl Iterator<Item = &'a [u8]> {
        self.records
            .iter()
            .filter(move |(key, _)| keys.contains(&key.as_slice()))
            .map(|(_, value)| value.as_slice())
    }

    /// Names and values of the extended attributes.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.records
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(XATTR_PREFIX)?, value.as_slice())))
    }
}

/// Reads records of the form `<length> <key>=<value>\n`, the length being that of all of it.
fn parse_records(mut data: &[u8], records: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Option<()> {
    while data.first().is_some_and(|byte| *byte != 0) {
        let space = data.iter().take(20).position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
        let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
        data = &data[length..];
    }
    Some(())
}

fn until_nul(data: &[u8]) -> Vec<u8> {
    data.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::{ExtendedHeader, parse_records};

    #[test]
    fn values_may_have_line_breaks_and_equals_signs() {
        let mut records = Vec::new();
        parse_records(b"8 a=b\nc\n12 path=x=y\n", &mut records).unwrap();
        let expected: [(&[u8], &[u8]); 2] = [(b"a", b"b\nc"), (b"path", b"x=y")];
        let found: Vec<_> = records.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lengths_that_lie_are_malformed() {
        for bad in
            [&b"7 a=b\n"[..], b"5 a=b\n", b"99 a=b\n", b"0 a=b\n", b"x a=b\n", b"6 aab\n", b"6", b"2 a=b\n"]
        {
            assert_eq!(parse_records(bad, &mut Vec::new()), None, "{bad:?}");
        }
    }

    #[test]
    fn cut_headers_are_malformed_and_none_are_empty() {
        assert_eq!(ExtendedHeader::parse(&[]), Some(ExtendedHeader::default()));
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size(600);
        header.set_cksum();
        let blocks = [header.as_bytes().as_slice(), &[b'x'; 512]].concat();
        assert_eq!(ExtendedHeader::parse(&blocks), None);
    }
}
